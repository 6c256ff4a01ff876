package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/spf13/pflag"

	"github.com/sartorhq/sartor/models/eval"
)

// sampledFlag binds the number of items among which the truth of old tables is ranked.
func sampledFlag(flags *pflag.FlagSet, o *trainOptions) {
	flags.IntVar(&o.Sampled, "sampled-negatives", 0, "rank what is held out among so many items that the user never had, drawn at random by --seed, instead of all items: only for comparison with old tables; 0 = all items")
}

// checkSampled refuses what a ranking among samples must not be used for.
func checkSampled(o trainOptions, evalOnly bool) error {
	switch {
	case o.Sampled < 0 || o.Sampled > 10000:
		return usagef("--sampled-negatives %d: need 0 to 10000", o.Sampled)
	case o.Sampled > 0 && !evalOnly && !o.Compare:
		return usagef("--sampled-negatives is for comparison with old tables and must not stand in a published manifest: use it with --eval-only")
	}
	return nil
}

// candidates are the items among which a test user's truth is ranked: those drawn for him, then the truth, so
// that a model that gives all the same score finds nothing.
func (h *holdout) candidates(t testUser) []int32 {
	_, items := h.before.Numbers()
	return append(eval.SampleUnseen(h.seed, t.number, h.sampled, items, t.seen, t.relevant), t.relevant...)
}

// among returns the k best of the candidates by score, ties in their order; what the model does not know is
// not ranked.
func (r *ranker) among(w *judging, scores []float32, k int, candidates []int32) []int32 {
	w.best = w.best[:0]
	for _, item := range candidates {
		row := r.row[item]
		if row < 0 || math.IsInf(float64(scores[row]), -1) {
			continue
		}
		at, _ := slices.BinarySearchFunc(w.best, scores[row], func(x int32, score float32) int {
			if scores[x] >= score {
				return -1
			}
			return 1
		})
		w.best = slices.Insert(w.best, at, row)
	}
	w.best = w.best[:min(k, len(w.best))]
	list := make([]int32, len(w.best))
	for i, row := range w.best {
		list[i] = r.item[row]
	}
	return list
}

// rankedText says among what the truth was ranked.
func (t *trainer) rankedText(items int) string {
	if n := t.o.Sampled; n > 0 {
		return fmt.Sprintf("ranked among %s sampled negatives each: only for comparison with old tables, and no measure of what a model is worth", thousands(int64(n)))
	}
	return fmt.Sprintf("all %s items ranked", thousands(int64(items)))
}
