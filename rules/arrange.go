package rules

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// arrangement is the list being made.
type arrangement struct {
	*run
	reserved map[int]int // position -> candidate
	limits   []activeLimit
	quotas   []activeLimit
	keys     []string
	variety  *variety
	first    int // candidates before it in the order are placed
	strategy int // model-only items placed so far, for the model's share
}

// activeLimit is a cap or quota of a rule that is on.
type activeLimit struct {
	rule   *rule
	action *action
	spec   *limitSpec
	hits   []bool
	counts map[string]int
	wants  []bool // quota: which candidates count
	placed int    // quota: placed or pinned ahead within the window
	acted  int
}

// arrange sorts the items and fills the positions one by one: pins first, then quotas that can
// wait no longer, else the best item that breaks no cap.
func (r *run) arrange() []Ranked {
	r.sortByScore()
	a := &arrangement{run: r, reserved: map[int]int{}}
	for i, ru := range r.state.active {
		for k := range ru.actions {
			if act := &ru.actions[k]; act.pin != nil {
				a.pin(i, ru, act)
			}
		}
	}
	a.readLimits()
	a.readVariety()
	r.listed = r.listed[:0]
	items := make([]Ranked, 0, min(max(r.count, 0), len(r.cands)))
	for pos := 1; pos <= r.count; pos++ {
		j := a.next(pos)
		if j < 0 {
			break
		}
		a.put(j, pos)
		c := r.resolved(j)
		r.listed = append(r.listed, j)
		items = append(items, Ranked{Candidate: *c.Candidate, Score: c.score, Position: pos})
	}
	a.finish()
	return items
}

// pin reserves positions for the best matching items, or for the named ones.
func (a *arrangement) pin(i int, ru *rule, act *action) {
	hits, _ := a.matched(i) // no deadline in this stage
	chosen := a.named(act.pin, hits)
	if len(act.pin.items) == 0 {
		chosen = a.best(ru, act, hits)
	}
	if len(chosen) > act.pin.max {
		chosen = chosen[:act.pin.max]
	}
	pinned := 0
	for n, j := range chosen {
		want := act.pin.position + n
		pos := want
		for {
			if _, taken := a.reserved[pos]; !taken {
				break
			}
			pos++
		}
		if pos > a.count {
			break
		}
		if pos != want {
			a.losers = append(a.losers, Fired{Rule: ru.id, Action: act.name, Items: 1,
				Detail: fmt.Sprintf("position %d is taken by %s; %s goes to %d", want, a.cands[a.reserved[want]].pinRule, a.id(j), pos)})
		}
		c := &a.cands[j]
		a.reserved[pos], c.pin, c.pinRule = j, pos, ru.id
		a.stopStage(j, ru, stageArrange)
		pinned++
	}
	a.fire(ru, act, pinned, "")
}

func (a *arrangement) named(spec *pinSpec, hits []bool) []int {
	var chosen []int
	for _, id := range spec.items {
		if j, ok := a.index(id); ok && hits[j] && a.marks[j].in(stageArrange) && a.cands[j].pin == 0 {
			chosen = append(chosen, j)
		}
	}
	return chosen
}

// index finds a candidate by id, by which candidates are sorted unless they came with briefs.
func (a *arrangement) index(id string) (int, bool) {
	if a.items != nil {
		row, ok := a.items.Find(id)
		if !ok {
			return 0, false
		}
		j := slices.IndexFunc(a.cands, func(c cand) bool { return c.Row == row })
		return j, j >= 0
	}
	j := sort.Search(len(a.cands), func(i int) bool { return a.cands[i].Item.ID >= id })
	return j, j < len(a.cands) && a.cands[j].Item.ID == id
}

// best lists the matching items, the ones to pin first. Fillers count only in a short list.
func (a *arrangement) best(ru *rule, act *action, hits []bool) []int {
	ordinary := 0
	for _, j := range a.order {
		if a.cands[j].fill == 0 {
			ordinary++
		}
	}
	a.chosen, a.mul = a.chosen[:0], grow(a.mul, len(a.cands))
	values := a.mul // by candidate
	failed, first := 0, error(nil)
	for _, j := range a.order {
		c := &a.cands[j]
		if !hits[j] || !a.marks[j].in(stageArrange) || c.pin != 0 || c.fill > 0 && ordinary >= a.count {
			continue
		}
		if act.pin.orderBy != nil {
			v, err := a.number(act.pin.orderBy, j)
			if err != nil {
				failed, first = failed+1, err
				a.failure(c, ru, act.name, err)
				continue
			}
			values[j] = v
		}
		a.chosen = append(a.chosen, j)
	}
	if failed > 0 {
		a.errors = append(a.errors, errorCount{ru.id, act.name, first.Error(), failed})
	}
	if act.pin.orderBy != nil {
		slices.SortStableFunc(a.chosen, func(x, y int) int {
			if act.pin.ascend {
				return cmp.Compare(values[x], values[y])
			}
			return cmp.Compare(values[y], values[x])
		})
	}
	return a.chosen
}

// readLimits prepares caps and quotas; pins count towards both from the start.
func (a *arrangement) readLimits() {
	stopped := false // a `stop` rule ends the limits of later ones
	for i, ru := range a.state.active {
		if stopped {
			break
		}
		for k := range ru.actions {
			act := &ru.actions[k]
			if act.name != "cap" && act.name != "quota" {
				continue
			}
			stopped = ru.stop
			hits, _ := a.matched(i)
			l := activeLimit{rule: ru, action: act, spec: act.limit, hits: hits}
			if act.name == "cap" {
				l.counts = map[string]int{}
				a.limits = append(a.limits, l)
				continue
			}
			l.wants = a.wanted(&l)
			a.quotas = append(a.quotas, l)
		}
	}
	for pos, j := range a.reserved {
		a.count1(j, pos, 1)
	}
}

// wanted evaluates a quota's own condition.
func (a *arrangement) wanted(l *activeLimit) []bool {
	wants := make([]bool, len(a.cands))
	failed, first := 0, error(nil)
	for _, j := range a.order {
		if !l.hits[j] {
			continue
		}
		a.look(j)
		ok, err := l.spec.match.test(a.frame)
		if err != nil {
			failed, first = failed+1, err
			a.failure(&a.cands[j], l.rule, "quota", err)
		}
		wants[j] = ok && err == nil
	}
	if failed > 0 {
		a.errors = append(a.errors, errorCount{l.rule.id, "quota", first.Error(), failed})
	}
	return wants
}

// window is the last position that a limit looks at.
func (a *arrangement) window(l *activeLimit) int {
	if l.spec.within == 0 || l.spec.within > a.count {
		return a.count
	}
	return l.spec.within
}

// count1 enters an item at a position into all limits.
func (a *arrangement) count1(j, pos, n int) {
	for i := range a.limits {
		l := &a.limits[i]
		if pos > a.window(l) || !l.hits[j] {
			continue
		}
		a.keys = l.spec.by.keys(a.values(j), a.keys)
		for _, k := range a.keys {
			l.counts[k] += n
		}
	}
	for i := range a.quotas {
		if q := &a.quotas[i]; pos <= a.window(q) && q.wants[j] {
			q.placed += n
		}
	}
}

// put places a candidate.
func (a *arrangement) put(j, pos int) {
	c := &a.cands[j]
	if c.pin == 0 {
		a.count1(j, pos, 1)
		if c.model {
			a.strategy++
		}
	} else {
		delete(a.reserved, c.pin)
	}
	c.place = pos
	if a.variety.decides(pos) {
		a.variety.placed(a.cands, j)
	}
}
