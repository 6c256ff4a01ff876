package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
)

// The ways to hold out events for the evaluation.
const (
	splitTime = "time" // one moment for all users
	splitUser = "user" // the newest of each user
	splitLast = "last" // one event of each user
	// splitRandom holds out one event of each user without regard to time; it is for old tables.
	splitRandom = "random"
	splitFile   = "file" // a file of its own: a published split
	splitNone   = "none"
)

// trainOptions say what to train on, how to judge it and where to put it.
type trainOptions struct {
	// Read calls its argument with every event, oldest data first within a user.
	Read func(ctx context.Context, add func(*streams.Event)) error
	// ReadTest does the same for the held-out events of a published split; only with splitFile.
	ReadTest func(ctx context.Context, add func(*streams.Event)) error
	Schema   *features.Schema
	Train    train.Options
	Kind     string  // of the model, or kindAuto; models.KindALS if empty
	Split    string  // splitTime if empty
	Share    float64 // of the events that are held out; 0 = 0.2
	K        int     // length of the judged lists; 0 = 20
	// FixedLambda and FixedKappa take those of Train as they are; else they are chosen on the newest
	// part of the training data.
	FixedLambda, FixedKappa bool
	// TuneSignal chooses the half-life and the weights of event types there, too.
	TuneSignal bool
	// Objective replaces the weights by which held-out events are wanted goods, and Only limits the items
	// that are ranked: a scenario's. nil = all.
	Objective map[string]float64
	Only      func(item string) bool
	// Also are streams to read from Kafka before what users did.
	Also []streams.Stream
	// Warm is the version whose tables the published training begins with; nil = afresh. Evaluations begin
	// afresh in any case: it knows what they hold out.
	Warm *models.LAE
	// Features lets a linear autoencoder or an encoder learn from the items' documents, too.
	Features bool
	// Profile keeps what was known of the user before each event, for encoders with a head.
	Profile bool
	// Repeat says whether a repeat term is looked for: repeatAuto, repeatOn or repeatOff; repeatOff if empty.
	Repeat string
	// Compare judges all kinds in one table; with it nothing can be published.
	Compare bool
	// TestHalf chooses kappa on every second test user and judges on the others, for published splits
	// whose test part has another distribution of popularity than the training part.
	TestHalf bool
	// Budget bounds the time of all trainings together; 0 = no bound. Each gets an equal part.
	Budget   time.Duration
	KeepSeen bool
	// Sampled ranks what is held out among so many items drawn at random, as old tables do; 0 = among all.
	Sampled  int
	Whole    bool               // encode from whole histories
	Registry *registry.Registry // nil = evaluate only
	Out      io.Writer          // what people read; nil = nothing
	Progress io.Writer          // progress bars or lines; nil = none
	// Checkpoint is a file that keeps the state of the training that is to be published; lae only.
	Checkpoint string
	History    *history // gets a line for every epoch and evaluation; nil = none
}

// lambdas are the ridges that are tried; kinds have their own weights of the popularity term.
var lambdas = []float64{0.002, 0.006, 0.02}

// maxChoosers bounds the users on whom lambda and kappa are chosen.
const maxChoosers = 2000

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
	// catalog is what the documents of the items say; nil unless asked for.
	catalog *train.Catalog
	// trainings is how many there will be: each gets an equal part of the budget.
	trainings int
	// older is the model of the older part of the training data by which the constants were chosen; nil = none.
	older       models.Model
	olderReport train.Report
	// repeat are the constants of the repeat term of what is to be published; nil = none.
	repeat *models.RepeatParams
	// epochs is how many did best where an encoder was judged; 0 = all.
	epochs int
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
	if o.Kind == "" {
		o.Kind = models.KindALS
	}
	if o.Train.Signal.Weights == nil {
		o.Train.Signal = models.DefaultSignal()
	}
	o.Train.Schema = o.Schema.Version()
	t := &trainer{o: o, log: train.NewLog(), trainings: trainings(o.Kind)}
	if o.Profile || o.Train.Encoder.Head.Hidden > 0 {
		t.log = train.NewProfiledLog(train.NewProfile(o.Schema))
	}
	add := t.log.Add
	if o.Features {
		t.catalog = train.NewCatalog(o.Schema)
		add = func(e *streams.Event) { t.catalog.Add(e); t.log.Add(e) }
	}
	// What reading leaves behind must not add up to as much as the log.
	defer debug.SetGCPercent(debug.SetGCPercent(gcWhileReading))
	if err := o.Read(ctx, add); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	if t.catalog != nil && t.catalog.Len() == 0 {
		t.say("No item has a document: models are trained on ids alone.\n")
		t.catalog = nil
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
	h := &holdout{schema: t.o.Schema, signal: t.o.Train.Signal, keepSeen: t.o.KeepSeen, whole: t.o.Whole, only: t.o.Only,
		sampled: t.o.Sampled, seed: t.o.Train.Seed}
	if t.o.Objective != nil {
		h.signal.Weights = t.o.Objective
	}
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
	case splitRandom:
		h.before, h.after = l.Split(eval.RandomOfEach(users, t.o.Train.Seed))
		h.moment = l.Newest().Add(time.Millisecond)
	default:
		share := t.o.Share
		if t.o.Split == splitLast {
			share = 1e-9 // rounds to the least, which is one
		}
		h.before, h.after = l.Split(eval.LastOfEach(users, times, share))
		h.moment = l.Newest().Add(time.Millisecond)
	}
	return h
}

