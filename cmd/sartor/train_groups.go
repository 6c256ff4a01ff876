package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams/spelling"
)

// The groups of weights of a linear autoencoder; an encoder's are train.EncoderGroups.
const (
	groupIn    = "items.in"
	groupOut   = "items.out"
	groupTower = "tower"
)

// tunable are the kinds that can be tuned to a scenario.
func tunable() []string { return []string{models.KindLAE, models.KindEncoder} }

// startFrom makes the options those of training on from the model: its sizes, constants and signal. A
// kind that cannot be tuned is an error.
func startFrom(o *train.Options, m models.Model) error {
	switch m := m.(type) {
	case *models.LAE:
		p := m.Params()
		o.Dim, o.Kappa, o.Signal, o.LAE.Tau, o.LAE.Beta = p.Factors, p.Kappa, p.Signal, p.Tau, p.Beta
	case *models.Encoder:
		p, e := m.Params(), &o.Encoder
		o.Dim, o.Kappa, o.Signal = p.Dim, p.Kappa, p.Signal
		e.Hidden, e.Inner, e.Blocks, e.Clock, e.Recall, e.Unit = p.Hidden, p.Inner, p.Blocks, p.Clock, p.Recall, p.Unit
		if h := m.Table().Head; h != nil {
			e.Head.Hidden = h.Hidden
		}
	default:
		return fmt.Errorf("version %s is of kind %q: only %s can be tuned; train one with --model", m.Meta().Version, m.Meta().Kind, strings.Join(tunable(), " and "))
	}
	return nil
}

// checkKind reports what the scenario asks of a kind of model that it cannot do; o are the options of
// pretraining.
func (s scenarioSpec) checkKind(kind string, o train.Options) error {
	if kind == models.KindEncoder {
		groups := train.EncoderGroups(s.tune(o, nil))
		if err := errors.Join(s.checkGroups(groups), s.checkEncoder(o.Signal)); err != nil {
			return err
		}
		return s.tune(o, nil).ValidateEncoder()
	}
	err := s.checkGroups([]string{groupIn, groupOut, groupTower})
	if s.Head != 0 {
		err = errors.Join(err, fmt.Errorf("head: is for models of kind %s: leave it out", models.KindEncoder))
	}
	if s.Again && s.Order == 0 {
		err = errors.Join(err, errors.New("again: needs order above 0: only ordered examples can foresee what was had before"))
	}
	return err
}

// checkGroups reports names that are no groups, and rates that mean nothing.
func (s scenarioSpec) checkGroups(groups []string) error {
	var problems []error
	hint := func(name string) string {
		if near := spelling.Nearest(name, groups); near != "" {
			return fmt.Sprintf(" (did you mean %s?)", near)
		}
		return ""
	}
	list := strings.Join(groups, ", ")
	for _, g := range s.Freeze {
		if !slices.Contains(groups, g) {
			problems = append(problems, fmt.Errorf("freeze: %s is not a group%s, it can be %s", g, hint(g), list))
		}
	}
	for _, g := range sortedKeys(s.Rates) {
		switch {
		case !slices.Contains(groups, g):
			problems = append(problems, fmt.Errorf("rates: %s is not a group%s, it can be %s", g, hint(g), list))
		case !(s.Rates[g] > 0 && s.Rates[g] <= 100):
			problems = append(problems, fmt.Errorf("rates: %s: %v, need a part above 0, at most 100; to keep a group as it is, freeze it", g, s.Rates[g]))
		}
	}
	return errors.Join(problems...)
}

// checkEncoder reports what is for the linear autoencoder alone, and targets that an encoder with the
// signal never reads.
func (s scenarioSpec) checkEncoder(signal models.Signal) error {
	var problems []error
	for _, x := range []struct {
		key string
		set bool
	}{{"keep", s.Keep != 0}, {"half_life", s.Fade != 0}, {"order", s.Order != 0}, {"ahead", s.Ahead != 0}, {"tune_signal", s.Tune}} {
		if x.set {
			problems = append(problems, fmt.Errorf("%s: is for models of kind %s; an encoder learns from the order of events as it is: leave it out", x.key, models.KindLAE))
		}
	}
	if s.Epochs < 1 {
		problems = append(problems, fmt.Errorf("epochs: %d, need at least 1", s.Epochs))
	}
	types := models.EncoderParams{Signal: signal}.Types()
	for _, name := range sortedKeys(s.Objective) {
		if s.Objective[name] > 0 && !slices.Contains(types, name) {
			problems = append(problems, fmt.Errorf("objective: %s is not read by the encoder, which was trained with weights of %s", name, strings.Join(types, ", ")))
		}
	}
	for _, g := range s.Freeze {
		if _, both := s.Rates[g]; both {
			problems = append(problems, fmt.Errorf("rates: %s is frozen: name it in one of the two", g))
		}
	}
	return errors.Join(problems...)
}

