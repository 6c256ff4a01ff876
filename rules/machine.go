package rules

import (
	"errors"
	"math"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// The names that expressions get when they are rewritten for the virtual machine. No author can
// write them: an identifier has no space.
const (
	budgetVar  = "the budget"
	stepFunc   = "one step"
	inListFunc = "in list"
	hasKeyFunc = "has key"
	ageFunc    = "age at"
	bucketFunc = "part of"
	didFunc    = "did it"
	timesFunc  = "how often"
	tiredFunc  = "how tired"
)

// machine is an expression compiled by expr. Every program has one: it proves the typer right at
// compile time, runs what closures do not cover, and is the reference that closures are tested by.
type machine struct {
	program *vm.Program
	vars    []*node
}

// machine compiles the text against the flat environment of the variables that the typed tree reads.
func (t *typer) machine(src string, root *node) (*machine, error) {
	m := &machine{vars: variables(root)}
	env := types.Map{budgetVar: types.Any}
	kinds := map[string]kind{}
	for _, v := range m.vars {
		env[v.name] = machineType(v.kind)
		kinds[v.name] = v.kind
	}
	options := []expr.Option{expr.Env(env), expr.MaxNodes(maxNodes), expr.DisableAllBuiltins(),
		expr.Patch(&rewriter{typer: t, kinds: kinds})}
	for name := range allowedBuiltins {
		options = append(options, expr.EnableBuiltin(name))
	}
	for _, f := range machineFuncs {
		options = append(options, expr.Function(f.name, f.fn, f.typ))
	}
	program, err := expr.Compile(src, options...)
	if err != nil {
		return nil, err
	}
	m.program = program
	return m, nil
}

// run evaluates the expression for the frame's row.
func (m *machine) run(f *frame) (v any, err error) {
	defer caught(&err)
	if err := f.budget.tick(); err != nil {
		return nil, err
	}
	for _, n := range m.vars {
		f.vars[n.name] = f.value(n.ref)
	}
	f.budget.steps = 0
	v, err = f.vm.Run(m.program, f.vars)
	switch {
	case err == nil:
		return v, nil
	case errors.Is(err, errSteps):
		return nil, errSteps
	case errors.Is(err, errDeadline):
		return nil, errDeadline
	}
	return nil, errPanic
}

func variables(root *node) []*node {
	var out []*node
	seen := map[string]bool{}
	var walk func(*node)
	walk = func(n *node) {
		if n.op == "var" && !seen[n.name] {
			seen[n.name] = true
			out = append(out, n)
		}
		for _, k := range n.kids {
			walk(k)
		}
	}
	walk(root)
	return out
}

func machineType(k kind) types.Type {
	switch k {
	case kindBool:
		return types.Bool
	case kindInt:
		return types.Int
	case kindNumber:
		return types.Float64
	case kindText:
		return types.String
	case kindHistory:
		return types.Any
	}
	return types.TypeOf(map[kind]any{kindTime: time.Time{}, kindDuration: time.Duration(0),
		kindTextList: []string{}, kindTextMap: map[string]string{}}[k])
}

// machineFuncs are the helpers as the machine calls them.
var machineFuncs = []struct {
	name string
	fn   func(args ...any) (any, error)
	typ  any
}{
	{stepFunc, func(a ...any) (any, error) { return true, a[0].(*budget).step() }, new(func(any) bool)},
	{inListFunc, func(a ...any) (any, error) { return contains(a[1].([]string), a[0].(string)), nil }, new(func(string, []string) bool)},
	{hasKeyFunc, func(a ...any) (any, error) { _, ok := a[0].(map[string]string)[a[1].(string)]; return ok, nil }, new(func(map[string]string, string) bool)},
	{ageFunc, func(a ...any) (any, error) { return a[0].(time.Time).Sub(a[1].(time.Time)), nil }, new(func(time.Time, time.Time) time.Duration)},
	{bucketFunc, func(a ...any) (any, error) { return userPart(a[0].(string), a[1].(int), a[2].(string)), nil }, new(func(string, int, string) int)},
	{didFunc, func(a ...any) (any, error) { return machineTimes(a) > 0, nil }, new(func(any, string, time.Duration, time.Time, string) bool)},
	{timesFunc, func(a ...any) (any, error) { return machineTimes(a), nil }, new(func(any, string, time.Duration, time.Time, string) int)},
	{tiredFunc, func(a ...any) (any, error) { return machineFatigue(a), nil }, new(func(any, string, time.Duration, time.Time, string, any) float64)},
	{"days", func(a ...any) (any, error) { return span(machineNumber(a[0]), spans["days"]), nil }, new(func(any) time.Duration)},
	{"hours", func(a ...any) (any, error) { return span(machineNumber(a[0]), spans["hours"]), nil }, new(func(any) time.Duration)},
	{"minutes", func(a ...any) (any, error) { return span(machineNumber(a[0]), spans["minutes"]), nil }, new(func(any) time.Duration)},
	{"log1p", func(a ...any) (any, error) { return math.Log1p(machineNumber(a[0])), nil }, new(func(any) float64)},
	{"clamp", func(a ...any) (any, error) {
		return clamp(machineNumber(a[0]), machineNumber(a[1]), machineNumber(a[2])), nil
	}, new(func(any, any, any) float64)},
	{"ratio", func(a ...any) (any, error) {
		return ratio(machineNumber(a[0]), machineNumber(a[1]), machineNumber(a[2])), nil
	}, new(func(any, any, any) float64)},
	{"between", func(a ...any) (any, error) { return machineBetween(a[0], a[1], a[2]), nil }, new(func(any, any, any) bool)},
}

// machineNumber is the float64 of what the machine calls a number; a time counts in milliseconds.
func machineNumber(v any) float64 {
	switch x := v.(type) {
	case int:
		return float64(x)
	case float64:
		return x
	case time.Time:
		return float64(x.UnixMilli())
	}
	return math.NaN()
}

func machineBetween(x, a, b any) bool {
	switch v := x.(type) {
	case time.Time:
		return !v.Before(a.(time.Time)) && !v.After(b.(time.Time))
	case time.Duration:
		return v >= a.(time.Duration) && v <= b.(time.Duration)
	}
	v := machineNumber(x)
	return v >= machineNumber(a) && v <= machineNumber(b)
}

// rewriter makes the flat form of an expression that the typer has accepted: paths become single
// names, parameters literals, lists sets, helpers calls with what they look at, and every loop
// body begins with a step of the budget.
type rewriter struct {
	typer *typer
	kinds map[string]kind
	done  map[ast.Node]bool
}

// Visit implements ast.Visitor; children are visited before their parents.
func (r *rewriter) Visit(p *ast.Node) {
	switch n := (*p).(type) {
	case *ast.MemberNode:
		r.member(p, n)
	case *ast.CallNode:
		r.call(p, n)
	case *ast.BinaryNode:
		if id, ok := n.Right.(*ast.IdentifierNode); ok && n.Operator == "in" && r.kinds[id.Value] == kindTextList {
			ast.Patch(p, callTo(inListFunc, n.Left, n.Right))
		}
	case *ast.PredicateNode:
		if r.done == nil {
			r.done = map[ast.Node]bool{}
		}
		if !r.done[n] { // checked more than once, patched once
			r.done[n] = true
			n.Node = &ast.SequenceNode{Nodes: []ast.Node{callTo(stepFunc, &ast.IdentifierNode{Value: budgetVar}), n.Node}}
		}
	}
}

func callTo(name string, args ...ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: args}
}

