package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/train"
)

// pick chooses the kind of model where that was left to the program, and its constants: what foresees
// the newest part of the training data best within the budget.
func (t *trainer) pick(ctx context.Context, l *train.Log) error {
	if t.o.Kind != kindAuto {
		_, err := t.choose(ctx, l)
		return err
	}
	given, best, ndcg, older := t.o, t.o, -1.0, t.older
	for _, kind := range automatic() {
		t.o = given
		t.o.Kind = kind
		reached, err := t.choose(ctx, l)
		if err != nil {
			return err
		}
		if reached > ndcg {
			best, ndcg, older = t.o, reached, t.older
		}
	}
	t.o, t.older = best, older
	if ndcg > 0 {
		t.say("%s did best there.\n", modelKinds()[t.o.Kind].name)
	}
	return nil
}

// choose sets lambda and kappa to the pair that foresees the newest part of the training data best and
// returns its NDCG. The held-out events have no say. When there is too little to choose by, or nothing
// to choose, the constants stay and 0 is returned.
func (t *trainer) choose(ctx context.Context, l *train.Log) (ndcg float64, err error) {
	k := modelKinds()[t.o.Kind]
	if t.o.FixedLambda {
		k.ridges = nil
	}
	if t.o.FixedKappa || t.o.TestHalf {
		k.kappas = nil
	}
	mixes := t.mixes()
	if len(k.ridges) == 0 && len(k.kappas) == 0 && len(mixes) == 0 && !t.o.TuneSignal {
		return 0, nil
	}
	h := t.cut(l)
	h.limit = maxChoosers
	if users, _ := h.testUsers(); len(users) == 0 {
		return 0, nil
	}
	ridges, weights := k.ridges, k.kappas
	if len(ridges) == 0 {
		ridges = []float64{t.o.Train.Lambda}
	}
	if len(weights) == 0 {
		weights = []float64{t.o.Train.Kappa}
	}
	given := t.o.Train
	var best choice
	for _, ridge := range ridges {
		c, err := t.try(ctx, h, ridge, weights)
		if errors.Is(err, train.ErrTooLittle) {
			break
		}
		if err != nil {
			return 0, err
		}
		if c.ndcg > best.ndcg {
			best = c
		}
	}
	t.o.Train = given
	if best.ndcg > 0 {
		t.older, t.olderReport = best.model, best.report
		t.o.Train.Lambda, t.o.Train.Kappa = best.lambda, best.kappa
		ridge, tried := t.takeMix(best.mix), len(ridges)*len(weights)*max(len(mixes), 1)
		if len(k.ridges) > 0 {
			ridge += fmt.Sprintf("lambda %g, ", best.lambda)
		}
		if t.o.TuneSignal && best.signal.Weights != nil {
			t.o.Train.Signal = best.signal
			t.say("Evidence: half-life %v, weights %v.\n", best.signal.HalfLife, best.signal.Weights)
		}
		t.say("Chosen on the newest %.0f %% of the training part, %s users: %spopularity weight %g (the best of %d for %s, NDCG@%d %.4f).\n",
			100*t.o.Share, thousands(int64(best.users)), ridge, best.kappa, tried, k.name, t.o.K, best.ndcg)
	}
	return best.ndcg, nil
}

// choice is one pair of constants with what it reached.
type choice struct {
	lambda, kappa, ndcg float64
	mix                 float64 // of a blend, where that is chosen, too
	users               int
	signal              models.Signal // where that is chosen, too
	model               models.Model
	report              train.Report
}

// try trains once with the ridge, on the older part, and judges it with each weight of popularity.
func (t *trainer) try(ctx context.Context, h *holdout, ridge float64, weights []float64) (choice, error) {
	best := choice{lambda: ridge}
	t.o.Train.Lambda, t.o.Train.Kappa = ridge, 0
	base, report, err := t.fit(ctx, h.before, "choose")
	if err != nil {
		return best, err
	}
	best.report = report
	popularity, err := train.Popularity(h.before, t.o.Train)
	if err != nil {
		return best, err
	}
	if best, err = t.tryMixes(ctx, h, popularity, base, weights, best); err != nil {
		return best, err
	}
	if t.o.TuneSignal && best.ndcg > 0 && len(modelKinds()[t.o.Kind].kappas) > 0 {
		best.signal, best.ndcg, err = t.tuneSignal(ctx, h, popularity, best.model, t.o.Train.Signal, best.ndcg)
		if err != nil {
			return best, err
		}
		if best.model, err = models.WithSignal(best.model, best.signal); err != nil {
			return best, err
		}
	}
	return best, nil
}

// halve chooses kappa on every second test user, where that was asked for, and leaves the others for
// the judgement.
func (t *trainer) halve(ctx context.Context, h *holdout, m models.Model) (models.Model, error) {
	if !t.o.TestHalf {
		return m, nil
	}
	popularity, err := train.Popularity(h.before, t.o.Train)
	if err != nil {
		return nil, err
	}
	weights := modelKinds()[t.o.Kind].kappas
	h.half = 2
	if len(weights) == 0 {
		return m, nil
	}
	candidates := []models.Model{popularity}
	for _, kappa := range weights {
		c, err := models.WithKappa(m, kappa)
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, c)
	}
	h.half = 1
	j, err := h.judge(ctx, t.o.K, candidates...)
	if err != nil {
		return nil, err
	}
	best := 1
	t.say("On the first half of the test users, %s of them:", thousands(int64(j.users)))
	for i, kappa := range weights {
		mean := eval.Mean(j.measures[i+1])
		t.say(" popularity weight %g: %.4f / %.4f;", kappa, mean.Recall, mean.NDCG)
		if mean.NDCG > eval.Mean(j.measures[best]).NDCG {
			best = i + 1
		}
	}
	t.o.Train.Kappa = weights[best-1]
	t.say(" chosen: %g.\n", t.o.Train.Kappa)
	h.half = 2
	return candidates[best], nil
}
