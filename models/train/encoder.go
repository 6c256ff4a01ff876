package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/models"
)

// EncoderOptions say how to train a gated linear-recurrent encoder, beside Options, of which Dim, Epochs,
// Kappa, Signal, PopularityHalfLife, Seed, Workers, Budget and Progress apply. The zero value of a field
// means its default.
type EncoderOptions struct {
	Hidden, Inner, Blocks int           // default 128, 256, 2
	Clock                 time.Duration // as models.EncoderParams.Clock; default 0
	// Recall and Unit are as in models.EncoderParams; Recall 0 = 8 heads, with Unit, where at least a
	// twentieth of the targets are items that the user had before; negative = none.
	Recall      int
	Unit        bool
	Tokens      int // events in a step; default 4096, or 1/128 of the data, but at least 256
	Longest     int // events of one history in a row; longer ones are cut; default 2048
	Schedule    Schedule
	WeightDecay float64 // of AdamW, on matrices; default 0.01, negative = none
	Dropout     float64 // default 0.2, negative = none
	Clip        float64 // greatest norm of a step's gradient; default 5, negative = none
	// Full is the largest catalogue with a full softmax; default 20,000, negative = none. Above it the
	// softmax is over the targets of the step and Negatives items drawn uniformly; default 4096.
	Full, Negatives int
	// Objective is the weight of an event as a target by its type; nil = 1 for every type whose weight in
	// the signal is positive. Catalog limits what is foreseen, and against what, to the items for which it
	// is true; nil = all.
	Objective map[string]float64
	Catalog   func(item string) bool
	// Fresh takes what a user had before for no target: for where such items are not shown.
	Fresh bool
	// Exposures are what users were shown: an item that a user left counts ExposureWeight times in the
	// softmax of his targets; 0 = not.
	Exposures      *Exposures
	ExposureWeight float64
	Augment        AugmentOptions
	// Tower, with a catalogue, adds to the vectors of items what their documents say; default 64 units, and
	// IDDropout 0.1. Head adds to the vectors of users what is known of them and of their visit.
	Tower TowerOptions
	Head  HeadOptions
	// From is the model to start from; its sizes, clock and types are kept. Items that it does not know
	// start afresh; its items that are not in the log stay as they were. KeepCounts leaves their
	// popularity as it was: for tuning on a part of the data.
	From       *models.Encoder
	KeepCounts bool
	// Rates multiplies the learning rate of a group of weights: item, input, encoder.0, encoder.1, ...; a
	// group at 0 is frozen, one that is absent has 1.
	Rates map[string]float64
	// Judge measures the model after every JudgeEvery epochs, and after the last; the best is kept. A
	// Patience above 0 ends training after so many measurements without a better one.
	Judge      func(*models.Encoder) (float64, error)
	JudgeEvery int // default 1
	Patience   int
	// StopAfter ends training after so many of the epochs, for which the learning rate is laid out all the
	// same; 0 = after all.
	StopAfter int
	// Resume goes on from a state, with the same log and options to the same result. Checkpoint gets the
	// state, which is valid during the call only, after every epoch and, above 0, CheckpointEvery steps.
	Resume          *EncoderState
	Checkpoint      func(*EncoderState) error
	CheckpointEvery int
	OnStep          func(Step) // called after each step, from the goroutine of the caller
}

// Step is where training stands after a step.
type Step struct {
	Step, Epoch, Epochs int
	// Done is the share of the whole training that has passed.
	Done float64
	// Loss is the mean over the targets of the step, before it.
	Loss, Rate, Norm float64
	PerSecond        float64 // events learned from in a second, since training began
	Left             time.Duration
}

// EncoderState is training between two steps: all weights end to end, in the order of
// models.EncoderTable.Arrays, with their moments, and the best that were measured.
type EncoderState struct {
	Epoch, Epochs, Batch, Step int // whole epochs and steps; Batch counts the steps of this epoch
	Loss, Weight               float64
	Values, Mean, Square       []float32
	Best                       []float32 // nil until something was measured
	BestEpoch, Worse, Lowered  int
	BestValue                  float64
}

