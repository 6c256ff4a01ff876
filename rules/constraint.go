package rules

import (
	"math"
	"time"
)

// constraint is a set of values of one field: an interval of numbers, less some, or a finite set.
// The zero value with infinite ends holds everything. Values are float64, string or bool.
type constraint struct {
	numeric, whole bool
	lo, hi         float64
	open           [2]bool // ends that are not part of the interval
	only           map[any]bool
	except         map[any]bool
}

func anything(k kind) constraint {
	return constraint{numeric: k != kindText && k != kindBool, whole: k == kindInt, lo: math.Inf(-1), hi: math.Inf(1)}
}

func exactly(k kind, values ...any) constraint {
	c := anything(k)
	c.only = map[any]bool{}
	for _, v := range values {
		c.only[v] = true
	}
	return c
}

// has tells whether a value is in the set.
func (c *constraint) has(v any) bool {
	if c.except[v] || c.only != nil && !c.only[v] {
		return false
	}
	x, ok := v.(float64)
	if !ok {
		return true
	}
	aboveLo, belowHi := x > c.lo || x == c.lo && !c.open[0], x < c.hi || x == c.hi && !c.open[1]
	return aboveLo && belowHi // both: the ends may have crossed
}

// and is what both sets hold.
func (c constraint) and(o constraint) constraint {
	if o.lo > c.lo || o.lo == c.lo && o.open[0] {
		c.lo, c.open[0] = o.lo, o.open[0]
	}
	if o.hi < c.hi || o.hi == c.hi && o.open[1] {
		c.hi, c.open[1] = o.hi, o.open[1]
	}
	except := map[any]bool{}
	for _, m := range []map[any]bool{c.except, o.except} {
		for v := range m {
			except[v] = true
		}
	}
	c.except = except
	from := c.only
	if from == nil {
		from = o.only
	}
	if from != nil {
		both := map[any]bool{}
		for v := range from {
			if c.has(v) && o.has(v) {
				both[v] = true
			}
		}
		c.only = both
	}
	return c
}

// or is the union of two finite sets, or of two sets of which one holds the other; else unknown.
func (c constraint) or(o constraint) (constraint, bool) {
	switch {
	case c.within(&o):
		return o, true
	case o.within(&c):
		return c, true
	case c.only == nil || o.only == nil:
		return c, false
	}
	out := c
	out.only, out.except = map[any]bool{}, nil
	out.lo, out.hi, out.open = math.Inf(-1), math.Inf(1), [2]bool{}
	for _, m := range []constraint{c, o} {
		for v := range m.only {
			if m.has(v) {
				out.only[v] = true
			}
		}
	}
	return out, true
}

// empty tells whether no value is in the set; false where it is not known.
func (c *constraint) empty() bool {
	if c.only != nil {
		for v := range c.only {
			if c.has(v) {
				return false
			}
		}
		return true
	}
	lo, hi := c.lo, c.hi
	if c.whole && !math.IsInf(lo, 0) && !math.IsInf(hi, 0) {
		if lo = math.Ceil(lo); lo == c.lo && c.open[0] {
			lo++
		}
		if hi = math.Floor(hi); hi == c.hi && c.open[1] {
			hi--
		}
		if hi-lo > 100 {
			return false
		}
		for v := lo; v <= hi; v++ {
			if !c.except[v] {
				return false
			}
		}
		return true
	}
	return lo > hi || lo == hi && (c.open[0] || c.open[1] || c.except[lo])
}

// within tells whether every value of c is in o; false where it is not known.
func (c *constraint) within(o *constraint) bool {
	if c.only != nil {
		for v := range c.only {
			if c.has(v) && !o.has(v) {
				return false
			}
		}
		return true
	}
	if o.only != nil || c.lo < o.lo || c.hi > o.hi ||
		c.lo == o.lo && o.open[0] && !c.open[0] || c.hi == o.hi && o.open[1] && !c.open[1] {
		return false
	}
	for v := range o.except {
		if c.has(v) {
			return false
		}
	}
	return true
}

// conditions is what a conjunction asks of each field. It is exact when nothing else is asked.
type conditions struct {
	fields map[string]constraint
	order  []string // of fields, as written
	exact  bool
}

// conditionsOf reads a conjunction of simple comparisons; what it cannot read makes it inexact,
// never wrong. A nil program asks for nothing.
func conditionsOf(programs ...*program) *conditions {
	c := &conditions{fields: map[string]constraint{}, exact: true}
	for _, p := range programs {
		if p != nil {
			c.add(p.root, true)
		}
	}
	return c
}

// constantPart stands for a part that is false whatever the fields are.
const constantPart = "false"

// add takes in a part that must be true, or false.
func (c *conditions) add(n *node, want bool) {
	switch {
	case n.op == "not":
		c.add(n.kids[0], !want)
	case n.op == "and" && want, n.op == "or" && !want:
		c.add(n.kids[0], want)
		c.add(n.kids[1], want)
	case n.constant() && n.kind == kindBool:
		if n.value.(bool) != want {
			c.meet(constantPart, exactly(kindBool))
		}
	default:
		name, set, ok := simple(n, want)
		if !ok {
			c.exact = false
			return
		}
		c.meet(name, set)
	}
}

