package rules

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Candidates are sorted by 64-bit keys: what decides nearly always, in the upper 48 bits, and the candidate's
// number in the others. That is several times as fast as to compare candidates, which lie anywhere in memory.
// Those whose upper bits are equal are compared in full afterwards.
const (
	numberBits = 16
	maxNumber  = 1 << numberBits
)

// sortKeys sorts the keys, and writes the candidates' numbers in order into out, which is as long. full
// compares those of equal keys.
func sortKeys[T int | int32](keys []uint64, out []T, full func(a, b T) int) {
	slices.Sort(keys)
	for i, k := range keys {
		out[i] = T(k & (maxNumber - 1))
	}
	for from := 0; from < len(keys); {
		to := from + 1
		for to < len(keys) && keys[to]>>numberBits == keys[from]>>numberBits {
			to++
		}
		if to-from > 1 {
			slices.SortFunc(out[from:to], full)
		}
		from = to
	}
}

// sortInput orders the candidates by item id, and those of one item as they came. Most ids of a shop begin
// alike, so that the six bytes behind what all share nearly always decide.
func (r *run) sortInput(in []Candidate) {
	r.input = r.input[:0]
	first, shared := "", 0
	for i := range in {
		it := in[i].Item
		if it == nil || it.Deleted {
			continue
		}
		if len(r.input) == 0 {
			first, shared = it.ID, len(it.ID)
		}
		n := 0
		for n < shared && n < len(it.ID) && it.ID[n] == first[n] {
			n++
		}
		shared = n
		r.input = append(r.input, int32(i))
	}
	full := func(a, b int32) int {
		return cmp.Or(strings.Compare(in[a].Item.ID, in[b].Item.ID), cmp.Compare(a, b))
	}
	if len(in) > maxNumber {
		slices.SortFunc(r.input, full)
		return
	}
	r.keys = r.keys[:0]
	for _, at := range r.input {
		id, key := in[at].Item.ID[shared:], uint64(at)
		for n := range min(len(id), 6) {
			key |= uint64(id[n]) << (56 - 8*n)
		}
		r.keys = append(r.keys, key)
	}
	sortKeys(r.keys, r.input, full)
}

// sortByScore orders the items that are left: by final score, base score and id, those at the
// bottom last, fillers after all others.
func (r *run) sortByScore() {
	r.order, r.keys = r.order[:0], r.keys[:0]
	short := len(r.cands) <= maxNumber
	for _, j := range r.byRank() { // rules move few of them: what is nearly sorted is sorted at once
		c := &r.cands[j]
		if c.removed != "" {
			continue
		}
		last := c.last()
		short = short && last < 256
		r.order = append(r.order, int(j))
		r.keys = append(r.keys, uint64(last)<<56|descending(c.score)>>24<<numberBits|uint64(j))
	}
	full := func(x, y int) int {
		p, q := &r.cands[x], &r.cands[y]
		if c := cmp.Or(cmp.Compare(p.last(), q.last()), cmp.Compare(q.score, p.score), cmp.Compare(q.Base, p.Base)); c != 0 {
			return c
		}
		return r.byID(x, y)
	}
	if !short {
		slices.SortFunc(r.order, full)
		return
	}
	sortKeys(r.keys, r.order, full)
}

// last is greater for fillers than for all others, and for those at the bottom of each kind.
func (c *cand) last() int {
	if c.bottom {
		return 2*c.fill + 1
	}
	return 2 * c.fill
}

// descending returns bits that are smaller for a greater number.
func descending(v float64) uint64 {
	b := math.Float64bits(v + 0) // there are two zeroes
	if b>>63 == 1 {
		return b
	}
	return ^b &^ (1 << 63)
}

// byRank lists all candidates in the order of their ranks, or of their ids when these are not the numbers from
// 1 on.
func (r *run) byRank() []int32 {
	n := len(r.cands)
	r.ranked = grow(r.ranked, n)
	clear(r.ranked)
	whole := true
	for j := range r.cands {
		rank := r.cands[j].Rank
		if rank < 1 || rank > n || r.ranked[rank-1] != 0 {
			whole = false
			break
		}
		r.ranked[rank-1] = int32(j) + 1
	}
	for k := range r.ranked {
		if r.ranked[k]--; !whole {
			r.ranked[k] = int32(k)
		}
	}
	return r.ranked
}
