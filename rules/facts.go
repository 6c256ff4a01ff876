package rules

import "github.com/sartorhq/sartor/features"

// Facts is what a set knows of one item before any request: the values that its rules read, and
// the outcome of every condition and formula that looks at nothing but the item. Callers keep it
// beside the item and hand it back with each candidate, so that such rules cost a request one bit
// each. It belongs to one set and one item, is immutable, and is safe for concurrent use.
type Facts struct {
	// The first cache line is all that most requests look at.
	set   *Set
	item  *features.Item
	bits  uint64      // bit k: condition k of the set holds, of the first 64
	bad   *factErrors // nil = nothing failed
	codes [maxTexts]code
	row   []any

	more []uint64  // the other bits
	nums []float64 // outcome of formula k
}

// factErrors are the errors of conditions and formulas, by number.
type factErrors struct{ bits, nums map[int]error }

// Of tells whether the facts are about this item and from this set; nil is about nothing.
func (f *Facts) Of(s *Set, it *features.Item) bool { return f != nil && f.set == s && f.item == it }

// Facts evaluates what the set can tell of the item alone.
func (s *Set) Facts(it *features.Item) *Facts {
	f := s.itemFrame(it)
	defer s.statics.Put(f)
	out := &Facts{set: s, item: it, row: append(make([]any, 0, len(f.row)), f.row...)}
	if n := (len(s.bits) + 63) / 64; n > 1 {
		out.more = make([]uint64, n-1)
	}
	for k, p := range s.bits {
		ok, err := p.test(f.frame)
		switch {
		case ok && k < 64:
			out.bits |= 1 << k
		case ok:
			out.more[k/64-1] |= 1 << (k % 64)
		}
		if err != nil {
			out.errors().bits[k] = err
		}
	}
	if len(s.nums) > 0 {
		out.nums = make([]float64, len(s.nums))
	}
	for k, p := range s.nums {
		v, err := p.value(f.frame)
		if err != nil {
			out.errors().nums[k] = err
		}
		out.nums[k] = v
	}
	for k, at := range s.texts {
		text, _ := f.row[at].(string)
		out.codes[k] = s.coded[k].code(text)
	}
	return out
}

func (f *Facts) errors() *factErrors {
	if f.bad == nil {
		f.bad = &factErrors{bits: map[int]error{}, nums: map[int]error{}}
	}
	return f.bad
}

// failed is the error of condition k, nil for none.
func (f *Facts) failed(k int) error {
	if f.bad == nil {
		return nil
	}
	return f.bad.bits[k]
}

// split tells how the rule's condition is evaluated for a candidate with facts: one bit answers
// for what depends on the item alone, ahead says yes or no for the whole request, rest is what
// remains. A nil part holds.
type split struct {
	bit   int // index of the item-only part among the set's bits, -1 = none
	ahead boolFn
	rest  boolFn
	probe *probe // a part of rest that mostly fails, and quickly; nil = none
	whole bool   // not split: the condition is evaluated as it stands
}

// divide sorts the parts of a conjunction by what they look at. Only conditions that cannot fail
// are divided: an author who guards a remainder with `and` expects the order to be kept.
func (s *Set) divide(p *program) split {
	if p.deps == depItem {
		return split{bit: s.addBit(p)}
	}
	if p.yes == nil || !p.root.safe() {
		return split{bit: -1, whole: true}
	}
	var item, request, mixed []*node
	for _, part := range p.root.conjuncts(nil) {
		switch {
		case part.deps == depItem:
			item = append(item, part)
		case part.deps&(depItem|depScore) == 0:
			request = append(request, part)
		default:
			mixed = append(mixed, part)
		}
	}
	out := split{bit: -1, ahead: allOf(request), rest: allOf(mixed), probe: s.probeOf(mixed)}
	if len(item) > 0 {
		out.bit = s.addBit(&program{src: p.src, kind: kindBool, deps: depItem, yes: allOf(item)})
	}
	return out
}

func (s *Set) addBit(p *program) int {
	s.bits = append(s.bits, p)
	return len(s.bits) - 1
}

// conjuncts lists the parts that `and` joins.
func (n *node) conjuncts(into []*node) []*node {
	if n.op != "and" {
		return append(into, n)
	}
	for _, k := range n.kids {
		into = k.conjuncts(into)
	}
	return into
}

// safe tells whether evaluating the part never fails.
func (n *node) safe() bool {
	if n.slow || n.op == "%" {
		return false
	}
	for _, k := range n.kids {
		if !k.safe() {
			return false
		}
	}
	return true
}

// allOf is the closure of parts that must all hold, nil for none.
func allOf(parts []*node) boolFn {
	if len(parts) == 0 {
		return nil
	}
	all := parts[0].bool()
	for _, p := range parts[1:] {
		before, this := all, p.bool()
		all = func(f *frame) bool { return before(f) && this(f) }
	}
	return all
}

// findFacts numbers the conditions and formulas that Facts evaluates.
func (s *Set) findFacts() {
	for _, r := range s.rules {
		if r.match != nil {
			r.split = s.divide(r.match)
		}
		for i := range r.actions {
			if b := r.actions[i].boost; b != nil {
				s.addFormula(b.multiply)
				s.addFormula(b.add)
				s.addFormula(b.field)
			}
			if p := r.actions[i].pin; p != nil {
				s.addFormula(p.orderBy)
			}
		}
	}
	for _, r := range s.rules { // conditions come first: they are asked of more items
		for i := range r.actions {
			if l := r.actions[i].limit; l != nil {
				l.text = -1
				if k, ok := s.coding(l.by); ok {
					l.text = k
				}
			}
		}
	}
}

func (s *Set) addFormula(p *program) {
	if p != nil && p.deps == depItem {
		s.nums = append(s.nums, p)
		p.fact = len(s.nums)
	}
}
