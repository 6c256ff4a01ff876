package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/models/eval"
)

// policyFlags are the flags of one call: a file and the names of its columns.
type policyFlags struct {
	log, reward, propensity, target, predicted, direct string
	bound                                              float64
}

func newPolicyCommand(a *app) *cobra.Command {
	var f policyFlags
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Estimate what another policy (rules or a model) would have earned, from logged exposures",
		Long: `Reads a CSV file with a row for each exposure: what came of it, with which probability the logging policy
showed it, and with which probability the other policy would have. It prints the inverse propensity
estimate (IPS), the self-normalised one (SNIPS) and, with a model's predictions, the doubly robust one,
each with its 95 % interval. The effective number of exposures says how much the log knows of the other
policy; without randomness in the log nothing can be estimated.

Exit code 1: the file cannot be read or says too little. Exit code 2: the command line is wrong.`,
		Example: `  sartor evaluate policy --log exposures.csv --reward click --propensity propensity --target target`,
		Args:    cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			if f.log == "" {
				return usagef("--log: name the file with the logged exposures")
			}
			return a.judgePolicy(f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.log, "log", "", "CSV `file` with a header row")
	flags.StringVar(&f.reward, "reward", "reward", "column with what came of it")
	flags.StringVar(&f.propensity, "propensity", "propensity", "column with the probability under the logging policy")
	flags.StringVar(&f.target, "target", "target", "column with the probability under the other policy")
	flags.StringVar(&f.predicted, "predicted", "", "column with a model's expected reward of what was shown")
	flags.StringVar(&f.direct, "direct", "", "column with a model's expected reward of what the other policy would show")
	flags.Float64Var(&f.bound, "bound", 0, "cut weights to this; 0 = leave them")
	return cmd
}

func (a *app) judgePolicy(f policyFlags) error {
	if (f.predicted == "") != (f.direct == "") {
		return usagef("--predicted and --direct belong together")
	}
	log, err := readLogged(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.log, err)
	}
	if err := eval.CheckLogged(log); err != nil {
		return fmt.Errorf("%s: %w", f.log, err)
	}
	sum := make([]float64, len(log))
	for i, x := range log {
		sum[i] = x.Reward
	}
	p := eval.EstimatePolicy(log, f.bound, 1)
	w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "logging policy, measured\t%v\n", eval.Bootstrap(sum, 1))
	fmt.Fprintf(w, "other policy, IPS\t%v\nother policy, SNIPS\t%v\n", p.IPS, p.SNIPS)
	if f.direct != "" {
		fmt.Fprintf(w, "other policy, doubly robust\t%v\nother policy, by the model alone\t%v\n", p.DoublyRobust, p.DirectMethod)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s exposures, effective %.0f, largest weight %.1f.\n", thousands(int64(len(log))), p.Effective, p.Largest)
	return err
}

// readLogged reads the columns of the file.
func readLogged(f policyFlags) ([]eval.Logged, error) {
	file, err := os.Open(f.log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rows := csv.NewReader(file)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return nil, err
	}
	column := map[string]int{}
	for i, name := range header {
		column[name] = i
	}
	var log []eval.Logged
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return log, nil
		}
		if err != nil {
			return nil, err
		}
		var x eval.Logged
		for name, to := range map[string]*float64{f.reward: &x.Reward, f.propensity: &x.Propensity, f.target: &x.Target, f.predicted: &x.Predicted, f.direct: &x.Direct} {
			if name == "" {
				continue
			}
			i, ok := column[name]
			if !ok {
				return nil, fmt.Errorf("no column %q: the file has %q", name, header)
			}
			if *to, err = strconv.ParseFloat(row[i], 64); err != nil {
				line, _ := rows.FieldPos(i)
				return nil, fmt.Errorf("line %d, column %s: %q is not a number", line, name, row[i])
			}
		}
		log = append(log, x)
	}
}