func (o Options) encoderDefaults() Options {
	o.Epochs, o.Dim = cmp.Or(o.Epochs, 25), cmp.Or(o.Dim, 64)
	o = o.withDefaults()
	e := &o.Encoder
	e.Hidden, e.Inner, e.Blocks = cmp.Or(e.Hidden, 128), cmp.Or(e.Inner, 256), cmp.Or(e.Blocks, 2)
	e.Longest = cmp.Or(e.Longest, 2048)
	e.Schedule = e.Schedule.withDefaults()
	e.WeightDecay, e.Dropout = max(cmp.Or(e.WeightDecay, 0.01), 0), max(cmp.Or(e.Dropout, 0.2), 0)
	e.Clip, e.Full, e.Negatives = max(cmp.Or(e.Clip, 5), 0), max(cmp.Or(e.Full, 20000), 0), cmp.Or(e.Negatives, 4096)
	e.JudgeEvery = cmp.Or(e.JudgeEvery, 1)
	e.Tower.Hidden, e.Tower.IDDropout = cmp.Or(e.Tower.Hidden, 64), cmp.Or(e.Tower.IDDropout, 0.1)
	e.Tower.FeatureDropout = max(cmp.Or(e.Tower.FeatureDropout, 0.1), 0)
	e.Head.FeatureDropout = max(cmp.Or(e.Head.FeatureDropout, 0.1), 0)
	if e.From != nil {
		p := e.From.Params()
		o.Dim, e.Hidden, e.Inner, e.Blocks, e.Clock, o.Signal.Weights = p.Dim, p.Hidden, p.Inner, p.Blocks, p.Clock, p.Signal.Weights
		e.Recall, e.Unit = cmp.Or(p.Recall, -1), p.Unit
	}
	if e.OnStep == nil {
		e.OnStep = func(Step) {}
	}
	return o
}

func (o Options) encoderParams() models.EncoderParams {
	e := o.Encoder
	return models.EncoderParams{Dim: o.Dim, Hidden: e.Hidden, Inner: e.Inner, Blocks: e.Blocks, Clock: e.Clock, Recall: max(e.Recall, 0), Unit: e.Unit,
		Kappa: o.Kappa, Signal: o.Signal}
}

// ValidateEncoder refuses options with which Encoder cannot begin.
func (o Options) ValidateEncoder() error {
	o = o.encoderDefaults()
	e := o.Encoder
	switch {
	case o.Epochs < 1:
		return fmt.Errorf("train: %d epochs: need at least 1", o.Epochs)
	case e.Tokens < 0 || e.Tokens > 1<<20:
		return fmt.Errorf("train: %d events in a step: need 1 to %d", e.Tokens, 1<<20)
	case e.Longest < 1 || e.Longest > 1<<16:
		return fmt.Errorf("train: histories of %d events: need 1 to %d", e.Longest, 1<<16)
	case e.Negatives < 1 || e.Negatives > 1<<20:
		return fmt.Errorf("train: %d negatives: need 1 to %d", e.Negatives, 1<<20)
	case !(e.Dropout < 1):
		return fmt.Errorf("train: a share of %v is dropped: need less than 1", e.Dropout)
	case !(e.WeightDecay <= 10) || !(e.Clip <= 1e9):
		return fmt.Errorf("train: weight decay %v and clipping at %v: need at most 10 and 1e9", e.WeightDecay, e.Clip)
	}
	if err := e.Augment.validate(); err != nil {
		return err
	}
	if h := e.Head.Hidden; h != 0 && (h < 8 || h > models.MaxHead || h%8 != 0) {
		return fmt.Errorf("train: a head of %d units: need a multiple of 8 from 8 to %d", h, models.MaxHead)
	}
	if t := e.Tower; t.Hidden < 1 || t.Hidden > models.MaxFactors || !(t.IDDropout >= 0 && t.IDDropout < 1 && t.FeatureDropout < 1 && e.Head.FeatureDropout < 1) {
		return fmt.Errorf("train: a tower of %d units that drops %v of the rows and %v of the features, a head that drops %v: need shares below 1",
			t.Hidden, t.IDDropout, t.FeatureDropout, e.Head.FeatureDropout)
	}
	trains := false
	for _, group := range groups(o) {
		rate, set := e.Rates[group]
		trains = trains || !set || rate > 0
	}
	if !trains {
		return fmt.Errorf("train: all groups of weights are frozen: nothing could be learned")
	}
	for name, rate := range e.Rates {
		if !slices.Contains(groups(o), name) || !(rate >= 0 && rate <= 100) {
			return fmt.Errorf("train: group %q at %v of the learning rate: the groups are %s, the factor 0 to 100",
				name, rate, strings.Join(groups(o), ", "))
		}
	}
	if err := errors.Join(e.Schedule.Validate(), o.encoderParams().Validate()); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	return nil
}

