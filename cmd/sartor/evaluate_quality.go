package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// quality is one case of 'sartor evaluate quality': a command on real data, the lines of its output that
// count, and what has been published, or reached before, under the same protocol.
type quality struct {
	name  string
	data  string   // folder of the data set
	args  []string // DATA stands for the folder of the data set, WORK for a folder of the run's own
	lines []string // beginnings
	known string
	large bool // takes minutes
	files func(data, work string) error
}

// qualities lists the cases, the cheap ones first.
func qualities() []quality {
	purchase := "scenario: purchase\nobjective: {order: 8, cart-add: 3}\nrate: 0.002\nepochs: 10\ntune_signal: true\n"
	again := "scenario: buy-again\nobjective: {order: 1}\norder: 1\nahead: 5\nagain: true\nrate: 0.002\nepochs: 15\n"
	return []quality{
		{name: "ml-1m, newest 20 % of each user, all items", data: "ml-1m",
			args:  []string{"train", "--model", "lae", "--kappa", "0.55", "--epochs", "16", "--split", "user", "--eval-only", "--from-file", "ml-1m:DATA"},
			lines: []string{"popularity", "LAE"}, known: "EASE here 0.1317 / 0.1478, item-kNN 0.1032 / 0.1433 (Recall@20 / NDCG@20)"},
		{name: "Retailrocket, scenario purchase, held-out purchases", data: "retailrocket-mb",
			args:  []string{"train", "finetune", "--scenario", "WORK/scenario.yaml", "--epochs", "30", "--popularity-half-life", "0", "--eval-only", "--from-file", "retailrocket:DATA", "--test", "WORK/test.csv"},
			lines: []string{"popularity", "pretrained", "tuned", "from scratch"}, known: "tuned must exceed pretrained and from scratch, with intervals above 0",
			files: func(data, work string) error {
				return errors.Join(os.WriteFile(filepath.Join(work, "scenario.yaml"), []byte(purchase), 0o644), retailrocketTest(data, filepath.Join(work, "test.csv")))
			}},
		{name: "Online Retail, scenario buy-again, newest 20 % of the orders", data: "online-retail",
			args:  []string{"train", "finetune", "--scenario", "WORK/scenario.yaml", "--epochs", "20", "--eval-only", "--from-file", "online-retail:DATA"},
			lines: []string{"popularity", "pretrained", "tuned", "from scratch"}, known: "tuned must exceed pretrained and from scratch, with intervals above 0",
			files: func(_, work string) error {
				return os.WriteFile(filepath.Join(work, "scenario.yaml"), []byte(again), 0o644)
			}},
		{name: "rees46, items that nobody had seen before", data: "rees46-2day",
			args:  []string{"evaluate", "--cold", "--model", "lae+documents", "--epochs", "20", "--from-file", "rees46:DATA"},
			lines: []string{"| popularity", "| LAE + documents", "| content", "| popular kind"}, known: "LAE + documents must exceed popularity and content"},
		{name: "Gowalla, LightGCN's split, 64 dimensions", data: "gowalla", large: true,
			args:  []string{"train", "--model", "lae", "--epochs", "40", "--whole-history", "--kappa", "test-half", "--eval-only", "--from-file", "lightgcn:DATA", "--test", "DATA/test.tsv.gz"},
			lines: []string{"popularity", "LAE"}, known: "SimpleX 0.1872 / 0.1557, UltraGCN 0.1862 / 0.1580, LightGCN 0.1830 / 0.1554 (Recall@20 / NDCG@20)"},
		{name: "Yelp2018, LightGCN's split, 64 dimensions", data: "yelp2018", large: true,
			args:  []string{"train", "--model", "lae", "--epochs", "30", "--whole-history", "--kappa", "test-half", "--eval-only", "--from-file", "lightgcn:DATA", "--test", "DATA/test.tsv.gz"},
			lines: []string{"popularity", "LAE"}, known: "SimpleX 0.0701 / 0.0575, GF-CF 0.0697 / 0.0571 (Recall@20 / NDCG@20)"},
		{name: "Yelp2018, LightGCN's split, blend of 3 x 256 dimensions", data: "yelp2018", large: true,
			args: []string{"train", "--model", "blend", "--of", "lae,lae,als", "--mix", "1,3", "--tau", "0.13", "--dim", "256", "--epochs", "30", "--unobserved", "0.01", "--lambda", "0.003",
				"--whole-history", "--kappa", "0.7", "--eval-only", "--from-file", "lightgcn:DATA", "--test", "DATA/test.tsv.gz"},
			lines: []string{"popularity", "Blend"}, known: "a goal of 0.072 / 0.060; SimpleX 0.0701 / 0.0575, GF-CF 0.0697 / 0.0571 (Recall@20 / NDCG@20)"},
		{name: "Retailrocket, the last event of each visitor, what he had before ranked, too", data: "retailrocket-mb", large: true,
			args:  []string{"train", "--compare", "--from-file", "retailrocket:DATA", "--split", "last", "--keep-seen", "--epochs", "16", "--judge-every", "4"},
			lines: []string{"popularity", "item-kNN", "ALS", "LAE", "Encoder"}, known: "the encoder must exceed item-kNN by 10 % in Recall@20 and MRR@20, and ALS"},
		{name: "rees46, the last view of each user, what he had before ranked, too", data: "rees46-2day", large: true,
			args:  []string{"train", "--compare", "--from-file", "rees46:DATA", "--split", "last", "--keep-seen", "--epochs", "8", "--judge-every", "4"},
			lines: []string{"popularity", "item-kNN", "ALS", "LAE", "Encoder"}, known: "the encoder must exceed item-kNN by 10 % in Recall@20 and MRR@20"},
		{name: "Online Retail, next orders, what a customer had before ranked, too", data: "online-retail", large: true,
			args:  []string{"train", "--compare", "--keep-seen", "--epochs", "16", "--judge-every", "4", "--from-file", "online-retail:DATA"},
			lines: nextOrders(), known: "the best must be 1.15 times the best baseline (popularity, item-kNN, EASE, ALS)"},
		{name: "completejourney, next orders, what a household had before ranked, too", data: "completejourney", large: true,
			args:  []string{"train", "--compare", "--keep-seen", "--epochs", "16", "--judge-every", "4", "--from-file", "completejourney:DATA"},
			lines: nextOrders(), known: "the best must be 1.15 times the best baseline (popularity, item-kNN, EASE, ALS)"},
		{name: "ML-1M, next item, SASRec's sequences", data: "ml-1m", large: true,
			args:  []string{"train", "--model", "encoder", "--from-file", "sasrec:DATA", "--split", "last", "--k", "10", "--whole-history", "--eval-only"},
			lines: []string{"popularity", "Encoder"}, known: "gSASRec 0.3003 / 0.1726, SASRec 0.2392 / 0.1259 (Recall@10 / NDCG@10)"},
		{name: "ML-1M, one rating of each user at random, among 100 sampled negatives (only for comparison)", data: "ml-1m", large: true,
			args:  []string{"evaluate", "--model", "item-knn,ease,als", "--dim", "128", "--from-file", "ml-1m:DATA", "--split", "random", "--sampled-negatives", "100", "--k", "10", "--whole-history"},
			lines: []string{"| popularity", "| item-kNN", "| EASE", "| ALS"}, known: "a goal of 0.60 (NDCG@10); the split and the 100 candidates of Gorse (dataset.SplitCF, cf.Evaluate), with which it publishes no figure"},
		{name: "ML-1M, NCF's protocol, the latest rating among 99 sampled negatives (only for comparison)", data: "ml-1m", large: true,
			args:  []string{"train", "--model", "blend", "--of", "encoder,lae,als", "--epochs", "16", "--keep-order", "--from-file", "ml-1m:WORK", "--split", "last", "--sampled-negatives", "99", "--k", "10", "--whole-history", "--eval-only"},
			lines: []string{"popularity", "Blend"}, known: "NeuMF 0.73 / 0.45 (HR@10, which is Recall@10 here, and NDCG@10); Gorse's test asserts 0.36 (NDCG@10) on the same files",
			files: ncfOrder},
	}
}

