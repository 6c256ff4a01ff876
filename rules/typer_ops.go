package rules

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// canonicalOp gives the two spellings of a logical operator one name.
func canonicalOp(op string) string {
	switch op {
	case "&&":
		return "and"
	case "||":
		return "or"
	}
	return op
}

func (t *typer) binary(n *ast.BinaryNode) *node {
	l, r := t.node(n.Left), t.node(n.Right)
	if broken(l, r) {
		return opaque(n)
	}
	op := canonicalOp(n.Operator)
	switch op {
	case "and", "or":
		return t.logical(n, op, l, r)
	case "==", "!=", "<", "<=", ">", ">=":
		return t.comparison(n, op, l, r)
	case "+", "-", "*", "/", "%":
		return t.arithmetic(n, op, l, r)
	case "in":
		return t.membership(n, l, r)
	case "??":
		k, ok := common(l, r)
		if !ok {
			return t.mismatch(n, l, r)
		}
		return branch(n, "??", k, l, r)
	default:
		return t.textOp(n, op, l, r)
	}
}

func (t *typer) logical(n *ast.BinaryNode, op string, l, r *node) *node {
	for _, side := range []struct {
		node *node
		at   ast.Node
	}{{l, n.Left}, {r, n.Right}} {
		if side.node.kind != kindBool {
			return t.fail(side.at, CodeNotYesNo,
				"`"+side.node.text+"` beside `"+op+"` is "+side.node.kind.plain()+", not a yes/no value", comparisonHint(side.node))
		}
	}
	return t.fold(branch(n, op, kindBool, l, r))
}

func (t *typer) comparison(n *ast.BinaryNode, op string, l, r *node) *node {
	equality := op == "==" || op == "!="
	switch {
	case l.kind.numeric() && r.kind.numeric():
	case l.kind != r.kind:
		return t.mismatch(n, l, r)
	case l.kind == kindTime, l.kind == kindDuration, l.kind == kindText:
	case l.kind == kindBool && equality:
	case l.kind == kindBool:
		return t.fail(n, CodeTypeMismatch, "yes/no values cannot be ordered", "use the value itself, or `not`")
	default:
		return t.fail(n, CodeTypeMismatch, "two lists cannot be compared", "ask for an element: `\"...\" in "+l.text+"`")
	}
	if equality {
		t.checkEnum(n, l, r)
		t.checkEnum(n, r, l)
		t.checkWildcard(n.Right, l, r)
		t.checkWildcard(n.Left, r, l)
	}
	return t.fold(branch(n, op, kindBool, l, r))
}

// checkEnum warns when a field that allows certain texts is compared with another one.
func (t *typer) checkEnum(n *ast.BinaryNode, field, text *node) {
	if field.op != "var" || !text.constant() || text.kind != kindText {
		return
	}
	root, name := splitPath(field.text)
	f, ok := t.symbols.field(root, name)
	if !ok || len(f.Values) == 0 {
		return
	}
	value := text.value.(string)
	for _, v := range f.Values {
		if v == value {
			return
		}
	}
	hint := "it is one of " + strings.Join(f.Values, ", ")
	if s := suggest(value, f.Values); s != "" {
		hint = "did you mean `\"" + s + "\"`?"
	}
	t.warn(n, CodeConstant, fmt.Sprintf("`%s` is never %q", field.text, value), hint)
}

// checkWildcard warns about a star in a text that is compared as it stands.
func (t *typer) checkWildcard(at ast.Node, field, text *node) {
	if value, ok := text.value.(string); ok && text.constant() && field.op == "var" && strings.HasSuffix(value, "*") && len(value) > 1 {
		t.warn(at, CodeConstant, "`*` stands for itself in a comparison", "write `"+field.text+" startsWith \""+strings.Trim(value, "*")+"\"`")
	}
}

// mismatch reports two values of different types, with the repair that most likely fits.
func (t *typer) mismatch(n *ast.BinaryNode, l, r *node) *node {
	at, hint := ast.Node(n), ""
	field, other, otherNode := l, r, n.Right
	if l.constant() && !r.constant() {
		field, other, otherNode = r, l, n.Left
	}
	if other.constant() {
		at = otherNode
	}
	switch {
	case field.kind == kindTextList || field.kind == kindTextSet:
		if other.kind == kindText {
			return t.fail(at, CodeListContains, "`"+field.text+"` is "+field.kind.plain()+" and `"+other.text+"` is one text",
				"use `"+other.text+" in "+field.text+"`")
		}
	case field.kind == kindText:
		hint = quoteHint(other)
	case field.kind.numeric() && other.kind == kindText && other.constant():
		hint = "write the number without quotes"
	case field.kind == kindTime:
		hint = "compare its age: `age(" + field.text + ") < days(14)`; a fixed date goes into the rule's `schedule:`"
		if field.text == "now" {
			hint = "compare `local.date == \"2026-10-01\"`, or give the rule a `schedule:`"
		}
	case field.kind == kindDuration && other.kind.numeric():
		hint = "write `days(" + other.text + ")` or `hours(" + other.text + ")`"
	case field.kind == kindBool:
		hint = "use `" + field.text + "` or `not " + field.text + "`"
	}
	return t.fail(at, CodeTypeMismatch, fmt.Sprintf("`%s` is %s, `%s` is %s", l.text, l.kind.plain(), r.text, r.kind.plain()), hint)
}