// The groups of weights of an encoder, beside encoder.K for block K.
const (
	groupItem   = "item"
	groupInput  = "input"
	groupRecall = "recall"
	groupTower  = "tower"
	groupHead   = "head"
)

// EncoderGroups lists the names that EncoderOptions.Rates may hold.
func EncoderGroups(o Options) []string { return groups(o.encoderDefaults()) }

// groups lists the groups of weights.
func groups(o Options) []string {
	e := o.Encoder
	list := []string{groupItem, groupInput}
	tower, head := e.Tower.Catalog != nil, e.Head.Hidden > 0
	if e.From != nil {
		t := e.From.Table()
		tower, head = tower || t.Tower != nil, head || t.Head != nil
	}
	if tower {
		list = append(list, groupTower)
	}
	if e.Recall >= 0 {
		list = append(list, groupRecall)
	}
	for k := range e.Blocks {
		list = append(list, fmt.Sprintf("encoder.%d", k))
	}
	if head {
		list = append(list, groupHead)
	}
	return list
}

// Encoder trains a gated linear-recurrent encoder on the log: each event of a history foresees the next.
// A budget lowers the number of epochs once the first has shown what one costs. Cancelling ctx ends
// training with its error. A step whose loss or gradient is not finite is not made, and ends training
// with an error: no broken model is returned or given to Checkpoint. The log is not changed.
func Encoder(ctx context.Context, l *Log, o Options) (*models.Encoder, Report, error) {
	o = o.encoderDefaults()
	start := o.Now()
	if err := o.ValidateEncoder(); err != nil {
		return nil, Report{}, err
	}
	a, err := newEncoderTraining(l, o)
	if err != nil {
		return nil, Report{}, err
	}
	run := &encoderRun{a: a, o: a.o, start: start, began: o.Now()}
	run.report = Report{Users: len(a.data.starts) - 1, Items: len(a.data.ids), Pairs: len(a.data.items), Events: a.data.events}
	run.meta = func() models.Meta { return meta(l, o, run.report) }
	if err := run.epochs(ctx); err != nil {
		return nil, run.report, fmt.Errorf("train: %w", err)
	}
	values := a.state.Best
	if values == nil {
		values = a.state.Values
	}
	m, err := run.model(values)
	return m, run.report, err
}

// encoderRun is one training from epoch to epoch.
type encoderRun struct {
	a            *encoderTraining
	o            Options
	start, began time.Time
	first        float64 // share of the training that had passed before this run
	learned      int     // events of this run
	report       Report
	meta         func() models.Meta
}

func (r *encoderRun) epochs(ctx context.Context) error {
	s := &r.a.state
	resumed := s.Epoch
	for s.Epoch < s.Epochs && (r.o.Encoder.StopAfter == 0 || s.Epoch < r.o.Encoder.StopAfter) {
		if err := r.epoch(ctx); err != nil {
			return fmt.Errorf("epoch %d: %w", s.Epoch+1, err)
		}
		loss := s.Loss / max(s.Weight, 1e-9)
		s.Epoch, s.Batch, s.Loss, s.Weight = s.Epoch+1, 0, 0, 0
		r.report.Epochs, r.report.Loss = s.Epoch, append(r.report.Loss, loss)
		r.report.Elapsed = r.o.Now().Sub(r.start)
		each := r.o.Now().Sub(r.began) / time.Duration(s.Epoch-resumed)
		if s.Epoch == resumed+1 {
			r.shorten(each)
		}
		r.o.Progress(Progress{Epoch: s.Epoch, Epochs: s.Epochs, Loss: loss, Elapsed: r.report.Elapsed, Rate: r.a.rate(0),
			PerSecond: r.perSecond(), Left: each * time.Duration(s.Epochs-s.Epoch)})
		stop, err := r.judge()
		if err != nil {
			return err
		}
		if stop {
			s.Epochs = s.Epoch
		}
		if err := r.keep(); err != nil || stop {
			return err
		}
	}
	return nil
}

func (r *encoderRun) perSecond() float64 {
	return float64(r.learned) / max(r.o.Now().Sub(r.began).Seconds(), 1e-9)
}