// testCut parts the whole log: as cut does, or where the published split says.
func (t *trainer) testCut() *holdout {
	h := t.cut(t.log)
	if t.o.Split == splitFile {
		hold := make([]bool, t.log.Len())
		for i := t.train; i < len(hold); i++ {
			hold[i] = true
		}
		h.before, h.after = t.log.Split(hold)
	}
	return h
}

// evaluate holds out events, trains on the rest and prints how well the held-out ones are foreseen.
func (t *trainer) evaluate(ctx context.Context) (map[string]float64, error) {
	if t.o.Split == splitNone {
		return nil, fmt.Errorf("no split was asked for: %w", errNothingToJudge)
	}
	h := t.testCut()
	users, cold := h.testUsers()
	if len(users) == 0 {
		return nil, fmt.Errorf("no user has both a history and %d held-out events that fit (%d users are new): %w", h.after.Len(), cold, errNothingToJudge)
	}
	popularity, err := train.Popularity(h.before, t.o.Train)
	if err != nil {
		return nil, err
	}
	contenders := []models.Model{popularity}
	var entries []contender
	list := []string{t.o.Kind}
	if t.o.Compare {
		list = compared(len(popularity.Items().IDs), t.wantsRepeat())
	}
	for _, kind := range list {
		m, e, err := t.contend(ctx, h, kind)
		if err != nil {
			return nil, err
		}
		if e.repeat != nil {
			again, err := train.Repeat(h.before, m, *e.repeat)
			if err != nil {
				return nil, err
			}
			contenders, entries = append(contenders, again), append(entries, contender{name: e.name + " + repeat", report: e.report, repeat: e.repeat})
		}
		if kind != models.KindPopularity || !t.o.Compare { // which is there already
			contenders, entries = append(contenders, m), append(entries, contender{name: e.name, report: e.report})
		}
	}
	j, err := h.judge(ctx, t.o.K, contenders...)
	if err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	items := len(popularity.Items().IDs)
	t.table(h, j, entries, items)
	for m, e := range entries {
		t.o.History.add(line{What: "figures", Model: e.name, Seconds: e.report.Elapsed.Seconds(), Metrics: j.metricsOf(m+1, items)})
	}
	return j.metrics(items), nil
}

// contender is a line of the table of an evaluation.
type contender struct {
	name   string
	report train.Report
	repeat *models.RepeatParams // of its repeat term; nil = none
}

// contend chooses the constants of one kind on older data and trains it on the part before the cut.
// The constants stay for publishing, unless several kinds are compared.
func (t *trainer) contend(ctx context.Context, h *holdout, kind string) (models.Model, contender, error) {
	given := t.o
	t.o.Kind, t.older, t.repeat = kind, nil, nil
	if t.o.Compare {
		defer func() { t.o = given }()
	}
	var e contender
	if err := t.pick(ctx, h.before); err != nil {
		return nil, e, fmt.Errorf("choose the constants: %w", err)
	}
	e.name = modelKinds()[t.o.Kind].name
	m, report, err := t.fitToJudge(ctx, h.before)
	if err != nil {
		return nil, e, fmt.Errorf("%s: %w", e.name, err)
	}
	e.report = report
	if m, err = t.halve(ctx, h, m); err != nil {
		return nil, e, err
	}
	if e.repeat, err = t.chooseRepeat(ctx, h.before); err != nil {
		return nil, e, fmt.Errorf("choose the repeat term: %w", err)
	}
	t.repeat = e.repeat
	return m, e, nil
}

// publish trains on everything and makes the model current.
func (t *trainer) publish(ctx context.Context, metrics map[string]float64) (models.Meta, error) {
	if t.o.Kind == kindAuto { // nothing could be judged
		t.o.Kind = models.KindALS
	}
	if t.o.Warm != nil && t.o.Kind == models.KindLAE {
		t.o.Train.LAE.From, t.o.Train.Dim = t.o.Warm, t.o.Warm.Params().Factors
		t.say("Beginning with %s.\n", t.o.Warm.Meta().Version)
	}
	done, err := t.keepState()
	if err != nil {
		return models.Meta{}, err
	}
	m, report, err := t.fit(ctx, t.log, "train")
	if err != nil {
		return models.Meta{}, err
	}
	if report.Stopped {
		t.say("The time budget ended training after epoch %d.\n", report.Epochs)
	}
	if t.repeat != nil {
		if m, err = train.Repeat(t.log, m, *t.repeat); err != nil {
			return models.Meta{}, err
		}
	}
	if m, err = models.WithMetrics(m, metrics); err != nil {
		return models.Meta{}, err
	}
	meta, err := t.o.Registry.Publish(ctx, m)
	if err != nil {
		return models.Meta{}, err
	}
	t.say("Published %s: %s.\n", meta.Version, report)
	return meta, done()
}
