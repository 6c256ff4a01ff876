package recommender

import (
	"context"
	"slices"
	"time"

	"github.com/sartorhq/sartor/rules"
)

// DefaultSimilarScenario is the scenario whose rules apply to similar items when none is named.
const DefaultSimilarScenario = "product-page"

// SimilarRequest asks for items like another one.
type SimilarRequest struct {
	ItemID   string
	Scenario string // "" = DefaultSimilarScenario
	Count    int    // 1 ... MaxCount; 0 = DefaultCount
	Context  map[string]any
	Exclude  []string
	Filter   string
	Explain  bool
	Fields   []string // item fields of the schema to return with each item
}

// DegradedNoVector says that the item of a Similar request has no vector.
const DegradedNoVector = "no_item_vector"

// Similar lists items like the one named, by the angle between item vectors, under the rules of the
// scenario. Without a vector it lists what is popular in the item's category, and says so in
// ServedBy and Degraded; for an item that nobody knows, what is popular at all.
func (r *Recommender) Similar(ctx context.Context, q SimilarRequest) (*Response, error) {
	start := time.Now()
	full := Request{
		Scenario: q.Scenario, SourceItem: q.ItemID, Count: q.Count, Context: q.Context,
		Exclude: append(slices.Clone(q.Exclude), q.ItemID), Filter: q.Filter, Explain: q.Explain, Fields: q.Fields,
	}
	if full.Scenario == "" {
		full.Scenario = DefaultSimilarScenario
	}
	c, err := r.check(full)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Budget)
	defer cancel()
	w := r.newWork(ctx, c)
	defer w.release()
	w.timed(stageUser, w.readUser) // without a subject: nothing is read
	w.timed(stagePlan, w.route)
	by := ServedBySimilar
	w.timed(stageCandidates, func() { by = w.gatherSimilar(q.ItemID) })
	w.timed(stageRules, w.rank)
	if len(w.result.Items) == 0 {
		by = ServedByNone
	}
	responding := w.begin()
	resp := w.respond(by)
	w.span("respond", responding)
	r.metrics.count("similar", resp, time.Since(start))
	w.tellSpans()
	return resp, nil
}

// gatherSimilar collects the neighbours of an item, or what stands in for them.
func (w *work) gatherSimilar(id string) ServedBy {
	depth := searchDepth(w.q.Count)
	w.pool = w.newPool(depth)
	row, known := w.s.cat.find(id)
	if known && w.m.vector(row) != nil && w.neighbours(row, depth) {
		return ServedBySimilar
	}
	w.lose(DegradedNoVector)
	category := ""
	if known {
		category, _ = w.s.cat.rows[row].item().Env["category"].(string)
	}
	if category == "" {
		w.offer(w.contextual(), w.drawn(w.contextual(), depth), nil)
		return ServedByPopular
	}
	same := func(row int32) bool {
		c, _ := w.s.cat.rows[row].item().Env["category"].(string)
		return c == category && w.gate.open(row)
	}
	f := rules.Fetch{Source: rules.SourcePopular}
	rows, used := w.s.draw(append(w.s.hot(defaultHotWindow), everything()), depth, w.gate.bits, same)
	w.trail.source(f, len(rows), append([]string{"the same category"}, used...))
	w.offer(f, rows, nil)
	if len(rows) == 0 {
		return ServedByPopular
	}
	return ServedByCategory
}

// sourceSimilar marks a candidate that is near the source item.
const sourceSimilar = rules.SourceSimilar

// origin is the item that `source: similar` starts from: the request's own, else the one that the
// user last did something with; "" when there is none.
func (w *work) origin() string {
	if w.q.SourceItem != "" {
		return w.q.SourceItem
	}
	for _, e := range w.user.History {
		if row, ok := w.s.cat.find(e.ItemID); ok && w.m.vector(row) != nil {
			return e.ItemID
		}
	}
	return ""
}

// like finds up to n rows that pass, near the origin; none without a model, or for an item that has
// no vector.
func (w *work) like(pass func(int32) bool, n int) []sourced {
	origin := w.origin()
	row, known := w.s.cat.find(origin)
	if !known || w.m.vector(row) == nil {
		return nil
	}
	near, _ := w.near(row, 2*n+16) // some may not pass
	out := make([]sourced, 0, n)
	for _, r := range near {
		if len(out) < n && r.row != row && pass(r.row) {
			out = append(out, r)
		}
	}
	return out
}

// near lists the open items at the smallest angle to the one in row. Base scores are half of one plus
// the cosine. It is false for an item whose vector says nothing.
func (w *work) near(row int32, n int) ([]sourced, bool) {
	// What makes every item score more, such as popularity, is no likeness.
	taste := tasteOf(w.m.items, w.m.vector(row))
	if dot(taste, taste) == 0 {
		return nil, false
	}
	vec := make([]float32, w.m.items.Dim)
	copy(vec, taste)
	hits := w.gate.search(w.m.cosine, vec, n, nil)
	out := make([]sourced, len(hits))
	for i, h := range hits {
		cosine := float64(h.Score) / length(vec)
		out[i] = sourced{row: int32(h.Row), base: min(max((1+cosine)/2, 0), 1)}
	}
	return out, true
}

// neighbours adds the items near the one in row.
func (w *work) neighbours(row int32, depth int) bool {
	near, ok := w.near(row, depth)
	for _, r := range near {
		w.pool.add(r.row, r.base, sourceSimilar)
	}
	return ok
}
