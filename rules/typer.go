package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

// place says where an expression stands, which decides what it may look at.
type place uint8

const (
	placeWhen   place = iota // before candidates exist
	placeMatch               // per candidate
	placeFilter              // a request's own filter: per item, without scores
)

// typer checks a syntax tree against the schema and makes typed nodes of it. It goes on after an
// error, so that an author sees everything that is wrong at once.
type typer struct {
	symbols *symbols
	layout  *layout
	place   place
	params  map[string]*param
	lists   map[string]*list
	zone    *time.Location
	element kind // of the list that the loop around runs over; kindNone outside loops
	faults  []fault
	// elsewhere tells which files declare a parameter or list: each file has its own.
	elsewhere map[string][]string
	// blocked: the expression uses a parameter that is broken itself, and must not be judged further.
	blocked bool
}

func (t *typer) fail(at ast.Node, code, message, hint string) *node {
	t.faults = append(t.faults, fault{code: code, offset: start(at), message: message, hint: hint})
	return opaque(at)
}

func (t *typer) warn(at ast.Node, code, message, hint string) {
	t.faults = append(t.faults, fault{code: code, warning: true, offset: start(at), message: message, hint: hint})
}

func (t *typer) node(a ast.Node) *node {
	switch n := a.(type) {
	case *ast.IntegerNode:
		return constant(a, kindInt, n.Value)
	case *ast.FloatNode:
		return constant(a, kindNumber, n.Value)
	case *ast.BoolNode:
		return constant(a, kindBool, n.Value)
	case *ast.StringNode:
		return constant(a, kindText, n.Value)
	case *ast.NilNode:
		return t.fail(a, CodeTypeMismatch, "no field is ever `nil`: missing ones hold their default",
			"ask `not has(\"user.tier\")`")
	case *ast.IdentifierNode:
		return t.identifier(n)
	case *ast.MemberNode:
		return t.member(n)
	case *ast.ChainNode:
		return t.node(n.Node)
	case *ast.PointerNode:
		if t.element == kindNone {
			return t.fail(a, CodeRefused, "`#` stands only inside any(...), all(...) and their like",
				"write `any(user.last_items, # == \"sku-1\")`")
		}
		p := leaf(a, "element", t.element)
		p.slow = true
		return p
	case *ast.UnaryNode:
		return t.unary(n)
	case *ast.BinaryNode:
		return t.binary(n)
	case *ast.ConditionalNode:
		return t.conditional(n)
	case *ast.ArrayNode:
		return t.array(n)
	case *ast.BuiltinNode:
		return t.builtin(n)
	case *ast.CallNode:
		return t.call(n)
	}
	return t.fail(a, CodeRefused, "this construct is not allowed in rules", "")
}

func constant(a ast.Node, k kind, value any) *node {
	n := leaf(a, "const", k)
	n.value = value
	return n
}

func (t *typer) identifier(n *ast.IdentifierNode) *node {
	name := n.Value
	switch name {
	case "now":
		return t.variable(n, nowVariable)
	case "score", "position":
		if t.place != placeMatch {
			return t.misplaced(n, name)
		}
		v := variable{name: "score", kind: kindNumber, deps: depScore, own: ref{item: true, at: atScore}}
		if name == "position" {
			v = variable{name: "position", kind: kindInt, deps: depScore, own: ref{item: true, at: atRank}}
		}
		return t.variable(n, v)
	}
	for _, r := range roots {
		if r == name {
			return t.fail(n, CodeTypeMismatch, "`"+name+"` is not a value by itself",
				"name one of its fields, such as `"+example(name)+"`")
		}
	}
	for _, root := range []string{"item", "user", "context", "request"} {
		if _, ok := t.symbols.field(root, name); ok {
			return t.fail(n, CodeUnknownField, "there is no name `"+name+"`", "did you mean `"+root+"."+name+"`?")
		}
	}
	if s := suggest(name, roots); s != "" && len(name) > 3 {
		return t.fail(n, CodeUnknownField, "there is no name `"+name+"`", "did you mean `"+s+"`?")
	}
	return t.fail(n, CodeBareWord, "`"+name+"` is neither a field nor text", "text needs quotes: `\""+name+"\"`")
}

func example(root string) string {
	examples := map[string]string{"user": "user.tier", "item": "item.price", "request": "request.scenario",
		"context": "context.country", "local": "local.hour", "model": "model.name", "params": "params.NAME", "lists": "lists.NAME"}
	return examples[root]
}

func (t *typer) misplaced(n ast.Node, name string) *node {
	if t.place == placeFilter {
		return t.fail(n, CodeUnknownField, "a filter cannot look at `"+name+"`", "filters look at item, user, request and context")
	}
	return t.fail(n, CodeUnknownField, "`when` cannot look at `"+name+"`: it is read once per request, before there are items",
		"move this part to `match:`")
}

