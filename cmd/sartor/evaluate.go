package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/models/train"
)

// Behind the name of a kind, withDocuments lets it learn from the items' documents, too, and withUser from
// what is known of users and of their visits. Behind them, withRepeat gives it a repeat term.
const (
	withDocuments = "+documents"
	withUser      = "+user"
)

// headUnits is the size of the head of a kind withUser.
const headUnits = 64

// parts takes the name of a kind apart; ok is false when that kind cannot have what the name says.
func parts(name string) (kind string, documents, user, ok bool) {
	name, again := strings.CutSuffix(name, withRepeat)
	kind, user = strings.CutSuffix(name, withUser)
	kind, documents = strings.CutSuffix(kind, withDocuments)
	_, ok = modelKinds()[kind]
	ok = ok || kind == kindContent && name == kind
	ok = ok && (!again || slices.Contains(publishable(), kind))
	return kind, documents, user, ok && (!documents || kind == models.KindLAE || kind == models.KindEncoder) && (!user || kind == models.KindEncoder)
}

// kindContent is the baseline of documents alone; it is not trained and cannot be published.
const kindContent = models.KindContent

// evaluateFlags are the flags of one call.
type evaluateFlags struct {
	trainFlags
	kinds    []string
	versions []string
	report   string
	cold     bool
}

func newEvaluateCommand(a *app) *cobra.Command {
	var f evaluateFlags
	cmd := &cobra.Command{
		Use:   "evaluate",
		Short: "Judge kinds of model and published versions on held-out events, and write a report",
		Long: `Holds out the newest events, trains each kind of --model on the rest, and ranks all items for every user
with a history: accuracy with intervals, coverage, novelty, diversity, popularity bias and calibration,
for all users and by slices. Popularity and the deployed champion (the current version of --models) stand
beside them. --report writes report.md, report.json and report.html, which needs no other file.

--cold judges only the items that nobody had seen before the cut, by what their documents say.

Exit code 1: training or reading failed. Exit code 2: the command line is wrong.`,
		Example: `  sartor evaluate --brokers localhost:9092 --models models --report report
  sartor evaluate --from-file rees46:data/rees46-2day --model lae,lae+documents --report report
  sartor evaluate --from-file completejourney:data/completejourney --cold`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.evaluate(cmd, f) },
	}
	cmd.AddCommand(newPolicyCommand(a), newQualityCommand(a))
	flags := cmd.Flags()
	a.bind(flags, "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	a.bind(flags, "models", "models.dir", "registry folder, whose current version is the champion")
	flags.StringSliceVar(&f.kinds, "model", []string{models.KindALS, models.KindLAE, models.KindLAE + withDocuments}, "kinds to train on the older part, as of 'sartor train'; lae"+withDocuments+" and encoder"+withDocuments+" learn from the items' documents, too, encoder"+withUser+" from what is known of users and visits, encoder"+withDocuments+withUser+" from both; "+withRepeat+" behind a kind gives what a user had before a term of its own")
	flags.StringSliceVar(&f.versions, "version", nil, "further published versions of --models to judge")
	flags.StringVar(&f.report, "report", "", "`folder` to write report.md, report.json and report.html to")
	flags.BoolVar(&f.cold, "cold", false, "judge items that nobody had seen before the cut")
	flags.StringVar(&f.from, "from-file", "", fromFileUsage)
	flags.StringVar(&f.archive, "from-archive", "", "read the archive at `URL` first, and from Kafka, when brokers are named, only what is newer")
	flags.StringVar(&f.test, "test", "", "`file` with the held-out events of a published split, in the same format")
	flags.StringVar(&f.split, "split", splitTime, "what is held out: time (the newest of all), user (the newest of each user), last (one event of each user) or random (one at random, as old tables do)")
	sampledFlag(flags, &f.options)
	flags.Float64Var(&f.options.Share, "holdout", 0.2, "share of the events that is held out")
	flags.IntVar(&f.options.K, "k", 20, "length of the judged lists")
	flags.BoolVar(&f.options.KeepSeen, "keep-seen", false, "judge with what a user already had, for shops where people buy again")
	flags.BoolVar(&f.options.Whole, "whole-history", false, "judge with whole histories, not the part that is served")
	flags.BoolVar(&f.options.TuneSignal, "tune-signal", false, "choose the half-life and the weights of event types on older data, too")
	flags.IntVar(&f.t.Dim, "dim", 64, "factors: a multiple of 8")
	flags.IntVar(&f.t.Epochs, "epochs", 0, "passes over the data; 0 = the default of each kind")
	flags.IntVar(&f.t.Encoder.JudgeEvery, "judge-every", 5, "encoder: epochs between two looks at the newest part of the training data, of which the best is kept")
	flags.IntVar(&f.t.Encoder.Recall, "recall", 0, "encoder: as of 'sartor train'")
	flags.BoolVar(&f.t.Encoder.Unit, "unit", false, "encoder: as of 'sartor train'")
	flags.Float64Var(&f.t.Encoder.Tower.IDDropout, "id-dropout", 0, "encoder: as of 'sartor train'")
	blendFlags(flags, &f.trainFlags)
	flags.Uint64Var(&f.t.Seed, "seed", 1, "seed of the random start")
	flags.IntVar(&f.t.Workers, "workers", 0, "goroutines; 0 = one per processor")
	return cmd
}

