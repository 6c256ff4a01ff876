package rules

// matched evaluates a rule's `match` for all candidates that are still there, once. The only error
// is errDeadline.
func (r *run) matched(i int) ([]bool, error) {
	m := &r.matches[i]
	if m.done {
		return m.hits, nil
	}
	if err := r.evaluate(i, r.state.active[i], m.hits); err != nil {
		clear(m.hits)
		return nil, err
	}
	m.done = true
	return m.hits, nil
}

// evaluate finds the hits of one rule, in the quickest way that there is: by the bits of facts, by
// a closure, or by expr's machine.
func (r *run) evaluate(i int, ru *rule, hits []bool) error {
	contested := r.grouped && ru.group != ""
	closed := func(j int) bool { return r.marks[j]&gone != 0 || contested && r.claimed(i, j) }
	p := ru.match
	switch {
	case p == nil:
		for j := range r.marks {
			hits[j] = !closed(j)
		}
		return nil
	case r.known && !ru.split.whole:
		return r.quick(ru, hits, closed)
	case p.yes != nil:
		if err := r.frame.budget.spend(len(r.cands)); err != nil {
			return err
		}
	}
	return r.sweep(ru, "match", func(j int) error {
		if closed(j) {
			return nil
		}
		r.look(j)
		ok, err := p.fast(r.frame)
		hits[j] = ok && err == nil
		return err
	}, func(j int) { hits[j] = ru.hard }) // a guard fails closed
}

// quick finds the hits of a rule whose item-only part is known of every candidate.
func (r *run) quick(ru *rule, hits []bool, closed func(int) bool) error {
	if err := r.frame.budget.spend(len(r.cands)); err != nil {
		return err
	}
	s := &ru.split
	if s.ahead != nil && !s.ahead(r.frame) {
		return nil
	}
	if s.bit >= 0 && s.rest == nil && !r.flawed && !(r.grouped && ru.group != "") {
		at, width, bit := s.bit/64, r.width, s.bit%64
		for j := range r.marks {
			hits[j] = r.facts[j*width+at]>>bit&1 == 1 && r.marks[j]&gone == 0
		}
		return nil
	}
	return r.sweep(ru, "match", func(j int) error {
		if s.bit >= 0 && r.facts[j*r.width+s.bit/64]>>(s.bit%64)&1 == 0 {
			if r.flawed && !closed(j) {
				return r.cands[j].Facts.errs[s.bit]
			}
			return nil
		}
		if closed(j) {
			return nil
		}
		if s.rest != nil {
			r.look(j)
			hits[j] = s.rest(r.frame)
			return nil
		}
		hits[j] = true
		return nil
	}, func(j int) { hits[j] = ru.hard })
}

// sweep does something for every candidate. Errors and panics of one candidate count as failures
// of the rule's action and spare the others; only errDeadline ends the sweep.
func (r *run) sweep(ru *rule, action string, do func(j int) error, failed func(j int)) error {
	failures, first := 0, error(nil)
	for from := 0; from < len(r.cands); {
		at, err := r.sweepFrom(from, do)
		if err == errDeadline {
			return err
		}
		if err != nil {
			if failures++; first == nil {
				first = err
			}
			failed(at)
			r.failure(&r.cands[at], ru, action, err)
		}
		from = at + 1
	}
	if failures > 0 {
		r.errors = append(r.errors, errorCount{ru.id, action, first.Error(), failures})
	}
	return nil
}

// sweepFrom goes on to the first error and tells where it happened.
func (r *run) sweepFrom(from int, do func(j int) error) (at int, err error) {
	at = from
	defer caught(&err)
	for ; at < len(r.cands); at++ {
		if err := do(at); err != nil {
			return at, err
		}
	}
	return at, nil
}

// fast evaluates a condition whose budget is paid for; panics pass through to the sweep.
func (p *program) fast(f *frame) (bool, error) {
	if p.yes == nil {
		return p.test(f)
	}
	f.err = nil
	ok := p.yes(f)
	return ok && f.err == nil, f.err
}

// number is the value of a formula for a candidate: known already, or computed now.
func (r *run) number(p *program, j int) (float64, error) {
	if p.root.constant() {
		return number(p.root.value), nil
	}
	if p.fact > 0 && r.known {
		facts := r.cands[j].Facts
		if facts.bad != nil {
			if err := facts.bad[p.fact-1]; err != nil {
				return 0, err
			}
		}
		return facts.nums[p.fact-1], nil
	}
	r.look(j)
	return p.value(r.frame)
}
