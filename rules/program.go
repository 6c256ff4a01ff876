package rules

import (
	"errors"
	"fmt"
	"math"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// maxCost is the static limit on one expression: node costs times the longest lists they run over.
const maxCost = 5000

// program is one compiled expression. It is immutable; its state is in the frame.
type program struct {
	src   string
	kind  kind
	deps  deps
	cost  int
	root  *node
	yes   boolFn // set for a condition without slow parts
	num   numFn  // set for a formula without slow parts
	slow  *machine
	reads []*node // the item fields it looks at, for explanations
	fact  int     // of a formula: 1 + its index among the set's facts, 0 = none
}

// compile turns text into a program that gives a yes/no value (want kindBool), a number
// (kindNumber) or anything that can be ordered (kindNone). The program is nil on an error.
func (t *typer) compile(src string, want kind) (p *program, faults []fault) {
	defer func() { // the parser and checker are not ours
		if r := recover(); r != nil {
			p, faults = nil, append(t.faults, fault{code: CodeSyntax, message: "the expression cannot be read", hint: "write it more simply"})
		}
	}()
	t.faults, t.blocked = nil, false
	if f := gate(src); f != nil {
		return nil, []fault{*f}
	}
	tree, f := parse(src)
	if f != nil {
		return nil, []fault{*f}
	}
	if faults := guarded(tree); len(faults) > 0 {
		return nil, faults
	}
	root := t.node(tree.Node)
	t.checkResult(root, want)
	t.checkCost(root)
	if t.blocked || hasFaultErrors(t.faults) {
		return nil, t.faults
	}
	p = &program{src: src, kind: root.kind, deps: root.deps, cost: root.cost, root: root, reads: itemReads(root)}
	slow, err := t.machine(src, root)
	if err != nil {
		return nil, append(t.faults, fault{code: CodeTypeMismatch, message: engineMessage(err), hint: "write it more simply"})
	}
	p.slow = slow
	if !root.slow {
		p.close()
	}
	return p, t.faults
}

// guarded lists the constructs of a tree that rules may not use.
func guarded(tree *parser.Tree) []fault {
	g := guard{}
	ast.Walk(&tree.Node, &g)
	return g.faults
}

// close makes the closures that run in place of the machine.
func (p *program) close() {
	switch {
	case p.kind == kindBool:
		p.yes = p.root.bool()
	case p.kind == kindTime:
		at := p.root.time()
		p.num = func(f *frame) float64 { return float64(at(f).UnixMilli()) }
	case p.kind.numeric():
		p.num = p.root.number()
	}
}

func hasFaultErrors(faults []fault) bool {
	for _, f := range faults {
		if !f.warning {
			return true
		}
	}
	return false
}

func (t *typer) checkResult(root *node, want kind) {
	f := fault{offset: root.offset}
	switch {
	case root.kind == kindNone:
		return
	case want == kindBool && root.kind != kindBool:
		f.code, f.message, f.hint = CodeNotYesNo, "the condition is "+root.kind.plain()+", not yes or no", comparisonHint(root)
	case want == kindNumber && !root.kind.numeric():
		f.code, f.message, f.hint = CodeTypeMismatch, "a number is needed here; `"+root.text+"` is "+root.kind.plain(), ""
	case want == kindNone && !root.kind.numeric() && root.kind != kindTime:
		f.code, f.message, f.hint = CodeTypeMismatch, "a number or time is needed to order by; `"+root.text+"` is "+root.kind.plain(), ""
	default:
		return
	}
	t.faults = append(t.faults, f)
}

// checkCost refuses an expression that could do too much work, and shows the part that costs most.
func (t *typer) checkCost(root *node) {
	if root.cost <= maxCost {
		return
	}
	part := root
	for {
		var worst *node
		for _, k := range part.kids {
			if k.cost > part.cost/2 && (worst == nil || k.cost > worst.cost) {
				worst = k
			}
		}
		if worst == nil || part.op == "loop" {
			break
		}
		part = worst
	}
	t.faults = append(t.faults, fault{code: CodeTooCostly, offset: part.offset,
		message: fmt.Sprintf("the condition costs %d, over the limit of %d; `%s` costs %d", root.cost, maxCost, part.text, part.cost),
		hint:    "test fewer things in the loop, or use a shorter list"})
}

// parse reads the text and puts the parser's complaint into plain words.
func parse(src string) (*parser.Tree, *fault) {
	config := conf.CreateNew()
	config.MaxNodes = maxNodes
	tree, err := parser.ParseWithConfig(src, config)
	if err == nil {
		return tree, nil
	}
	f := &fault{code: CodeSyntax, message: "the expression cannot be read", hint: "write a condition such as `item.price < 50`"}
	var fe *file.Error
	if errors.As(err, &fe) {
		f.offset = fe.From
		f.explainSyntax(src, fe.Message)
	}
	return nil, f
}

// engineMessage is the first line of an error of expr.
func engineMessage(err error) string {
	var fe *file.Error
	if errors.As(err, &fe) {
		return "the engine refuses it: " + fe.Message
	}
	return "the engine refuses it"
}

// itemReads lists the item fields below a node, each once, in the order of the text.
func itemReads(n *node) []*node {
	var reads []*node
	seen := map[string]bool{}
	var walk func(*node)
	walk = func(n *node) {
		if n.op == "var" && n.ref.item && !seen[n.name] {
			seen[n.name] = true
			reads = append(reads, n)
		}
		for _, k := range n.kids {
			walk(k)
		}
	}
	walk(n)
	return reads
}

// test evaluates a condition for the frame's row.
func (p *program) test(f *frame) (ok bool, err error) {
	if p.yes == nil {
		v, err := p.slow.run(f)
		if err != nil {
			return false, err
		}
		ok, _ = v.(bool)
		return ok, nil
	}
	defer caught(&err)
	if err := f.budget.tick(); err != nil {
		return false, err
	}
	f.err = nil
	ok = p.yes(f)
	if f.err != nil {
		return false, f.err
	}
	return ok, nil
}

// value evaluates a formula; a number that is not finite is an error.
func (p *program) value(f *frame) (x float64, err error) {
	defer caught(&err)
	if p.num == nil {
		v, err := p.slow.run(f)
		if err != nil {
			return 0, err
		}
		x = machineNumber(v)
	} else {
		if err := f.budget.tick(); err != nil {
			return 0, err
		}
		f.err = nil
		x = p.num(f)
		if f.err != nil {
			return 0, f.err
		}
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, errNotFinite
	}
	return x, nil
}

// caught turns a panic of an evaluation into an error: a rule never stops the process.
func caught(err *error) {
	if r := recover(); r != nil {
		*err = errPanic
	}
}
