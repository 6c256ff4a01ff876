package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
)

// constants are what is chosen for one way to a model, on the scenario's validation window.
type constants struct {
	epochs int // 0 = not to train at all did best
	kappa  float64
	signal models.Signal
	ndcg   float64
	spec   scenarioSpec // with the rates that did best
}

// window is the newest part of the training data, on which constants are chosen, with a model that was
// pretrained on the older part.
type window struct {
	h          *holdout
	popularity models.Model
	base       models.Model
	pretrained constants
}

// way is one way to a model of the scenario.
type way struct {
	name  string
	share float64 // of the users
	tuned bool    // from the pretrained model, else from scratch
}

// show keeps the exposures of the scenario.
func (t *tuner) show(e *streams.Event) {
	if t.exposures != nil && e.Type == streams.Exposure && cmp.Or(e.Scenario, t.spec.Scenario) == t.spec.Scenario {
		t.exposures.Add(e)
	}
}

// judge compares no tuning, tuning and training from scratch on the scenario's own objective. Every way
// gets its number of epochs, its popularity weight and, if asked for, its signal from the validation window.
func (t *tuner) judge(ctx context.Context) (map[string]float64, error) {
	t.o.Only = t.items.wants()
	if len(t.spec.Objective) > 0 {
		t.o.Objective = t.spec.Objective
	}
	h := t.testCut()
	if users, _ := h.testUsers(); len(users) == 0 {
		return nil, fmt.Errorf("no user has both a history and held-out events of the objective: %w", errNothingToJudge)
	}
	popularity, err := train.Popularity(h.before, t.o.Train)
	if err != nil {
		return nil, err
	}
	w, err := t.open(ctx, h)
	if err != nil {
		return nil, err
	}
	o := t.o.Train
	o.Kappa, o.LAE.Tower.Catalog = w.pretrained.kappa, t.catalog
	pretrained, report, err := t.learn(ctx, h.before, o)
	if err != nil {
		return nil, fmt.Errorf("pretrain: %w", err)
	}
	list, names := []models.Model{popularity, pretrained}, []string{"popularity", "pretrained"}
	costs := []cost{{}, {report.Processor, report.Memory}}
	for _, share := range t.shares {
		for _, way := range []way{{fmt.Sprintf("tuned, %g %%", 100*share), share, true}, {fmt.Sprintf("from scratch, %g %%", 100*share), share, false}} {
			m, used, err := t.walk(ctx, w, h, pretrained, way)
			if errors.Is(err, train.ErrTooLittle) {
				t.say("%s: %v.\n", way.name, err)
				m, err = popularity, nil
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			list, names, costs = append(list, m), append(names, way.name), append(costs, used)
		}
	}
	j, err := h.judge(ctx, t.o.K, list...)
	if err != nil {
		return nil, err
	}
	t.tuningTable(h, j, names, costs)
	return tunedMetrics(j, names), nil
}

// open pretrains on the part before the validation window and chooses the constants of no tuning.
func (t *tuner) open(ctx context.Context, h *holdout) (*window, error) {
	w := &window{h: t.cut(h.before)}
	w.h.limit = maxChoosers
	var err error
	if w.popularity, err = train.Popularity(w.h.before, t.o.Train); err != nil {
		return nil, err
	}
	o := t.o.Train
	o.Kappa, o.LAE.Tower.Catalog = 0, t.catalog
	if w.base, _, err = t.learn(ctx, w.h.before, o); err != nil {
		return nil, fmt.Errorf("pretrain for the validation window: %w", err)
	}
	w.pretrained = constants{signal: t.o.Train.Signal, kappa: t.o.Train.Kappa, spec: t.spec}
	if t.o.FixedKappa {
		return w, nil
	}
	w.pretrained, err = t.weigh(ctx, w, w.base, w.pretrained, false)
	t.say("Without tuning: popularity weight %g, NDCG@%d %.4f on the validation window.\n", w.pretrained.kappa, t.o.K, w.pretrained.ndcg)
	return w, err
}

// weigh measures a model and chooses its popularity weight, if its kind has several, and, with signal,
// half-life and weights of event types.
func (t *tuner) weigh(ctx context.Context, w *window, m models.Model, c constants, signal bool) (constants, error) {
	if users, _ := w.h.testUsers(); len(users) == 0 {
		return c, nil
	}
	candidates := []models.Model{w.popularity}
	kappas := popularityWeights(t.o.Kind)
	if !slices.Contains(kappas, c.kappa) {
		kappas = append(slices.Clone(kappas), c.kappa)
	}
	for _, kappa := range kappas {
		x, err := models.WithKappa(m, kappa)
		if err != nil {
			return c, err
		}
		candidates = append(candidates, x)
	}
	j, err := w.h.judge(ctx, t.o.K, candidates...)
	if err != nil {
		return c, err
	}
	c.ndcg = -1
	for i, kappa := range kappas {
		if ndcg := eval.Mean(j.measures[i+1]).NDCG; ndcg > c.ndcg {
			c.ndcg, c.kappa, m = ndcg, kappa, candidates[i+1]
		}
	}
	if signal {
		c.signal, c.ndcg, err = t.tuneSignal(ctx, w.h, w.popularity, m, c.signal, c.ndcg)
	}
	return c, err
}

// walk goes one way: the constants on the validation window, then training on all of the part before the
// cut. It returns what the latter took.
func (t *tuner) walk(ctx context.Context, w *window, h *holdout, pretrained models.Model, way way) (models.Model, cost, error) {
	c, err := t.validate(ctx, w, way)
	if err != nil {
		return nil, cost{}, err
	}
	if way.tuned && way.share == 1 {
		t.chosen = &c
	}
	t.say("%s: %s, NDCG@%d %.4f on the validation window.\n", way.name, t.describe(c), t.o.K, c.ndcg)
	m, used := pretrained, cost{}
	if c.epochs > 0 {
		o := t.options(way, c.spec, pretrained)
		stop(&o, c.epochs)
		var report train.Report
		if m, report, err = t.learn(ctx, someUsers(h.before, way.share), o); err != nil {
			return nil, cost{}, err
		}
		used = cost{report.Processor, report.Memory}
	}
	if m, err = models.WithKappa(m, c.kappa); err != nil || t.o.Kind == models.KindEncoder {
		return m, used, err
	}
	m, err = models.WithSignal(m, c.signal)
	return m, used, err
}

// options are those of training on the way.
func (t *tuner) options(way way, spec scenarioSpec, from models.Model) train.Options {
	o := spec.tune(t.o.Train, t.items.wants())
	o.LAE.Exposures, o.Encoder.Exposures = t.exposures, t.exposures
	if way.tuned {
		goOn(&o, from, true)
	} else {
		o.Encoder.Rates, o.Encoder.Schedule.Rate = nil, t.o.Train.Encoder.Schedule.Rate
		o.LAE.KeepCounts, o.LAE.FreezeIn, o.LAE.FreezeOut, o.LAE.Tower.Freeze = true, false, false, false
		o.LAE.RateIn, o.LAE.RateOut, o.LAE.RateTower = 1, 1, 1
		o.Epochs, o.LAE.Rate, o.LAE.Tower.Catalog = t.o.Train.Epochs, t.o.Train.LAE.Rate, t.catalog
	}
	return o
}

// validate chooses the constants of a way on the validation window, its learning rates, too, if asked for.
func (t *tuner) validate(ctx context.Context, w *window, way way) (constants, error) {
	best, err := t.probe(ctx, w, way, t.spec)
	if err != nil || !way.tuned || !t.spec.TuneRates {
		return best, err
	}
	for _, variants := range []func(scenarioSpec) []scenarioSpec{t.otherGroups, otherRates} {
		for _, spec := range variants(best.spec) {
			c, err := t.probe(ctx, w, way, spec)
			if err != nil {
				return best, err
			}
			if c.ndcg > best.ndcg {
				best = c
			}
		}
	}
	return best, nil
}

// probe trains on the part before the validation window, ends when it gets no better there, and chooses
// the constants of the best epoch.
func (t *tuner) probe(ctx context.Context, w *window, way way, spec scenarioSpec) (constants, error) {
	c := w.pretrained
	c.spec = spec
	o := t.options(way, spec, w.base)
	c.epochs = max(o.Epochs, 1)
	if users, _ := w.h.testUsers(); len(users) == 0 {
		return c, nil
	}
	every := 5
	if way.tuned {
		every = 1
	}
	early(&o, t.spec.Patience, every, c.kappa, func(m models.Model) (float64, error) {
		j, err := w.h.judge(ctx, t.o.K, w.popularity, m)
		if err != nil {
			return 0, err
		}
		return eval.Mean(j.measures[1]).NDCG, nil
	})
	m, report, err := t.learn(ctx, someUsers(w.h.before, way.share), o)
	if err != nil {
		return c, err
	}
	best, err := t.weigh(ctx, w, m, c, t.spec.Tune)
	if err != nil || !way.tuned {
		best.epochs = report.Best
		return best, err
	}
	// Not to train at all is a way, too, with constants of the scenario's own.
	best.epochs = report.Best
	none, err := t.weigh(ctx, w, w.base, c, t.spec.Tune)
	if none.ndcg >= best.ndcg {
		none.epochs = 0
		return none, err
	}
	return best, err
}
