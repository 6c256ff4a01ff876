package rules

import (
	"fmt"
	"math"
)

// Apply runs the stages after retrieval: filter, score, arrange, annotate. It returns at most
// count items and says why; Trace.Items and Trace.Removed are filled only when explain is set.
//
// plan must come from this set's Plan for the same env; nil means to plan now. The candidates'
// order does not matter: an item given twice counts once, with its higher base score and all its
// sources, and ties go by base score and item id. See Plan for candidates that only fill. Items
// that are deleted or nil are dropped. Nothing that is passed in is changed.
func (s *Set) Apply(env *Env, plan *Plan, in []Candidate, count int, explain bool) Result {
	return s.apply(env, plan, count, explain, func(r *run) { r.take(in) })
}

// apply runs the stages over the candidates that take provides.
func (s *Set) apply(env *Env, plan *Plan, count int, explain bool, take func(*run)) Result {
	state, _ := planStateOf(plan)
	if state == nil || state.set != s {
		plan = s.Plan(env)
		state, _ = planStateOf(plan)
	}
	r := s.begin(env)
	defer s.end(r)
	r.plan, r.state, r.count, r.explain = plan, state, count, explain
	r.losers = state.superseded[:len(state.superseded):len(state.superseded)]
	take(r)
	r.prepare()
	r.originate()
	r.filter()
	r.score()
	items := r.arrange()
	r.annotate(items)
	result := Result{Items: items, Trace: r.story(items), Tally: r.tally()}
	if r.tired {
		result.Degraded = []string{"rules_budget"}
	}
	return result
}

func planStateOf(p *Plan) (*planState, bool) {
	if p == nil {
		return nil, false
	}
	st, ok := p.state.(*planState)
	return st, ok
}

// originate counts what injections and the replacing strategy brought.
func (r *run) originate() {
	for i := range r.plan.Inject {
		f := &r.plan.Inject[i]
		n := 0
		for j := range r.cands {
			if hasSource(r.cands[j].Sources, f.Source) {
				n++
				if r.explain {
					r.cands[j].effects = append(r.cands[j].effects, Effect{Rule: f.Rule, Action: "inject", Detail: "brought in from " + string(f.Source)})
				}
			}
		}
		if ru := r.activeRule(f.Rule); ru != nil {
			r.fire(ru, actionNamed(ru, "inject", f.Source), n, "from "+string(f.Source))
		}
	}
}

func (r *run) activeRule(id string) *rule {
	for _, ru := range r.state.active {
		if ru.id == id {
			return ru
		}
	}
	return nil
}

func actionNamed(ru *rule, name string, source Source) *action {
	for i := range ru.actions {
		a := &ru.actions[i]
		if a.name == name && len(a.fetches) > 0 && a.fetches[0].Source == source {
			return a
		}
	}
	return &action{name: name}
}

// The bounds on scores. The product of multipliers and the final score are clamped, so that no
// heap of rules drowns the model.
const (
	minProduct = 0.01
	maxProduct = 100
	maxScore   = 1000
)

// score applies boosts and buries: final = clamp(base x product + sum). Rules are evaluated one by
// one over all items, so that a rule acts on all of them or, when the budget ends, on none.
func (r *run) score() {
	r.frame.budget.armed = true
	defer func() { r.frame.budget.armed = false }()
	for i, ru := range r.state.active {
		for k := range ru.actions {
			a := &ru.actions[k]
			if a.stage == stageScore && !r.tired {
				r.boost(i, ru, a)
			}
		}
	}
	for j := range r.cands {
		c := &r.cands[j]
		product := min(max(r.product[j], minProduct), maxProduct)
		c.score = min(max(c.Base*product+r.sum[j], -maxScore), maxScore)
	}
}