func (r *encoderRun) keep() error {
	if r.o.Encoder.Checkpoint == nil {
		return nil
	}
	if err := r.o.Encoder.Checkpoint(&r.a.state); err != nil {
		return fmt.Errorf("keep step %d: %w", r.a.state.Step, err)
	}
	return nil
}

// epoch learns from every piece once, in a random order that depends on the seed and the epoch only.
func (r *encoderRun) epoch(ctx context.Context) error {
	s := &r.a.state
	rng := rand.New(rand.NewPCG(r.o.Seed, 0xe5c0de+uint64(s.Epoch)))
	order := slices.Clone(r.a.pieces)
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	ends := plan(order, r.o.Encoder.Tokens)
	for s.Batch < len(ends) {
		if err := ctx.Err(); err != nil {
			return err
		}
		from := 0
		if s.Batch > 0 {
			from = ends[s.Batch-1]
		}
		within := float64(s.Batch) / float64(len(ends))
		if r.learned == 0 {
			r.first = r.a.done(within)
		}
		rate := r.a.rate(within)
		loss, weight, norm, err := r.a.step(order[from:ends[s.Batch]], rate)
		if err != nil {
			return fmt.Errorf("step %d: %w", s.Step+1, err)
		}
		s.Batch, s.Step, s.Loss, s.Weight = s.Batch+1, s.Step+1, s.Loss+loss, s.Weight+weight
		r.learned += r.a.batch.events
		done := r.a.done(float64(s.Batch) / float64(len(ends)))
		took := r.o.Now().Sub(r.began)
		r.o.Encoder.OnStep(Step{Step: s.Step, Epoch: s.Epoch + 1, Epochs: s.Epochs, Done: done, Loss: loss / max(weight, 1e-9),
			Rate: rate, Norm: norm, PerSecond: r.perSecond(), Left: time.Duration(float64(took) * (1 - done) / max(done-r.first, 1e-9))})
		if every := r.o.Encoder.CheckpointEvery; every > 0 && s.Step%every == 0 && s.Batch < len(ends) {
			if err := r.keep(); err != nil {
				return err
			}
		}
	}
	return nil
}

// shorten lowers the number of epochs to what fits into the budget, at least those that ran.
func (r *encoderRun) shorten(each time.Duration) {
	if r.o.Budget <= 0 {
		return
	}
	s := &r.a.state
	left := r.o.Budget - r.o.Now().Sub(r.start)
	if fit := s.Epoch + int(left/max(each, 1)); fit < s.Epochs {
		s.Epochs, r.report.Stopped = max(fit, s.Epoch), true
	}
}

// judge measures the model where that is due, and keeps the best.
func (r *encoderRun) judge() (stop bool, err error) {
	e, s := r.o.Encoder, &r.a.state
	if e.Judge == nil || s.Epoch%e.JudgeEvery != 0 && s.Epoch < s.Epochs {
		return false, nil
	}
	m, err := r.model(slices.Clone(s.Values))
	if err != nil {
		return false, err
	}
	value, err := e.Judge(m)
	if err != nil {
		return false, fmt.Errorf("judge epoch %d: %w", s.Epoch, err)
	}
	if s.Best == nil || value > s.BestValue {
		s.Best, s.BestValue, s.BestEpoch, s.Worse = slices.Clone(s.Values), value, s.Epoch, 0
		return false, nil
	}
	s.Worse++
	s.Lowered++
	stop = e.Patience > 0 && s.Worse >= e.Patience
	r.report.Stopped = r.report.Stopped || stop
	return stop, nil
}

// model builds a model that keeps the values.
func (r *encoderRun) model(values []float32) (*models.Encoder, error) {
	t := r.a.layOut(values)
	t.Popularity = r.a.data.popularity
	r.report.BestEpoch = r.a.state.BestEpoch
	return models.NewEncoder(r.meta(), r.o.encoderParams(), t)
}

// rate is the learning rate of a step when the given share of the epoch has passed.
func (a *encoderTraining) rate(within float64) float64 {
	return a.o.Encoder.Schedule.at(a.state.Step, a.done(within), a.state.Lowered)
}

// done is the share of the training that has passed.
func (a *encoderTraining) done(within float64) float64 {
	return (float64(a.state.Epoch) + within) / float64(a.state.Epochs)
}
