package rules

import (
	"errors"

	"github.com/expr-lang/expr/vm"

	"github.com/sartorhq/sartor/features"
)

// The bounds on work at run time.
const (
	maxStepsPerEval    = 10_000
	maxTicksPerRequest = 2_000_000
	memoryBudget       = 10_000
)

// Errors of one evaluation. Compilation makes most of them impossible.
var (
	errSteps     = errors.New("the condition ran too long and was stopped")
	errDeadline  = errors.New("the time budget for rules is used up")
	errModZero   = errors.New("remainder of a division by zero")
	errPanic     = errors.New("the condition failed")
	errNotFinite = errors.New("the result is not a finite number")
	errRange     = errors.New("the result is out of range")
)

// frame holds the values that expressions read during one request. It is used by one goroutine.
type frame struct {
	layout *layout
	env    *Env
	req    []any
	row    []any      // of the candidate under evaluation
	cand   *Candidate // itself; nil for an item alone
	err    error      // set by an operation that fails
	budget budget
	vm     vm.VM
	vars   map[string]any // the environment of vm programs
}

// budget counts work. The deadline is looked at only while it is armed: filters and guards always
// run to their end, which the limit per evaluation bounds.
type budget struct {
	ticks, steps int
	maxTicks     int
	expired      func() bool
	armed        bool
	spent        bool
}

func newFrame(l *layout) *frame {
	f := &frame{layout: l, vars: make(map[string]any, 8)}
	f.vm.MemoryBudget = memoryBudget
	f.vars[budgetVar] = &f.budget
	return f
}

// begin loads the request's values.
func (f *frame) begin(env *Env) {
	f.env, f.err, f.row, f.cand = env, nil, nil, nil
	f.req = f.req[:0]
	for i := range f.layout.req {
		f.req = append(f.req, f.layout.req[i].request(env))
	}
	limit := env.MaxTicks
	if limit <= 0 {
		limit = maxTicksPerRequest
	}
	f.budget = budget{maxTicks: limit, expired: env.Expired}
}

// end drops what the frame refers to, so that a pooled frame keeps no request alive.
func (f *frame) end() {
	clear(f.req)
	clear(f.vars)
	clear(f.vm.Stack[:cap(f.vm.Stack)])
	f.vars[budgetVar] = &f.budget
	f.env, f.row, f.cand, f.budget.expired = nil, nil, nil, nil
}

// load appends what the layout reads of an item to rows.
func (l *layout) load(it *features.Item, rows []any) []any {
	for i := range l.item {
		rows = append(rows, l.item[i].item(it))
	}
	return rows
}

func (f *frame) value(r ref) any {
	switch {
	case !r.item:
		return f.req[r.at]
	case r.at == atScore:
		return f.cand.Base
	case r.at == atRank:
		return f.cand.Rank
	case r.at == atSimilarity:
		return f.cand.similarity
	}
	return f.row[r.at]
}

// step counts one step of a loop inside an evaluation.
func (b *budget) step() error {
	b.steps++
	if b.steps > maxStepsPerEval {
		return errSteps
	}
	return b.tick()
}

// spend counts many units of work at once, which fail together.
func (b *budget) spend(n int) error {
	before := b.ticks
	b.ticks += n
	switch {
	case !b.armed:
		return nil
	case b.spent:
		return errDeadline
	case b.ticks > b.maxTicks || before/256 != b.ticks/256 && b.expired != nil && b.expired():
		b.spent = true
		return errDeadline
	}
	return nil
}

// tick counts one unit of work of the request; it fails only while the budget is armed.
func (b *budget) tick() error {
	b.ticks++
	if b.spent && b.armed {
		return errDeadline
	}
	if !b.armed {
		return nil
	}
	if b.ticks > b.maxTicks || b.ticks&255 == 0 && b.expired != nil && b.expired() {
		b.spent = true
		return errDeadline
	}
	return nil
}
