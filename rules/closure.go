package rules

import (
	"math"
	"strings"
	"time"
)

// Most conditions compare fields with constants. They are compiled to closures over the frame,
// which run some ten times faster than a virtual machine; a differential test holds both to the
// same answers. Closures follow expr's arithmetic: whole numbers stay whole except under "/".

type (
	boolFn     func(f *frame) bool
	intFn      func(f *frame) int
	numFn      func(f *frame) float64
	textFn     func(f *frame) string
	timeFn     func(f *frame) time.Time
	durationFn func(f *frame) time.Duration
	listFn     func(f *frame) []string
)

// read returns the reader of a variable or constant of Go type T.
func read[T any](n *node) func(f *frame) T {
	if n.constant() {
		v := n.value.(T)
		return func(*frame) T { return v }
	}
	at := n.ref.at
	if n.ref.item {
		return func(f *frame) T { return f.row[at].(T) }
	}
	return func(f *frame) T { return f.req[at].(T) }
}

// choose returns the closure of a conditional.
func choose[T any](c boolFn, a, b func(f *frame) T) func(f *frame) T {
	return func(f *frame) T {
		if c(f) {
			return a(f)
		}
		return b(f)
	}
}

func (n *node) bool() boolFn {
	switch n.op {
	case "const", "var":
		return read[bool](n)
	case "?":
		return choose(n.kids[0].bool(), n.kids[1].bool(), n.kids[2].bool())
	case "??":
		return n.kids[0].bool()
	case "not":
		a := n.kids[0].bool()
		return func(f *frame) bool { return !a(f) }
	case "and":
		a, b := n.kids[0].bool(), n.kids[1].bool()
		return func(f *frame) bool { return a(f) && b(f) }
	case "or":
		a, b := n.kids[0].bool(), n.kids[1].bool()
		return func(f *frame) bool { return a(f) || b(f) }
	case "in":
		return n.in()
	case "contains", "startsWith", "endsWith":
		test := map[string]func(string, string) bool{"contains": strings.Contains,
			"startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix}[n.op]
		a, b := n.kids[0].string(), n.kids[1].string()
		return func(f *frame) bool { return test(a(f), b(f)) }
	case "haskey":
		m, key := read[map[string]string](n.kids[0]), n.kids[1].value.(string)
		return func(f *frame) bool { _, ok := m(f)[key]; return ok }
	case "between":
		return n.between()
	case "did":
		times := n.times()
		return func(f *frame) bool { return times(f) > 0 }
	}
	return n.compare()
}

func (n *node) between() boolFn {
	switch n.kids[0].kind {
	case kindTime:
		x, a, b := n.kids[0].time(), n.kids[1].time(), n.kids[2].time()
		return func(f *frame) bool {
			v, lo, hi := x(f), a(f), b(f)
			return !v.Before(lo) && !v.After(hi)
		}
	case kindDuration:
		x, a, b := n.kids[0].duration(), n.kids[1].duration(), n.kids[2].duration()
		return func(f *frame) bool {
			v, lo, hi := x(f), a(f), b(f)
			return v >= lo && v <= hi
		}
	}
	x, a, b := n.kids[0].number(), n.kids[1].number(), n.kids[2].number()
	return func(f *frame) bool {
		v, lo, hi := x(f), a(f), b(f)
		return v >= lo && v <= hi
	}
}

// in finds the quickest test for membership: a set made now, or a search through a short list.
func (n *node) in() boolFn {
	l, r := n.kids[0], n.kids[1]
	if l.kind.numeric() {
		x, numbers := l.number(), make([]numFn, len(r.kids))
		for i, k := range r.kids {
			numbers[i] = k.number()
		}
		return func(f *frame) bool {
			v, found := x(f), false
			for _, e := range numbers { // all of them, as the machine does: one may fail
				if e(f) == v {
					found = true
				}
			}
			return found
		}
	}
	x := l.string()
	if set := r.textSet(); set != nil {
		return func(f *frame) bool { _, ok := set[x(f)]; return ok }
	}
	list := r.list()
	return func(f *frame) bool { return contains(list(f), x(f)) }
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// textSet is the set of a named list or of a literal list of constants, else nil.
func (n *node) textSet() map[string]struct{} {
	if n.kind == kindTextSet {
		return n.value.(map[string]struct{})
	}
	if n.op != "array" {
		return nil
	}
	set := make(map[string]struct{}, len(n.kids))
	for _, k := range n.kids {
		if !k.constant() {
			return nil
		}
		set[k.value.(string)] = struct{}{}
	}
	return set
}

func (n *node) list() listFn {
	switch n.op {
	case "?":
		return choose(n.kids[0].bool(), n.kids[1].list(), n.kids[2].list())
	case "??":
		return n.kids[0].list()
	case "array":
		texts := make([]textFn, len(n.kids))
		for i, k := range n.kids {
			texts[i] = k.string()
		}
		return func(f *frame) []string {
			out := make([]string, len(texts))
			for i, t := range texts {
				out[i] = t(f)
			}
			return out
		}
	}
	return read[[]string](n)
}

// compare makes the comparison operators of each kind.
func (n *node) compare() boolFn {
	l, r := n.kids[0], n.kids[1]
	switch l.kind {
	case kindText:
		return ordered(n.op, l.string(), r.string())
	case kindDuration:
		return ordered(n.op, l.duration(), r.duration())
	case kindTime:
		a, b := l.time(), r.time()
		return ordered(n.op, func(f *frame) int { return a(f).Compare(b(f)) }, func(*frame) int { return 0 })
	case kindBool:
		a, b := l.bool(), r.bool()
		if n.op == "==" {
			return func(f *frame) bool { return a(f) == b(f) }
		}
		return func(f *frame) bool { return a(f) != b(f) }
	}
	if l.kind == kindInt && r.kind == kindInt {
		return ordered(n.op, l.int(), r.int())
	}
	if r.constant() {
		return againstConstant(n.op, l.number(), number(r.value))
	}
	return ordered(n.op, l.number(), r.number())
}

func ordered[T string | int | float64 | time.Duration](op string, a, b func(f *frame) T) boolFn {
	switch op {
	case "==":
		return func(f *frame) bool { return a(f) == b(f) }
	case "!=":
		return func(f *frame) bool { return a(f) != b(f) }
	case "<":
		return func(f *frame) bool { return a(f) < b(f) }
	case "<=":
		return func(f *frame) bool { return a(f) <= b(f) }
	case ">":
		return func(f *frame) bool { return a(f) > b(f) }
	}
	return func(f *frame) bool { return a(f) >= b(f) }
}

func againstConstant(op string, a numFn, b float64) boolFn {
	switch op {
	case "==":
		return func(f *frame) bool { return a(f) == b }
	case "!=":
		return func(f *frame) bool { return a(f) != b }
	case "<":
		return func(f *frame) bool { return a(f) < b }
	case "<=":
		return func(f *frame) bool { return a(f) <= b }
	case ">":
		return func(f *frame) bool { return a(f) > b }
	}
	return func(f *frame) bool { return a(f) >= b }
}

func (n *node) string() textFn {
	switch n.op {
	case "?":
		return choose(n.kids[0].bool(), n.kids[1].string(), n.kids[2].string())
	case "??":
		return n.kids[0].string()
	case "get":
		m, key := read[map[string]string](n.kids[0]), n.kids[1].string()
		return func(f *frame) string { return m(f)[key(f)] }
	}
	return read[string](n)
}

func (n *node) time() timeFn {
	switch n.op {
	case "?":
		return choose(n.kids[0].bool(), n.kids[1].time(), n.kids[2].time())
	case "??":
		return n.kids[0].time()
	case "+", "-":
		l, r := n.kids[0], n.kids[1]
		if l.kind == kindDuration {
			l, r = r, l
		}
		a, b, sign := l.time(), r.duration(), time.Duration(1)
		if n.op == "-" {
			sign = -1
		}
		return func(f *frame) time.Time { return a(f).Add(sign * b(f)) }
	}
	return read[time.Time](n)
}

func (n *node) duration() durationFn {
	switch n.op {
	case "?":
		return choose(n.kids[0].bool(), n.kids[1].duration(), n.kids[2].duration())
	case "??":
		return n.kids[0].duration()
	case "age":
		a, b := n.kids[0].time(), n.kids[1].time()
		return func(f *frame) time.Duration { return a(f).Sub(b(f)) }
	case "days", "hours", "minutes":
		unit, count := spans[n.op], n.kids[0].number()
		return func(f *frame) time.Duration { return span(count(f), unit) }
	case "+", "-":
		if n.kids[0].kind == kindTime {
			a, b := n.kids[0].time(), n.kids[1].time()
			return func(f *frame) time.Duration { return a(f).Sub(b(f)) }
		}
		a, b := n.kids[0].duration(), n.kids[1].duration()
		if n.op == "+" {
			return func(f *frame) time.Duration { return a(f) + b(f) }
		}
		return func(f *frame) time.Duration { return a(f) - b(f) }
	}
	return read[time.Duration](n)
}

var spans = map[string]time.Duration{"days": 24 * time.Hour, "hours": time.Hour, "minutes": time.Minute}

// span is count units of time, held within what a time.Duration can tell.
func span(count float64, unit time.Duration) time.Duration {
	v := count * float64(unit)
	switch {
	case math.IsNaN(v):
		return 0
	case v >= math.MaxInt64:
		return math.MaxInt64
	case v <= math.MinInt64:
		return math.MinInt64
	}
	return time.Duration(v)
}
