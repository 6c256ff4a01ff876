package rules

import (
	"math"
	"slices"
	"sort"
	"strings"
)

// run is the working memory of one Apply, pooled with the set.
type run struct {
	set     *Set
	frame   *frame
	env     *Env
	plan    *Plan
	state   *planState
	explain bool
	count   int

	cands   []cand    // by item id
	marks   []mark    // per candidate
	product []float64 // of multipliers, per candidate
	sum     []float64 // of what is added, per candidate
	rows    []any
	input   []int32        // indexes of what came in, by item id
	keys    []uint64       // what is sorted in place of candidates
	ranked  []int32        // candidates by the rank that they came with
	firsts  map[string]int // by key: the candidate that stays
	own     []Candidate    // copies, where what came in is changed
	known   bool           // every candidate comes with facts
	flawed  bool           // some condition failed for an item
	facts   []uint64
	width   int     // words of facts per candidate
	codes   []code  // of the set's texts, per candidate with facts
	items   Items   // of candidates that came with briefs
	listed  []int   // candidates of the list, in its order
	among   []int32 // candidates that may match
	sieve   sieve
	matches []matchState // per active rule
	hits    []bool       // of all match states
	losers  []Fired
	grouped bool
	order   []int // indexes into cands, best first
	chosen  []int // by a pin
	fired   []firedCount
	errors  []errorCount
	removed map[string]string
	tired   bool // the budget for score rules is used up
	mul     []float64
	add     []float64
}

// cand is one candidate on its way.
type cand struct {
	*Candidate // as it came in, or a copy: not to be changed
	row        []any
	score      float64
	bottom     bool
	model      bool
	waited     bool // for its share of the list
	fill       int  // 0 = ordinary, else 1 + index of the fill strategy
	pin        int  // reserved position
	place      int
	removed    string
	capped     string
	pinRule    string
	effects    []Effect
}

// mark holds a candidate's stages that a `stop` rule has ended, and whether it is gone. It stands
// beside the candidates, since every rule looks at it.
type mark uint8

const gone mark = 1 << 7

func (m mark) in(s stage) bool { return m&(gone|1<<s) == 0 }

// matchState remembers for which candidates a rule matched.
type matchState struct {
	done  bool
	hits  []bool
	acted []bool // of score rules: whose score changed
}

type firedCount struct {
	rule   *rule
	action *action
	items  int
	detail string
}

type errorCount struct {
	rule, action, text string
	items              int
}

func (s *Set) begin(env *Env) *run {
	r, ok := s.runs.Get().(*run)
	if !ok {
		r = &run{set: s, frame: newFrame(s.layout)}
	}
	r.env = env
	r.frame.begin(env)
	return r
}

// end clears what refers to the request and returns the memory.
func (s *Set) end(r *run) {
	r.frame.end()
	clear(r.cands)
	clear(r.rows)
	clear(r.fired)
	clear(r.own)
	clear(r.firsts)
	r.own, r.cands, r.rows, r.fired, r.errors, r.matches = r.own[:0], r.cands[:0], r.rows[:0], r.fired[:0], r.errors[:0], r.matches[:0]
	r.env, r.plan, r.state, r.losers, r.removed, r.items = nil, nil, nil, nil, nil, nil
	r.grouped, r.tired = false, false
	s.runs.Put(r)
}

// take merges the candidates by item and loads what rules read of them. The outcome does not
// depend on the order in which they come.
func (r *run) take(in []Candidate) {
	r.sortInput(in)
	r.cands = slices.Grow(r.cands, len(r.input))
	if r.set.layout.vectors {
		r.own = slices.Grow(r.own, len(r.input)) // never moves: candidates are pointed to
	}
	r.known = true
	for i := range r.input {
		c := &in[r.input[i]]
		if n := len(r.cands); n > 0 && r.cands[n-1].Item.ID == c.Item.ID {
			r.merge(&r.cands[n-1], c)
			continue
		}
		if r.set.layout.vectors { // their likeness is noted in them
			r.own = append(r.own, *c)
			c = &r.own[len(r.own)-1]
		}
		r.cands = append(r.cands, cand{Candidate: c})
		r.known = r.known && c.Facts.Of(r.set, c.Item)
	}
	r.ready()
}

// ready makes room for what rules do to the candidates, and loads what they read of them.
func (r *run) ready() {
	n := len(r.cands)
	r.marks, r.product, r.sum = grow(r.marks, n), grow(r.product, n), grow(r.sum, n)
	for j := range r.cands {
		c := &r.cands[j]
		if !finite(c.Base) {
			c.copied().Base = 0
		}
		c.fill, c.model = r.role(c.Sources)
		r.marks[j], r.product[j], r.sum[j] = 0, 1, 0
	}
	if r.set.layout.vectors {
		r.compareVectors()
	}
	r.load()
}

// copied makes the candidate one of our own, which may be changed.
func (c *cand) copied() *Candidate {
	own := *c.Candidate
	c.Candidate = &own
	return c.Candidate
}

// load gives each candidate the values that rules read: those of its facts, or its own.
func (r *run) load() {
	width := len(r.set.layout.item)
	r.facts, r.codes, r.flawed = r.facts[:0], r.codes[:0], false
	r.width = max((len(r.set.bits)+63)/64, 1)
	switch {
	case r.items != nil:
		r.loadBriefs()
		return
	case r.known:
		texts := len(r.set.texts)
		for j := range r.cands {
			f := r.cands[j].Facts
			r.facts = append(append(r.facts, f.bits), f.more...)
			r.codes = append(r.codes, f.codes[:texts]...)
			r.flawed = r.flawed || f.bad != nil
		}
		return
	}
	r.rows = slices.Grow(r.rows, width*len(r.cands)+1) // a row without values is not nil
	for j := range r.cands {
		c := &r.cands[j]
		from := len(r.rows)
		r.rows = r.set.layout.load(c.Item, r.rows)
		c.row = r.rows[from : from+width : from+width]
	}
}

