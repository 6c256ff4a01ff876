package index

import (
	"math"
	"slices"
)

// key orders hits as one number: ascending keys are descending scores, then ascending rows.
type key uint64

func newKey(row int, score float32) key {
	b := math.Float32bits(score + 0) // -0 becomes 0, which it equals
	if b>>31 != 0 {
		b = ^b
	} else {
		b |= 1 << 31
	}
	return key(^b)<<32 | key(uint32(row))
}

func (k key) hit() Hit {
	b := ^uint32(k >> 32)
	if b>>31 != 0 {
		b &^= 1 << 31
	} else {
		b = ^b
	}
	return Hit{Row: int(uint32(k)), Score: math.Float32frombits(b)}
}

// top keeps the k best of the hits that it is given. It lets hits pile up to twice k and then drops
// the worse half, which costs a constant time per hit; a heap would cost log k.
type top struct {
	k    int
	keys []key
	room []key // to sort in
	// floor is the score that a hit must reach. Hits that come in ascending order of rows must exceed
	// it: k hits reach it, and a later row with the same score loses the tie.
	floor float32
}

func (t *top) reset(k int) {
	t.k, t.keys = k, t.keys[:0]
	t.floor = float32(math.Inf(-1))
}

func (t *top) add(row int, score float32) {
	t.keys = append(t.keys, newKey(row, score))
	if len(t.keys) >= 2*t.k+16 {
		t.shrink()
	}
}

// shrink keeps the best k hits in any order and raises the floor.
func (t *top) shrink() {
	smallest(t.keys, t.k)
	t.keys = t.keys[:t.k]
	t.floor = slices.Max(t.keys).hit().Score
}

// worst returns the score of the worst of the best k hits, negative infinity while there are fewer.
func (t *top) worst() float32 {
	if len(t.keys) < t.k {
		return float32(math.Inf(-1))
	}
	t.sort()
	return t.keys[t.k-1].hit().Score
}

// appendHits appends the best k hits in order.
func (t *top) appendHits(dst []Hit) []Hit {
	t.sort()
	for _, k := range t.keys {
		dst = append(dst, k.hit())
	}
	return dst
}

// sort keeps the best k hits, in order.
func (t *top) sort() {
	if len(t.keys) >= countingFrom && !slices.IsSorted(t.keys) {
		t.count()
	}
	if !slices.IsSorted(t.keys) {
		slices.Sort(t.keys)
	}
	t.keys = t.keys[:min(t.k, len(t.keys))]
}

// countingFrom is how many hits are sorted sooner by counting than by comparing.
const countingFrom = 48

// count sorts by scores, byte by byte, without a branch that nobody could foresee. Equal scores keep their order.
func (t *top) count() {
	var counts [4][256]uint32
	for _, k := range t.keys {
		counts[0][byte(k>>32)]++
		counts[1][byte(k>>40)]++
		counts[2][byte(k>>48)]++
		counts[3][byte(k>>56)]++
	}
	from, to := t.keys, slices.Grow(t.room[:0], len(t.keys))[:len(t.keys)]
	for i := range counts {
		c, shift, place := &counts[i], 32+8*i, uint32(0)
		if c[byte(from[0]>>shift)] == uint32(len(from)) {
			continue // all alike
		}
		for b, n := range c {
			c[b] = place
			place += n
		}
		for _, k := range from {
			b := byte(k >> shift)
			to[c[b]] = k
			c[b]++
		}
		from, to = to, from
	}
	t.keys, t.room = from, to
}

// smallest moves the k smallest values to the front, in any order (quickselect with a median of three).
func smallest(h []key, k int) {
	for len(h) > 1 && k > 0 && k < len(h) {
		if len(h) < 24 {
			slices.Sort(h)
			return
		}
		p := split(h)
		switch {
		case p == k:
			return
		case p < k:
			h, k = h[p:], k-p
		default:
			h = h[:p]
		}
	}
}

// split parts h, of at least three values, into two non-empty parts, none of the first above any of the
// second, and returns the length of the first.
func split(h []key) int {
	a, b, c := h[0], h[len(h)/2], h[len(h)-1]
	b = max(min(a, b), min(max(a, b), c))
	i, j := 0, len(h)-1
	for {
		for h[i] < b {
			i++
		}
		for b < h[j] {
			j--
		}
		if i >= j {
			return i
		}
		h[i], h[j] = h[j], h[i]
		i++
		j--
	}
}
