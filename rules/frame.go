package rules

import (
	"errors"

	"github.com/expr-lang/expr/vm"
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
	row    []any // the candidate under evaluation
	err    error // set by an operation that fails
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
	f.env, f.err, f.row = env, nil, nil
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
	f.env, f.row, f.budget.expired = nil, nil, nil
}

// load appends the values of one candidate to rows and returns the new row.
func (f *frame) load(c *Candidate, rows []any) []any {
	for i := range f.layout.item {
		rows = append(rows, f.layout.item[i].item(c))
	}
	return rows
}

func (f *frame) value(r ref) any {
	if r.item {
		return f.row[r.at]
	}
	return f.req[r.at]
}

// step counts one step of a loop inside an evaluation.
func (b *budget) step() error {
	b.steps++
	if b.steps > maxStepsPerEval {
		return errSteps
	}
	return b.tick()
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
