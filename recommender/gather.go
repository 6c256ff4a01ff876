package recommender

import (
	"math"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/index"
	"github.com/sartorhq/sartor/rules"
)

// sourcePin marks a candidate that is there because a rule pins it.
const sourcePin rules.Source = "pin"

// searchDepth is how many of the model's candidates the rules choose from.
func searchDepth(count int) int { return min(max(200, 10*count), 1000) }

// gather collects candidates: the model's or those of the strategy that a rule put in its place,
// what rules inject, and what they pin by id or by a condition on items.
func (w *work) gather() {
	depth := searchDepth(w.q.Count)
	w.pool = w.newPool(depth + 64)
	var model modelScores
	if portions := w.s.blends[w.q.Scenario]; len(portions) > 0 && w.plan.Replace == nil {
		model = w.blend(portions, depth)
	} else {
		model = w.fromModel(depth)
	}
	if w.s.rules.Vectors() {
		w.encode()
	}
	switch {
	case w.plan.Replace != nil:
		f := *w.plan.Replace
		w.offer(f, w.drawn(f, max(f.Count, depth)), nil)
	case len(w.pool.list) == 0:
		f := w.contextual()
		w.offer(f, w.drawn(f, depth), nil)
	}
	for _, f := range w.plan.Inject {
		w.offer(f, w.drawn(f, f.Count), model.bases)
	}
	w.pins(model)
	w.seek(model)
}

// modelScores is how the model's candidates were scored, so that a pinned item that is not among
// them can be scored alike.
type modelScores struct {
	vec         []float32
	bases       []float64
	top, bottom float64
}

// fromModel adds the model's candidates. The rules keep them to their share when a rule replaces the
// strategy; they are not even looked for when no share is left.
func (w *work) fromModel(depth int) modelScores {
	if w.plan.Replace != nil && w.plan.KeepModel <= 0 {
		return modelScores{}
	}
	hits, out := w.retrieve(depth)
	w.pool.addHits(hits, out.bases)
	return out
}

// retrieve searches for the model's best open items. What it returns lies in the pool's room.
func (w *work) retrieve(depth int) (hits []index.Hit, out modelScores) {
	if w.m == nil || w.m.index.Len() == 0 {
		return nil, out
	}
	vec := w.encode()
	if vec == nil {
		w.trail.noVector()
		return nil, out
	}
	retrieving := w.begin()
	room := w.pool.room
	hits = w.gate.search(w.m.index, vec, depth, room.hits)
	if cap(hits) <= 2*maxRoomHits {
		room.hits = hits
	}
	hits = w.repeats(vec, hits, depth)
	w.span("retrieve", retrieving)
	if len(hits) == 0 {
		return nil, out
	}
	room.bases = scale(hits, w.scaling(), room.bases)
	out = modelScores{vec: vec, bases: room.bases}
	out.top, out.bottom = float64(hits[0].Score), float64(hits[len(hits)-1].Score)
	w.modelled = len(hits)
	w.trail.model(w)
	return hits, out
}

// contextual is what takes the model's place when there is nothing to encode or no model: hot in
// the country of the visit, else of the user, else everywhere.
func (w *work) contextual() rules.Fetch {
	country, _ := w.q.context["country"].(string)
	if country == "" {
		country, _ = w.userField("country").(string)
	}
	f := rules.Fetch{Source: rules.SourceHot, Window: defaultHotWindow}
	if country != "" {
		f.By, f.Value = "country", country
	}
	return f
}

// drawn takes up to n open rows that a fetch asks for.
func (w *work) drawn(f rules.Fetch, n int) []sourced {
	rows, used, ok := w.special(f, n, w.passes(f))
	if !ok {
		rows, used = w.s.draw(w.s.chain(f), n, w.gate.bits, w.passes(f))
	}
	w.trail.source(f, len(rows), used)
	return rows
}