func (t *typer) variable(n ast.Node, v variable) *node {
	out := leaf(n, "var", v.kind)
	out.text, out.name, out.deps, out.ref = v.name, v.name, v.deps, t.layout.place(v)
	return out
}

// member types user.tier, params.x, lists.y, item.attrs.color.
func (t *typer) member(n *ast.MemberNode) *node {
	root, ok := n.Node.(*ast.IdentifierNode)
	name, constName := n.Property.(*ast.StringNode)
	if ok && isRoot(root.Value) {
		if !constName {
			return t.fail(n.Property, CodeRefused, "a field's name must be written out", "write `"+example(root.Value)+"`")
		}
		return t.field(n, root, name)
	}
	if field, isSource := sourceField(n); isSource {
		return t.sourceField(n, field)
	}
	if ok && t.element == kindNone {
		if s := suggest(root.Value, roots); s != "" {
			return t.fail(root, CodeUnknownField, "there is no name `"+root.Value+"`", "did you mean `"+s+"`?")
		}
		return t.fail(root, CodeUnknownField, "there is no name `"+root.Value+"`", "names start with "+strings.Join(roots[:4], ", ")+", ...")
	}
	base, key := t.node(n.Node), t.node(n.Property)
	if broken(base, key) {
		return opaque(n)
	}
	switch {
	case base.kind == kindTextMap && key.kind == kindText:
		return branch(n, "get", kindText, base, key)
	case base.kind == kindTextList || base.kind == kindNumberList:
		return t.fail(n.Property, CodeRefused, "one element of a list cannot be picked", "test membership: `\"x\" in "+base.text+"`")
	}
	return t.fail(n.Property, CodeUnknownField, "`"+base.text+"` is "+base.kind.plain()+" and has no parts", "")
}

func isRoot(name string) bool {
	for _, r := range roots {
		if r == name {
			return true
		}
	}
	return false
}

func (t *typer) field(n *ast.MemberNode, root *ast.IdentifierNode, prop *ast.StringNode) *node {
	path := root.Value + "." + prop.Value
	switch root.Value {
	case "params":
		return t.param(n, prop)
	case "lists":
		return t.list(n, prop)
	case "score", "position", "now":
		return t.fail(prop, CodeUnknownField, "`"+root.Value+"` has no parts", "")
	case "request":
		f, ok := requestFields[prop.Value]
		if !ok {
			return t.unknown(prop, root.Value)
		}
		return t.variable(n, variable{name: path, kind: f.kind, deps: depRequest,
			request: func(env *Env) any { return f.read(&env.Request) }})
	case "local":
		f, ok := localFields[prop.Value]
		if !ok {
			return t.unknown(prop, root.Value)
		}
		zone := t.zone
		v := t.variable(n, variable{name: localName(path, zone), kind: f.kind, deps: depTime,
			request: func(env *Env) any { return f.read(env.Now.In(zone)) }})
		v.text = path
		return v
	case "model":
		f, ok := modelFields[prop.Value]
		if !ok {
			return t.unknown(prop, root.Value)
		}
		return t.variable(n, variable{name: path, kind: f.kind, deps: depRequest, request: f.read})
	case "item":
		if t.place == placeWhen {
			return t.misplaced(n.Node, path)
		}
	}
	f, ok := t.symbols.field(root.Value, prop.Value)
	if !ok {
		return t.unknown(prop, root.Value)
	}
	v := t.variable(n, t.symbols.variable(root.Value, f))
	v.max = f.Max
	if v.max <= 0 {
		v.max = 50
	}
	return v
}

// localName tells the clocks of two zones apart.
func localName(path string, zone *time.Location) string { return path + " " + zone.String() }

func (t *typer) unknown(prop *ast.StringNode, root string) *node {
	return t.fail(prop, CodeUnknownField, "unknown field `"+root+"."+prop.Value+"`",
		didYouMean(prop.Value, t.symbols.names(root), root+"."))
}

func (t *typer) param(n *ast.MemberNode, prop *ast.StringNode) *node {
	p, ok := t.params[prop.Value]
	if !ok {
		return t.fail(prop, CodeUnknownField, "unknown parameter `params."+prop.Value+"`", t.meant(prop.Value, keysOf(t.params), "params."))
	}
	p.used = true
	if p.value == nil {
		t.blocked = true
		return opaque(n) // its own problem is reported
	}
	out := constant(n, p.kind, p.value)
	out.text = "params." + prop.Value
	return out
}

// liveList marks a named list whose values change: nothing may be concluded from them.
const liveList = "live"

