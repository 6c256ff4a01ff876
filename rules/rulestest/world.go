package rulestest

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
)

// world answers a plan's fetches from a test's or a recording's sources, as the recommender does from
// the catalogue: the model's candidates or what replaces them, injected items, pinned ids, and fillers
// below all of them when the list stays short.
type world struct {
	model []string // the model's items
	item  func(id string) *features.Item
	base  func(id string, place int) float64
	drawn func(f rules.Fetch) []string // what a source answers, best first; items that are known only
	// vector is an item's in the model; nil = nobody has one.
	vector func(id string) []float32
	// seek returns what a pin by condition wants; nil = pins choose among the candidates.
	seek func(*rules.Seek) []string

	pool []rules.Candidate
	at   map[string]int // item id -> index in pool
}

// caseWorld is the world of a test case. An item's base score is the test's, else 0.99, 0.98, ... by
// place.
func caseWorld(t *File, c *Case, lists []rules.List) *world {
	return &world{
		model: c.candidates,
		item: func(id string) *features.Item {
			if it := t.items[id]; it != nil {
				return it.Item
			}
			return nil
		},
		base: func(id string, place int) float64 {
			if it := t.items[id]; it.scored {
				return it.score
			}
			return max(0.01, 0.99-0.01*float64(place))
		},
		drawn: func(f rules.Fetch) []string { return t.drawn(c, lists, f) },
		vector: func(id string) []float32 {
			if it := t.items[id]; it != nil {
				return it.vector
			}
			return nil
		},
	}
}

// apply runs the set over the world: plan, gather, rank, and once more when fillers were needed.
func (w *world) apply(set *rules.Set, env *rules.Env, explain bool) rules.Result {
	plan := set.Plan(env)
	w.gather(env, plan)
	got := set.Apply(env, plan, w.ranked(), env.Request.Count, explain)
	if len(got.Items) < env.Request.Count && w.fill(plan) {
		got = set.Apply(env, plan, w.ranked(), env.Request.Count, explain)
	}
	return got
}

func (w *world) add(id string, base float64, source rules.Source) {
	if i, ok := w.at[id]; ok {
		w.pool[i].Base = max(w.pool[i].Base, base)
		if !slices.Contains(w.pool[i].Sources, source) {
			w.pool[i].Sources = append(w.pool[i].Sources, source)
		}
		return
	}
	w.at[id] = len(w.pool)
	c := rules.Candidate{Item: w.item(id), Base: base, Sources: []rules.Source{source}}
	if w.vector != nil {
		c.Vector = w.vector(id)
	}
	w.pool = append(w.pool, c)
}

// gather fills the pool before the rules are applied.
func (w *world) gather(env *rules.Env, plan *rules.Plan) {
	w.at = map[string]int{}
	bases := make([]float64, 0, len(w.model))
	for i, id := range w.model {
		bases = append(bases, w.base(id, i))
	}
	keep := len(w.model)
	if plan.Replace != nil {
		keep = min(keep, int(math.Ceil(plan.KeepModel*float64(env.Request.Count))))
	}
	for _, i := range byScore(w.model, bases)[:keep] {
		w.add(w.model[i], bases[i], rules.SourceModel)
	}
	if plan.Replace != nil {
		w.fetch(env, *plan.Replace, math.MaxInt, bases)
	}
	for _, f := range plan.Inject {
		w.fetch(env, f, f.Count, bases)
	}
	for _, id := range plan.Items {
		if _, have := w.at[id]; w.item(id) != nil && !have {
			w.add(id, w.base(id, 98), sourcePin)
		}
	}
	for _, k := range plan.Seek {
		if w.seek == nil {
			break
		}
		for _, id := range w.seek(k) {
			if _, have := w.at[id]; !have {
				w.add(id, 0, sourcePin)
			}
		}
	}
}

// sourcePin marks a candidate that is there because a rule pins it.
const sourcePin rules.Source = "pin"