func (r *rewriter) member(p *ast.Node, n *ast.MemberNode) {
	root, ok := n.Node.(*ast.IdentifierNode)
	name, constName := n.Property.(*ast.StringNode)
	if !ok || !constName {
		return
	}
	switch root.Value {
	case "params":
		if param := r.typer.params[name.Value]; param != nil {
			ast.Patch(p, literal(param.value))
		}
	case "lists":
		if l := r.typer.lists[name.Value]; l != nil {
			ast.Patch(p, literal(l.set))
		}
	case "local":
		ast.Patch(p, &ast.IdentifierNode{Value: localName("local."+name.Value, r.typer.zone)})
	case sourceItem:
		ast.Patch(p, &ast.IdentifierNode{Value: sourceItem + "." + name.Value})
	case "user", "item", "context", "request", "model":
		ast.Patch(p, &ast.IdentifierNode{Value: root.Value + "." + name.Value})
	}
}

func literal(v any) ast.Node {
	switch x := v.(type) {
	case int:
		return &ast.IntegerNode{Value: x}
	case float64:
		return &ast.FloatNode{Value: x}
	case string:
		return &ast.StringNode{Value: x}
	case bool:
		return &ast.BoolNode{Value: x}
	}
	return &ast.ConstantNode{Value: v}
}

func (r *rewriter) call(p *ast.Node, n *ast.CallNode) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return
	}
	switch callee.Value {
	case "has":
		path := n.Arguments[0].(*ast.StringNode).Value
		root, rest := splitPath(path)
		if name, key := splitPath(rest); key != "" {
			ast.Patch(p, callTo(hasKeyFunc, &ast.IdentifierNode{Value: root + "." + name}, &ast.StringNode{Value: key}))
		} else {
			ast.Patch(p, &ast.IdentifierNode{Value: "has " + path})
		}
	case "age":
		ast.Patch(p, callTo(ageFunc, &ast.IdentifierNode{Value: "now"}, n.Arguments[0]))
	case "segment":
		ast.Patch(p, callTo(inListFunc, n.Arguments[0], &ast.IdentifierNode{Value: "user.segments"}))
	case "did", "times":
		name := map[string]string{"did": didFunc, "times": timesFunc}[callee.Value]
		ast.Patch(p, callTo(name, &ast.IdentifierNode{Value: historyVar}, n.Arguments[0], n.Arguments[1], &ast.IdentifierNode{Value: "now"}, &ast.IdentifierNode{Value: "item.id"}))
	case "fatigue":
		ast.Patch(p, callTo(tiredFunc, &ast.IdentifierNode{Value: historyVar}, n.Arguments[0], n.Arguments[2], &ast.IdentifierNode{Value: "now"}, &ast.IdentifierNode{Value: "item.id"}, n.Arguments[1]))
	case "similarity":
		ast.Patch(p, &ast.IdentifierNode{Value: similarityVar})
	case "bucket":
		ast.Patch(p, callTo(bucketFunc, n.Arguments[0], n.Arguments[1], &ast.IdentifierNode{Value: "user.id"}))
	}
}
