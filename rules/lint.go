package rules

import (
	"fmt"
	"slices"
)

// unused warns about parameters and lists that no rule reads.
func (r *reporter) unused(t *typer) {
	for _, name := range keysOf(t.params) {
		if p := t.params[name]; !p.used {
			r.warn(p.pos, CodeUnused, "nothing uses the parameter `"+name+"`", "remove it, or use `params."+name+"`")
		}
	}
	for _, name := range keysOf(t.lists) {
		if l := t.lists[name]; !l.used {
			r.warn(l.pos, CodeUnused, "nothing uses the list `"+name+"`", "remove it, or use `lists."+name+"`")
		}
	}
}

func (r *reporter) undocumented() {
	if r.file.Owner == "" {
		r.warn(r.file.Pos, CodeUndocumented, "the rule set has no owner", "add `owner:` with whom to ask")
	}
	if r.file.Description == "" {
		r.warn(r.file.Pos, CodeUndocumented, "the rule set has no description", "add `description:` with what it is for")
	}
}

// overlaps warns about rules of one file that take each other's effect away.
func (r *reporter) overlaps(rules []*rule) {
	for i, a := range rules {
		for j := 0; j < i; j++ {
			if b := rules[j]; a != nil && b != nil {
				r.overlap(a, b)
			}
		}
	}
	r.rule = ""
}

// overlap compares the later rule a with the earlier rule b of one file.
func (r *reporter) overlap(a, b *rule) {
	r.rule = a.id
	pos := a.pos
	for _, x := range a.actions {
		for _, y := range b.actions {
			if x.pin != nil && y.pin != nil && x.pin.position < y.pin.position+y.pin.max && y.pin.position < x.pin.position+x.pin.max && a.timeless() && b.timeless() && sameRequests(a, b) {
				r.warn(pos, CodePinConflict, fmt.Sprintf("this pin and the one of `%s` want position %d", r.other(b), max(x.pin.position, y.pin.position)),
					"the one with the higher priority gets it, the other the next free place")
			}
			if x.name == y.name && (x.stage == stageRoute || x.variety != nil) {
				r.shadow(a, b, x.name)
			}
			if x.name == "quota" && y.name == "cap" || x.name == "cap" && y.name == "quota" {
				r.quotaAgainstCap(pos, a, b, x, y)
			}
		}
	}
}

// crowded warns about quotas that together ask for more items than the window of the widest has places.
// Only those that are always on, for all items, and exclude each other count: one item may serve two
// quotas otherwise.
func (r *reporter) crowded(made []*rule) {
	type asked struct {
		rule *rule
		spec *limitSpec
		want *conditions
	}
	var all []asked
	for _, m := range made {
		if m == nil || !m.always() || m.match != nil {
			continue
		}
		for i := range m.actions {
			if a := &m.actions[i]; a.name == "quota" && a.limit.match != nil && a.limit.within > 0 {
				all = append(all, asked{m, a.limit, conditionsOf(a.limit.match)})
			}
		}
	}
	for i, last := range all {
		sum, apart := last.spec.min, true
		for j, other := range all {
			if i == j || other.spec.within > last.spec.within || other.spec.within == last.spec.within && j > i {
				continue
			}
			sum += other.spec.min
			apart = apart && other.want.excludes(last.want)
		}
		if apart && sum > last.spec.min && sum > last.spec.within {
			r.rule = last.rule.id
			r.error(last.rule.pos, CodeQuota, fmt.Sprintf("the quotas ask for %d items within the first %d places", sum, last.spec.within), "lower `min` of one of them, or widen `within`")
		}
	}
	r.rule = ""
}

// sameRequests tells whether one of two rules is on whenever the other one is.
func sameRequests(a, b *rule) bool {
	x, y := conditionsOf(a.when), conditionsOf(b.when)
	return x.implies(y) || y.implies(x)
}

// always tells whether nothing about the request decides if the rule is on.
func (r *rule) always() bool {
	return r.when == nil && r.schedule == nil && r.rollout == nil && r.holdout == nil
}

// shadow warns about a strategy that an unconditional rule of higher rank always takes away.
func (r *reporter) shadow(a, b *rule, name string) {
	winner, loser := b, a
	if a.priority > b.priority {
		winner, loser = a, b
	}
	if winner.always() {
		r.rule = loser.id
		r.warn(loser.pos, CodeShadowed, "`"+r.other(winner)+"` always decides `"+name+"` before this rule", "give this rule a higher priority, or the other one a condition")
		r.rule = a.id
	}
}

// quotaAgainstCap reports a quota that asks for more of one value than a cap lets in: seen when
// the quota's condition is "field == text" on the field that the cap counts.
func (r *reporter) quotaAgainstCap(pos Pos, a, b *rule, x, y action) {
	quota, limit := x.limit, y.limit
	if x.name == "cap" {
		quota, limit = limit, quota
	}
	if quota.match == nil || limit.by == nil || !a.always() || !b.always() || a.match != nil || b.match != nil || limit.relax {
		return
	}
	root := quota.match.root
	onField := root.op == "==" && slices.ContainsFunc(root.kids, func(n *node) bool { return n.op == "var" && n.name == limit.by.name }) &&
		slices.ContainsFunc(root.kids, func(n *node) bool { return n.constant() })
	if onField && limit.by.kind == kindText && quota.min > limit.max && (limit.within == 0 || quota.within > 0 && quota.within <= limit.within) {
		r.error(pos, CodeQuota, fmt.Sprintf("the quota asks for %d items of one value of `%s`, the cap lets %d in", quota.min, limit.by.name, limit.max), "change one of the two numbers")
	}
}
