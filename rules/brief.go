package rules

import (
	"cmp"
	"strings"

	"github.com/sartorhq/sartor/features"
)

// Brief is what a set knows of an item in two words, for callers that keep one for every item that was ever
// asked for: a request then reads sixteen bytes of a candidate, and its item only where a rule looks closer. It
// belongs to one set; the zero Brief says nothing. The words mean nothing to others.
type Brief [2]uint64

// The first word holds the outcome of the conditions and two flags, the second the codes of texts.
const (
	briefKnown  = 1 << 63
	briefFailed = 1 << 62 // some condition or formula failed
	maxBrief    = 62
)

// Known tells whether the brief says anything.
func (b Brief) Known() bool { return b[0]&briefKnown != 0 }

// Briefs tells whether ApplyBriefs takes briefs of this set's facts: it has few enough conditions, and no rule
// compares vectors.
func (s *Set) Briefs() bool { return len(s.bits) <= maxBrief && !s.vectors }

// Brief is the facts in short, for a set with Briefs.
func (f *Facts) Brief() Brief {
	b := Brief{f.bits | briefKnown}
	if f.bad != nil {
		b[0] |= briefFailed
	}
	for k, c := range f.codes {
		b[1] |= uint64(c) << (16 * k)
	}
	return b
}

// Items finds the items of candidates that come with a Brief.
type Items interface {
	// Known returns the item of a row and its facts, which are of the set that asks.
	Known(row int32) (*features.Item, *Facts)
	// Find returns the row of an item.
	Find(id string) (row int32, ok bool)
}

// ApplyBriefs is Apply, without explanation, for candidates of which only Row and Brief need to be filled in
// besides Base, Sources and Rank. Each stands for another item, none of them deleted; the set has Briefs, and
// every Brief is of the set's facts. Item and Facts of candidates that rules look at closer, or that come into
// the list, are filled in from items.
func (s *Set) ApplyBriefs(env *Env, plan *Plan, in []Candidate, items Items, count int) Result {
	return s.apply(env, plan, count, false, func(r *run) {
		r.items, r.known = items, true
		r.cands = grow(r.cands, len(in)) // cleared when the last request ended
		for i := range in {
			r.cands[i].Candidate = &in[i]
		}
		r.ready()
	})
}

// loadBriefs is load for candidates with briefs.
func (r *run) loadBriefs() {
	texts := len(r.set.texts)
	for j := range r.cands {
		b := &r.cands[j].Brief
		r.facts = append(r.facts, b[0])
		for k := range texts {
			r.codes = append(r.codes, code(b[1]>>(16*k)))
		}
		r.flawed = r.flawed || b[0]&briefFailed != 0
	}
}

// resolved returns the candidate with its item and facts.
func (r *run) resolved(j int) *cand {
	c := &r.cands[j]
	if c.Item == nil {
		c.Item, c.Facts = r.items.Known(c.Row)
	}
	return c
}

// id is that of the candidate's item.
func (r *run) id(j int) string { return r.resolved(j).Item.ID }

// byID compares two candidates by the ids of their items, by which they are sorted unless they came with briefs.
func (r *run) byID(j, k int) int {
	if r.items == nil || j == k {
		return cmp.Compare(j, k)
	}
	return strings.Compare(r.id(j), r.id(k))
}

// values is what rules read of a candidate's item.
func (r *run) values(j int) []any { return r.resolved(j).values() }
