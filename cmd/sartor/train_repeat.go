package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/train"
)

// The values of --repeat.
const (
	repeatAuto = "auto" // where bought items are judged and people come back to them
	repeatOn   = "on"   // where people come back to items, judged or not
	repeatOff  = "off"
)

// withRepeat stands behind the name of a kind with a repeat term.
const withRepeat = "+repeat"

// comingBack is the share of what users take, that was theirs before, from which on people buy again. It is
// the share from which on an encoder has a recall.
const comingBack = 0.05

// repeatDepth is how many times as many places as are judged the constants are chosen by: few of the items that
// are wanted stand among the first, and constants chosen by those alone are chosen by chance.
const repeatDepth = 5

// repeater is a model that may have a repeat term.
type repeater interface {
	Repeats(u *features.User, now time.Time, room []models.Repeated) []models.Repeated
}

// wantsRepeat tells whether a repeat term is looked for.
func (t *trainer) wantsRepeat() bool {
	return t.o.Sampled == 0 && (t.o.Repeat == repeatOn || t.o.Repeat == repeatAuto && t.o.KeepSeen)
}

// chooseRepeat returns the repeat term for the kind and the constants at hand: the one with which the newest
// part of l, which the model that is tried did not see, is foreseen best. nil = no term: people do not come
// back to items, or it is not clearly better with one.
func (t *trainer) chooseRepeat(ctx context.Context, l *train.Log) (*models.RepeatParams, error) {
	if !t.wantsRepeat() || !slices.Contains(publishable(), t.o.Kind) {
		return nil, nil
	}
	h := t.cut(l)
	h.keepSeen, h.limit = true, maxChoosers
	users, _ := h.testUsers()
	share := h.returning(users)
	if share < comingBack {
		t.say("%.1f %% of what the users of the newest part of the training data took was theirs before: no repeat term.\n", 100*share)
		return nil, nil
	}
	m, err := t.olderModel(ctx, h)
	if errors.Is(err, train.ErrTooLittle) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	weights, k := t.o.Train.Signal.Weights, repeatDepth*t.o.K
	measure := func(ranked, truth []int32) float64 { return eval.Measure(ranked, truth, k).NDCG }
	c, err := train.ChooseRepeat(m, train.RepeatRates(h.before, m.Items().IDs, weights), weights, h.repeatCases(m, k), k, measure)
	if err != nil {
		return nil, err
	}
	gain := eval.Paired(c.After, c.Before, 1)
	if !gain.Above(0) {
		t.say("%s is not clearly better with a repeat term (the best of %d settings): it has none.\n", modelKinds()[t.o.Kind].name, c.Tried)
		return nil, nil
	}
	p := c.Params
	t.say("Repeats, %.0f %% of what was taken: weight %.4g with half-life %v and %.4g with %v, power %g, rate %g (the best of %d for %s, NDCG@%d + %s).\n",
		100*share, p.Slow.Weight, p.Slow.HalfLife, p.Fast.Weight, p.Fast.HalfLife, p.Power, p.Rate, c.Tried, modelKinds()[t.o.Kind].name, k, gain)
	return &p, nil
}

// olderModel returns the model of the part before the cut: the one by which the constants were chosen, else
// another.
func (t *trainer) olderModel(ctx context.Context, h *holdout) (models.Model, error) {
	if t.older != nil {
		return t.older, nil
	}
	m, _, err := t.fit(ctx, h.before, "choose")
	return m, err
}

// returning is the share of the users' held-out items that they had before the cut.
func (h *holdout) returning(users []testUser) float64 {
	had, all := 0, 0
	for _, u := range users {
		all += len(u.relevant)
		for _, item := range u.relevant {
			if _, seen := slices.BinarySearch(u.seen, item); seen {
				had++
			}
		}
	}
	return float64(had) / float64(max(all, 1))
}

