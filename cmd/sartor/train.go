package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/file"
	"github.com/sartorhq/sartor/streams/kafka"
)

// The ways to hold out events for the evaluation.
const (
	splitTime = "time" // one moment for all users
	splitUser = "user" // the newest of each user
	splitFile = "file" // a file of its own: a published split
	splitNone = "none"
)

// trainOptions say what to train on, how to judge it and where to put it.
type trainOptions struct {
	// Read calls its argument with every event, oldest data first within a user.
	Read func(ctx context.Context, add func(*streams.Event)) error
	// ReadTest does the same for the held-out events of a published split; only with splitFile.
	ReadTest func(ctx context.Context, add func(*streams.Event)) error
	Schema   *features.Schema
	Train    train.Options
	Split    string  // splitTime if empty
	Share    float64 // of the events that are held out; 0 = 0.2
	K        int     // length of the judged lists; 0 = 20
	// FixedKappa takes Train.Kappa as it is; else it is chosen on the newest part of the training data.
	FixedKappa bool
	KeepSeen   bool
	Whole      bool               // encode from whole histories
	Registry   *registry.Registry // nil = evaluate only
	Out        io.Writer          // what people read; nil = nothing
	Progress   io.Writer          // progress bars or lines; nil = none
}

// kappas are the weights of the popularity term that are tried.
var kappas = []float64{0, 0.005, 0.01, 0.02, 0.04, 0.08}

// errNothingToJudge says that an evaluation is not possible, which does not stop a model from being
// trained.
var errNothingToJudge = errors.New("nothing to evaluate on")

// trainModel reads the events, judges a model of the older part on the newer one, beside popularity,
// then trains on everything and publishes the result with the figures in its manifest. Without a
// registry it stops after judging. The manifest of what was published is returned, else a zero one.
func trainModel(ctx context.Context, o trainOptions) (models.Meta, error) {
	t, err := newTrainer(ctx, o)
	if err != nil {
		return models.Meta{}, err
	}
	metrics, err := t.evaluate(ctx)
	if errors.Is(err, errNothingToJudge) || errors.Is(err, train.ErrTooLittle) {
		t.say("Not evaluated: %v.\n", err)
		if t.o.Registry == nil {
			return models.Meta{}, err
		}
	} else if err != nil {
		return models.Meta{}, err
	}
	if t.o.Registry == nil {
		return models.Meta{}, nil
	}
	return t.publish(ctx, metrics)
}

// trainer is one run of trainModel.
type trainer struct {
	o     trainOptions
	log   *train.Log
	train int // interactions before those of ReadTest
}

func newTrainer(ctx context.Context, o trainOptions) (*trainer, error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Split == "" {
		o.Split = splitTime
	}
	if o.Share == 0 {
		o.Share = 0.2
	}
	if o.K == 0 {
		o.K = 20
	}
	if o.Train.Signal.Weights == nil {
		o.Train.Signal = models.DefaultSignal()
	}
	o.Train.Schema = o.Schema.Version()
	t := &trainer{o: o, log: train.NewLog()}
	if err := o.Read(ctx, t.log.Add); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	t.train = t.log.Len()
	if o.Split == splitFile {
		if err := o.ReadTest(ctx, t.log.Add); err != nil {
			return nil, fmt.Errorf("read test events: %w", err)
		}
	}
	t.say("Data: %s, newest %s.\n", t.log, t.log.Newest().Format(time.RFC3339))
	return t, nil
}

func (t *trainer) say(format string, args ...any) { fmt.Fprintf(t.o.Out, format, args...) }

// cut parts the log into a training and a held-out part.
func (t *trainer) cut(l *train.Log) *holdout {
	h := &holdout{schema: t.o.Schema, signal: t.o.Train.Signal, keepSeen: t.o.KeepSeen, whole: t.o.Whole}
	users, times := make([]int32, l.Len()), make([]int64, l.Len())
	for i := range users {
		x := l.At(i)
		users[i], times[i] = x.User, x.Time
	}
	switch t.o.Split {
	case splitTime:
		at := eval.CutAt(times, t.o.Share)
		h.before, h.after = l.Split(eval.Since(times, at))
		h.moment = time.UnixMilli(at)
	default:
		h.before, h.after = l.Split(eval.LastOfEach(users, times, t.o.Share))
		h.moment = l.Newest().Add(time.Millisecond)
	}
	return h
}

