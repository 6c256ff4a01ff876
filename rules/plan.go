package rules

import "fmt"

// planState is what Plan found out about the request: which rules are on, and what to tell of it.
type planState struct {
	set        *Set
	active     []*rule
	superseded []Fired
	errors     []Effect
	strategy   Source // of replace, "" = the model
	replacedBy string
	tried      []string // rules with a hold-out that are on
	held       []string // rules that this user is held out from
}

// Plan runs the stages before retrieval: route and inject. It tells what to fetch beside the
// model's candidates; the caller gives everything fetched to Apply as candidates, each with all
// sources it came from and its base score. Fill is never empty: its strategies complete a list
// that comes out short, in order. Their candidates may be handed over at once: one whose sources
// are all fill strategies, and neither the model nor injected, is used only when the others do
// not suffice, and passes the same filters.
func (s *Set) Plan(env *Env) *Plan {
	p := &Plan{}
	st := &planState{set: s}
	p.state = st
	if len(s.rules) > 0 {
		run := s.begin(env)
		st.findActive(run, env)
		s.end(run)
	}
	p.Tried, p.Held = st.tried, st.held
	b := planner{plan: p, state: st, env: env}
	for _, r := range st.active {
		b.rule(r)
	}
	if len(p.Fill) == 0 {
		p.Fill = []Fetch{{Source: SourcePopular, Count: env.Request.Count}}
	}
	return p
}

// findActive evaluates scope, schedule, rollout and `when` of each rule once.
func (st *planState) findActive(run *run, env *Env) {
	groups := map[string]string{}
	for _, r := range st.set.rules {
		if !r.scope.holds(env.Request.Scenario, env.Request.Placement) || !r.schedule.live(env.Now) || !r.rollout.covers(run.frame) {
			continue
		}
		if env.Off[r.id] && !r.hard {
			st.superseded = append(st.superseded, Fired{Rule: r.id, Action: "off", Detail: "switched off: it failed too often"})
			continue
		}
		if r.when != nil {
			ok, err := r.when.test(run.frame)
			if err != nil {
				st.errors = append(st.errors, Effect{Rule: r.id, Action: "when", Error: err.Error()})
				ok = r.hard // a guard fails closed
			}
			if !ok {
				continue
			}
		}
		if r.group != "" {
			if winner, taken := groups[r.group]; taken {
				st.superseded = append(st.superseded, Fired{Rule: r.id, Action: "group", Detail: "the group belongs to " + winner})
				continue
			}
		}
		if r.holdout != nil {
			if r.holdout.covers(run.frame) {
				st.held = appendNew(st.held, r.table())
				continue
			}
			st.tried = appendNew(st.tried, r.table())
		}
		if r.group != "" && r.match == nil { // fires for the whole request
			groups[r.group] = r.id
		}
		st.active = append(st.active, r)
	}
}

// planner fills a plan from the active rules in their order.
type planner struct {
	plan    *Plan
	state   *planState
	env     *Env
	replace string // ids of the rules that decided
	model   string
	fill    string
	stopped bool // no more injections
}

func (b *planner) rule(r *rule) {
	injected := false
	for i := range r.actions {
		a := &r.actions[i]
		switch a.name {
		case "replace":
			if b.claim(&b.replace, r, a) {
				f := b.fetch(a.fetches[0])
				b.plan.Replace, b.plan.KeepModel = &f, a.keep
				b.state.strategy, b.state.replacedBy = f.Source, r.id
				b.fired(r, a, fmt.Sprintf("%s takes the place of %d%% of the model's list", f.Source, int((1-a.keep)*100+0.5)))
			}
		case "model":
			if b.claim(&b.model, r, a) {
				b.plan.Model = a.model
				b.fired(r, a, "the model is "+a.model)
			}
		case "fill":
			if b.claim(&b.fill, r, a) {
				for _, f := range a.fetches {
					b.plan.Fill = append(b.plan.Fill, b.fetch(f))
				}
				b.fired(r, a, "")
			}
		case "inject":
			if b.stopped && !injected {
				continue
			}
			injected = true
			b.plan.Inject = append(b.plan.Inject, b.fetch(a.fetches[0]))
		case "pin":
			b.pinned(a.pin.items)
			if a.pin.seek != nil {
				b.plan.Seek = append(b.plan.Seek, a.pin.seek)
			}
		}
	}
	b.stopped = b.stopped || injected && r.stop
}

// claim lets the first rule decide and reports the others.
func (b *planner) claim(by *string, r *rule, a *action) bool {
	if *by == "" {
		*by = r.id
		return true
	}
	b.state.superseded = append(b.state.superseded, Fired{Rule: r.id, Action: a.name, Detail: *by + " has decided"})
	return false
}

func (b *planner) fired(r *rule, a *action, detail string) {
	b.plan.Fired = append(b.plan.Fired, Fired{Rule: r.id, Action: a.name, Detail: detail})
}

// fetch completes a fetch with the request: its count, and the value that it is restricted to.
// Without a value there is no restriction.
func (b *planner) fetch(f Fetch) Fetch {
	if f.Count == 0 {
		f.Count = b.env.Request.Count
	}
	if f.By != "" {
		f.Value, _ = b.env.Context[f.By].(string)
		if f.Value == "" {
			f.By = ""
		}
	}
	return f
}

func (b *planner) pinned(items []string) {
	for _, id := range items {
		b.plan.Items = appendNew(b.plan.Items, id)
	}
}
