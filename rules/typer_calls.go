package rules

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// helper is a function of ours: what it takes and what it gives.
type helper struct {
	args   []kind // kindNumber takes whole numbers too; kindNone is checked by the typer
	result kind
	usage  string
}

// helpers are the functions that rules have beside the language's own.
var helpers = map[string]helper{
	"days":       {[]kind{kindNumber}, kindDuration, "days(14)"},
	"hours":      {[]kind{kindNumber}, kindDuration, "hours(12)"},
	"minutes":    {[]kind{kindNumber}, kindDuration, "minutes(30)"},
	"age":        {[]kind{kindTime}, kindDuration, "age(item.created_at) < days(14)"},
	"has":        {[]kind{kindText}, kindBool, `has("user.tier")`},
	"segment":    {[]kind{kindText}, kindBool, `segment("vip")`},
	"bucket":     {[]kind{kindText, kindInt}, kindInt, `bucket("autumn", 2) == 0`},
	"between":    {[]kind{kindNone, kindNone, kindNone}, kindBool, "between(item.price, 10, 50)"},
	"clamp":      {[]kind{kindNumber, kindNumber, kindNumber}, kindNumber, "clamp(item.trend, 1, 2)"},
	"log1p":      {[]kind{kindNumber}, kindNumber, "log1p(item.sales_7d)"},
	"did":        {[]kind{kindText, kindDuration}, kindBool, `did("order", days(90))`},
	"times":      {[]kind{kindText, kindDuration}, kindInt, `times("view", days(7)) >= 3`},
	"fatigue":    {[]kind{kindText, kindNumber, kindDuration}, kindNumber, `fatigue("exposure", 0.8, days(2))`},
	"similarity": {[]kind{kindNone, kindNone}, kindNumber, "similarity(item, user) > 0.8"},
	"ratio":      {[]kind{kindNumber, kindNumber, kindNumber}, kindNumber, "ratio(item.sales_7d, item.views_7d, 0)"},
}

func (t *typer) call(n *ast.CallNode) *node {
	name := n.Callee.(*ast.IdentifierNode).Value
	h := helpers[name]
	switch name {
	case "has":
		return t.has(n)
	case "similarity":
		return t.similarity(n)
	}
	args := make([]*node, len(n.Arguments))
	for i, a := range n.Arguments {
		args[i] = t.node(a)
	}
	if broken(args...) {
		return opaque(n)
	}
	if len(args) != len(h.args) {
		return t.fail(n, CodeTypeMismatch, fmt.Sprintf("`%s` takes %d values, not %d", name, len(h.args), len(args)), "for instance `"+h.usage+"`")
	}
	for i, want := range h.args {
		if k := args[i].kind; want != kindNone && k != want && (want != kindNumber || k != kindInt) {
			return t.fail(n.Arguments[i], CodeTypeMismatch,
				fmt.Sprintf("`%s` takes %s here; `%s` is %s", name, want.plain(), args[i].text, k.plain()), "for instance `"+h.usage+"`")
		}
	}
	switch name {
	case "between":
		return t.between(n, args)
	case "segment", "bucket":
		return t.perUser(n, name, args)
	case "did", "times", "fatigue":
		return t.inHistory(n, name, args)
	case "age":
		out := branch(n, "age", kindDuration, t.variable(n, nowVariable), args[0])
		out.text = oneLine(n.String())
		return out
	}
	return t.fold(branch(n, name, h.result, args...))
}

var nowVariable = variable{name: "now", kind: kindTime, deps: depTime, request: func(env *Env) any { return env.Now }}

// has resolves its path now: a known field becomes a typed check, an unknown one an error.
func (t *typer) has(n *ast.CallNode) *node {
	usage := "for instance `" + helpers["has"].usage + "`"
	if len(n.Arguments) != 1 {
		return t.fail(n, CodeTypeMismatch, fmt.Sprintf("`has` takes 1 value, not %d", len(n.Arguments)), usage)
	}
	path, ok := n.Arguments[0].(*ast.StringNode)
	if !ok {
		return t.fail(n.Arguments[0], CodeTypeMismatch, "`has` takes the name of a field in quotes", usage)
	}
	root, rest := splitPath(path.Value)
	name, key := splitPath(rest)
	if t.symbols.table(root) == nil {
		return t.fail(path, CodeUnknownField, "`has` knows user, item and context fields, not `"+path.Value+"`", usage)
	}
	if root == "item" && t.place == placeWhen {
		return t.misplaced(path, path.Value)
	}
	f, ok := t.symbols.field(root, name)
	if !ok {
		return t.fail(path, CodeUnknownField, "unknown field `"+root+"."+name+"`", didYouMean(name, t.symbols.names(root), root+"."))
	}
	if key == "" {
		out := t.variable(n, t.symbols.known(root, name, f))
		out.text = oneLine(n.String())
		return out
	}
	field := t.symbols.variable(root, f)
	if field.kind != kindTextMap {
		return t.fail(path, CodeUnknownField, "`"+root+"."+name+"` is "+field.kind.plain()+" and has no parts", "")
	}
	keyNode := constant(path, kindText, key)
	return branch(n, "haskey", kindBool, t.variable(path, field), keyNode)
}