// tally counts what was evaluated and what failed, by rule.
func (r *run) tally() []Tally {
	if len(r.state.active) == 0 {
		return nil
	}
	out := make([]Tally, len(r.state.active))
	for i, ru := range r.state.active {
		out[i].Rule = ru.id
		if r.matches[i].done {
			out[i].Evaluated = len(r.cands)
		}
	}
	for _, e := range r.errors {
		for i := range out {
			if out[i].Rule == e.rule {
				out[i].Failed, out[i].Kind = out[i].Failed+e.items, e.action
			}
		}
	}
	return out
}

// boost evaluates one action for every item and commits the outcome when all are done.
func (r *run) boost(i int, ru *rule, a *action) {
	hits, err := r.matched(i)
	if err != nil {
		r.tired = true
		return
	}
	b := a.boost
	if b.constant() {
		m, s, _ := r.effect(a, 0)
		r.commit(i, ru, a, func(int) (float64, float64) { return m, s })
		return
	}
	n := len(r.cands)
	r.mul, r.add = grow(r.mul, n), grow(r.add, n)
	err = r.sweep(ru, a.name, nil, func(j int) (err error) {
		if hits[j] && r.marks[j].in(stageScore) {
			r.mul[j], r.add[j], err = r.effect(a, j)
		}
		return err
	}, func(j int) { r.mul[j] = math.NaN() })
	if err != nil {
		r.tired = true
		return
	}
	r.commit(i, ru, a, func(j int) (float64, float64) { return r.mul[j], r.add[j] })
}

// constant tells whether the effect is the same for every item.
func (b *boostSpec) constant() bool {
	return b.field == nil && (b.multiply == nil || b.multiply.root.constant()) && (b.add == nil || b.add.root.constant())
}

// commit lets the evaluated action take effect: a multiplier, NaN for none, and a summand.
func (r *run) commit(i int, ru *rule, a *action, effect func(j int) (multiply, add float64)) {
	acted, hits, changed := 0, r.matches[i].hits, r.matches[i].acted
	for j, hit := range hits {
		if !hit || !r.marks[j].in(stageScore) {
			continue
		}
		m, s := effect(j)
		if m != m {
			continue
		}
		changed[j] = true
		r.product[j] *= m
		r.sum[j] += s
		acted++
		if a.boost.bottom {
			r.cands[j].bottom = true
		}
		r.stopStage(j, ru, stageScore)
		if r.explain {
			c := &r.cands[j]
			e := Effect{Rule: ru.id, Action: a.name, Add: s, Detail: r.why(ru, c)}
			if m != 1 {
				e.Multiply = m
			}
			c.effects = append(c.effects, e)
		}
	}
	r.fire(ru, a, acted, "")
}