// byScore returns the places of ids by falling score, ties by id.
func byScore(ids []string, scores []float64) []int {
	order := make([]int, len(ids))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(ids[a], ids[b]))
	})
	return order
}

// fetch adds at most n items of a source under the score that the rule asked for.
func (w *world) fetch(env *rules.Env, f rules.Fetch, n int, model []float64) {
	fixed, isFixed := fetchScore(f.Score, model)
	taken := 0
	for i, id := range w.drawn(f) {
		if taken == n {
			return
		}
		if f.Match != nil {
			if ok, err := f.Match.Match(env, w.item(id)); !ok || err != nil {
				continue
			}
		}
		base := w.base(id, i)
		if f.Seek != nil { // by rank, as the service does
			base = 1 - float64(taken)/float64(n+1)
		}
		if isFixed {
			base = fixed
		}
		w.add(id, base, f.Source)
		taken++
	}
}

// drawn returns what the source answers: for the value of "by" when the test tells values apart,
// else for everywhere. A list of the rule file gives those of its items that the test describes.
func (t *File) drawn(c *Case, lists []rules.List, f rules.Fetch) []string {
	if f.Seek != nil {
		items := make(map[string]*features.Item, len(t.items))
		for id, it := range t.items {
			items[id] = it.Item
		}
		return segment(items, f.Seek)
	}
	if name, isList := strings.CutPrefix(string(f.Source), "list:"); isList {
		i := slices.IndexFunc(lists, func(l rules.List) bool { return l.Name == name })
		if i < 0 {
			return nil
		}
		return slices.DeleteFunc(slices.Clone(lists[i].Values), func(id string) bool { return t.items[id] == nil })
	}
	by := c.sources[f.Source]
	if f.By != "" {
		if ids, ok := by[f.Value]; ok {
			return ids
		}
	}
	return by[""]
}

// segment lists the items that a seek wants, in its order, ties by id.
func segment(items map[string]*features.Item, k *rules.Seek) []string {
	var ids []string
	for _, id := range sortedNames(items) {
		if k.Match(items[id]) {
			ids = append(ids, id)
		}
	}
	slices.SortStableFunc(ids, func(a, b string) int { return cmp.Compare(k.Value(items[b]), k.Value(items[a])) })
	return ids
}

// fill adds fillers from the plan's strategies, each below everything that is there.
func (w *world) fill(plan *rules.Plan) (added bool) {
	low := 1.0
	for _, c := range w.pool {
		low = min(low, c.Base)
	}
	ceiling := low / 2
	for _, f := range plan.Fill {
		for _, id := range w.drawn(f) {
			if _, have := w.at[id]; !have {
				w.add(id, ceiling, f.Source)
				ceiling *= 0.99
				added = true
			}
		}
	}
	return added
}

// ranked returns the pool in the order before rules.
func (w *world) ranked() []rules.Candidate {
	out := slices.Clone(w.pool)
	slices.SortFunc(out, func(a, b rules.Candidate) int {
		return cmp.Or(cmp.Compare(b.Base, a.Base), cmp.Compare(a.Item.ID, b.Item.ID))
	})
	for i := range out {
		out[i].Rank = i + 1
	}
	return out
}

// fetchScore reads Fetch.Score; ok is false when the source's own scores stand.
func fetchScore(score string, model []float64) (fixed float64, ok bool) {
	if p, isPercentile := strings.CutPrefix(score, "p"); isPercentile {
		v, err := strconv.ParseFloat(p, 64)
		if err != nil || len(model) == 0 {
			return 0, false
		}
		sorted := slices.Sorted(slices.Values(model))
		i := int(math.Ceil(v/100*float64(len(sorted)))) - 1
		return sorted[min(max(i, 0), len(sorted)-1)], true
	}
	v, err := strconv.ParseFloat(score, 64)
	return v, err == nil
}