// repeatCases scores what ChooseRepeat needs of each user: the best items and those of the history.
func (h *holdout) repeatCases(m models.Model, k int) []train.RepeatCase {
	users, _ := h.testUsers()
	r, w := newRanker(m, h.before), &judging{}
	var cases []train.RepeatCase
	for lo := 0; lo < len(users); lo += 32 {
		block := users[lo:min(lo+32, len(users))]
		visits := make([]visit, len(block))
		for i, t := range block {
			visits[i] = h.visit(t)
		}
		encoded, n := r.score(w, visits, h), len(r.items.IDs)
		for i, t := range block {
			if encoded[i] {
				cases = append(cases, r.repeatCase(w, w.scores[i*n:(i+1)*n], visits[i], t, h, k))
			}
		}
	}
	return cases
}

// repeatCase picks the rows of one user.
func (r *ranker) repeatCase(w *judging, scores []float32, v visit, t testUser, h *holdout, k int) train.RepeatCase {
	c := train.RepeatCase{User: v.User, Now: h.moment}
	var had []int32
	for _, e := range v.History {
		if item, ok := h.before.ItemNumber(e.ItemID); ok && r.row[item] >= 0 {
			had = append(had, r.row[item])
		}
	}
	had = unique(had)
	for _, item := range r.top(w, scores, k+len(had), nil) {
		c.Rows = append(c.Rows, r.row[item])
	}
	for _, row := range had {
		if !slices.Contains(c.Rows, row) {
			c.Rows = append(c.Rows, row)
		}
	}
	for _, row := range c.Rows {
		c.Scores = append(c.Scores, scores[row])
	}
	for i, item := range t.relevant {
		row := r.row[item]
		if row < 0 {
			row = int32(-1 - i) // to be found by nobody, but wanted
		}
		c.Truth = append(c.Truth, row)
	}
	return c
}

// addRepeats adds the repeat term of the model, if it has one, to the scores of the user.
func (r *ranker) addRepeats(w *judging, scores []float32, u *features.User, now time.Time) {
	if m, ok := r.model.(repeater); ok {
		w.repeats = m.Repeats(u, now, w.repeats[:0])
		for _, x := range w.repeats {
			scores[x.Row] += x.Score
		}
	}
}

func repeatFlag(flags *pflag.FlagSet, o *trainOptions) {
	flags.StringVar(&o.Repeat, "repeat", repeatAuto, "whether what a user had before gets a term of its own in the score, where people come back to items and it does better on older data: auto (with --keep-seen), on or off")
}

// checkRepeat refuses other values than those of the flag.
func checkRepeat(o trainOptions) error {
	if !slices.Contains([]string{"", repeatAuto, repeatOn, repeatOff}, o.Repeat) {
		return usagef("--repeat %s: it can be %s, %s or %s", o.Repeat, repeatAuto, repeatOn, repeatOff)
	}
	return nil
}

// baselines are the kinds that a term of repeats is compared with.
func baselines() []string {
	var names []string
	for _, kind := range []string{models.KindPopularity, models.KindItemKNN, models.KindEASE, models.KindALS} {
		names = append(names, modelKinds()[kind].name)
	}
	return names
}

// aboveBaselines prints, for each kind with a repeat term, how many times the best of the baselines of the
// same run it reaches, and the difference. Popularity is model 0 of j.
func aboveBaselines(w io.Writer, j *judged, entries []contender) {
	for m, e := range entries {
		if e.repeat == nil || len(entries) < 3 {
			continue
		}
		fmt.Fprintf(w, "%s / best baseline", e.name)
		for _, of := range []func(eval.Measures) float64{recallOf, ndcgOf} {
			best, name := 0, "popularity"
			for b, x := range entries {
				if slices.Contains(baselines(), x.name) && meanOf(j.values(b+1, of)) > meanOf(j.values(best, of)) {
					best, name = b+1, x.name
				}
			}
			fmt.Fprintf(w, "\t%.3f times %s: %s", meanOf(j.values(m+1, of))/meanOf(j.values(best, of)), name, eval.Paired(j.values(m+1, of), j.values(best, of), 1))
		}
		fmt.Fprint(w, "\t\t\n")
	}
}

func meanOf(values []float64) float64 { return eval.Bootstrap(values, 1).Mean }
