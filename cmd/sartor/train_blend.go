package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/train"
)

// autoMix leaves the weights of a blend's parts to the program.
const autoMix = "auto"

// blendFlags binds what a blend consists of.
func blendFlags(flags *pflag.FlagSet, f *trainFlags) {
	flags.StringSliceVar(&f.t.Blend.Of, "of", []string{models.KindLAE, models.KindALS}, "blend: kinds of the parts, of "+models.KindLAE+", "+models.KindALS+" and "+models.KindEncoder+"; one that stands twice is trained from two seeds")
	flags.StringVar(&f.mix, "mix", autoMix, "blend: weights of the scores of the parts after the first, which has 1, separated by commas (one for all is enough), or auto to choose one for all on older data")
}

// resolveMix reads the weights of a blend's parts.
func (f trainFlags) resolveMix(o *trainOptions) error {
	if f.mix == autoMix || f.mix == "" {
		return nil
	}
	for _, text := range strings.Split(f.mix, ",") {
		w, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return usagef("--mix %s: need numbers separated by commas, or %s", f.mix, autoMix)
		}
		o.Train.Blend.Mix = append(o.Train.Blend.Mix, w)
	}
	return nil
}

// mixes are the weights of the parts after the first that are tried; nil where there is nothing to choose.
func (t *trainer) mixes() []float64 {
	if t.o.Kind != models.KindBlend || len(t.o.Train.Blend.Mix) > 0 {
		return nil
	}
	return []float64{0.25, 0.5, 1, 2, 4}
}

// tryMixes judges the model with each weight of popularity and, of a blend, each weight of the parts, and
// returns the best choice.
func (t *trainer) tryMixes(ctx context.Context, h *holdout, popularity, base models.Model, weights []float64, best choice) (choice, error) {
	mixed := []models.Model{base}
	mixes := t.mixes()
	if blend, ok := base.(*models.Blend); ok && len(mixes) > 0 {
		mixed = nil
		for _, mix := range mixes {
			m, err := blend.WithMix(mix)
			if err != nil {
				return best, err
			}
			mixed = append(mixed, m)
		}
	}
	for i, of := range mixed {
		candidates := []models.Model{popularity}
		for _, kappa := range weights {
			m := of
			if len(modelKinds()[t.o.Kind].kappas) > 0 {
				var err error
				if m, err = models.WithKappa(of, kappa); err != nil {
					return best, err
				}
			}
			candidates = append(candidates, m)
		}
		j, err := h.judge(ctx, t.o.K, candidates...)
		if err != nil {
			return best, err
		}
		best.users = j.users
		for c, kappa := range weights {
			if ndcg := eval.Mean(j.measures[c+1]).NDCG; ndcg > best.ndcg {
				best.ndcg, best.kappa, best.model = ndcg, kappa, candidates[c+1]
				if len(mixes) > 0 {
					best.mix = mixes[i]
				}
			}
		}
	}
	return best, nil
}

// takeMix keeps the chosen weight of the parts and returns how it is told.
func (t *trainer) takeMix(mix float64) string {
	if mix == 0 {
		return ""
	}
	t.o.Train.Blend.Mix = []float64{mix}
	return fmt.Sprintf("weight %g of the parts after the first, ", mix)
}

// fitToJudge trains what is judged on the part before the cut. Where the last event of each user is held out,
// a blend with an encoder stays with the training by which its constants were chosen, as an encoder alone does
// (fitEncoder).
func (t *trainer) fitToJudge(ctx context.Context, before *train.Log) (models.Model, train.Report, error) {
	if t.o.Split == splitLast && t.o.Kind == models.KindBlend && t.older != nil && slices.Contains(t.o.Train.Blend.Of, models.KindEncoder) {
		return t.older, t.olderReport, nil
	}
	return t.fit(ctx, before, "evaluate")
}

// fitBlend trains a blend.
func fitBlend(ctx context.Context, l *train.Log, o train.Options) (models.Model, train.Report, error) {
	return asModel(train.Blend(ctx, l, o))
}