// effect is the multiplier and summand of an action for one candidate.
func (r *run) effect(a *action, j int) (multiply, add float64, err error) {
	b := a.boost
	multiply = 1
	if b.multiply != nil {
		if multiply, err = r.number(b.multiply, j); err != nil {
			return 0, 0, err
		}
		if !multiplyBounds(a.name).holds(multiply) {
			return 0, 0, errRange
		}
	}
	if b.add != nil {
		if add, err = r.number(b.add, j); err != nil {
			return 0, 0, err
		}
		if !addBounds(a.name).holds(add) {
			return 0, 0, errRange
		}
	}
	if b.field == nil {
		return multiply, add, nil
	}
	at, err := r.number(b.field, j)
	if err != nil {
		return 0, 0, err
	}
	age := math.Max(0, (float64(r.env.Now.UnixMilli())-at)/1000)
	fade := math.Exp2(-age / b.halfLife)
	return 1 + (multiply-1)*fade, add * fade, nil
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// filter removes items: guards first, then excludes and allow-lists by rank, then duplicates.
func (r *run) filter() {
	for i, ru := range r.state.active {
		if ru.hard {
			r.exclude(i, ru)
		}
	}
	var keeps []int
	for i, ru := range r.state.active {
		for k := range ru.actions {
			a := &ru.actions[k]
			switch {
			case a.name == "exclude" && !ru.hard:
				r.excludeBy(i, ru, a)
			case a.name == "keep":
				keeps = append(keeps, i)
				r.protect(i, ru)
			}
		}
	}
	if len(keeps) > 0 {
		r.keepOnly(keeps)
	}
	for i, ru := range r.state.active {
		for k := range ru.actions {
			if a := &ru.actions[k]; a.name == "dedupe" {
				r.dedupe(i, ru, a)
			}
		}
	}
}

func (r *run) exclude(i int, ru *rule) {
	for k := range ru.actions {
		if a := &ru.actions[k]; a.name == "exclude" {
			r.excludeBy(i, ru, a)
		}
	}
}

func (r *run) excludeBy(i int, ru *rule, a *action) {
	hits, _ := r.matched(i) // no deadline in this stage
	removed := 0
	for j := range r.cands {
		if hits[j] && (ru.hard && r.marks[j]&gone == 0 || r.marks[j].in(stageFilter)) {
			c := &r.cands[j]
			removed++
			detail := ""
			if r.explain {
				detail = "removed: " + r.why(ru, c)
				if a.reason != "" {
					detail = a.reason + ": " + r.why(ru, c)
				}
			}
			r.remove(j, ru, a, detail)
		}
	}
	r.fire(ru, a, removed, a.reason)
}

// protect lets a `keep` with `stop` end the stage for the items it matches.
func (r *run) protect(i int, ru *rule) {
	if !ru.stop {
		return
	}
	hits, _ := r.matched(i)
	for j := range r.cands {
		if hits[j] && r.marks[j].in(stageFilter) {
			r.stopStage(j, ru, stageFilter)
		}
	}
}

// keepOnly removes what no `keep` rule matches; the first one is named as the reason.
func (r *run) keepOnly(keeps []int) {
	removed := make([]int, len(keeps))
	for j := range r.cands {
		kept := r.cands[j].removed != ""
		for _, i := range keeps {
			hits, _ := r.matched(i)
			kept = kept || hits[j]
		}
		if !kept {
			ru := r.state.active[keeps[0]]
			r.remove(j, ru, &action{name: "keep"}, "not among the items that are kept")
			removed[0]++
		}
	}
	for k, i := range keeps {
		ru := r.state.active[i]
		hits, _ := r.matched(i)
		n := 0
		for j := range hits {
			if hits[j] && r.cands[j].removed == "" {
				n++
			}
		}
		r.fire(ru, &action{name: "keep", stage: stageFilter}, n+removed[k], fmt.Sprintf("%d kept, %d removed", n, removed[k]))
	}
}

// dedupe keeps the best item of each value: ordinary before filling, then by base score and id.
func (r *run) dedupe(i int, ru *rule, a *action) {
	hits, _ := r.matched(i)
	if r.firsts == nil {
		r.firsts = map[string]int{}
	}
	clear(r.firsts)
	counted, key := 0, r.keyer(a.limit)
	for j := range r.cands {
		if !hits[j] || !r.marks[j].in(stageFilter) {
			continue
		}
		of := key(j)
		if of == "" {
			continue
		}
		counted++
		if k, dup := r.firsts[of]; !dup || r.better(j, k) {
			r.firsts[of] = j
		}
	}
	removed := counted - len(r.firsts)
	if removed == 0 {
		return
	}
	for j := range r.cands {
		if !hits[j] || !r.marks[j].in(stageFilter) {
			continue
		}
		of := key(j)
		if first := r.firsts[of]; of != "" && first != j {
			r.remove(j, ru, a, "removed: the same "+a.limit.by.name+" as "+r.id(first))
		}
	}
	r.fire(ru, a, removed, "")
}

// better tells whether candidate j stays in place of candidate k.
func (r *run) better(j, k int) bool {
	p, q := &r.cands[j], &r.cands[k]
	switch {
	case p.fill != q.fill:
		return p.fill < q.fill
	case p.Base != q.Base:
		return p.Base > q.Base
	}
	return r.byID(j, k) < 0
}
