package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
)

func newFinetuneCommand(a *app) *cobra.Command {
	var f trainFlags
	var path, from string
	var shares []float64
	cmd := &cobra.Command{
		Use:   "finetune",
		Short: "Tune a pretrained lae or encoder to one scenario, judge it, and publish it for the scenario",
		Long: `Reads the log (or a recording) and a scenario file, which names the scenario's objective, its items, the
groups of weights that stay frozen and the learning rate. First it judges without the held-out events:
a model pretrained on the older part, the same model tuned to the scenario, and one trained for the
scenario from scratch, with shares of the users' data on request. Then it tunes the version --from on
everything and publishes it under scenarios/NAME of the registry.

Models of the kinds lae and encoder can be tuned. The groups of an lae are items.in, items.out and tower;
those of an encoder item, input and encoder.0, encoder.1, ..., one for each block.

Exit code 1: training or reading failed. Exit code 2: the command line is wrong.`,
		Example: `  sartor train finetune --scenario home.yaml --from lae-0123456789ab --brokers localhost:9092 --models models
  sartor train finetune --scenario next.yaml --from encoder-0123456789ab --brokers localhost:9092 --models models
  sartor train finetune --scenario purchase.yaml --from-file retailrocket:data/retailrocket-mb --eval-only --shares 0.01,0.1,1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.finetune(cmd, f, path, from, shares) },
	}
	flags := cmd.Flags()
	a.bind(flags, "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	a.bind(flags, "models", "models.dir", "registry folder")
	flags.StringVar(&path, "scenario", "", "scenario `file` (YAML)")
	flags.StringVar(&from, "from", "", "pretrained version to publish a tuned model of; it must be of kind lae or encoder")
	flags.StringVar(&f.options.Kind, "model", models.KindLAE, "kind of the models of the evaluation, without --from: lae or encoder")
	flags.Float64SliceVar(&shares, "shares", []float64{1}, "shares of the users whose data the tuning and the training from scratch see, in the evaluation")
	flags.StringVar(&f.from, "from-file", "", fromFileUsage)
	flags.StringVar(&f.test, "test", "", "`file` with the held-out events of a published split, in the same format")
	flags.StringVar(&f.split, "split", splitTime, "what is held out: time (the newest of all) or user (the newest of each user)")
	flags.Float64Var(&f.options.Share, "holdout", 0.2, "share of the events that is held out")
	flags.IntVar(&f.options.K, "k", 20, "length of the judged lists")
	flags.BoolVar(&f.options.KeepSeen, "keep-seen", false, "judge with what a user already had")
	flags.BoolVar(&f.evalOnly, "eval-only", false, "judge, and publish nothing")
	flags.IntVar(&f.t.Dim, "dim", 64, "factors of the models of the evaluation, without --from")
	flags.IntVar(&f.t.Epochs, "epochs", 0, "epochs of pretraining in the evaluation; 0 = 40 for lae, 25 for encoder")
	flags.StringVar(&f.options.Checkpoint, "checkpoint", "", "`file` that keeps the state after every epoch of the published tuning, to go on after a crash")
	flags.BoolVar(&f.options.Features, "features", false, "pretrain in the evaluation on the items' documents, too; a version that reads them does")
	flags.DurationVar(&f.popularity, "popularity-half-life", popularityHalfLife, "age at which popularity counts half; 0 = never fades")
	flags.Uint64Var(&f.t.Seed, "seed", 1, "seed of the random start")
	encoderShape(flags, &f.t.Encoder)
	return cmd
}

func (a *app) finetune(cmd *cobra.Command, f trainFlags, path, from string, shares []float64) error {
	if path == "" {
		return usagef("--scenario: name the scenario's file")
	}
	if from == "" && !f.evalOnly {
		return usagef("--from: name the version to tune, or --eval-only to publish nothing")
	}
	if slices.ContainsFunc(shares, func(s float64) bool { return !(s > 0 && s <= 1) }) {
		return usagef("--shares: need numbers above 0, at most 1")
	}
	if !slices.Contains(tunable(), f.options.Kind) {
		return usagef("--model %s: it can be %s", f.options.Kind, strings.Join(tunable(), ", "))
	}
	spec, err := readScenario(path)
	if err != nil {
		return usageError{err}
	}
	t := &tuner{spec: spec, from: from, shares: shares}
	f.t.Signal = models.DefaultSignal()
	if from != "" {
		if t.base, err = a.pretrained(from, &f.t); err != nil {
			return err
		}
		f.options.Kind = t.base.Meta().Kind
	}
	given := f.t
	if t.base != nil {
		goOn(&given, t.base, true)
	}
	if f.options.Features { // of which nothing is read yet
		given.Encoder.Tower.Catalog = &train.Catalog{}
	}
	if err := spec.checkKind(f.options.Kind, given); err != nil {
		return usageError{fmt.Errorf("scenario %s, for a model of kind %s: %w", path, f.options.Kind, err)}
	}
	f.lambda, f.kappa = "auto", "auto"
	f.halfLife = models.DefaultSignal().HalfLife
	f.evalOnly = f.evalOnly || from == ""
	f.options.Also = []streams.Stream{streams.Catalog}
	if f.t.Epochs == 0 {
		f.t.Epochs = map[string]int{models.KindLAE: 40, models.KindEncoder: 25}[f.options.Kind]
	}
	f.options.Profile = spec.Head > 0 || f.t.Encoder.Head.Hidden > 0
	if x, ok := t.base.(*models.Encoder); ok && x.Table().Tower != nil {
		f.options.Features = true
	}
	if spec.Exposures > 0 {
		t.exposures = train.NewExposures()
		f.options.Also = append(f.options.Also, streams.Exposures)
	}
	return a.runTuner(cmd, f, t)
}

// pretrained loads the version that is to be tuned, and makes the options those of its training.
func (a *app) pretrained(version string, o *train.Options) (models.Model, error) {
	if a.config.Models.Dir == "" {
		return nil, usagef("where is %s? use --models FOLDER", version)
	}
	m, err := registry.New(a.config.Models.Dir).Load(version)
	if err != nil {
		return nil, err
	}
	return m, startFrom(o, m)
}

// runTuner reads the events and does the work.
func (a *app) runTuner(cmd *cobra.Command, f trainFlags, t *tuner) error {
	o, err := a.trainOptions(cmd, f)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	t.items = &catalog{spec: t.spec, ids: map[string]bool{}}
	read := o.Read
	o.Read = func(ctx context.Context, add func(*streams.Event)) error {
		return read(ctx, func(e *streams.Event) { t.items.add(e); t.show(e); add(e) })
	}
	o.KeepSeen = o.KeepSeen || t.spec.Again
	if t.base != nil { // again: the flags' defaults were laid over it
		if err := startFrom(&o.Train, t.base); err != nil {
			return err
		}
		o.FixedKappa = true
	}
	if t.trainer, err = newTrainer(ctx, o); err != nil {
		return err
	}
	metrics, err := t.judge(ctx)
	if err != nil && !(errors.Is(err, errNothingToJudge) && o.Registry != nil) {
		return err
	}
	if o.Registry == nil {
		return nil
	}
	return t.publish(ctx, metrics)
}

// tuner is one run of 'sartor train finetune'.
type tuner struct {
	*trainer
	spec   scenarioSpec
	from   string
	shares []float64
	items  *catalog
	base   models.Model // nil without --from
	// exposures are what users were shown in the scenario; nil when they do not count.
	exposures *train.Exposures
	// chosen is what did best on the validation window with all the data; nil when nothing could be judged.
	chosen *constants
}

// publish tunes the base on everything, with the constants that did best on the validation window.
func (t *tuner) publish(ctx context.Context, metrics map[string]float64) error {
	spec := t.spec
	if t.chosen != nil {
		spec = t.chosen.spec
	}
	o := spec.tune(t.o.Train, t.items.wants())
	o.LAE.Exposures, o.Encoder.Exposures, o.LAE.Tower.Catalog = t.exposures, t.exposures, t.catalog
	goOn(&o, t.base, false)
	if c := t.chosen; c != nil {
		if stop(&o, c.epochs); c.epochs == 0 {
			// So small a rate changes no weight, but gives rows to items that the base does not know.
			t.say("No epoch of tuning did better than none on the validation window: only the constants are the scenario's.\n")
			stop(&o, 1)
			o.LAE.Rate, o.Encoder.Schedule.Rate, o.Epochs = 1e-12, 1e-12, 1
		}
		o.Kappa, o.Signal = c.kappa, c.signal
	}
	done, err := t.keepTuning(&o)
	if err != nil {
		return err
	}
	tuned, report, err := t.learn(ctx, t.log, o)
	if err != nil {
		return err
	}
	if tuned, err = models.WithMetrics(tuned, metrics); err != nil {
		return err
	}
	meta, err := t.o.Registry.Scenario(t.spec.Scenario).Publish(ctx, tuned)
	if err != nil {
		return err
	}
	t.say("Published %s for scenario %s, tuned from %s: %s.\n", meta.Version, t.spec.Scenario, t.from, report)
	return done()
}

// keepTuning attaches the checkpoint file to the options of the tuning that is to be published.
func (t *tuner) keepTuning(o *train.Options) (done func() error, err error) {
	if t.o.Checkpoint == "" {
		return func() error { return nil }, nil
	}
	c := newCheckpoint(t.o.Checkpoint, t.o.Kind, t.log, *o)
	resumed, err := c.attach(t.o.Kind, o)
	if resumed > 0 {
		t.say("Going on after epoch %d of %s.\n", resumed, t.o.Checkpoint)
	}
	return c.done, err
}

// someUsers returns the log of a share of the users, the same ones in every run; larger shares hold
// the smaller ones.
func someUsers(l *train.Log, share float64) *train.Log {
	drop := make([]bool, l.Len())
	for i := range drop {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(l.UserID(l.At(i).User)))
		// FNV's high bits are poor for short texts: a multiplication spreads them.
		drop[i] = float64(hash.Sum32()*0x9E3779B1)/(1<<32) >= share
	}
	kept, _ := l.Split(drop)
	return kept
}

// tuningTable prints the comparison; differences are to the pretrained model without tuning.
func (t *tuner) tuningTable(h *holdout, j *judged, names []string, costs []cost) {
	t.say("\nScenario %s: %s\n", t.spec.Scenario, t.splitText(h))
	t.say("Judged: %s users on the scenario's objective%s.\n\n", thousands(int64(j.users)), t.seenText())
	w := tabwriter.NewWriter(t.o.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\tRecall@%d\tNDCG@%d\tNDCG@%d - pretrained\tprocessor s\tpeak MiB\n", j.k, j.k, j.k)
	for m, name := range names {
		difference := ""
		if m > 1 {
			difference = eval.Paired(j.values(m, ndcgOf), j.values(1, ndcgOf), 1).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.1f\t%.0f\n", name, eval.Bootstrap(j.values(m, recallOf), 1), eval.Bootstrap(j.values(m, ndcgOf), 1),
			difference, costs[m].Processor.Seconds(), mebi(costs[m].Memory))
	}
	_ = w.Flush() // as other writes to people: an error cannot be told
	for m := 2; m+1 < len(names); m += 2 {
		t.say("%s minus %s: NDCG@%d %s.\n", names[m], names[m+1], j.k, eval.Paired(j.values(m, ndcgOf), j.values(m+1, ndcgOf), 1))
	}
	t.say("95 %% intervals by bootstrap over users; differences are paired by user. Seconds are of all goroutines; the peak has the log in it.\n")
}

// tunedMetrics is what the manifest of a tuned model keeps: its own figures, from the tuning with most
// data, and those of the model that it was tuned from.
func tunedMetrics(j *judged, names []string) map[string]float64 {
	out := map[string]float64{"eval.users": float64(j.users)}
	for m, name := range names {
		prefix := "untuned."
		switch {
		case name == "pretrained":
		case len(name) > 5 && name[:5] == "tuned":
			prefix = ""
		default:
			continue
		}
		mean := eval.Mean(j.measures[m])
		out[fmt.Sprintf("%srecall@%d", prefix, j.k)] = round6(mean.Recall)
		out[fmt.Sprintf("%sndcg@%d", prefix, j.k)] = round6(mean.NDCG)
	}
	return out
}
