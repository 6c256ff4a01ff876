package rules

import "math"

func (n *node) int() intFn {
	switch n.op {
	case "const", "var":
		if !n.constant() && n.ref == (ref{item: true, at: atRank}) {
			return func(f *frame) int { return f.cand.Rank }
		}
		return read[int](n)
	case "?":
		return choose(n.kids[0].bool(), n.kids[1].int(), n.kids[2].int())
	case "??":
		return n.kids[0].int()
	case "neg":
		a := n.kids[0].int()
		return func(f *frame) int { return -a(f) }
	case "times":
		return n.times()
	case "bucket":
		salt, parts, id := n.kids[0].value.(string), n.kids[1].value.(int), n.kids[2].string()
		return func(f *frame) int { return userPart(salt, parts, id(f)) }
	}
	a, b := n.kids[0].int(), n.kids[1].int()
	switch n.op {
	case "+":
		return func(f *frame) int { return a(f) + b(f) }
	case "-":
		return func(f *frame) int { return a(f) - b(f) }
	case "*":
		return func(f *frame) int { return a(f) * b(f) }
	}
	return func(f *frame) int { // %
		v, d := a(f), b(f)
		if d == 0 {
			f.err = errModZero
			return 0
		}
		return v % d
	}
}

func (n *node) number() numFn {
	if n.kind == kindInt {
		if n.constant() {
			v := number(n.value)
			return func(*frame) float64 { return v }
		}
		a := n.int()
		return func(f *frame) float64 { return float64(a(f)) }
	}
	switch n.op {
	case "const", "var":
		if !n.constant() && n.ref == (ref{item: true, at: atScore}) {
			return func(f *frame) float64 { return f.cand.Base }
		}
		if !n.constant() && n.ref == (ref{item: true, at: atSimilarity}) {
			return func(f *frame) float64 { return f.cand.similarity }
		}
		return read[float64](n)
	case "?":
		return choose(n.kids[0].bool(), n.kids[1].number(), n.kids[2].number())
	case "??":
		return n.kids[0].number()
	case "neg":
		a := n.kids[0].number()
		return func(f *frame) float64 { return -a(f) }
	case "log1p":
		a := n.kids[0].number()
		return func(f *frame) float64 { return math.Log1p(a(f)) }
	case "clamp":
		x, a, b := n.kids[0].number(), n.kids[1].number(), n.kids[2].number()
		return func(f *frame) float64 { return clamp(x(f), a(f), b(f)) }
	case "fatigue":
		return n.fatigue()
	case "ratio":
		a, b, def := n.kids[0].number(), n.kids[1].number(), n.kids[2].number()
		return func(f *frame) float64 { return ratio(a(f), b(f), def(f)) }
	}
	a, b := n.kids[0].number(), n.kids[1].number()
	switch n.op {
	case "+":
		return func(f *frame) float64 { return a(f) + b(f) }
	case "-":
		return func(f *frame) float64 { return a(f) - b(f) }
	case "*":
		return func(f *frame) float64 { return a(f) * b(f) }
	}
	return func(f *frame) float64 { return a(f) / b(f) }
}

func clamp(x, a, b float64) float64 { return math.Min(math.Max(x, a), b) }

// ratio is a/b, or def when b is zero.
func ratio(a, b, def float64) float64 {
	if b == 0 {
		return def
	}
	return a / b
}

// fold replaces a part made of constants by its value, so that parameters cost nothing at run time.
func (t *typer) fold(n *node) *node {
	for _, k := range n.kids {
		if !k.constant() && k.op != "array" {
			return n
		}
	}
	if n.slow || n.op == "array" || !constantArrays(n) {
		return n
	}
	f := &frame{}
	var v any
	switch n.kind {
	case kindBool:
		v = n.bool()(f)
	case kindInt:
		v = n.int()(f)
	case kindNumber:
		v = n.number()(f)
	case kindDuration:
		v = n.duration()(f)
	default:
		return n
	}
	if f.err != nil {
		return n
	}
	return &node{op: "const", kind: n.kind, value: v, cost: 1, offset: n.offset, text: n.text}
}

// constantArrays tells whether all literal lists below n hold constants only.
func constantArrays(n *node) bool {
	for _, k := range n.kids {
		if k.op == "array" {
			for _, e := range k.kids {
				if !e.constant() {
					return false
				}
			}
		}
	}
	return true
}