// passes tells which rows a fetch may take.
func (w *work) passes(f rules.Fetch) func(int32) bool {
	if f.Match == nil {
		return w.gate.open
	}
	return func(row int32) bool {
		if !w.gate.open(row) {
			return false
		}
		ok, err := f.Match.Match(w.env, w.s.cat.rows[row].item())
		return ok && err == nil
	}
}

// offer adds the rows of a fetch to the pool under the score that the fetch asks for.
func (w *work) offer(f rules.Fetch, rows []sourced, model []float64) {
	fixed, ok := fetchScore(f.Score, model)
	for _, r := range rows {
		base := r.base
		if ok {
			base = fixed
		}
		w.pool.add(r.row, base, f.Source)
	}
}

// pins adds the items that rules pin by id, with the score that the model gives them.
func (w *work) pins(model modelScores) {
	for _, id := range w.plan.Items {
		row, ok := w.s.cat.find(id)
		if !ok || w.pool.has(row) || !w.gate.open(row) {
			continue
		}
		w.pool.add(row, w.pinBase(model, row), sourcePin)
	}
}

// pinBase is the base score of an item that only a pin brings in: the model's, or 0.
func (w *work) pinBase(m modelScores, row int32) float64 {
	vec := w.m.vector(row)
	if m.vec == nil || vec == nil {
		return 0
	}
	return w.scoreRow(m, vec, float64(w.raisedBy(row)))
}

func (w *work) scoreRow(m modelScores, vec []float32, more float64) float64 {
	score := float64(dot(m.vec, vec)) + more
	n := len(m.bases)
	return scaleOne(score, n, n+1, m.top, m.bottom, w.scaling())
}

// rank applies the rules, and fills a list that they left short.
func (w *work) rank() {
	w.rulesUntil = time.Now().Add(w.r.opts.RulesBudget)
	w.apply()
	for want := 2 * w.q.Count; len(w.result.Items) < w.q.Count; want *= 8 {
		before := len(w.pool.list)
		exhausted := w.fill(want)
		if len(w.pool.list) == before && exhausted {
			break
		}
		w.apply()
		if exhausted || w.ctx.Err() != nil {
			break
		}
	}
	w.trail.ranked(w)
}

func (w *work) apply() {
	if in := w.pool.ranked(); w.pool.known != nil {
		w.result = w.s.rules.ApplyBriefs(w.env, w.plan, in, w.pool.known, w.q.Count)
	} else {
		w.result = w.s.rules.Apply(w.env, w.plan, in, w.q.Count, w.q.Explain)
	}
	w.s.fuses.note(w.result.Tally)
}

// fill adds up to want new candidates from the fill strategies in order, all below the candidates
// that are there already; the last strategy goes on until no item is left. It tells whether there is
// nothing more to add.
func (w *work) fill(want int) (exhausted bool) {
	ceiling := max(w.pool.lowest()/2, math.SmallestNonzeroFloat32)
	for i, f := range w.plan.Fill {
		pass := w.passes(f)
		open := func(row int32) bool { return !w.pool.has(row) && pass(row) }
		chain := w.s.chain(f)
		if i == len(w.plan.Fill)-1 {
			chain = append(chain, everything())
		}
		rows, used := w.s.draw(chain, want, w.gate.bits, open)
		if own, words, ok := w.special(f, want, open); ok {
			rows, used = own, words
		}
		if len(rows) == 0 {
			continue
		}
		for _, r := range rows {
			w.pool.add(r.row, ceiling*r.base, f.Source)
		}
		w.trail.filled(f, len(rows), used)
		ceiling *= rows[len(rows)-1].base * 0.99
		if want -= len(rows); want <= 0 {
			return false
		}
	}
	return true
}

// modelInfo is what rules may know of the model.
func (w *work) modelInfo() rules.ModelInfo {
	if w.m == nil {
		return rules.ModelInfo{}
	}
	m := w.m.model.Meta()
	return rules.ModelInfo{Name: m.Kind, Version: m.Version, TrainedAt: m.CreatedAt}
}

func (w *work) scaling() models.Scaling { return w.m.model.Meta().Scaling }