// evaluate holds out events, trains on the rest and prints how well the held-out ones are foreseen.
func (t *trainer) evaluate(ctx context.Context) (map[string]float64, error) {
	if t.o.Split == splitNone {
		return nil, fmt.Errorf("no split was asked for: %w", errNothingToJudge)
	}
	h := t.cut(t.log)
	if t.o.Split == splitFile {
		hold := make([]bool, t.log.Len())
		for i := t.train; i < len(hold); i++ {
			hold[i] = true
		}
		h.before, h.after = t.log.Split(hold)
	}
	users, cold := h.testUsers()
	if len(users) == 0 {
		return nil, fmt.Errorf("no user has both a history and %d held-out events that fit (%d users are new): %w", h.after.Len(), cold, errNothingToJudge)
	}
	if err := t.chooseKappa(ctx, h.before); err != nil {
		return nil, err
	}
	als, report, err := t.fit(ctx, h.before, "evaluate")
	if err != nil {
		return nil, err
	}
	popularity, err := train.Popularity(h.before, t.o.Train)
	if err != nil {
		return nil, err
	}
	j, err := h.judge(ctx, t.o.K, popularity, als)
	if err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	items := len(als.Items().IDs)
	t.table(h, j, report, items)
	return j.metrics(items), nil
}

// chooseKappa picks the weight of popularity that foresees the newest part of the training data best:
// the held-out events have no say.
func (t *trainer) chooseKappa(ctx context.Context, l *train.Log) error {
	if t.o.FixedKappa {
		return nil
	}
	t.o.Train.Kappa = 0
	h := t.cut(l)
	if users, _ := h.testUsers(); len(users) == 0 {
		return nil // nothing to choose by: without the term
	}
	base, _, err := t.fit(ctx, h.before, "validate")
	if errors.Is(err, train.ErrTooLittle) {
		return nil
	}
	if err != nil {
		return err
	}
	popularity, err := train.Popularity(h.before, t.o.Train)
	if err != nil {
		return err
	}
	candidates := []models.Model{popularity}
	for _, kappa := range kappas {
		m, err := base.WithKappa(kappa)
		if err != nil {
			return err
		}
		candidates = append(candidates, m)
	}
	j, err := h.judge(ctx, t.o.K, candidates...)
	if err != nil {
		return fmt.Errorf("choose kappa: %w", err)
	}
	best := -1.0
	for i, kappa := range kappas {
		if ndcg := eval.Mean(j.measures[i+1]).NDCG; ndcg > best {
			best, t.o.Train.Kappa = ndcg, kappa
		}
	}
	t.say("Popularity term: kappa %g, the best of %d on the newest %.0f %% of the training part.\n", t.o.Train.Kappa, len(kappas), 100*t.o.Share)
	return nil
}

// fit trains once and shows the progress.
func (t *trainer) fit(ctx context.Context, l *train.Log, what string) (*models.ALS, train.Report, error) {
	o := t.o.Train
	if t.o.Progress != nil {
		bar := newStep(t.o.Progress, what, "epochs", int64(max(o.Epochs, 0)))
		defer bar.done()
		o.Progress = func(p train.Progress) { bar.set(int64(p.Epoch)) }
	}
	return train.ALS(ctx, l, o)
}

// publish trains on everything and makes the model current.
func (t *trainer) publish(ctx context.Context, metrics map[string]float64) (models.Meta, error) {
	als, report, err := t.fit(ctx, t.log, "train")
	if err != nil {
		return models.Meta{}, err
	}
	if report.Stopped {
		t.say("The time budget ended training after epoch %d.\n", report.Epochs)
	}
	meta, err := t.o.Registry.Publish(ctx, als.WithMetrics(metrics))
	if err != nil {
		return models.Meta{}, err
	}
	t.say("Published %s: %s.\n", meta.Version, report)
	return meta, nil
}