// evaluate runs one call of the command.
func (a *app) evaluate(cmd *cobra.Command, f evaluateFlags) error {
	f.lambda, f.kappa, f.evalOnly, f.options.Kind = "auto", "auto", true, models.KindLAE
	f.halfLife, f.popularity = models.DefaultSignal().HalfLife, popularityHalfLife
	f.options.Features = f.cold
	for _, name := range f.kinds {
		kind, documents, user, ok := parts(name)
		if !ok {
			return usagef("--model %s: it can be %s or %s; %s and %s also with %s, %s with %s, and what can be published with %s behind it", name, strings.Join(sortedKinds(), ", "), kindContent,
				models.KindLAE, models.KindEncoder, withDocuments, models.KindEncoder, withUser, withRepeat)
		}
		f.options.Features = f.options.Features || documents || kind == kindContent
		f.options.Profile = f.options.Profile || user
	}
	o, err := a.trainOptions(cmd, f.trainFlags)
	if err != nil {
		return err
	}
	o.Progress = a.stderr
	t, err := newTrainer(cmd.Context(), o)
	if err != nil {
		return err
	}
	e := &evaluation{trainer: t, report: f.report}
	if a.config.Models.Dir != "" {
		if err := e.load(registry.New(a.config.Models.Dir), f.versions); err != nil {
			return err
		}
		if len(e.entries) == 0 {
			fmt.Fprintf(a.stderr, "No model is published in %s: no champion stands beside the others.\n", a.config.Models.Dir)
		}
	} else if len(f.versions) > 0 {
		return usagef("--version needs --models")
	}
	if f.cold {
		return e.judgeCold(cmd.Context(), f.kinds)
	}
	return e.run(cmd.Context(), f.kinds)
}

func sortedKinds() []string {
	list := map[string]float64{}
	for k := range modelKinds() {
		list[k] = 0
	}
	return sortedKeys(list)
}

// evaluation is one run of 'sartor evaluate'.
type evaluation struct {
	*trainer
	report  string
	h       *holdout
	entries []contestant
}

// contestant is one model of an evaluation.
type contestant struct {
	name     string
	model    models.Model
	seconds  float64
	champion bool
	note     string
}

// load takes the champion and the named versions into the evaluation.
func (e *evaluation) load(r *registry.Registry, versions []string) error {
	current, err := r.Current()
	if err != nil && !errors.Is(err, registry.ErrEmpty) {
		return err
	}
	if err == nil {
		versions = append([]string{current}, versions...)
	}
	for i, v := range versions {
		if slices.Contains(versions[:i], v) {
			continue
		}
		m, err := r.Load(v)
		if err != nil {
			return err
		}
		e.entries = append(e.entries, contestant{name: v, model: m, champion: v == current})
	}
	return nil
}

