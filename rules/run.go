package rules

import (
	"math"
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

	cands   []cand
	rows    []any
	byID    map[string]int
	matches []matchState // per active rule
	hits    []bool       // of all match states
	losers  []Fired
	grouped bool
	order   []int // indexes into cands, best first
	fired   []firedCount
	errors  []errorCount
	removed map[string]string
	tired   bool // the budget for score rules is used up
	mul     []float64
	add     []float64
}

// cand is one candidate on its way.
type cand struct {
	Candidate
	row      []any
	mul, add float64
	bottom   bool
	score    float64
	fill     int // 0 = ordinary, else 1 + index of the fill strategy
	model    bool
	removed  string
	capped   string
	stopped  uint8 // stages that a `stop` rule has ended for this item
	pin      int   // reserved position
	pinRule  string
	place    int
	effects  []Effect
}

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
		r = &run{set: s, frame: newFrame(s.layout), byID: map[string]int{}}
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
	clear(r.byID)
	clear(r.fired)
	r.cands, r.rows, r.fired, r.errors, r.matches = r.cands[:0], r.rows[:0], r.fired[:0], r.errors[:0], r.matches[:0]
	r.env, r.plan, r.state, r.losers, r.removed = nil, nil, nil, nil, nil
	r.grouped, r.tired = false, false
	s.runs.Put(r)
}

// take merges the candidates by item and loads what rules read of them. The outcome does not
// depend on the order in which they come.
func (r *run) take(in []Candidate) {
	for i := range in {
		c := &in[i]
		if c.Item == nil || c.Item.Deleted {
			continue
		}
		at, seen := r.byID[c.Item.ID]
		if !seen {
			r.byID[c.Item.ID] = len(r.cands)
			r.cands = append(r.cands, cand{Candidate: *c, mul: 1})
			continue
		}
		r.merge(&r.cands[at], c)
	}
	sort.Slice(r.cands, func(i, j int) bool { return r.cands[i].Item.ID < r.cands[j].Item.ID })
	for i := range r.cands {
		c := &r.cands[i]
		if !finite(c.Base) {
			c.Base = 0
		}
		c.fill, c.model = r.role(c.Sources)
		from := len(r.rows)
		r.rows = r.frame.load(&c.Candidate, r.rows)
		c.row = r.rows[from:]
	}
	width := len(r.set.layout.item)
	for i := range r.cands { // the rows may have moved while they grew
		r.cands[i].row = r.rows[i*width : (i+1)*width : (i+1)*width]
	}
}

// merge keeps the higher base score and the better rank, and lists both origins.
func (r *run) merge(into *cand, c *Candidate) {
	into.Base = math.Max(into.Base, c.Base)
	if c.Rank > 0 && (c.Rank < into.Rank || into.Rank == 0) {
		into.Rank = c.Rank
	}
	merged := append([]Source(nil), into.Sources...)
	for _, s := range c.Sources {
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

// matched evaluates a rule's `match` for all candidates that are still there, once.
func (r *run) matched(i int) ([]bool, error) {
	m := &r.matches[i]
	if m.done {
		return m.hits, nil
	}
	ru := r.state.active[i]
	failed := 0
	var first error
	for j := range r.cands {
		c := &r.cands[j]
		if c.removed != "" || r.grouped && ru.group != "" && r.claimed(i, j) {
			continue
		}
		if ru.match == nil {
			m.hits[j] = true
			continue
		}
		r.frame.row = c.row
		ok, err := ru.match.test(r.frame)
		switch {
		case err == nil:
			m.hits[j] = ok
		case err == errDeadline:
			clear(m.hits)
			return nil, err
		default:
			failed++
			if first == nil {
				first = err
			}
			m.hits[j] = ru.hard // a guard fails closed
			r.failure(c, ru, "match", err)
		}
	}
	if failed > 0 {
		r.errors = append(r.errors, errorCount{ru.id, "match", first.Error(), failed})
	}
	m.done = true
	return m.hits, nil
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

func (r *run) remove(c *cand, ru *rule, a *action, detail string) {
	c.removed = ru.id
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
func (c *cand) stopStage(ru *rule, s stage) {
	if ru.stop {
		c.stopped |= 1 << s
	}
}

func (c *cand) inStage(s stage) bool { return c.removed == "" && c.stopped&(1<<s) == 0 }

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

// key is one value for all of an item's keys.
func (n *node) key(row []any) string {
	if s, ok := row[n.ref.at].(string); ok {
		return s
	}
	return strings.Join(n.keys(row, nil), "\x00")
}
