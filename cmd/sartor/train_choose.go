package main

import (
	"context"
	"errors"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/train"
)

// choose sets lambda and kappa to the pair that foresees the newest part of the training data best.
// The held-out events have no say. When there is too little to choose by, the defaults stay.
func (t *trainer) choose(ctx context.Context, l *train.Log) error {
	if t.o.FixedLambda && t.o.FixedKappa {
		return nil
	}
	h := t.cut(l)
	h.limit = maxChoosers
	if users, _ := h.testUsers(); len(users) == 0 {
		return nil
	}
	ridges, weights := lambdas, kappas
	if t.o.FixedLambda {
		ridges = []float64{t.o.Train.Lambda}
	}
	if t.o.FixedKappa {
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
			return err
		}
		if c.ndcg > best.ndcg {
			best = c
		}
	}
	t.o.Train = given
	if best.ndcg > 0 {
		t.o.Train.Lambda, t.o.Train.Kappa = best.lambda, best.kappa
		t.say("Chosen on the newest %.0f %% of the training part, %s users: lambda %g, popularity weight %g (the best of %d).\n",
			100*t.o.Share, thousands(int64(best.users)), best.lambda, best.kappa, len(ridges)*len(weights))
	}
	return nil
}

// choice is one pair of constants with what it reached.
type choice struct {
	lambda, kappa, ndcg float64
	users               int
}

// try trains once with the ridge, on the older part, and judges it with each weight of popularity.
func (t *trainer) try(ctx context.Context, h *holdout, ridge float64, weights []float64) (choice, error) {
	best := choice{lambda: ridge}
	t.o.Train.Lambda, t.o.Train.Kappa = ridge, 0
	base, _, err := t.fit(ctx, h.before, "choose")
	if err != nil {
		return best, err
	}
	popularity, err := train.Popularity(h.before, t.o.Train)
	if err != nil {
		return best, err
	}
	candidates := []models.Model{popularity}
	for _, kappa := range weights {
		m, err := base.WithKappa(kappa)
		if err != nil {
			return best, err
		}
		candidates = append(candidates, m)
	}
	j, err := h.judge(ctx, t.o.K, candidates...)
	if err != nil {
		return best, err
	}
	best.users = j.users
	for i, kappa := range weights {
		if ndcg := eval.Mean(j.measures[i+1]).NDCG; ndcg > best.ndcg {
			best.ndcg, best.kappa = ndcg, kappa
		}
	}
	return best, nil
}