// prepare cuts the log, builds the baseline and says which versions have seen the held-out events.
func (e *evaluation) prepare() error {
	e.h = e.testCut()
	if users, cold := e.h.testUsers(); len(users) == 0 {
		return fmt.Errorf("no user has both a history and held-out events that fit (%d users are new): %w", cold, errNothingToJudge)
	}
	popularity, err := train.Popularity(e.h.before, e.o.Train)
	if err != nil {
		return err
	}
	for i := range e.entries {
		x := &e.entries[i]
		if x.champion {
			x.name = "champion " + x.name
		}
		if through := x.model.Meta().TrainedThrough; e.o.Split == splitTime && !through.Before(e.h.moment) {
			x.note = fmt.Sprintf("%s was trained through %s and has seen held-out events: its figures are too good.", x.name, through.Format("2006-01-02 15:04"))
		}
	}
	e.entries = append([]contestant{{name: "popularity", model: popularity}}, e.entries...)
	return nil
}

// fitAll trains the kinds on the part before the cut, each with constants chosen on older data.
func (e *evaluation) fitAll(ctx context.Context, kinds []string) error {
	catalog, given := e.catalog, e.o
	defer func() { e.catalog, e.o = catalog, given }()
	for _, name := range kinds {
		name, again := strings.CutSuffix(name, withRepeat)
		kind, documents, user, _ := parts(name)
		e.o, e.catalog = given, nil
		if e.o.Repeat = repeatOff; again {
			e.o.Repeat = repeatOn
		}
		e.o.Compare = true
		if user {
			e.o.Train.Encoder.Head.Hidden = headUnits
		}
		if documents || kind == kindContent {
			if catalog == nil {
				e.say("%s is left out: no item has a document.\n", name)
				continue
			}
			e.catalog = catalog
		}
		if kind == kindContent {
			m, err := train.Content(e.h.before, catalog, e.entries[0].model.Items().IDs, e.o.Train, e.h.before.Newest(), false)
			if err != nil {
				return err
			}
			e.entries = append(e.entries, contestant{name: name, model: m})
			continue
		}
		m, c, err := e.contend(ctx, e.h, kind)
		if err != nil {
			return err
		}
		label := c.name + strings.ReplaceAll(strings.TrimPrefix(name, kind), "+", " + ")
		if again {
			label = c.name + " + repeat" + strings.TrimPrefix(label, c.name)
		}
		if c.repeat != nil {
			if m, err = train.Repeat(e.h.before, m, *c.repeat); err != nil {
				return err
			}
		} else if again {
			e.say("%s is judged without a repeat term.\n", label)
		}
		e.entries = append(e.entries, contestant{name: label, model: m, seconds: c.report.Elapsed.Seconds()})
	}
	return nil
}

// run judges everything and prints and writes the report.
func (e *evaluation) run(ctx context.Context, kinds []string) error {
	if err := e.prepare(); err != nil {
		return err
	}
	if err := e.fitAll(ctx, kinds); err != nil {
		return err
	}
	return e.judgeEntries(ctx, "Evaluation: "+e.splitText(e.h))
}

// judgeEntries judges the entries, of which the first is the baseline.
func (e *evaluation) judgeEntries(ctx context.Context, title string) error {
	var list []models.Model
	for _, x := range e.entries {
		list = append(list, x.model)
	}
	j, err := e.h.judge(ctx, e.o.K, list...)
	if err != nil {
		return fmt.Errorf("evaluate: %w", err)
	}
	r := e.figures(j)
	r.Title = strings.TrimSuffix(title, ".")
	var b strings.Builder
	if err := r.WriteMarkdown(&b); err != nil {
		return err
	}
	e.say("\n%s", b.String())
	if e.report == "" {
		return nil
	}
	if err := writeReport(e.report, r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	e.say("\nWritten to %s: report.md, report.json, report.html.\n", e.report)
	return nil
}

// writeReport writes the three files into the folder.
func writeReport(dir string, r *eval.Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var md, js, html strings.Builder
	if err := errors.Join(r.WriteMarkdown(&md), r.WriteJSON(&js), r.WriteHTML(&html)); err != nil {
		return err
	}
	for name, text := range map[string]string{"report.md": md.String(), "report.json": js.String(), "report.html": html.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