// nextOrders are the lines that count where people buy again.
func nextOrders() []string {
	return []string{"popularity", "popular + repeat  ", "popular + repeat /", "item-kNN  ", "EASE  ", "ALS  ", "ALS + repeat  ", "ALS + repeat /",
		"LAE  ", "LAE + repeat  ", "LAE + repeat /", "Encoder  ", "Encoder + repeat  ", "Encoder + repeat /"}
}

func newQualityCommand(a *app) *cobra.Command {
	var dir string
	var all bool
	var only []string
	cmd := &cobra.Command{
		Use:   "quality",
		Short: "Measure the models on public data sets, each beside the published figure",
		Long: `Runs the cases whose data is there, one after another, and prints what counts of each beside what was
published or reached before under the same protocol. Small cases take about a minute together on two
idle cores; --all adds those that take minutes each.`,
		Example: `  sartor evaluate quality --data ../shared/data
  sartor evaluate quality --all --only gowalla,yelp2018`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir = cmp.Or(dir, os.Getenv("SARTOR_DATA"), filepath.Join("..", "shared", "data"))
			for _, name := range only {
				if err := oneOf("--only", name, qualityData()...); err != nil {
					return err
				}
			}
			for _, q := range qualities() {
				if q.large && !all || len(only) > 0 && !slices.Contains(only, q.data) {
					continue
				}
				if err := a.quality(cmd, q, dir); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "data", "", "`folder` of the data sets; else SARTOR_DATA, else ../shared/data")
	cmd.Flags().BoolVar(&all, "all", false, "also the cases that take minutes")
	cmd.Flags().StringSliceVar(&only, "only", nil, "data sets to measure on; none = all")
	return cmd
}

// qualityData lists the data sets of the cases, each once.
func qualityData() []string {
	var names []string
	for _, q := range qualities() {
		if !slices.Contains(names, q.data) {
			names = append(names, q.data)
		}
	}
	return names
}

// quality runs one case in this process and prints what counts of its output.
func (a *app) quality(cmd *cobra.Command, q quality, dir string) error {
	data := filepath.Join(dir, q.data)
	if _, err := os.Stat(data); err != nil {
		_, err := fmt.Fprintf(a.stdout, "%s: left out, there is no %s.\n\n", q.name, data)
		return err
	}
	work, err := os.MkdirTemp("", "sartor-quality-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if q.files != nil {
		if err := q.files(data, work); err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
	}
	args := slices.Clone(q.args)
	for i := range args {
		args[i] = strings.NewReplacer("DATA", data, "WORK", work).Replace(args[i])
	}
	var out, errs bytes.Buffer
	began, cpu := time.Now(), processCPU()
	if code := run(cmd.Context(), args, strings.NewReader(""), &out, &errs); code != exitOK {
		return fmt.Errorf("%s: sartor %s: exit code %d: %s", q.name, strings.Join(args, " "), code, errs.String())
	}
	fmt.Fprintf(a.stdout, "%s\n  sartor %s\n", q.name, strings.Join(q.args, " "))
	for _, line := range strings.Split(out.String(), "\n") {
		wanted := slices.ContainsFunc(q.lines, func(begin string) bool { return strings.HasPrefix(line, begin) })
		if wanted && strings.ContainsAny(line, "[") || strings.Contains(line, "\tRecall@") || strings.HasPrefix(line, "  ") && strings.Contains(line, "Recall@") {
			fmt.Fprintf(a.stdout, "  %s\n", line)
		}
	}
	_, err = fmt.Fprintf(a.stdout, "  known: %s\n  %.0f s, %.0f processor seconds\n\n", q.known, time.Since(began).Seconds(), (processCPU() - cpu).Seconds())
	return err
}

// retailrocketTest writes the held-out purchases as a recording: at the end of the log, in its format.
func retailrocketTest(data, to string) (err error) {
	from, err := os.Open(filepath.Join(data, "test.csv.gz"))
	if err != nil {
		return err
	}
	defer from.Close()
	z, err := gzip.NewReader(from)
	if err != nil {
		return err
	}
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	rows, w := csv.NewReader(z), csv.NewWriter(file)
	const afterAll = "1442545200" // the log ends nine minutes before
	row := []string{"ts", "user_id", "item_id", "event"}
	for {
		if err := w.Write(row); err != nil {
			return err
		}
		next, err := rows.Read()
		if errors.Is(err, io.EOF) {
			w.Flush()
			return w.Error()
		}
		if err != nil {
			return err
		}
		if next[0] == "user_id" {
			if next, err = rows.Read(); err != nil {
				return err
			}
		}
		row = []string{afterAll, next[0], next[1], "transaction"}
	}
}