func (t *typer) arithmetic(n *ast.BinaryNode, op string, l, r *node) *node {
	k := kindNone
	switch {
	case l.kind.numeric() && r.kind.numeric():
		k, _ = common(l, r)
		if op == "/" {
			k = kindNumber
			t.checkDivisor(n, r)
		}
		if op == "%" && (l.kind != kindInt || r.kind != kindInt) {
			return t.fail(n, CodeTypeMismatch, "`%` needs whole numbers", "compare ranges instead")
		}
		if op == "%" {
			t.checkDivisor(n, r)
		}
	case op == "+" && l.kind == kindText && r.kind == kindText:
		return t.fail(n, CodeRefused, "joining texts with `+` is not allowed in rules", "compare the parts on their own, joined by `and`")
	case op == "-" && l.kind == kindTime && r.kind == kindTime:
		k = kindDuration
	case (op == "-" || op == "+") && l.kind == kindTime && r.kind == kindDuration:
		k = kindTime
	case op == "+" && l.kind == kindDuration && r.kind == kindTime:
		k = kindTime
	case (op == "-" || op == "+") && l.kind == kindDuration && r.kind == kindDuration:
		k = kindDuration
	default:
		return t.mismatch(n, l, r)
	}
	return t.fold(branch(n, op, k, l, r))
}

func (t *typer) checkDivisor(n *ast.BinaryNode, r *node) {
	if r.constant() {
		if number(r.value) == 0 {
			t.fail(n.Right, CodeZeroDivision, "this divides by zero", "use `ratio(a, b, 0)`")
		}
		return
	}
	t.warn(n, CodeZeroDivision, "`"+r.text+"` can be zero", "use `ratio(a, b, 0)`")
}

// number is the float64 of a constant number.
func number(v any) float64 {
	switch x := v.(type) {
	case int:
		return float64(x)
	case float64:
		return x
	}
	return 0
}

func (t *typer) membership(n *ast.BinaryNode, l, r *node) *node {
	switch {
	case l.kind == kindText && (r.kind == kindTextList || r.kind == kindTextSet):
	case l.kind.numeric() && r.kind == kindNumberList:
	case l.kind == kindText && r.kind == kindText:
		return t.fail(n, CodeTypeMismatch, "`"+r.text+"` is text, not a list",
			"compare with `==`, or look for a part: `"+r.text+" contains "+l.text+"`")
	case l.kind == kindText && r.kind == kindTextMap:
		return t.fail(n, CodeTypeMismatch, "`"+r.text+"` is a map", "ask `has(\""+r.text+".KEY\")`")
	case (l.kind == kindTextList || l.kind == kindTextSet) && r.kind == kindText:
		return t.fail(n, CodeListContains, "`in` reads from the element to the list", "use `"+r.text+" in "+l.text+"`")
	case l.kind == kindTextList && (r.kind == kindTextList || r.kind == kindTextSet):
		return t.fail(n, CodeListContains, "`"+l.text+"` is a list; `in` asks for one element",
			"use `any("+l.text+", # in "+r.text+")`")
	default:
		return t.mismatch(n, l, r)
	}
	out := branch(n, "in", kindBool, l, r)
	if r.op == "var" {
		out.cost += r.max / 4 // a search through the field's list
	}
	return t.fold(out)
}

func (t *typer) textOp(n *ast.BinaryNode, op string, l, r *node) *node {
	if op == "contains" && (l.kind == kindTextList || l.kind == kindTextSet) {
		return t.fail(n, CodeListContains, "`"+l.text+"` is "+l.kind.plain()+"; `contains` looks inside a text", "use `"+r.text+" in "+l.text+"`")
	}
	if l.kind != kindText || r.kind != kindText {
		side, at := l, n.Left
		if l.kind == kindText {
			side, at = r, n.Right
		}
		hint := ""
		if side.constant() {
			hint = quoteHint(side)
		}
		return t.fail(at, CodeTypeMismatch, "`"+op+"` needs texts; `"+side.text+"` is "+side.kind.plain(), hint)
	}
	out := branch(n, op, kindBool, l, r)
	out.cost += 4
	if op == "matches" {
		out.cost += 40
		out.slow = true
	}
	return t.fold(out)
}
