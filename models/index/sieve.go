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

// pass is one query on its way over the codes.
type pass struct {
	s       *search
	query   coded
	k       int
	count   int // allowed rows
	allowed Bitmap
	guess   float32
}

// begin prepares a pass over the codes; ok is false when the index has none, or when floats serve better.
func (x *Flat) begin(s *search, q []float32, k int, allowed Bitmap) (p pass, ok bool) {
	c := x.codes
	if c == nil || k > x.rows/8 {
		return p, false
	}
	count := x.rows
	if allowed != nil {
		if count = min(allowed.Count(), x.rows); count <= x.rows/narrow {
			return p, false
		}
	}
	query, ok := c.encode(q, s.sieve.query)
	s.sieve.query = query.query
	return pass{s: s, query: query, k: k, count: count, allowed: allowed, guess: lowest}, ok
}

// scan takes some queries over the codes at once: a chunk of codes that one of them has read is in the
// cache for the others. Each then has all rows that may be among its best.
func (x *Flat) scan(passes []pass) {
	x.guess(passes)
	for i := range passes {
		passes[i].start(passes[i].k, passes[i].guess)
	}
	for first := 0; first < x.rows; first += chunk {
		for i := range passes {
			x.sift(&passes[i], first, false)
		}
	}
	runtime.KeepAlive(x) // the garbage collector does not know the codes
}

// finish scores as floats what the scan left.
func (x *Flat) finish(p *pass, q []float32) {
	if v := &p.s.sieve; !v.sufficient(p.guess) { // an unlucky sample: k rows above the guess are needed to prove it
		p.guess = lowest
		p.start(p.k, lowest)
		for first := 0; first < x.rows; first += chunk {
			x.sift(p, first, false)
		}
		v.tighten()
	}
	x.rescore(p.s, q)
	runtime.KeepAlive(x)
}

// lowest is the floor of a sieve that lets everything through.
var lowest = float32(math.Inf(-1))

// guess finds for each query a floor that probably more than k rows reach: from a sixteenth of the rows,
// so that the scan need not begin with none. It proves nothing.
func (x *Flat) guess(passes []pass) {
	const sample = chunkBlocks
	for i := range passes {
		p := &passes[i]
		share := float64(p.k) / sample
		of := int(share + 3*math.Sqrt(share) + 3)
		if of*sample*2 > p.count {
			continue
		}
		p.start(of, lowest)
		for first := 0; first < x.rows; first += chunk {
			x.sift(p, first, true)
		}
		if v := &p.s.sieve; len(v.found) >= of {
			v.tighten()
			p.guess = v.floor
		}
	}
}

// start empties the sieve of the pass.
func (p *pass) start(k int, floor float32) {
	v := &p.s.sieve
	v.k, v.twice, v.floor = k, 2*p.query.bound, floor
	v.found, v.next = v.found[:0], k+max(k/2, 256)
	if floor > lowest {
		v.next = 4 * k
	}
}

// sift sifts the allowed rows of the chunk that begins at row first, or of its first block only.
func (x *Flat) sift(p *pass, first int, sample bool) {
	c, v, query := x.codes, &p.s.sieve, &p.query
	blockBytes, data := len(query.query)*kernel.CodeRows, *c.data
	words := v.choose(first, x.rows, p.allowed)
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
		scores := p.s.scores[:(b-from)*kernel.CodeRows]
		at := row / kernel.CodeRows * blockBytes
		kernel.Codes(scores, query.query, data[at:at+(b-from)*blockBytes], c.scale[row:row+len(scores)], query.bias, query.bound)
		v.sift(scores, words[from:b], row, c.scale)
	}
	if len(v.found) >= v.next {
		v.tighten()
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
