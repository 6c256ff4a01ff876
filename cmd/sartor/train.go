package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/file"
	"github.com/sartorhq/sartor/streams/kafka"
)

// kafkaEvents reads what the log holds now; without streams, what users did.
func kafkaEvents(options kafka.Options, read ...streams.Stream) func(context.Context, func(*streams.Event)) error {
	if len(read) == 0 {
		read = []streams.Stream{streams.Behavior, streams.Orders}
	}
	return eventsOf(kafkaLog(options), read...)
}

// testHalf is the value of --kappa that takes half of the test users to choose it.
const testHalf = "test-half"

// trainFlags are the flags of one call.
type trainFlags struct {
	from, test, split    string
	archive, warm        string
	history, tensorboard string
	lambda, kappa, mix   string
	weights              []string
	halfLife, popularity time.Duration
	evalOnly             bool
	options              trainOptions
	t                    train.Options
	told                 io.Writer // is told which rows of a recording are no events; nil = nobody
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
  sartor train --brokers localhost:9092 --from-archive s3://shop-events/log --models /var/lib/sartor/models
  sartor train --from-file ml-1m:data/ml-1m --split user --eval-only
  sartor train --model encoder --from-file sasrec:data/ml-1m --split last --k 10 --whole-history --eval-only
  sartor train --from-file lightgcn:data/gowalla --test data/gowalla/test.tsv.gz --eval-only`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.train(cmd, f) },
	}
	flags := cmd.Flags()
	cmd.AddCommand(newFinetuneCommand(a), newShowCommand(a))
	a.bind(flags, "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	a.bind(flags, "models", "models.dir", "registry folder to publish to")
	flags.StringVar(&f.from, "from-file", "", fromFileUsage)
	flags.StringVar(&f.archive, "from-archive", "", "read the archive at `URL` first, and from Kafka, when brokers are named, only what is newer")
	flags.StringVar(&f.test, "test", "", "`file` with the held-out events of a published split, in the same format")
	flags.StringVar(&f.split, "split", splitTime, "what is held out: time (the newest of all), user (the newest of each user), last (one event of each user), random (one at random, as old tables do) or none")
	sampledFlag(flags, &f.options)
	flags.Float64Var(&f.options.Share, "holdout", 0.2, "share of the events that is held out")
	flags.IntVar(&f.options.K, "k", 20, "length of the judged lists")
	flags.BoolVar(&f.options.KeepSeen, "keep-seen", false, "judge with what a user already had, for shops where people buy again")
	repeatFlag(flags, &f.options)
	flags.BoolVar(&f.options.Whole, "whole-history", false, "judge with whole histories, not the part that is served: for published figures")
	flags.StringVar(&f.options.Checkpoint, "checkpoint", "", "lae, encoder: `file` that keeps the state after every epoch of the published training, to go on after a crash")
	flags.StringVar(&f.warm, "warm", "", "lae: `version` whose tables the published training begins with, or current: for daily updates with few epochs and a low rate; new items are added")
	flags.StringVar(&f.history, "history", "", "`file` to which every epoch and evaluation is appended as a line of JSON")
	flags.StringVar(&f.tensorboard, "tensorboard", "", "`folder` for the same as curves of TensorBoard")
	flags.BoolVar(&f.options.Compare, "compare", false, "judge all kinds of model in one table, each with constants chosen on older data, and publish nothing")
	flags.BoolVar(&f.evalOnly, "eval-only", false, "judge, and publish nothing")
	flags.IntVar(&f.t.Dim, "dim", 64, "factors: a multiple of 8")
	flags.StringVar(&f.options.Kind, "model", kindAuto, "kind of model: als, lae (linear autoencoder), encoder (gated linear recurrence over the history), blend (several of these side by side, see --of), popularity, or auto for the better of als and lae on older data; with --eval-only also item-knn and ease")
	flags.IntVar(&f.t.Epochs, "epochs", 0, "passes over the data; 0 = 16 for als, 40 for lae, 25 for encoder")
	flags.StringVar(&f.lambda, "lambda", "auto", "ridge: a number, or auto to choose it on older data")
	flags.IntVar(&f.t.Steps, "steps", 0, "als: steps of conjugate gradients for each row; 0 solves exactly. 3 take three fifths of the time at --dim 64 and two fifths at 128, for the same figures; at 32 they do not pay")
	flags.Float64Var(&f.t.Nu, "nu", 1, "exponent of the ridge's frequency scaling, 0 to 2")
	flags.Float64Var(&f.t.Unobserved, "unobserved", 0, "weight of pairs without evidence; 0 = from the density of the data")
	flags.StringVar(&f.kappa, "kappa", "auto", "weight of the popularity term: a number, auto to choose it on older data, or test-half to choose it on one half of the users of --test and judge on the other")
	flags.BoolVar(&f.options.Features, "features", false, "lae, encoder: learn also from the items' documents (category, brand, price, tags, words of the title), so that a new item has a vector before its first view")
	flags.Float64Var(&f.t.LAE.Tau, "tau", 0.1, "lae: temperature")
	flags.Float64Var(&f.t.LAE.Beta, "beta", 0, "lae: damping of popular items of a history, 0 to 0.5")
	flags.Float64Var(&f.t.LAE.Rate, "rate", 0, "lae, encoder: learning rate, which falls along a cosine; 0 = 0.01 for lae, 0.003 for encoder")
	flags.Float64Var(&f.t.LAE.Keep, "keep", 0.5, "lae: share of a user's items that is shown to foresee the others")
	flags.Float64Var(&f.t.LAE.Order, "order", 0, "lae: share of the examples that show what came before and foresee what came next; the others show a random part")
	flags.IntVar(&f.t.LAE.Ahead, "ahead", 3, "lae: how many of the next items an ordered example foresees")
	flags.IntVar(&f.t.LAE.Batch, "batch", 256, "lae: users in a step")
	flags.IntVar(&f.t.LAE.Negatives, "negatives", 0, "lae, encoder: items drawn beside the targets of a step; 0 = 2048 for lae, 4096 for encoder")
	encoderFlags(flags, &f.t.Encoder)
	blendFlags(flags, &f)
	flags.StringArrayVar(&f.weights, "weight", nil, "weight of an event type, such as order=8 (repeatable)")
	flags.DurationVar(&f.halfLife, "half-life", models.DefaultSignal().HalfLife, "age at which evidence of taste counts half; 0 = never fades")
	flags.DurationVar(&f.popularity, "popularity-half-life", popularityHalfLife, "age at which popularity counts half; 0 = never fades")
	flags.Uint64Var(&f.t.Seed, "seed", 1, "seed of the random start")
	flags.IntVar(&f.t.Workers, "workers", 0, "goroutines; 0 = one per processor; the model does not depend on it")
	flags.BoolVar(&f.options.TuneSignal, "tune-signal", false, "choose the half-life and the weights of event types on older data, too, beginning with those of --half-life and --weight")
	flags.DurationVar(&f.options.Budget, "budget", 0, "longest time for all trainings together; they end after whole epochs; 0 = no bound")
	return cmd
}

// train runs one call of the command.
func (a *app) train(cmd *cobra.Command, f trainFlags) error {
	if !f.options.Compare { // which trains all kinds
		if err := otherKinds(cmd.Flags(), f.options.Kind, f.trainedKinds()); err != nil {
			return err
		}
	}
	o, err := a.trainOptions(cmd, f)
	if err != nil {
		return err
	}
	if o.History, err = openHistory(f.history, f.tensorboard); err != nil {
		return err
	}
	_, err = trainModel(cmd.Context(), o)
	return errors.Join(err, o.History.close())
}

// trainOptions turns the flags and the configuration into options.
func (a *app) trainOptions(cmd *cobra.Command, f trainFlags) (trainOptions, error) {
	f.told = a.stderr
	o, err := f.resolve(cmd.Flags().Changed("split"))
	if err != nil {
		return o, err
	}
	if o.Schema, err = loadSchema(a.config.Schema); err != nil {
		return o, err
	}
	if o.Read == nil {
		log, err := (&logFlags{archive: f.archive}).open(a, "no events to train on: use --brokers, --from-archive URL, or --from-file FORMAT:PATH")
		if err != nil {
			return o, err
		}
		which := append(slices.Clone(o.Also), streams.Behavior, streams.Orders)
		if o.Features && !slices.Contains(which, streams.Catalog) {
			which = append([]streams.Stream{streams.Catalog}, which...)
		}
		if o.Profile || o.Train.Encoder.Head.Hidden > 0 {
			which = withDocumentStreams(which)
		}
		o.Read = eventsOf(log, which...)
	} else if f.archive != "" {
		return o, usagef("--from-file and --from-archive are two logs: give one")
	}
	if !f.evalOnly && !f.options.Compare {
		if a.config.Models.Dir == "" {
			return o, usagef("where to publish? use --models FOLDER, or --eval-only to publish nothing")
		}
		o.Registry = registry.New(a.config.Models.Dir)
		if err := f.warmStart(&o); err != nil {
			return o, err
		}
	}
	o.Out, o.Progress = a.stdout, a.stderr
	return o, nil
}

// warmStart loads the version that the published training begins with.
func (f trainFlags) warmStart(o *trainOptions) error {
	version := f.warm
	if version == "" {
		return nil
	}
	if o.Kind != models.KindLAE {
		return usagef("--warm needs --model %s", models.KindLAE)
	}
	var err error
	if version == "current" {
		if version, err = o.Registry.Current(); err != nil {
			return err
		}
	}
	m, err := o.Registry.Load(version)
	if err != nil {
		return err
	}
	warm, ok := m.(*models.LAE)
	if !ok {
		return fmt.Errorf("version %s is of kind %q: only %q can be gone on from", version, m.Meta().Kind, models.KindLAE)
	}
	o.Warm = warm
	return nil
}

// resolve turns flags into options; everything that is wrong is a usage error.
func (f trainFlags) resolve(splitChosen bool) (trainOptions, error) {
	o := f.options
	o.Train, o.Split = f.t, f.split
	o.Train.Encoder.Schedule.Rate, o.Train.Encoder.Negatives = o.Train.LAE.Rate, o.Train.LAE.Negatives
	if !slices.Contains([]string{splitTime, splitUser, splitLast, splitRandom, splitNone}, o.Split) {
		return o, usagef("--split %s: it can be %s, %s, %s, %s or %s", o.Split, splitTime, splitUser, splitLast, splitRandom, splitNone)
	}
	if err := checkSampled(o, f.evalOnly); err != nil {
		return o, err
	}
	if err := checkRepeat(o); err != nil {
		return o, err
	}
	if !(o.Share > 0 && o.Share < 1) {
		return o, usagef("--holdout %v: need more than 0 and less than 1", o.Share)
	}
	if o.K < 1 || o.K > 1000 {
		return o, usagef("--k %d: need 1 to 1000", o.K)
	}
	var err error
	if o.Train.Lambda, o.FixedLambda, err = numberOrAuto("lambda", f.lambda); err != nil {
		return o, err
	}
	o.TestHalf = f.kappa == testHalf
	if !o.TestHalf {
		if o.Train.Kappa, o.FixedKappa, err = numberOrAuto("kappa", f.kappa); err != nil {
			return o, err
		}
	} else if f.test == "" {
		return o, usagef("--kappa %s needs --test", testHalf)
	}
	if err := errors.Join(f.resolveSignal(&o), f.resolveMix(&o)); err != nil {
		return o, err
	}
	if o.Kind == kindAuto && (o.FixedLambda || o.FixedKappa || o.TestHalf) {
		o.Kind = models.KindALS // constants were given, and each kind has its own
	}
	if o.Kind == kindAuto {
		if err := o.Train.ValidateLAE(); err != nil {
			return o, usageError{err}
		}
	}
	named := o.Kind
	if named == kindAuto {
		named = models.KindALS
	}
	k, ok := modelKinds()[named]
	if !ok || o.Kind != kindAuto && !slices.Contains(publishable(), o.Kind) && !f.evalOnly {
		return o, usagef("--model %s: it can be %s, %s", o.Kind, kindAuto, strings.Join(publishable(), ", "))
	}
	if o.Compare && (o.FixedLambda || o.FixedKappa) {
		return o, usagef("--compare chooses lambda and kappa for each kind: leave them out")
	}
	if err := k.validate(o.Train); err != nil {
		return o, usageError{err}
	}
	return o, f.resolveFiles(&o, splitChosen)
}

// numberOrAuto reads a flag that can be left to the program; fixed is false then.
func numberOrAuto(name, text string) (value float64, fixed bool, err error) {
	if text == "auto" {
		return 0, false, nil
	}
	if value, err = strconv.ParseFloat(text, 64); err != nil {
		return 0, false, usagef("--%s %s: need a number, or auto", name, text)
	}
	return value, true, nil
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
	if name == preparedFormat && ok && path != "" {
		if f.test != "" {
			return usagef("--test: a prepared log has its parts in it; use --from-file %s:%s with --split time", preparedFormat, path)
		}
		o.Read = preparedEvents(path)
		return nil
	}
	format, path, err := parseRecording(f.from)
	if err != nil {
		return err
	}
	if f.told == nil {
		f.told = io.Discard
	}
	o.Read = recordedEvents(format, path, f.told)
	if f.test != "" {
		if splitChosen {
			return usagef("--test is a split already: leave out --split")
		}
		o.Split, o.ReadTest = splitFile, recordedEvents(format, f.test, f.told)
	}
	if format == file.LightGCN || format == file.SASRec { // these sets have no times, so that nothing can fade
		o.Train.Signal.HalfLife, o.Train.PopularityHalfLife = 0, -1
		if o.Split == splitTime {
			o.Split = splitUser
		}
	}
	return nil
}