// kafkaEvents reads what the log holds now.
func kafkaEvents(options kafka.Options) func(context.Context, func(*streams.Event)) error {
	return func(ctx context.Context, add func(*streams.Event)) error {
		return kafka.ReadAll(ctx, options, []streams.Stream{streams.Behavior, streams.Orders}, func(r streams.Record) error {
			add(&r.Event)
			return nil
		})
	}
}

// fileEvents reads a recording.
func fileEvents(format file.Format, path string) func(context.Context, func(*streams.Event)) error {
	return func(ctx context.Context, add func(*streams.Event)) error {
		source, err := file.Open(format, path, file.Options{})
		if err != nil {
			return err
		}
		defer source.Close()
		for ctx.Err() == nil {
			e, err := source.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			add(&e)
		}
		return ctx.Err()
	}
}

// trainFlags are the flags of one call.
type trainFlags struct {
	from, test, split, kappa string
	weights                  []string
	halfLife, popularity     time.Duration
	evalOnly                 bool
	options                  trainOptions
	t                        train.Options
}

func newTrainCommand(a *app) *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train a model on the log, judge it, and publish it",
		Long: `Reads the behavior and orders streams from Kafka (or a recording), holds out the newest events, trains on
the rest, and prints how well the held-out ones are foreseen beside a popularity baseline: all items
are ranked, for every user with a history. Then it trains on everything and publishes the model, which
'sartor serve' picks up. The mathematics and the protocol are in models/MODEL.md.

Exit code 1: training or reading failed. Exit code 2: the command line is wrong.`,
		Example: `  sartor train --brokers localhost:9092 --models /var/lib/sartor/models
  sartor train --from-file ml-1m:data/ml-1m --split user --eval-only
  sartor train --from-file lightgcn:data/gowalla --test data/gowalla/test.tsv.gz --eval-only`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.train(cmd, f) },
	}
	flags := cmd.Flags()
	a.bind(flags, "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	a.bind(flags, "models", "models.dir", "registry folder to publish to")
	flags.StringVar(&f.from, "from-file", "", "read a recording instead of Kafka: `FORMAT:PATH`")
	flags.StringVar(&f.test, "test", "", "`file` with the held-out events of a published split, in the same format")
	flags.StringVar(&f.split, "split", splitTime, "what is held out: time (the newest of all), user (the newest of each user) or none")
	flags.Float64Var(&f.options.Share, "holdout", 0.2, "share of the events that is held out")
	flags.IntVar(&f.options.K, "k", 20, "length of the judged lists")
	flags.BoolVar(&f.options.KeepSeen, "keep-seen", false, "judge with what a user already had, for shops where people buy again")
	flags.BoolVar(&f.options.Whole, "whole-history", false, "judge with whole histories, not the part that is served: for published figures")
	flags.BoolVar(&f.evalOnly, "eval-only", false, "judge, and publish nothing")
	flags.IntVar(&f.t.Dim, "dim", 64, "factors: a multiple of 8")
	flags.IntVar(&f.t.Epochs, "epochs", 16, "passes over the data")
	flags.Float64Var(&f.t.Lambda, "lambda", train.DefaultLambda, "ridge")
	flags.Float64Var(&f.t.Nu, "nu", 1, "exponent of the ridge's frequency scaling, 0 to 2")
	flags.Float64Var(&f.t.Unobserved, "unobserved", train.DefaultUnobserved, "weight of pairs without evidence")
	flags.StringVar(&f.kappa, "kappa", "auto", "weight of the popularity term: a number, or auto to choose it on older data")
	flags.StringArrayVar(&f.weights, "weight", nil, "weight of an event type, such as order=8 (repeatable)")
	flags.DurationVar(&f.halfLife, "half-life", models.DefaultSignal().HalfLife, "age at which evidence of taste counts half; 0 = never fades")
	flags.DurationVar(&f.popularity, "popularity-half-life", 30*24*time.Hour, "age at which popularity counts half; 0 = never fades")
	flags.Uint64Var(&f.t.Seed, "seed", 1, "seed of the random start")
	flags.IntVar(&f.t.Workers, "workers", 0, "goroutines; 0 = one per processor; the model does not depend on it")
	flags.DurationVar(&f.t.Budget, "budget", 0, "longest time for one training; it ends after a whole epoch; 0 = no bound")
	return cmd
}