// values is what rules read of the candidate's item, which is at hand.
func (c *cand) values() []any {
	if c.row != nil {
		return c.row
	}
	return c.Facts.row
}

// look points the frame at a candidate.
func (r *run) look(j int) {
	c := r.resolved(j)
	r.frame.row, r.frame.cand = c.values(), c.Candidate
}

// merge keeps the higher base score and the better rank, and lists both origins.
func (r *run) merge(c *cand, other *Candidate) {
	into := c.copied()
	into.Base = math.Max(into.Base, other.Base)
	if other.Rank > 0 && (other.Rank < into.Rank || into.Rank == 0) {
		into.Rank = other.Rank
	}
	merged := append([]Source(nil), into.Sources...)
	for _, s := range other.Sources {
		if !hasSource(merged, s) {
			merged = append(merged, s)
		}
	}
	sort.Slice(merged, func(i, j int) bool { return merged[i] < merged[j] })
	into.Sources = merged
}

func hasSource(list []Source, s Source) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// role tells whether a candidate only completes a short list, and whether only the model brought it.
func (r *run) role(sources []Source) (fill int, modelOnly bool) {
	if len(sources) == 0 {
		return 0, true
	}
	modelOnly = true
	fill = len(r.plan.Fill) + 1
	for _, s := range sources {
		modelOnly = modelOnly && s == SourceModel
		at := 0
		for i := range r.plan.Fill {
			if r.plan.Fill[i].Source == s {
				at = i + 1
				break
			}
		}
		if at == 0 || r.ordinary(s) {
			return 0, modelOnly && len(sources) == 1
		}
		fill = min(fill, at)
	}
	return fill, modelOnly
}

// ordinary tells whether a source stands for itself rather than for filling.
func (r *run) ordinary(s Source) bool {
	if s == SourceModel || s == r.state.strategy {
		return true
	}
	for i := range r.plan.Inject {
		if r.plan.Inject[i].Source == s {
			return true
		}
	}
	return false
}

// claimed tells whether a rule of higher rank in the same group fires for the candidate.
func (r *run) claimed(i, j int) bool {
	for k := 0; k < i; k++ {
		if r.state.active[k].group == r.state.active[i].group && r.matches[k].done && r.matches[k].hits[j] {
			return true
		}
	}
	return false
}

// prepare makes room for the matches of the active rules and settles groups, which rank rules
// across stages.
func (r *run) prepare() {
	n := len(r.cands)
	need := 2 * n * len(r.state.active)
	if cap(r.hits) < need {
		r.hits = make([]bool, need)
	}
	r.hits = r.hits[:need]
	clear(r.hits)
	for i, ru := range r.state.active {
		both := r.hits[2*i*n : 2*(i+1)*n]
		r.matches = append(r.matches, matchState{hits: both[:n:n], acted: both[n:]})
		r.grouped = r.grouped || ru.group != ""
	}
	if !r.grouped {
		return
	}
	for i, ru := range r.state.active {
		if ru.group != "" && ru.match != nil {
			_, _ = r.matched(i) // cannot fail: the deadline is not armed yet
		}
	}
}

// count notes that an action acted on a number of items.
func (r *run) fire(ru *rule, a *action, items int, detail string) {
	if items > 0 {
		r.fired = append(r.fired, firedCount{ru, a, items, detail})
	}
}

func (r *run) remove(j int, ru *rule, a *action, detail string) {
	c := &r.cands[j]
	c.removed = ru.id
	r.marks[j] |= gone
	if !r.explain {
		return
	}
	if r.removed == nil {
		r.removed = map[string]string{}
	}
	r.removed[c.Item.ID] = ru.id
	c.effects = append(c.effects, Effect{Rule: ru.id, Action: a.name, Detail: detail})
}

func (r *run) failure(c *cand, ru *rule, action string, err error) {
	if r.explain {
		c.effects = append(c.effects, Effect{Rule: ru.id, Action: action, Error: err.Error()})
	}
}

// stopStage ends the stage for an item after a rule with `stop`.
func (r *run) stopStage(j int, ru *rule, s stage) {
	if ru.stop {
		r.marks[j] |= 1 << s
	}
}

// keys are the values that a limit counts an item by; empty ones never count as equal.
func (n *node) keys(row []any, into []string) []string {
	into = into[:0]
	switch v := row[n.ref.at].(type) {
	case string:
		if v != "" {
			into = append(into, v)
		}
	case []string:
		for _, s := range v {
			if s != "" {
				into = append(into, s)
			}
		}
	default:
		into = append(into, plainValue(v))
	}
	return into
}

// keyer returns what finds the key of a candidate: by its code where that will do, so that its item need not be
// looked at.
func (r *run) keyer(l *limitSpec) func(j int) string {
	whole := func(j int) string { return l.by.key(r.values(j)) }
	if l.text < 0 || !r.known {
		return whole
	}
	texts, step := r.set.coded[l.text].texts(), len(r.set.texts)
	return func(j int) string {
		if c := r.codes[j*step+l.text]; c.own() {
			return texts[c]
		}
		return whole(j)
	}
}

// key is one value for all of an item's keys.
func (n *node) key(row []any) string {
	if s, ok := row[n.ref.at].(string); ok {
		return s
	}
	return strings.Join(n.keys(row, nil), "\x00")
}
