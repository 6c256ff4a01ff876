package rules

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// allowedBuiltins are the functions of the language that authors may use. Everything that is not
// listed here, in helpers or among the operators below is refused.
var allowedBuiltins = map[string]bool{
	"any": true, "all": true, "none": true, "one": true, "count": true, "filter": true,
	"len": true, "sum": true, "min": true, "max": true, "abs": true, "round": true,
	"floor": true, "ceil": true, "lower": true, "upper": true, "trim": true,
}

var allowedBinary = map[string]bool{
	"==": true, "!=": true, "<": true, "<=": true, ">": true, ">=": true,
	"+": true, "-": true, "*": true, "/": true, "%": true,
	"and": true, "&&": true, "or": true, "||": true, "??": true,
	"in": true, "contains": true, "startsWith": true, "endsWith": true, "matches": true,
}

// insteadOf names what to write in place of a refused function or operator.
var insteadOf = map[string]string{
	"map":           "test the elements themselves: `any(user.last_items, # == \"sku-1\")`",
	"reduce":        "use `count(list, condition)` or `sum(...)`",
	"find":          "use `any(list, condition)`",
	"findIndex":     "use `any(list, condition)`",
	"findLast":      "use `any(list, condition)`",
	"findLastIndex": "use `any(list, condition)`",
	"groupBy":       "use `cap` or `dedupe` with `by:`",
	"sortBy":        "use `pin` with `order_by:`",
	"sort":          "use `pin` with `order_by:`",
	"reverse":       "lists of the schema are newest or largest first already",
	"uniq":          "use `dedupe` with `by:`",
	"flatten":       "test each list on its own, joined by `or`",
	"concat":        "test each list on its own, joined by `or`",
	"join":          "test the elements: `any(item.tags, # == \"eco\")`",
	"split":         "test the text: `item.title contains \"eco\"`",
	"repeat":        "write the text out",
	"replace":       "test the text as it is stored",
	"toJSON":        "compare the field itself",
	"fromJSON":      "compare the field itself",
	"toBase64":      "compare the field itself",
	"fromBase64":    "compare the field itself",
	"toPairs":       "read one key: `item.attrs.color`",
	"fromPairs":     "read one key: `item.attrs.color`",
	"keys":          "ask for one key: `has(\"item.attrs.color\")`",
	"values":        "read one key: `item.attrs.color`",
	"now":           "write `now` without brackets",
	"date":          "use `age(item.created_at) < days(14)`",
	"timezone":      "set `timezone:` of the file and use `local.hour`",
	"duration":      "use `days(7)`, `hours(12)` or `minutes(30)`",
	"type":          "every field has one type; ask `has(\"user.tier\")` whether it is known",
	"get":           "write the field: `item.price`",
	"first":         "test membership: `\"sku-1\" in user.last_items`",
	"last":          "test membership: `\"sku-1\" in user.last_items`",
	"take":          "test the whole list",
	"int":           "numbers need no conversion",
	"float":         "numbers need no conversion",
	"string":        "write the text in quotes",
	"mean":          "use `ratio(sum(...), len(...), 0)`",
	"median":        "use `ratio(sum(...), len(...), 0)`",
	"trimPrefix":    "use `startsWith`",
	"trimSuffix":    "use `endsWith`",
	"hasPrefix":     "use `startsWith`",
	"hasSuffix":     "use `endsWith`",
	"indexOf":       "use `contains`",
	"lastIndexOf":   "use `contains`",
	"..":            "use `between(x, 1, 5)`",
	"**":            "multiply: `x * x`",
	"^":             "multiply: `x * x`",
	"|":             "write the call around its argument: `len(user.last_items)`",
}

// guard is the allow-list over the syntax tree. It refuses every node that is not known to be
// cheap and harmless, and says what to use instead.
type guard struct {
	faults []fault
	seen   map[ast.Node]bool // a chained comparison puts one node under two parents
}

func (g *guard) refuse(n ast.Node, what, instead string) {
	if instead == "" {
		instead = "conditions use fields, comparisons, and/or/not, `in` and the listed helpers"
	}
	g.faults = append(g.faults, fault{code: CodeRefused, offset: n.Location().From,
		message: what + " is not allowed in rules", hint: instead})
}

