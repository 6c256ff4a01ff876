package rulestest

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
)

// Count is how often something happened.
type Count struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

// Tally is what one rule set made of recorded requests.
type Tally struct {
	Requests int `json:"requests"`
	// Empty counts lists without an item, Short those with fewer items than asked for.
	Empty int `json:"empty"`
	Short int `json:"short"`
	Shown int `json:"shown"` // places in all lists
	// Distinct counts the items that were shown at least once.
	Distinct int `json:"distinct"`
	// Brands and Categories count places, most first; "" = unknown.
	Brands     []Count `json:"brands"`
	Categories []Count `json:"categories"`
	// Fired counts the requests in which each rule acted, in the order of the set, those that never
	// did included. Errors counts the requests in which a rule failed.
	Fired  []Count `json:"fired"`
	Errors []Count `json:"errors,omitempty"`
	// Yielded counts the requests in which a rule had to give way to another one: what "the group belongs
	// to", "has decided" and "position 1 is taken" say.
	Yielded []Count `json:"yielded,omitempty"`
	// Degraded counts answers that ran out of a budget.
	Degraded int `json:"degraded"`
}

// Impact compares what two rule sets make of the same recorded requests.
type Impact struct {
	Requests int `json:"requests"`
	// Changed counts lists that are not the same item by item.
	Changed int `json:"changed"`
	// Overlap is the mean share of the longer list that both lists have, from 0 to 1.
	Overlap float64 `json:"overlap"`
	// Tau is Kendall's tau over the items that both lists have, averaged over the lists with at least
	// two of them: 1 = same order, -1 = reversed; Ordered is how many lists those are.
	Tau     float64 `json:"kendall_tau"`
	Ordered int     `json:"ordered"`
	// Entering and Leaving count, by item, the lists that it is now in, or no longer in.
	Entering []Count `json:"entering"`
	Leaving  []Count `json:"leaving"`
	// Scenarios counts the changed lists by scenario.
	Scenarios []Count `json:"changed_by_scenario"`
	// Segments tells the same for each kind of users, those with most requests first.
	Segments []SegmentImpact `json:"by_segment"`
	Old      Tally           `json:"old"`
	New      Tally           `json:"new"`
}

// SegmentImpact is what a change does to the users of one kind; one user may be of several.
type SegmentImpact struct {
	Name     string  `json:"name"` // "segment vip", "tier gold", "new users", "everybody else"
	Requests int     `json:"requests"`
	Changed  int     `json:"changed"`
	Overlap  float64 `json:"overlap"`
}

// segmentsOf names the kinds of users that somebody belongs to.
func segmentsOf(u *features.User) []string {
	var out []string
	list, _ := u.Env["segments"].([]string)
	for _, s := range list {
		if name := "segment " + s; !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	if tier, _ := u.Env["tier"].(string); tier != "" {
		out = append(out, "tier "+tier)
	}
	if fresh, _ := u.Env["is_new"].(bool); fresh {
		out = append(out, "new users")
	}
	if len(out) == 0 {
		out = append(out, "everybody else")
	}
	return out
}

// bySegment adds one comparison to the kinds of users that it concerns.
func bySegment(into map[string]*SegmentImpact, u *features.User, changed bool, overlap float64) {
	for _, name := range segmentsOf(u) {
		s := into[name]
		if s == nil {
			s = &SegmentImpact{Name: name}
			into[name] = s
		}
		s.Requests++
		s.Overlap += overlap
		if changed {
			s.Changed++
		}
	}
}

func segmentImpacts(m map[string]*SegmentImpact) []SegmentImpact {
	out := make([]SegmentImpact, 0, len(m))
	for _, name := range sortedNames(m) {
		s := *m[name]
		s.Overlap /= float64(s.Requests)
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b SegmentImpact) int { return cmp.Compare(b.Requests, a.Requests) })
	return out
}

// Simulate plays every recorded request with the set.
func (r *Recordings) Simulate(ctx context.Context, set *rules.Set) (Tally, error) {
	t := newTally()
	for i := range r.Requests {
		if err := ctx.Err(); err != nil {
			return Tally{}, err
		}
		t.add(r.Requests[i].Env.Request.Count, r.Play(set, &r.Requests[i], false))
	}
	return t.done(set), nil
}

