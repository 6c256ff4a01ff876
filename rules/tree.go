package rules

import "github.com/expr-lang/expr/ast"

// node is one part of a type-checked expression.
type node struct {
	op     string // "const", "var", "get", "array", "loop", an operator, or a function's name
	kind   kind
	kids   []*node
	value  any    // of a const; of an array with constant elements: map[string]struct{}, []float64
	ref    ref    // of a var
	name   string // of a var: its name in the layout
	deps   deps
	cost   int
	offset int
	text   string // as the author would write it
	max    int    // longest list this node can be
	// slow parts are left to expr's virtual machine; the rest also compiles to a closure.
	slow bool
}

func (n *node) constant() bool { return n.op == "const" }

// start is where an author would point at a part: at the first letter of a path, at an operator.
func start(a ast.Node) int {
	for {
		switch n := a.(type) {
		case *ast.MemberNode:
			a = n.Node
		case *ast.ChainNode:
			a = n.Node
		default:
			return a.Location().From
		}
	}
}

// opaque is the result of a part that was reported already.
func opaque(a ast.Node) *node { return &node{op: "none", offset: start(a), cost: 1} }

// leaf makes a node without parts.
func leaf(a ast.Node, op string, k kind) *node {
	return &node{op: op, kind: k, cost: 1, offset: start(a), text: oneLine(a.String())}
}

// branch makes a node of typed parts: it looks at what they look at, and costs what they cost.
func branch(a ast.Node, op string, k kind, kids ...*node) *node {
	n := leaf(a, op, k)
	n.kids = kids
	for _, kid := range kids {
		n.deps |= kid.deps
		n.cost += kid.cost
		n.slow = n.slow || kid.slow
	}
	return n
}

// broken tells whether a part was reported already, so that nothing more need be said.
func broken(nodes ...*node) bool {
	for _, n := range nodes {
		if n.kind == kindNone {
			return true
		}
	}
	return false
}
