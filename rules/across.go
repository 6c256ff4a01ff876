package rules

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// fileRules is what one file compiled to.
type fileRules struct {
	file  *File
	rules []*rule
}

// declared tells which files declare each parameter and list.
func declared(files []File) map[string][]string {
	out := map[string][]string{}
	for i := range files {
		for _, p := range files[i].Params {
			out["params."+p.Name] = append(out["params."+p.Name], files[i].Path)
		}
		for _, l := range files[i].Lists {
			out["lists."+l.Name] = append(out["lists."+l.Name], files[i].Path)
		}
	}
	return out
}

// maxAcross bounds the pairs of rules of different files that are compared: beyond it the check would
// take longer than anybody waits, and a set of that size is better split by scope.
const maxAcross = 2_000_000

// across warns about what rules of one file do to those of another in the same place. Each file has its
// own author, who sees only his.
func (c *compiler) across() {
	sorted := slices.Clone(c.made)
	slices.SortStableFunc(sorted, func(a, b fileRules) int { return cmp.Compare(a.file.Name, b.file.Name) })
	all := make([][]analysed, len(sorted))
	for i, f := range sorted {
		all[i] = analysis(f.rules)
	}
	left := maxAcross
	for j := range sorted {
		for i := range j {
			if left -= len(all[i]) * len(all[j]); left < 0 {
				return
			}
			c.between(sorted[i], sorted[j], all[i], all[j])
		}
	}
	c.sameLists(sorted)
}

// between compares an earlier file with a later one.
func (c *compiler) between(earlier, later fileRules, first, second []analysed) {
	if !earlier.file.Scope.overlaps(&later.file.Scope) {
		return
	}
	a, b := &reporter{file: earlier.file, between: true}, &reporter{file: later.file, between: true}
	inB, inA := earlier.file.Scope.covers(&later.file.Scope), later.file.Scope.covers(&earlier.file.Scope)
	for i := range first {
		for j := range second {
			x, y := &first[i], &second[j]
			if x.signature == y.signature && !x.dead && portable(x.signature) {
				b.rule = y.id
				b.warn(y.pos, CodeShadowed, "this rule does the same as `"+b.other(x.rule)+"`", "delete one of them")
				continue
			}
			b.overlapAcross(y.rule, x.rule, inB, inA, a)
			if !x.dead && !y.dead {
				a.rule, b.rule = x.id, y.id
				if inB && x.timeless() {
					b.undoneAcross(y, x)
				}
				if inA && y.timeless() {
					a.undoneAcross(x, y)
				}
			}
		}
	}
	c.problems = append(append(c.problems, a.problems...), b.problems...)
}

// portable tells whether what a rule says means the same in every file: parameters, lists and the clock
// belong to theirs.
func portable(signature string) bool {
	return !slices.ContainsFunc([]string{"params.", "lists.", "list:", "local."}, func(own string) bool { return strings.Contains(signature, own) })
}

// undoneAcross warns when an exclude of another file leaves nothing of what a rule does. That one file
// boosts what another one buries is how two campaigns meet, and no mistake.
func (r *reporter) undoneAcross(a, b *analysed) {
	for i := range a.actions {
		for j := range b.actions {
			if b.actions[j].name == "exclude" {
				r.undone(a, b, &a.actions[i], &b.actions[j])
			}
		}
	}
}

// overlapAcross compares rule y of the later file with rule x of the earlier one. yieldsB tells that
// the earlier file applies wherever the later one does, yieldsA the reverse.
func (r *reporter) overlapAcross(y, x *rule, yieldsB, yieldsA bool, earlier *reporter) {
	for _, p := range y.actions {
		for _, q := range x.actions {
			switch {
			case p.pin != nil && q.pin != nil:
				if p.pin.position < q.pin.position+q.pin.max && q.pin.position < p.pin.position+p.pin.max && y.timeless() && x.timeless() && sameRequests(y, x) {
					r.rule = y.id
					r.warn(y.pos, CodePinConflict, fmt.Sprintf("this pin and the one of `%s` want position %d", r.other(x), max(p.pin.position, q.pin.position)),
						"the one with the higher priority gets it, the other the next free place")
				}
			case p.name == q.name && (p.stage == stageRoute || p.variety != nil):
				if x.priority >= y.priority && yieldsB {
					r.shadow(y, x, p.name)
				} else if y.priority > x.priority && yieldsA {
					earlier.rule = x.id
					earlier.shadow(x, y, p.name)
				}
			case p.name == "quota" && q.name == "cap" && yieldsB || p.name == "cap" && q.name == "quota" && yieldsB:
				r.rule = y.id
				r.quotaAgainstCap(y.pos, y, x, p, q)
			}
		}
	}
}

// sameLists warns about lists of one name that hold different values: whoever reads one believes it is
// the other.
func (c *compiler) sameLists(sorted []fileRules) {
	first := map[string]*File{}
	lists := map[string]*List{}
	for _, f := range sorted {
		for i := range f.file.Lists {
			l := &f.file.Lists[i]
			if l.Source != "" {
				continue // what they hold differs from moment to moment
			}
			before, seen := lists[l.Name]
			if !seen {
				lists[l.Name], first[l.Name] = l, f.file
				continue
			}
			a, b := sortedTexts(before.Values), sortedTexts(l.Values)
			if slices.Equal(slices.Compact(a), slices.Compact(b)) {
				continue
			}
			r := &reporter{file: f.file}
			r.warn(l.Pos, CodeDuplicate, fmt.Sprintf("the list `%s` differs from the one of that name in %s", l.Name, path.Base(first[l.Name].Path)),
				"keep both in one file with `file:`, or give them different names")
			c.problems = append(c.problems, r.problems...)
		}
	}
}

// other names a rule for whoever reads about another one: with its file when that is not the same.
func (r *reporter) other(o *rule) string {
	if r.between {
		return o.file + "/" + o.id
	}
	return o.id
}

// overlaps tells whether a request can be in both scopes.
func (s *Scope) overlaps(o *Scope) bool {
	meet := func(a, b []string) bool {
		return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(v string) bool { return slices.Contains(b, v) })
	}
	return meet(s.Scenarios, o.Scenarios) && meet(s.Placements, o.Placements)
}

// covers tells whether every request in the other scope is in this one.
func (s *Scope) covers(o *Scope) bool {
	holds := func(a, b []string) bool {
		return len(a) == 0 || len(b) > 0 && !slices.ContainsFunc(b, func(v string) bool { return !slices.Contains(a, v) })
	}
	return holds(s.Scenarios, o.Scenarios) && holds(s.Placements, o.Placements)
}