// Compare plays every recorded request with both sets.
func (r *Recordings) Compare(ctx context.Context, before, after *rules.Set) (Impact, error) {
	out := Impact{Requests: len(r.Requests)}
	old, now := newTally(), newTally()
	entering, leaving, scenarios := map[string]int{}, map[string]int{}, map[string]int{}
	segments := map[string]*SegmentImpact{}
	for i := range r.Requests {
		if err := ctx.Err(); err != nil {
			return Impact{}, err
		}
		rec := &r.Requests[i]
		was, is := r.Play(before, rec, false), r.Play(after, rec, false)
		old.add(rec.Env.Request.Count, was)
		now.add(rec.Env.Request.Count, is)
		a, b := order(was), order(is)
		if !slices.Equal(a, b) {
			out.Changed++
			scenarios[rec.Env.Request.Scenario]++
		}
		common := missing(a, b, leaving)
		missing(b, a, entering)
		overlap := share(len(common), max(len(a), len(b)))
		out.Overlap += overlap
		bySegment(segments, rec.Env.User, !slices.Equal(a, b), overlap)
		if len(common) > 1 {
			out.Ordered++
			out.Tau += kendall(common, b)
		}
	}
	if len(r.Requests) > 0 {
		out.Overlap /= float64(len(r.Requests))
	}
	if out.Ordered > 0 {
		out.Tau /= float64(out.Ordered)
	}
	out.Entering, out.Leaving, out.Scenarios = counts(entering), counts(leaving), counts(scenarios)
	out.Segments = segmentImpacts(segments)
	out.Old, out.New = old.done(before), now.done(after)
	return out, nil
}

func order(r rules.Result) []string {
	ids := make([]string, len(r.Items))
	for i := range r.Items {
		ids[i] = r.Items[i].Item.ID
	}
	return ids
}

// missing counts what of a is not in b, and returns the rest in a's order.
func missing(a, b []string, into map[string]int) (common []string) {
	for _, id := range a {
		if slices.Contains(b, id) {
			common = append(common, id)
		} else {
			into[id]++
		}
	}
	return common
}

// share is part of whole; two empty lists are the same.
func share(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}

// kendall is tau-a of the order of ids, of which there are at least two, in b.
func kendall(ids, b []string) float64 {
	at := make([]int, len(ids))
	for i, id := range ids {
		at[i] = slices.Index(b, id)
	}
	sum, pairs := 0, 0
	for i := range at {
		for j := i + 1; j < len(at); j++ {
			pairs++
			sum += cmp.Compare(at[j], at[i])
		}
	}
	return float64(sum) / float64(pairs)
}

// tallying is a Tally in the making.
type tallying struct {
	Tally
	items, brands, categories, fired, errors, yielded map[string]int
}

func newTally() *tallying {
	return &tallying{items: map[string]int{}, brands: map[string]int{}, categories: map[string]int{}, fired: map[string]int{}, errors: map[string]int{}, yielded: map[string]int{}}
}

func (t *tallying) add(want int, got rules.Result) {
	t.Requests++
	t.Shown += len(got.Items)
	if len(got.Items) == 0 {
		t.Empty++
	}
	if len(got.Items) < want {
		t.Short++
	}
	if len(got.Degraded) > 0 {
		t.Degraded++
	}
	for i := range got.Items {
		it := got.Items[i].Item
		t.items[it.ID]++
		t.brands[label(it, "brand")]++
		t.categories[label(it, "category")]++
	}
	for _, id := range firedRules(got.Trace) {
		t.fired[id]++
	}
	gave := map[string]bool{}
	for _, f := range got.Trace.Superseded {
		if _, to, found := strings.Cut(f.Detail, " is taken by "); found {
			to, _, _ = strings.Cut(to, ";")
			f.Detail = "the place is taken by " + to
		}
		gave[f.Rule+": "+f.Detail] = true
	}
	for text := range gave {
		t.yielded[text]++
	}
	failed := map[string]bool{}
	for _, e := range got.Trace.Errors {
		failed[e.Rule] = true
	}
	for id := range failed {
		t.errors[id]++
	}
}

func label(it *features.Item, field string) string {
	s, _ := it.Env[field].(string)
	return s
}

func (t *tallying) done(set *rules.Set) Tally {
	t.Distinct = len(t.items)
	t.Brands, t.Categories, t.Errors, t.Yielded = counts(t.brands), counts(t.categories), counts(t.errors), counts(t.yielded)
	for _, id := range set.RuleIDs() {
		t.Fired = append(t.Fired, Count{id, t.fired[id]})
	}
	return t.Tally
}

// counts orders by number, most first, then by name.
func counts(m map[string]int) []Count {
	out := make([]Count, 0, len(m))
	for _, name := range sortedNames(m) {
		out = append(out, Count{name, m[name]})
	}
	slices.SortStableFunc(out, func(a, b Count) int { return cmp.Compare(b.N, a.N) })
	return out
}
