package models

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sartorhq/sartor/features"
)

// RepeatScale is one time scale of a repeat term.
type RepeatScale struct {
	// Weight is what one event of the heaviest type, just now, on an average item adds to the score; 0
	// leaves the scale out.
	Weight float64
	// HalfLife is the age, measured from the user's own newest event, at which an event counts half; 0 =
	// it never fades.
	HalfLife time.Duration
}

// RepeatParams say how much the items that a user had before are worth to him again. With E_h(u,j) the sum
// of his events on j, each counting its type's weight (the heaviest 1) times 2^(-age/h), and R_j how often
// j is come back to, against the average item, the score of j grows by
//
//	r(u,j) = R_j^Rate * ( Slow.Weight * E_slow(u,j)^Power + Fast.Weight * E_fast(u,j)^Power )
//
// The personal frequencies of TIFU-KNN (Hu et al. 2020) and UP-CF (Faggioli et al. 2020) on two time scales.
type RepeatParams struct {
	Slow, Fast RepeatScale
	Power      float64
	Rate       float64
	// Weights is what an event counts by its type, as in Signal; evidence that is not positive counts nothing.
	Weights map[string]float64
}

// The bounds of a repeat term: within them every score is a finite float32.
const (
	maxRepeatWeight = 1e6
	maxRepeatPower  = 2
	maxRepeatRate   = 1e3 // and its inverse
)

// Validate refuses constants that mean nothing.
func (p RepeatParams) Validate() error {
	for _, s := range []RepeatScale{p.Slow, p.Fast} {
		if !(s.Weight >= 0 && s.Weight <= maxRepeatWeight) {
			return fmt.Errorf("the weight of repeats is %v: need 0 to %g", s.Weight, float64(maxRepeatWeight))
		}
		if err := (Signal{Weights: p.Weights, HalfLife: s.HalfLife}).Validate(); err != nil {
			return fmt.Errorf("repeats: %w", err)
		}
	}
	switch {
	case p.Slow.Weight == 0 && p.Fast.Weight == 0:
		return fmt.Errorf("repeats: no time scale has a weight")
	case !(p.Power > 0 && p.Power <= maxRepeatPower):
		return fmt.Errorf("the power of repeats is %v: need more than 0, at most %d", p.Power, maxRepeatPower)
	case !(p.Rate >= 0 && p.Rate <= maxRepeatPower):
		return fmt.Errorf("the exponent of the items' rates of repeats is %v: need 0 to %d", p.Rate, maxRepeatPower)
	}
	return nil
}

// Repeated is what the repeat term adds to the score of one row of Items, > 0.
type Repeated struct {
	Row   int32
	Score float32
}

// repeatTerm is a repeat term over the rows of one model. It is immutable.
type repeatTerm struct {
	params  RepeatParams
	rows    *Rows
	rate    []float32          // by row, 1 = average
	factor  []float32          // rate^Rate
	weights map[string]float64 // of types, the heaviest 1
	pool    sync.Pool          // of *[]repeatTrace
}

// repeatTrace is what one event says about one row on both scales.
type repeatTrace struct {
	row        int32
	slow, fast float64
}

// repeating is the part of a model that may have a repeat term.
type repeating struct{ term *repeatTerm }

// WithRepeat returns m with a repeat term in place of one that it had, sharing everything else, for the
// kinds that can be saved. rate is, for each row of Items, how often users come back to it, against the
// average: between 0.001 and 1000. It keeps rate.
func WithRepeat(m Model, params RepeatParams, rate []float32) (Model, error) {
	if err := params.Validate(); err != nil {
		return nil, err
	}
	ids := m.Items().IDs
	if len(rate) != len(ids) {
		return nil, fmt.Errorf("%d rates of repeats for %d items", len(rate), len(ids))
	}
	heaviest := slices.Max(slices.Collect(maps.Values(params.Weights)))
	t := &repeatTerm{params: params, rate: rate, factor: make([]float32, len(rate)), weights: map[string]float64{}}
	for name, w := range params.Weights {
		t.weights[name] = w / heaviest
	}
	for j, r := range rate {
		if !(r >= 1/float32(maxRepeatRate) && r <= maxRepeatRate) {
			return nil, fmt.Errorf("the rate of repeats of item %d is %v", j, r)
		}
		t.factor[j] = float32(math.Pow(float64(r), params.Rate))
	}
	return withTerm(m, t)
}

