package index

import (
	"cmp"
	"math"
	"slices"
)

// top keeps the k best of the hits that it is given in ascending order of rows. It lets hits pile up
// to twice k and then drops the worse half, which costs a constant time per hit; a heap would cost
// log k.
type top struct {
	k    int
	hits []Hit
	// floor is the score that a hit must exceed. Once k hits reach it, a later row with the same
	// score loses the tie, so that "greater" is exact.
	floor float32
}

func (t *top) reset(k int) {
	t.k, t.hits = k, t.hits[:0]
	t.floor = float32(math.Inf(-1))
}

func (t *top) add(h Hit) {
	t.hits = append(t.hits, h)
	if len(t.hits) >= 2*t.k+16 {
		t.shrink()
	}
}

// shrink keeps the best k hits in any order and raises the floor.
func (t *top) shrink() {
	sel(t.hits, t.k)
	t.hits = t.hits[:t.k]
	t.floor = t.hits[0].Score
	for _, h := range t.hits {
		t.floor = min(t.floor, h.Score)
	}
}

// sorted returns the best k hits in order; they are valid until the next use.
func (t *top) sorted() []Hit {
	if len(t.hits) > t.k {
		t.shrink()
	}
	slices.SortFunc(t.hits, compare)
	return t.hits
}

// compare orders by descending score, then by row.
func compare(a, b Hit) int {
	if a.Score != b.Score {
		return cmp.Compare(b.Score, a.Score)
	}
	return cmp.Compare(a.Row, b.Row)
}

// sel moves the k smallest hits by compare to the front, in any order (quickselect with a median of
// three; the order is total, so that equal scores do no harm).
func sel(h []Hit, k int) {
	for len(h) > 1 && k > 0 && k < len(h) {
		if len(h) < 24 {
			slices.SortFunc(h, compare)
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

// split parts h, of at least three hits, into two non-empty parts, none of the first after any of the second, and
// returns the length of the first.
func split(h []Hit) int {
	a, b, c := h[0], h[len(h)/2], h[len(h)-1]
	if compare(b, a) < 0 {
		a, b = b, a
	}
	if compare(c, b) < 0 {
		b = c
		if compare(b, a) < 0 {
			b = a
		}
	}
	i, j := 0, len(h)-1
	for {
		for compare(h[i], b) < 0 {
			i++
		}
		for compare(b, h[j]) < 0 {
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