func (c *conditions) meet(name string, set constraint) {
	before, seen := c.fields[name]
	if seen {
		set = before.and(set)
	} else {
		c.order = append(c.order, name)
	}
	c.fields[name] = set
}

// never returns the field that no value can satisfy, "" when there is none or it is not known.
func (c *conditions) never() string {
	for _, name := range c.order {
		if set := c.fields[name]; set.empty() {
			return name
		}
	}
	return ""
}

// implies tells whether whatever meets c meets o too; false where it is not known.
func (c *conditions) implies(o *conditions) bool {
	if !o.exact {
		return false
	}
	for name, set := range o.fields {
		mine, ok := c.fields[name]
		if !ok || !mine.within(&set) {
			return false
		}
	}
	return true
}

// excludes tells whether nothing can meet both; false where it is not known.
func (c *conditions) excludes(o *conditions) bool {
	for name, set := range c.fields {
		if other, ok := o.fields[name]; ok {
			if both := set.and(other); both.empty() {
				return true
			}
		}
	}
	return false
}

// simple reads one part as a set of values of one field.
func simple(n *node, want bool) (string, constraint, bool) {
	switch n.op {
	case "var":
		return n.text, exactly(kindBool, want), n.kind == kindBool
	case "haskey":
		return n.text, exactly(kindBool, want), true
	case "==", "!=", "<", "<=", ">", ">=":
		return compared(n, want)
	case "in":
		return member(n, want)
	case "or", "and":
		a, left, okA := simple(n.kids[0], want)
		b, right, okB := simple(n.kids[1], want)
		if !okA || !okB || a != b {
			return "", constraint{}, false
		}
		if (n.op == "and") == want { // an `and` that must be true, an `or` that must be false: both sides hold
			return a, left.and(right), true
		}
		union, ok := left.or(right)
		return a, union, ok
	case "not":
		return simple(n.kids[0], !want)
	case "between":
		lo, okA := scalar(n.kids[1])
		hi, okB := scalar(n.kids[2])
		name, ok := subject(n.kids[0])
		if !ok || !okA || !okB || !want {
			return "", constraint{}, false
		}
		set := anything(n.kids[0].kind)
		set.lo, set.hi = lo.(float64), hi.(float64)
		return name, set, true
	}
	return "", constraint{}, false
}

// subject names what a comparison is about: a field, or the age of one.
func subject(n *node) (string, bool) {
	if n.op == "age" && n.kids[len(n.kids)-1].op == "var" {
		return "age of " + n.kids[len(n.kids)-1].text, true
	}
	return n.text, n.op == "var"
}

// scalar is the value of a constant as constraints hold it.
func scalar(n *node) (any, bool) {
	if !n.constant() {
		return nil, false
	}
	switch v := n.value.(type) {
	case int:
		return float64(v), true
	case time.Duration:
		return float64(v), true
	case float64, string, bool:
		return v, true
	}
	return nil, false
}

var (
	mirrored = map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
	negated  = map[string]string{"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
)

func compared(n *node, want bool) (string, constraint, bool) {
	field, value, op := n.kids[0], n.kids[1], n.op
	if field.constant() {
		field, value, op = value, field, mirrored[op]
	}
	if !want {
		op = negated[op]
	}
	name, ok := subject(field)
	v, isConstant := scalar(value)
	if !ok || !isConstant {
		return "", constraint{}, false
	}
	set := anything(field.kind)
	switch op {
	case "==":
		return name, exactly(field.kind, v), true
	case "!=":
		if b, ok := v.(bool); ok {
			return name, exactly(kindBool, !b), true
		}
		set.except = map[any]bool{v: true}
		return name, set, true
	}
	x, ok := v.(float64)
	if !ok {
		return "", constraint{}, false // the order of texts
	}
	switch op {
	case "<", "<=":
		set.hi, set.open[1] = x, op == "<"
	default:
		set.lo, set.open[0] = x, op == ">"
	}
	return name, set, true
}

// member reads `field in [constants]` and `"text" in field`.
func member(n *node, want bool) (string, constraint, bool) {
	l, r := n.kids[0], n.kids[1]
	if l.constant() && r.op == "var" {
		return n.text, exactly(kindBool, want), true
	}
	name, ok := subject(l)
	if !ok {
		return "", constraint{}, false
	}
	var values []any
	if r.kind == kindTextSet && r.name == liveList {
		return "", constraint{}, false
	}
	if r.kind == kindTextSet {
		for v := range r.value.(map[string]struct{}) {
			values = append(values, v)
		}
	}
	for _, k := range r.kids {
		v, ok := scalar(k)
		if !ok {
			return "", constraint{}, false
		}
		values = append(values, v)
	}
	if r.kind != kindTextSet && r.op != "array" {
		return "", constraint{}, false
	}
	set := exactly(l.kind, values...)
	if !want {
		set.except, set.only = set.only, nil
	}
	return name, set, true
}