// WithoutRepeat returns m without its repeat term, if it has one.
func WithoutRepeat(m Model) (Model, error) { return withTerm(m, nil) }

func withTerm(m Model, t *repeatTerm) (Model, error) {
	switch m := m.(type) {
	case *ALS:
		c := m.WithMetrics(m.meta.Metrics)
		c.repeating.set(t, &c.meta, m.rows)
		return c, nil
	case *LAE:
		c := m.WithMetrics(m.meta.Metrics)
		c.repeating.set(t, &c.meta, m.rows)
		return c, nil
	case *Encoder:
		c := m.WithMetrics(m.meta.Metrics)
		c.repeating.set(t, &c.meta, m.rows)
		return c, nil
	case *Blend:
		c := m.WithMetrics(m.meta.Metrics)
		c.repeating.set(t, &c.meta, m.rows)
		return c, nil
	case *Popularity:
		rows, err := rowsByID(m.items.IDs)
		if err != nil {
			return nil, err
		}
		c := m.WithMetrics(m.meta.Metrics)
		c.repeating.set(t, &c.meta, rows)
		return c, nil
	}
	return nil, fmt.Errorf("a model of kind %q has no repeat term", m.Meta().Kind)
}

// set puts the term, nil for none, into a model that nobody else has yet.
func (r *repeating) set(t *repeatTerm, meta *Meta, rows *Rows) {
	params := map[string]float64{}
	for name, v := range meta.Params {
		if !strings.HasPrefix(name, repeatPrefix) {
			params[name] = v
		}
	}
	if meta.Params == nil && t == nil {
		params = nil
	}
	if t != nil {
		t.rows = rows
	}
	r.term, meta.Params = t, params
	r.describe(params)
}

// RepeatParams returns the constants of the repeat term; ok is false when the model has none.
func (r repeating) RepeatParams() (p RepeatParams, ok bool) {
	if r.term == nil {
		return p, false
	}
	return r.term.params, true
}

// Repeats appends to room what the repeat term adds to the scores of the items of the user's history, each
// row once, ascending. All other items get nothing, so that the best of all items are among the best by
// Encode and these: see MODEL.md. Without a term nothing is appended. Entries after now, of types without
// weight and of items that the model does not know do not count.
func (r repeating) Repeats(u *features.User, now time.Time, room []Repeated) []Repeated {
	if r.term == nil || u == nil || len(u.History) == 0 {
		return room
	}
	return r.term.collect(u.History, now.UnixMilli(), room)
}

func (t *repeatTerm) collect(history []features.Entry, now int64, room []Repeated) []Repeated {
	newest, seen := int64(0), false
	for _, h := range history {
		if t.weights[string(h.Type)] != 0 && h.Time <= now && (!seen || h.Time > newest) {
			newest, seen = h.Time, true
		}
	}
	found, _ := t.pool.Get().(*[]repeatTrace)
	if found == nil {
		found = &[]repeatTrace{}
	}
	defer t.pool.Put(found)
	traces := (*found)[:0]
	slow, fast := Signal{HalfLife: t.params.Slow.HalfLife}, Signal{HalfLife: t.params.Fast.HalfLife}
	for _, h := range history {
		w := t.weights[string(h.Type)]
		if w == 0 || h.Time > now {
			continue
		}
		if row, known := t.rows.Find(h.ItemID); known {
			traces = append(traces, repeatTrace{row, w * slow.Fade(newest-h.Time), w * fast.Fade(newest-h.Time)})
		}
	}
	*found = traces
	slices.SortStableFunc(traces, func(a, b repeatTrace) int { return int(a.row) - int(b.row) })
	for i := 0; i < len(traces); {
		sum := repeatTrace{row: traces[i].row}
		for ; i < len(traces) && traces[i].row == sum.row; i++ {
			sum.slow, sum.fast = sum.slow+traces[i].slow, sum.fast+traces[i].fast
		}
		if score := t.score(sum); score > 0 {
			room = append(room, Repeated{Row: sum.row, Score: score})
		}
	}
	return room
}

// score is r(u,j) for the evidence on one row.
func (t *repeatTerm) score(sum repeatTrace) float32 {
	p := &t.params
	score := p.Slow.Weight*math.Pow(max(sum.slow, 0), p.Power) + p.Fast.Weight*math.Pow(max(sum.fast, 0), p.Power)
	return float32(score) * t.factor[sum.row]
}