// train runs one call of the command.
func (a *app) train(cmd *cobra.Command, f trainFlags) error {
	o, err := f.resolve(cmd.Flags().Changed("split"))
	if err != nil {
		return err
	}
	if o.Schema, err = loadSchema(a.config.Schema); err != nil {
		return err
	}
	if o.Read == nil {
		if len(a.config.Kafka.Brokers) == 0 {
			return usagef("no events to train on: use --brokers, or --from-file FORMAT:PATH")
		}
		options, err := a.kafkaOptions()
		if err != nil {
			return err
		}
		o.Read = kafkaEvents(options)
	}
	if !f.evalOnly {
		if a.config.Models.Dir == "" {
			return usagef("where to publish? use --models FOLDER, or --eval-only to publish nothing")
		}
		o.Registry = registry.New(a.config.Models.Dir)
	}
	o.Out, o.Progress = a.stdout, a.stderr
	_, err = trainModel(cmd.Context(), o)
	return err
}

// resolve turns flags into options; everything that is wrong is a usage error.
func (f trainFlags) resolve(splitChosen bool) (trainOptions, error) {
	o := f.options
	o.Train, o.Split = f.t, f.split
	if o.Split != splitTime && o.Split != splitUser && o.Split != splitNone {
		return o, usagef("--split %s: it can be %s, %s or %s", o.Split, splitTime, splitUser, splitNone)
	}
	if !(o.Share > 0 && o.Share < 1) {
		return o, usagef("--holdout %v: need more than 0 and less than 1", o.Share)
	}
	if o.K < 1 || o.K > 1000 {
		return o, usagef("--k %d: need 1 to 1000", o.K)
	}
	if f.kappa != "auto" {
		kappa, err := strconv.ParseFloat(f.kappa, 64)
		if err != nil {
			return o, usagef("--kappa %s: need a number, or auto", f.kappa)
		}
		o.Train.Kappa, o.FixedKappa = kappa, true
	}
	if err := f.resolveSignal(&o); err != nil {
		return o, err
	}
	if err := o.Train.Validate(); err != nil {
		return o, usageError{err}
	}
	return o, f.resolveFiles(&o, splitChosen)
}

func (f trainFlags) resolveSignal(o *trainOptions) error {
	o.Train.Signal = models.DefaultSignal()
	o.Train.Signal.HalfLife, o.Train.PopularityHalfLife = f.halfLife, f.popularity
	if f.popularity == 0 {
		o.Train.PopularityHalfLife = -1
	}
	for _, w := range f.weights {
		name, text, _ := strings.Cut(w, "=")
		value, err := strconv.ParseFloat(text, 64)
		stream := streams.Type(name).Stream()
		if err != nil || stream != streams.Behavior && stream != streams.Orders {
			return usagef("--weight %s: need TYPE=NUMBER with a type of the behavior or orders stream", w)
		}
		o.Train.Signal.Weights[name] = value
	}
	return nil
}

func (f trainFlags) resolveFiles(o *trainOptions, splitChosen bool) error {
	if f.from == "" {
		if f.test != "" {
			return usagef("--test needs --from-file")
		}
		return nil
	}
	name, path, ok := strings.Cut(f.from, ":")
	format, err := file.ParseFormat(name)
	if err != nil || !ok || path == "" {
		return usagef("--from-file %s: need FORMAT:PATH (%v)", f.from, errors.Join(err))
	}
	o.Read = fileEvents(format, path)
	if f.test != "" {
		if splitChosen {
			return usagef("--test is a split already: leave out --split")
		}
		o.Split, o.ReadTest = splitFile, fileEvents(format, f.test)
	}
	if format == file.LightGCN { // these sets have no times, so that nothing can fade
		o.Train.Signal.HalfLife, o.Train.PopularityHalfLife = 0, -1
		if o.Split == splitTime {
			o.Split = splitUser
		}
	}
	return nil
}