// tune returns the options of fine-tuning, from those of pretraining, for every kind.
func (s scenarioSpec) tune(o train.Options, wants func(string) bool) train.Options {
	o.Epochs = s.Epochs
	o.LAE.Rate, o.LAE.Keep, o.LAE.Catalog = s.Rate, cmp.Or(s.Keep, 0.5), wants
	o.Encoder.Schedule.Rate, o.Encoder.Catalog, o.Encoder.Fresh = s.Rate, wants, !s.Again
	if len(s.Objective) > 0 {
		o.LAE.Objective, o.Encoder.Objective = s.Objective, s.Objective
	}
	if s.Fade > 0 {
		o.Signal.HalfLife = s.Fade
	}
	o.LAE.FreezeIn, o.LAE.FreezeOut = slices.Contains(s.Freeze, groupIn), slices.Contains(s.Freeze, groupOut)
	o.LAE.Tower.Freeze = slices.Contains(s.Freeze, groupTower)
	o.LAE.RateIn, o.LAE.RateOut, o.LAE.RateTower = s.Rates[groupIn], s.Rates[groupOut], s.Rates[groupTower]
	if s.Head != 0 {
		o.Encoder.Head.Hidden = s.Head
	}
	o.LAE.Order, o.LAE.Ahead, o.LAE.Again = s.Order, s.Ahead, s.Again
	o.LAE.ExposureWeight, o.Encoder.ExposureWeight = s.Exposures, s.Exposures
	o.Encoder.Rates = map[string]float64{}
	for g, rate := range s.Rates {
		o.Encoder.Rates[g] = rate
	}
	for _, g := range s.Freeze {
		o.Encoder.Rates[g] = 0
	}
	return o
}

// goOn lets training begin with the model, which is of the kind that is tuned. With keepCounts the
// popularity of its items stays: for tuning on a part of the data.
func goOn(o *train.Options, m models.Model, keepCounts bool) {
	switch m := m.(type) {
	case *models.LAE:
		o.LAE.From, o.LAE.KeepCounts = m, keepCounts
	case *models.Encoder:
		o.Encoder.From, o.Encoder.KeepCounts = m, keepCounts
	}
}

// stop ends training after so many epochs of those for which the learning rate is laid out.
func stop(o *train.Options, epochs int) { o.LAE.Stop, o.Encoder.StopAfter = epochs, epochs }

// early lets training look at the model after every so many epochs, with the given weight of the
// popularity term, keep the best, and end after patience looks without a better one.
func early(o *train.Options, patience, every int, kappa float64, look func(models.Model) (float64, error)) {
	weighed := func(m models.Model) (float64, error) {
		x, err := models.WithKappa(m, kappa)
		if err != nil {
			return 0, err
		}
		return look(x)
	}
	o.LAE.JudgeEvery, o.LAE.Patience = every, patience
	o.LAE.Judge = func(m *models.LAE) (float64, error) { return weighed(m) }
	o.Encoder.JudgeEvery, o.Encoder.Patience = every, patience
	o.Encoder.Judge = func(m *models.Encoder) (float64, error) { return weighed(m) }
}

// learn trains a model of the kind that is tuned, which has the weights of the best epoch if the options judge.
func (t *tuner) learn(ctx context.Context, l *train.Log, o train.Options) (models.Model, train.Report, error) {
	o.Encoder.Tower.Catalog = t.catalog
	meter := newMeter()
	m, report, err := modelKinds()[t.o.Kind].fit(ctx, l, o)
	used := meter.cost()
	report.Processor, report.Memory = used.Processor, used.Memory
	if t.o.Kind == models.KindEncoder {
		report.Best = report.BestEpoch
	}
	return m, report, err
}

// describe tells people the constants of a way.
func (t *tuner) describe(c constants) string {
	text := fmt.Sprintf("%d epochs, popularity weight %g", c.epochs, c.kappa)
	if t.o.Kind == models.KindLAE {
		text += fmt.Sprintf(", half-life %v", c.signal.HalfLife)
	}
	if t.spec.TuneRates {
		text += fmt.Sprintf(", rate %g, parts %v, frozen %v", c.spec.Rate, c.spec.Rates, c.spec.Freeze)
	}
	return text
}
