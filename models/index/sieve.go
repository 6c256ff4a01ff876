package index

import (
	"math"
	"math/bits"
	"runtime"
	"slices"

	"github.com/sartorhq/sartor/models/kernel"
)

// sieve finds the rows that may be among the best k by their codes. Every row that it has seen has a
// lowest and a highest score. Once the lowest scores of k rows reach a floor, a row whose highest score
// is below cannot be among the best: k rows are better. The rest is scored as floats, so that the
// hits are exactly those of a search over floats; how many that are depends on the codes, what is found
// does not.
type sieve struct {
	k     int
	twice float32 // the bound, twice
	floor float32 // the highest score must exceed this
	found []sifted
	next  int // tighten at this many found
	query []int8
	lows  []float32
	words [chunkBlocks]uint64
	masks [chunkBlocks]uint64
}

// chunkBlocks is how many blocks of codes a chunk has.
const chunkBlocks = chunk / kernel.CodeRows

type sifted struct {
	row       int32
	high, low float32
}

// Where no more than one row in narrow is allowed, reading the floats of those is less work than reading
// the codes of all.
const narrow = 24

// searchCodes fills s.best by way of the codes; it is false when the index has none, or when floats
// serve better.
func (x *Flat) searchCodes(s *search, q []float32, k int, allowed Bitmap) bool {
	c := x.codes
	if c == nil || k > x.rows/8 {
		return false
	}
	count := x.rows
	if allowed != nil {
		if count = min(allowed.Count(), x.rows); count <= x.rows/narrow {
			return false
		}
	}
	v := &s.sieve
	query, ok := c.encode(q, v.query)
	if !ok {
		return false
	}
	v.query = query.query
	guess := x.guess(s, query, k, count, allowed)
	x.scan(s, query, k, guess, allowed, false)
	if !v.sufficient(guess) { // an unlucky sample: k rows above the guess are needed to prove it
		x.scan(s, query, k, lowest, allowed, false)
		v.tighten()
	}
	x.rescore(s, q)
	runtime.KeepAlive(x) // the garbage collector does not know the codes
	return true
}

// lowest is the floor of a sieve that lets everything through.
var lowest = float32(math.Inf(-1))

// guess returns a floor that probably more than k rows reach: from a sixteenth of the rows, so that the
// scan need not begin with none. It proves nothing.
func (x *Flat) guess(s *search, query coded, k, count int, allowed Bitmap) float32 {
	const sample = chunkBlocks
	share := float64(k) / sample
	of := int(share + 3*math.Sqrt(share) + 3)
	if of*sample*2 > count {
		return lowest
	}
	x.scan(s, query, of, lowest, allowed, true)
	if len(s.sieve.found) < of {
		return lowest
	}
	s.sieve.tighten()
	return s.sieve.floor
}

// scan sifts the allowed rows, or of every chunk the first block only.
func (x *Flat) scan(s *search, query coded, k int, floor float32, allowed Bitmap, sample bool) {
	c, v := x.codes, &s.sieve
	v.k, v.twice, v.floor = k, 2*query.bound, floor
	v.found, v.next = v.found[:0], k+max(k/2, 256)
	if floor > lowest {
		v.next = 4 * k
	}
	blockBytes, data := len(query.query)*kernel.CodeRows, *c.data
	for first := 0; first < x.rows; first += chunk {
		words := v.choose(first, x.rows, allowed)
		if sample {
			words = words[:1]
		}
		for b := 0; b < len(words); b++ {
			from := b
			for b < len(words) && words[b] != 0 {
				b++
			}
			if b == from {
				continue
			}
			row := first + from*kernel.CodeRows
			scores := s.scores[:(b-from)*kernel.CodeRows]
			at := row / kernel.CodeRows * blockBytes
			kernel.Codes(scores, query.query, data[at:at+(b-from)*blockBytes], c.scale[row:row+len(scores)], query.bias, query.bound)
			v.sift(scores, words[from:b], row, c.scale)
		}
		if len(v.found) >= v.next {
			v.tighten()
		}
	}
}

// choose returns which of the rows first..first+chunk-1 are to be looked at.
func (v *sieve) choose(first, rows int, allowed Bitmap) []uint64 {
	n := min(chunk, rows-first)
	words := v.words[:(n+63)/64]
	for i := range words {
		words[i] = ^uint64(0)
	}
	if tail := n % 64; tail != 0 {
		words[len(words)-1] = 1<<tail - 1
	}
	if allowed == nil {
		return words
	}
	given := allowed[min(first/64, len(allowed)):]
	for i := range words {
		if i < len(given) {
			words[i] &= given[i]
		} else {
			words[i] = 0
		}
	}
	return words
}

// sift keeps the rows whose highest score, which scores holds, passes the floor.
func (v *sieve) sift(scores []float32, words []uint64, first int, scale []float32) {
	masks := v.masks[:len(words)]
	kernel.MaskAbove(masks, scores, v.floor)
	for b, mask := range masks {
		for mask &= words[b]; mask != 0; mask &= mask - 1 {
			i := b*64 + bits.TrailingZeros64(mask)
			row := first + i
			v.found = append(v.found, sifted{row: int32(row), high: scores[i], low: scores[i] - v.twice*scale[row]})
		}
	}
}

// sufficient tightens once more and tells whether k rows prove that nothing below the guess can be
// among the best.
func (v *sieve) sufficient(guess float32) bool {
	if len(v.found) < v.k {
		return guess == lowest
	}
	return v.tighten() > guess || guess == lowest
}

// tighten raises the floor to the k-th best lowest score, drops what no longer passes it and returns that
// score.
func (v *sieve) tighten() float32 {
	lows := v.lows[:0]
	for i := range v.found {
		lows = append(lows, -v.found[i].low)
	}
	v.lows = lows
	if len(lows) < v.k {
		return lowest
	}
	smallest(lows, v.k)
	proof := -slices.Max(lows[:v.k])
	v.floor = max(v.floor, math.Nextafter32(proof, lowest))
	kept := v.found[:0]
	for _, f := range v.found {
		if f.high > v.floor {
			kept = append(kept, f)
		}
	}
	v.found = kept
	v.next = len(kept) + max(len(kept)/2, 256)
	return proof
}

// rescore offers the rows that are left with their scores as floats.
func (x *Flat) rescore(s *search, q []float32) {
	ids := s.ids[:0]
	for i, f := range s.sieve.found {
		ids = append(ids, f.row)
		if len(ids) < chunk && i+1 < len(s.sieve.found) {
			continue
		}
		scores := s.scores[:len(ids)]
		x.scoreRows(scores, q, ids)
		s.offer(scores, func(i int) int { return int(ids[i]) })
		ids = ids[:0]
	}
}