// perUser types segment("vip") and bucket("salt", n), which look at the user behind the scenes.
func (t *typer) perUser(n *ast.CallNode, name string, args []*node) *node {
	for i, a := range args {
		if !a.constant() {
			return t.fail(n.Arguments[i], CodeTypeMismatch, "`"+name+"` needs a fixed value here", "for instance `"+helpers[name].usage+"`")
		}
	}
	if name == "bucket" {
		if count := args[1].value.(int); count < 1 || count > bucketCount {
			return t.fail(n.Arguments[1], CodeOutOfBounds, fmt.Sprintf("`bucket` splits users into 1 to %d parts, not %d", bucketCount, count), "")
		}
		id, _ := t.symbols.field("user", "id")
		return branch(n, "bucket", kindInt, args[0], args[1], t.variable(n, t.symbols.variable("user", id)))
	}
	f, ok := t.symbols.field("user", "segments")
	if !ok || kindOf(f.Type) != kindTextList {
		return t.fail(n, CodeUnknownField, "the schema has no list `user.segments`, which `segment` reads", "")
	}
	return branch(n, "in", kindBool, args[0], t.variable(n, t.symbols.variable("user", f)))
}

func (t *typer) between(n *ast.CallNode, args []*node) *node {
	numbers := args[0].kind.numeric() && args[1].kind.numeric() && args[2].kind.numeric()
	same := args[0].kind == args[1].kind && args[1].kind == args[2].kind && (args[0].kind == kindTime || args[0].kind == kindDuration)
	if !numbers && !same {
		return t.fail(n, CodeTypeMismatch, fmt.Sprintf("`between` compares numbers, times or time spans, not %s, %s and %s",
			args[0].kind.plain(), args[1].kind.plain(), args[2].kind.plain()), "for instance `"+helpers["between"].usage+"`")
	}
	return t.fold(branch(n, "between", kindBool, args...))
}

// builtin types the functions of the language that are allowed.
func (t *typer) builtin(n *ast.BuiltinNode) *node {
	switch n.Name {
	case "any", "all", "none", "one", "count", "filter", "sum":
		return t.loop(n)
	}
	args := make([]*node, len(n.Arguments))
	for i, a := range n.Arguments {
		args[i] = t.node(a)
	}
	if broken(args...) {
		return opaque(n)
	}
	k, want := builtinKind(n.Name, args)
	if k == kindNone {
		at := ast.Node(n)
		if len(n.Arguments) == 1 {
			at = n.Arguments[0]
		}
		return t.fail(at, CodeTypeMismatch, "`"+n.Name+"` takes "+want, "")
	}
	out := branch(n, n.Name, k, args...)
	out.slow = true
	out.cost += 5
	return out
}

// builtinKind is the result of a plain builtin for its arguments, or what it wants instead.
func builtinKind(name string, args []*node) (kind, string) {
	numbers, whole := len(args) > 0, true
	for _, a := range args {
		numbers = numbers && a.kind.numeric()
		whole = whole && a.kind == kindInt
	}
	one := len(args) == 1
	switch name {
	case "len":
		if one && (args[0].kind == kindText || args[0].kind == kindTextList || args[0].kind == kindNumberList || args[0].kind == kindTextMap) {
			return kindInt, ""
		}
		return kindNone, "one text or list"
	case "min", "max":
		if numbers && len(args) > 1 && whole {
			return kindInt, ""
		}
		if numbers && len(args) > 1 {
			return kindNumber, ""
		}
		return kindNone, "two or more numbers"
	case "abs":
		if one && numbers {
			return args[0].kind, ""
		}
		return kindNone, "one number"
	case "round", "floor", "ceil":
		if one && numbers {
			return kindNumber, ""
		}
		return kindNone, "one number"
	}
	if one && args[0].kind == kindText { // lower, upper, trim
		return kindText, ""
	}
	return kindNone, "one text"
}

// loop types any(list, condition) and its like. Its cost is the condition's times the longest list.
func (t *typer) loop(n *ast.BuiltinNode) *node {
	list := t.node(n.Arguments[0])
	if broken(list) {
		return opaque(n)
	}
	if list.kind != kindTextList && list.kind != kindNumberList {
		return t.fail(n.Arguments[0], CodeTypeMismatch, "`"+n.Name+"` runs over a list; `"+list.text+"` is "+list.kind.plain(), "")
	}
	if len(n.Arguments) < 2 {
		if n.Name == "sum" && list.kind == kindNumberList {
			out := branch(n, "loop", kindNumber, list)
			out.slow = true
			return out
		}
		return t.fail(n, CodeTypeMismatch, "`"+n.Name+"` needs a condition for the elements", "for instance `"+n.Name+"("+list.text+", # == \"...\")`")
	}
	outer := t.element
	t.element = kindText
	if list.kind == kindNumberList {
		t.element = kindNumber
	}
	body := t.node(n.Arguments[1].(*ast.PredicateNode).Node)
	t.element = outer
	if broken(body) {
		return opaque(n)
	}
	result, ok := loopResult(n.Name, list.kind, body.kind)
	if !ok {
		want := "a yes/no condition"
		if n.Name == "sum" {
			want = "a number"
		}
		return t.fail(n.Arguments[1].(*ast.PredicateNode).Node, CodeNotYesNo, "the second part of `"+n.Name+"` must be "+want+"; `"+body.text+"` is "+body.kind.plain(),
			strings.TrimSpace(comparisonHint(body)))
	}
	out := branch(n, "loop", result, list, body)
	out.slow = true
	out.max = list.max
	out.cost += body.cost * max(list.max-1, 0)
	return out
}

func loopResult(name string, list, body kind) (kind, bool) {
	switch name {
	case "sum":
		return body, body.numeric()
	case "count":
		return kindInt, body == kindBool
	case "filter":
		return list, body == kindBool
	}
	return kindBool, body == kindBool
}