func (t *typer) list(n *ast.MemberNode, prop *ast.StringNode) *node {
	l, ok := t.lists[prop.Value]
	if !ok {
		return t.fail(prop, CodeUnknownName, "unknown list `lists."+prop.Value+"`", t.meant(prop.Value, keysOf(t.lists), "lists."))
	}
	l.used = true
	out := constant(n, kindTextSet, l.set)
	if l.live {
		out.name = liveList
	}
	out.text = "lists." + prop.Value
	return out
}

func (t *typer) meant(name string, names []string, prefix string) string {
	if hint := didYouMean(name, names, prefix); hint != "" {
		return hint
	}
	what := strings.TrimSuffix(prefix, ".")
	if at := t.elsewhere[prefix+name]; len(at) > 0 {
		return "it is declared in " + at[0] + ", and each file has its own: declare it under `" + what + ":` here, too"
	}
	return "declare it under `" + what + ":`"
}

func (t *typer) unary(n *ast.UnaryNode) *node {
	kid := t.node(n.Node)
	if broken(kid) {
		return opaque(n)
	}
	switch n.Operator {
	case "not", "!":
		if kid.kind != kindBool {
			return t.fail(n, CodeTypeMismatch, "`not` needs a yes/no value; `"+kid.text+"` is "+kid.kind.plain(), comparisonHint(kid))
		}
		return t.fold(branch(n, "not", kindBool, kid))
	default:
		if !kid.kind.numeric() {
			return t.fail(n, CodeTypeMismatch, "`"+n.Operator+"` needs a number; `"+kid.text+"` is "+kid.kind.plain(), "")
		}
		if n.Operator == "+" {
			return kid
		}
		return t.fold(branch(n, "neg", kid.kind, kid))
	}
}

func (t *typer) conditional(n *ast.ConditionalNode) *node {
	c, a, b := t.node(n.Cond), t.node(n.Exp1), t.node(n.Exp2)
	if broken(c, a, b) {
		return opaque(n)
	}
	if c.kind != kindBool {
		return t.fail(n.Cond, CodeNotYesNo, "`"+c.text+"` before `?` is not a yes/no value", comparisonHint(c))
	}
	k, ok := common(a, b)
	if !ok {
		return t.fail(n.Exp2, CodeTypeMismatch, fmt.Sprintf("the two outcomes differ: %s and %s", a.kind.plain(), b.kind.plain()), "")
	}
	return t.fold(branch(n, "?", k, c, a, b))
}

// common is the kind of a choice between two values.
func common(a, b *node) (kind, bool) {
	if a.kind == b.kind {
		return a.kind, true
	}
	if a.kind.numeric() && b.kind.numeric() {
		return kindNumber, true
	}
	return kindNone, false
}

// comparisonHint shows how a value becomes a condition.
func comparisonHint(n *node) string {
	switch n.kind {
	case kindInt, kindNumber:
		return "compare it: `" + n.text + " > 0`"
	case kindText:
		return "compare it: `" + n.text + " == \"...\"`"
	case kindTextList, kindTextSet:
		return "ask for an element: `\"...\" in " + n.text + "`"
	case kindTime:
		return "compare its age: `age(" + n.text + ") < days(14)`"
	case kindDuration:
		return "compare it: `" + n.text + " < days(14)`"
	}
	return ""
}

func (t *typer) array(n *ast.ArrayNode) *node {
	kids := make([]*node, len(n.Nodes))
	texts, numbers := true, true
	for i, e := range n.Nodes {
		kids[i] = t.node(e)
		texts = texts && kids[i].kind == kindText
		numbers = numbers && kids[i].kind.numeric()
	}
	if broken(kids...) {
		return opaque(n)
	}
	switch {
	case len(kids) == 0:
		return t.fail(n, CodeTypeMismatch, "an empty list `[]` matches nothing", "name the values, or leave the condition out")
	case texts:
		out := branch(n, "array", kindTextList, kids...)
		out.max = len(kids)
		return out
	case numbers:
		out := branch(n, "array", kindNumberList, kids...)
		out.max = len(kids)
		return out
	}
	for i, k := range kids {
		if k.kind != kids[0].kind || k.kind != kindText && !k.kind.numeric() {
			return t.fail(n.Nodes[i], CodeTypeMismatch, "a list holds either texts or numbers; `"+k.text+"` is "+k.kind.plain(), quoteHint(k))
		}
	}
	return opaque(n)
}

// quoteHint offers the quoted form of a number.
func quoteHint(n *node) string {
	switch v := n.value.(type) {
	case int:
		return "write `\"" + strconv.Itoa(v) + "\"`"
	case float64:
		return "write `\"" + strconv.FormatFloat(v, 'g', -1, 64) + "\"`"
	}
	return ""
}
