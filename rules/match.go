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
	return r.sweep(ru, "match", nil, func(j int) error {
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
	failed := func(j int) { hits[j] = ru.hard }
	if r.flawed || r.grouped && ru.group != "" {
		return r.sweep(ru, "match", nil, func(j int) error {
			switch {
			case s.bit >= 0 && !r.bit(j, s.bit):
				if r.flawed && !closed(j) {
					return r.resolved(j).Facts.failed(s.bit)
				}
			case closed(j):
			case s.rest != nil:
				r.look(j)
				hits[j] = s.rest(r.frame)
			default:
				hits[j] = true
			}
			return nil
		}, failed)
	}
	r.likely(s)
	if s.rest == nil {
		for _, j := range r.among {
			hits[j] = true
		}
		return nil
	}
	text, step := -1, len(r.set.texts) // an own code that passed decides
	if s.probe != nil && s.probe.whole {
		text = s.probe.text
	}
	return r.sweep(ru, "match", r.among, func(j int) error {
		if text >= 0 && r.codes[j*step+text].own() {
			hits[j] = true
			return nil
		}
		r.look(j)
		hits[j] = s.rest(r.frame)
		return nil
	}, failed)
}

// bit tells whether condition k holds for a candidate with facts.
func (r *run) bit(j, k int) bool { return r.facts[j*r.width+k/64]>>(k%64)&1 == 1 }

// likely lists in among the candidates that are still there and that bit and probe let through.
func (r *run) likely(s *split) {
	among, n := grow(r.among, len(r.marks)), 0
	text, step := -1, len(r.set.texts)
	if s.probe != nil {
		list, _ := r.frame.req[s.probe.list].([]string)
		r.sieve.fill(list, &r.set.coded[s.probe.text])
		text = s.probe.text
	}
	word, shift := s.bit/64, uint(s.bit%64)
	for j, m := range r.marks { // without a branch on what nobody can predict
		yes := uint64(m>>7) ^ 1
		if s.bit >= 0 {
			yes &= r.facts[j*r.width+word] >> (shift & 63)
		}
		if text >= 0 {
			yes &= r.sieve.bit(r.codes[j*step+text])
		}
		among[n] = int32(j)
		n += int(yes & 1)
	}
	r.among = among[:n]
}

// sweep does something for every candidate, or for those among. Errors and panics of one candidate count as failures
// of the rule's action and spare the others; only errDeadline ends the sweep.
func (r *run) sweep(ru *rule, action string, among []int32, do func(j int) error, failed func(j int)) error {
	n := len(r.cands)
	if among != nil {
		n = len(among)
	}
	failures, first, firstAt := 0, error(nil), 0
	for from := 0; from < n; {
		at, err := r.sweepFrom(from, n, among, do)
		if err == errDeadline {
			return err
		}
		if err != nil {
			j := at
			if among != nil {
				j = int(among[at])
			}
			if failures++; first == nil || r.byID(j, firstAt) < 0 {
				first, firstAt = err, j
			}
			failed(j)
			r.failure(&r.cands[j], ru, action, err)
		}
		from = at + 1
	}
	if failures > 0 {
		r.errors = append(r.errors, errorCount{ru.id, action, first.Error(), failures})
	}
	return nil
}

// sweepFrom goes on to the first error and tells where it happened.
func (r *run) sweepFrom(from, n int, among []int32, do func(j int) error) (at int, err error) {
	at = from
	defer caught(&err)
	for ; at < n; at++ {
		j := at
		if among != nil {
			j = int(among[at])
		}
		if err := do(j); err != nil {
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
		facts := r.resolved(j).Facts
		if facts.bad != nil {
			if err := facts.bad.nums[p.fact-1]; err != nil {
				return 0, err
			}
		}
		return facts.nums[p.fact-1], nil
	}
	r.look(j)
	return p.value(r.frame)
}
