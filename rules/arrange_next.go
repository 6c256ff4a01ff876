package rules

import "slices"

// next picks the candidate for a position, -1 when none may follow.
func (a *arrangement) next(pos int) int {
	if j, ok := a.reserved[pos]; ok {
		return j
	}
	if j := a.due(pos); j >= 0 {
		return j
	}
	if j := a.pick(pos, nil, false); j >= 0 {
		return j
	}
	if j := a.pick(pos, nil, true); j >= 0 {
		return j
	}
	return a.firstReserved() // the list ends before a pin's place: it moves up
}

// due finds an item for a quota whose remaining need equals the places that are left for it. A
// quota goes before caps: it takes an item that breaks one when no other is there.
func (a *arrangement) due(pos int) int {
	for i := range a.quotas {
		q := &a.quotas[i]
		end := a.window(q)
		if pos > end || q.spec.min <= q.placed {
			continue
		}
		free := end - pos + 1
		for p := range a.reserved {
			if p >= pos && p <= end {
				free--
			}
		}
		if a.need(end) < free {
			continue
		}
		j := a.pick(pos, q.wants, false)
		if j < 0 {
			j = a.pickAny(q.wants)
		}
		if j >= 0 {
			q.acted++
			if a.explain {
				c := &a.cands[j]
				c.effects = append(c.effects, Effect{Rule: q.rule.id, Action: "quota", Detail: "the quota can wait no longer"})
			}
			return j
		}
	}
	return -1
}

// need is what all quotas that end by a position still ask for.
func (a *arrangement) need(end int) int {
	sum := 0
	for i := range a.quotas {
		if q := &a.quotas[i]; a.window(q) <= end {
			sum += max(0, q.spec.min-q.placed)
		}
	}
	return sum
}

func (a *arrangement) firstReserved() int {
	first := 0
	for p := range a.reserved {
		if first == 0 || p < first {
			first = p
		}
	}
	if first == 0 {
		return -1
	}
	return a.reserved[first]
}

// pick finds the best item that is still free, wanted, within the model's share and breaks no cap;
// relaxed, caps that allow it are overstepped.
func (a *arrangement) pick(pos int, wants []bool, relaxed bool) int {
	for a.first < len(a.order) && a.cands[a.order[a.first]].taken() {
		a.first++
	}
	for pass := 0; pass < 2; pass++ {
		c := choice{best: -1}
		if a.variety.decides(pos) {
			c.variety = a.variety
		}
		for _, j := range a.order[a.first:] {
			cd := &a.cands[j]
			if cd.taken() || wants != nil && !wants[j] {
				continue
			}
			if !a.share(cd, pos, pass) {
				cd.waited = true
				continue
			}
			broken := a.broken(j, pos)
			if broken == nil {
				if c.offer(a, j) {
					break
				}
				continue
			}
			if relaxed && c.best < 0 && a.relaxable(j, pos) {
				broken.acted++
				a.relaxed(cd, broken)
				return j
			}
			if c.best < 0 {
				cd.capped = broken.rule.id
			}
		}
		if c.best >= 0 {
			return a.varied(&c)
		}
		if a.state.strategy == "" {
			break
		}
	}
	return -1
}

func (c *cand) taken() bool { return c.place > 0 || c.pin > 0 }

// pickAny finds the best free item that a quota wants, caps or not.
func (a *arrangement) pickAny(wants []bool) int {
	for _, j := range a.order {
		if !a.cands[j].taken() && wants[j] {
			return j
		}
	}
	return -1
}

// share keeps the model's items to their part of the list when a strategy takes its place: of the
// first n positions at most the kept share of n, in turn with the strategy's. In the first pass
// the model's item comes when it is due; in the second the strategy's may come early.
func (a *arrangement) share(c *cand, pos, pass int) bool {
	if a.state.strategy == "" {
		return true
	}
	due := int(a.plan.KeepModel*float64(pos)+1e-9) > a.strategy
	if c.model {
		return due
	}
	return !due || pass == 1
}

// broken finds the first cap that an item at a position would overstep.
func (a *arrangement) broken(j, pos int) *activeLimit {
	for i := range a.limits {
		if l := &a.limits[i]; a.oversteps(l, j, pos) {
			return l
		}
	}
	return nil
}

func (a *arrangement) oversteps(l *activeLimit, j, pos int) bool {
	if pos > a.window(l) || !l.hits[j] {
		return false
	}
	a.keys = l.spec.by.keys(a.values(j), a.keys)
	return slices.ContainsFunc(a.keys, func(k string) bool { return l.counts[k] >= l.spec.max })
}

// relaxable tells whether all caps that an item oversteps allow it in need.
func (a *arrangement) relaxable(j, pos int) bool {
	for i := range a.limits {
		if l := &a.limits[i]; a.oversteps(l, j, pos) && !l.spec.relax {
			return false
		}
	}
	return true
}

func (a *arrangement) relaxed(c *cand, l *activeLimit) {
	c.capped = ""
	if a.explain {
		c.effects = append(c.effects, Effect{Rule: l.rule.id, Action: "cap", Detail: "let in over the limit: the list was short"})
	}
}

// finish settles who was left out, and counts for the story.
func (a *arrangement) finish() {
	for j := range a.cands {
		c := &a.cands[j]
		if c.removed != "" {
			continue
		}
		if c.place == 0 && a.state.strategy != "" && c.model && c.capped == "" {
			a.leaveOut(j, a.state.replacedBy, "replace", string(a.state.strategy)+" takes the model's place")
			continue
		}
		if c.waited {
			a.heldBack(c, a.state.replacedBy, "replace", "waited for its share of the list")
		}
		if c.capped == "" {
			continue
		}
		for i := range a.limits {
			if l := &a.limits[i]; l.rule.id == c.capped {
				l.acted++
				detail := ""
				if c.place > 0 {
					a.heldBack(c, l.rule.id, "cap", "held back: there were enough before it")
					break
				}
				if a.explain {
					detail = "left out: " + l.spec.by.name + " " + plainValue(c.values()[l.spec.by.ref.at]) + " is there often enough"
				}
				a.leaveOut(j, l.rule.id, "cap", detail)
				break
			}
		}
	}
	for i := range a.limits {
		a.fire(a.limits[i].rule, a.limits[i].action, a.limits[i].acted, "")
	}
	if v := a.variety; v != nil {
		a.fire(v.rule, v.action, v.acted, "")
	}
	for i := range a.quotas {
		a.fire(a.quotas[i].rule, a.quotas[i].action, a.quotas[i].acted, "")
	}
}

// heldBack tells that an item came later than its score would have it.
func (a *arrangement) heldBack(c *cand, ruleID, name, detail string) {
	if a.explain {
		c.effects = append(c.effects, Effect{Rule: ruleID, Action: name, Detail: detail})
	}
}

func (a *arrangement) leaveOut(j int, ruleID, name, detail string) {
	a.remove(j, &rule{id: ruleID}, &action{name: name}, detail)
}
