package recommender

import (
	"context"
	"fmt"
	"time"

	"github.com/sartorhq/sartor/models/index"
	"github.com/sartorhq/sartor/rules"
)

// MaxRanked is how many items one Rank request may bring.
const MaxRanked = 1000

// RankRequest asks for an order of given items, such as the results of a search.
type RankRequest struct {
	// Request says for whom and where. Count is 1 ... MaxRanked; 0 = all of Items. Cursor, Paging and
	// SourceItem's neighbours play no part.
	Request
	// Items are the candidates, in the order that counts where the model has none.
	Items []string
}

// Rank orders the given items for a user: by the model, under the rules of the scenario. Items that are
// not in the catalogue, that a rule or the filter removes, or that are given twice are left out; none
// is added. Items without a vector follow those with one, in the order given. The error is an
// *InvalidError or nil.
func (r *Recommender) Rank(ctx context.Context, q RankRequest) (*Response, error) {
	start := time.Now()
	c, err := r.checkRank(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Budget)
	defer cancel()
	w := r.newWork(ctx, c)
	defer w.release()
	w.timed(stageUser, w.readUser)
	w.timed(stagePlan, w.route)
	by := ServedByGiven
	w.timed(stageCandidates, func() { by = w.gatherGiven(q.Items) })
	w.timed(stageRules, func() {
		w.rulesUntil = time.Now().Add(w.r.opts.RulesBudget)
		w.apply()
		w.trail.ranked(w)
	})
	if len(w.result.Items) == 0 {
		by = ServedByNone
	}
	responding := w.begin()
	resp := w.respond(by)
	w.span("respond", responding)
	r.metrics.count("rank", resp, time.Since(start))
	w.finish(resp, time.Since(start))
	return resp, nil
}

// checkRank validates a request to rank, and reports all problems at once.
func (r *Recommender) checkRank(q RankRequest) (*checked, error) {
	var p problems
	count := q.Count
	switch {
	case len(q.Items) == 0:
		p.add("items", "must not be empty")
	case len(q.Items) > MaxRanked:
		p.add("items", "more than %d ids", MaxRanked)
	default:
		for i, id := range q.Items {
			p.id(fmt.Sprintf("items[%d]", i), id)
		}
	}
	if count < 0 || count > MaxRanked {
		p.add("count", "must be between 1 and %d", MaxRanked)
	}
	plain := q.Request
	plain.Count, plain.Cursor, plain.Paging = 0, "", false
	c, err := r.check(plain)
	if err != nil {
		if invalid, ok := err.(*InvalidError); ok { //nolint:errorlint // check returns it as it is
			p = append(p, invalid.Problems...)
		}
	}
	if len(p) > 0 {
		return nil, &InvalidError{Problems: p}
	}
	if c.Count = count; count == 0 {
		c.Count = len(q.Items)
	}
	return c, nil
}

// sourceGiven marks a candidate that the request brought.
const sourceGiven rules.Source = "given"

// gatherGiven makes candidates of the given items and takes from the plan what would add others.
func (w *work) gatherGiven(given []string) ServedBy {
	plan := *w.plan
	plan.Replace, plan.Inject, plan.Seek, plan.Fill = nil, nil, nil, nil
	w.plan = &plan
	w.pool = w.newPool(len(given))
	vec := w.encode()
	switch {
	case vec != nil:
		w.raise()
	case w.m != nil:
		w.trail.noVector()
	}
	var scored []index.Hit
	var rest []int32
	seen := newRowMap(len(given))
	for _, id := range given {
		row, ok := w.s.cat.find(id)
		if !ok {
			continue
		}
		if _, twice := seen.get(row); twice || !w.gate.open(row) {
			continue
		}
		seen.put(row, 0)
		own := w.m.vector(row)
		if vec == nil || own == nil {
			rest = append(rest, row)
			continue
		}
		scored = append(scored, index.Hit{Row: int(row), Score: dot(vec, own) + w.raisedBy(row)})
	}
	return w.offerGiven(scored, rest)
}

// offerGiven adds the scored rows by score and the rest below them.
func (w *work) offerGiven(scored []index.Hit, rest []int32) ServedBy {
	ceiling, by := 1.0, ServedByGiven
	if len(scored) > 0 {
		index.Sort(scored)
		w.trail.repeats(w, scored)
		for i, base := range scale(scored, w.scaling(), nil) {
			w.pool.add(int32(scored[i].Row), base, rules.SourceModel)
		}
		ceiling, by = floorBase/2, ServedByModel
	}
	for i, row := range rest {
		w.pool.add(row, ceiling*(1-float64(i)/float64(len(rest)+1)), sourceGiven)
	}
	return by
}