// Visit implements ast.Visitor.
func (g *guard) Visit(p *ast.Node) {
	if g.seen == nil {
		g.seen = map[ast.Node]bool{}
	}
	if g.seen[*p] {
		return
	}
	g.seen[*p] = true
	switch n := (*p).(type) {
	case *ast.IdentifierNode:
		if strings.HasPrefix(n.Value, "$") {
			g.refuse(n, "`"+n.Value+"`", "name a field, such as `user.tier`")
		}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode,
		*ast.NilNode, *ast.ArrayNode, *ast.ChainNode, *ast.PredicateNode:
	case *ast.UnaryNode:
		if n.Operator != "not" && n.Operator != "!" && n.Operator != "-" && n.Operator != "+" {
			g.refuse(n, "`"+n.Operator+"`", "")
		}
	case *ast.BinaryNode:
		g.binary(n)
	case *ast.ConditionalNode:
		if !n.Ternary {
			g.refuse(n, "`if ... else`", "write `condition ? a : b`")
		}
	case *ast.MemberNode:
		if n.Method {
			g.refuse(n, "a method call", "use a helper such as `age(item.created_at)`")
		}
	case *ast.CallNode:
		g.call(n)
	case *ast.BuiltinNode:
		g.builtin(n)
	case *ast.PointerNode:
		if n.Name != "" {
			g.refuse(n, "`#"+n.Name+"`", "use `#` for the element")
		}
	case *ast.SliceNode:
		g.refuse(n, "a slice of a list", "test the whole list")
	case *ast.VariableDeclaratorNode:
		g.refuse(n, "`let`", "write the value where it is used, or make it a parameter under `params:`")
	case *ast.SequenceNode:
		g.refuse(n, "`;`", "join conditions with `and`")
	case *ast.MapNode:
		g.refuse(n, "`{...}`", "put values under `lists:`")
	case *ast.PairNode: // its map is refused
	default:
		g.refuse(n, fmt.Sprintf("`%s`", oneLine(n.String())), "")
	}
}

func (g *guard) binary(n *ast.BinaryNode) {
	if !allowedBinary[n.Operator] {
		g.refuse(n, "`"+n.Operator+"`", insteadOf[n.Operator])
		return
	}
	if n.Operator != "matches" {
		return
	}
	pattern, ok := n.Right.(*ast.StringNode)
	if !ok {
		g.refuse(n, "`matches` with a computed pattern", "write the pattern in quotes")
		return
	}
	if _, err := regexp.Compile(pattern.Value); err != nil || len(pattern.Value) > 200 {
		g.faults = append(g.faults, fault{code: CodeSyntax, offset: pattern.Location().From,
			message: "the pattern after `matches` cannot be used", hint: "use `contains`, or mend the pattern (at most 200 characters)"})
	}
}

func (g *guard) call(n *ast.CallNode) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return // the callee itself is refused as a method
	}
	if _, ok := helpers[callee.Value]; ok {
		return
	}
	names := make([]string, 0, len(helpers)+len(allowedBuiltins))
	for name := range helpers {
		names = append(names, name)
	}
	for name := range allowedBuiltins {
		names = append(names, name)
	}
	if s := suggest(callee.Value, names); s != "" {
		g.faults = append(g.faults, fault{code: CodeUnknownField, offset: n.Location().From,
			message: "there is no function `" + callee.Value + "`", hint: "did you mean `" + s + "`?"})
		return
	}
	g.refuse(n, "the function `"+callee.Value+"`", insteadOf[callee.Value])
}

func (g *guard) builtin(n *ast.BuiltinNode) {
	if n.Name == "duration" {
		g.faults = append(g.faults, fault{code: CodeDurationText, offset: n.Location().From,
			message: "`duration(...)` is not how rules write a time span", hint: insteadOf["duration"]})
		return
	}
	if !allowedBuiltins[n.Name] {
		g.refuse(n, "the function `"+n.Name+"`", insteadOf[n.Name])
		return
	}
	for _, a := range n.Arguments {
		if p, ok := a.(*ast.PredicateNode); ok && holdsPredicate(p.Node) {
			g.refuse(n, "a loop inside a loop", "make two rules, or test one list only")
		}
	}
}

// holdsPredicate tells whether a loop lies below the node.
func holdsPredicate(n ast.Node) bool {
	f := predicateFinder{}
	ast.Walk(&n, &f)
	return f.found
}

type predicateFinder struct{ found bool }

// Visit implements ast.Visitor.
func (f *predicateFinder) Visit(n *ast.Node) {
	if _, ok := (*n).(*ast.PredicateNode); ok {
		f.found = true
	}
}
