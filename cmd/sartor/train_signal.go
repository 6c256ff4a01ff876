package main

import (
	"context"
	"maps"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
)

// halfLives are the ages at which evidence counts half that are tried; 0 = it never fades.
var halfLives = []time.Duration{0, 180 * 24 * time.Hour, 30 * 24 * time.Hour, 7 * 24 * time.Hour, 24 * time.Hour, 3 * time.Hour, 30 * time.Minute}

// multipliers are tried on the weight of one event type at a time.
var multipliers = []float64{0.25, 4}

// tuneSignal tries half-lives, and then weights of event types one by one, on the judged users: the tables
// stay, only the encoding of users changes. It returns the signal that did best with its NDCG, which is
// at least that of m.
func (t *trainer) tuneSignal(ctx context.Context, h *holdout, popularity, m models.Model, now models.Signal, reached float64) (models.Signal, float64, error) {
	best := now
	try := func(list []models.Signal) error {
		candidates := []models.Model{popularity}
		for _, s := range list {
			c, err := models.WithSignal(m, s)
			if err != nil {
				return err
			}
			candidates = append(candidates, c)
		}
		j, err := h.judge(ctx, t.o.K, candidates...)
		if err != nil {
			return err
		}
		for i, s := range list {
			if ndcg := eval.Mean(j.measures[i+1]).NDCG; ndcg > reached {
				best, reached = s, ndcg
			}
		}
		return nil
	}
	var list []models.Signal
	for _, half := range halfLives {
		list = append(list, models.Signal{Weights: now.Weights, HalfLife: half})
	}
	if err := try(list); err != nil {
		return best, 0, err
	}
	for _, kind := range t.kinds(h) {
		list = list[:0]
		for _, factor := range multipliers {
			w := maps.Clone(best.Weights)
			w[kind] *= factor
			list = append(list, models.Signal{Weights: w, HalfLife: best.HalfLife})
		}
		if err := try(list); err != nil {
			return best, 0, err
		}
	}
	return best, reached, nil
}

// kinds returns the event types with weight that the older part holds, when there is more than one.
func (t *trainer) kinds(h *holdout) []string {
	seen := map[string]float64{}
	for i := range h.before.Len() {
		kind := string(h.before.At(i).Type)
		if t.o.Train.Signal.Weights[kind] != 0 {
			seen[kind] = 1
		}
	}
	if len(seen) < 2 {
		return nil
	}
	return sortedKeys(seen)
}
