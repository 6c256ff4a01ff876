package index

import (
	"math"
	"math/bits"
	"runtime"
	"slices"

	"github.com/sartorhq/sartor/models/kernel"
)

// sieve finds the rows that may be among the best k by their codes. Every row that it has seen has a
// highest score, first by half of its code and, if that can matter, by all of it, and then a lowest score
// too. Once the lowest scores of k rows reach a floor, a row whose highest score is below cannot be among
// the best: k rows are better. The rest is scored as floats, so that the hits are exactly those of a search
// over floats; how many that are depends on the codes, what is found does not.
type sieve struct {
	k     int
	floor float32 // the highest score must exceed this
	found []sifted
	next  int // tighten at this many found
	lows  []float32
	words [chunkBlocks]uint64
	masks [chunkBlocks]uint64
	adds  [chunkBlocks]float32 // what makes of a block's sums highest scores
	// The rows whose upper halves passed, and the sums of their lower halves.
	rows    []int32
	waiting []waiting
	sums    []int32
}

// chunkBlocks is how many blocks of codes a chunk has.
const chunkBlocks = chunk / kernel.CodeRows

type sifted struct {
	row       int32
	high, low float32
}

// Where no more than one row in narrow is allowed, reading the floats of those is less work than reading
// the codes of all.
const narrow = 16

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
	s.query, ok = c.encode(q, s.query)
	return pass{s: s, query: s.query, k: k, count: count, allowed: allowed, guess: lowest}, ok
}

// scan takes some queries over the codes at once: a chunk of codes that one of them has read is in the
// cache for the others. Each then has all rows that may be among its best.
func (x *Flat) scan(passes []pass) {
	x.guess(passes)
	for i := range passes {
		passes[i].start(passes[i].k, passes[i].guess)
	}
	x.over(passes)
	runtime.KeepAlive(x) // the garbage collector does not know the codes
}

// over takes passes that have started over all codes.
func (x *Flat) over(passes []pass) {
	for first := 0; first < x.rows; first += chunk {
		for i := range passes {
			x.sift(&passes[i], first)
		}
	}
	for i := range passes {
		passes[i].s.settle(x.codes, &passes[i].query)
	}
}

// finish scores as floats what the scan left. It is all there is when k rows score more than the guess: the
// scan dropped none that does. After an unlucky guess it scans again, above what k rows are known to score.
func (x *Flat) finish(p *pass, q []float32) {
	if v := &p.s.sieve; len(v.found) > p.k+p.k/2 {
		v.tighten()
	}
	x.rescore(p.s, q)
	if worst := p.s.best.worst(); p.guess > lowest && !(float64(worst) > float64(p.guess)*p.query.unit) {
		floor := lowest
		if at := math.Nextafter(float64(worst)/p.query.unit, math.Inf(-1)); at > float64(lowest) {
			floor = math.Nextafter32(float32(at), lowest)
		}
		p.start(p.k, floor)
		x.over([]pass{*p})
		p.s.best.reset(p.k)
		x.rescore(p.s, q)
	}
	runtime.KeepAlive(x)
}

// lowest is the floor of a sieve that lets everything through.
var lowest = float32(math.Inf(-1))

// guess finds for each query a floor that probably more than k rows exceed: from a sixteenth of the rows,
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
		best := &p.s.best
		best.reset(2 * of)
		for first := 0; first < x.rows; first += chunk {
			x.glance(p, first/kernel.CodeRows)
		}
		if best.sort(); len(best.keys) >= of {
			// Where rows that are alike stand together, the sample tells as little as a smaller one.
			of = min(int(share+3*math.Sqrt(share*p.s.sieve.clumps(best.keys[:of]))+3), len(best.keys))
			p.guess = best.keys[of-1].hit().Score
		}
		best.reset(p.k)
	}
}

// glance gives the best rows of a block to the list, with the middles of what their upper halves say.
func (x *Flat) glance(p *pass, block int) {
	c, s := x.codes, p.s
	word := s.sieve.choose(block*kernel.CodeRows, x.rows, p.allowed)[0]
	if word == 0 {
		return
	}
	scores, first := s.scores[:kernel.CodeRows], block*kernel.CodeRows
	var none [1]float32
	c.scan(scores, &p.query, block, none[:], 2*chunkBlocks*kernel.CodeRows*len(c.slots)/2)
	var mask [1]uint64
	kernel.MaskAbove(mask[:], scores, s.best.floor)
	for above := mask[0] & word; above != 0; above &= above - 1 {
		if i := bits.TrailingZeros64(above); scores[i] > s.best.floor {
			s.best.add(first+i, scores[i])
		}
	}
}

// clumps returns the mean over hits of how many of them stand in the same block.
func (v *sieve) clumps(keys []key) float64 {
	blocks := v.rows[:0]
	for _, k := range keys {
		blocks = append(blocks, int32(k.hit().Row/kernel.CodeRows))
	}
	slices.Sort(blocks)
	squares, count := 0, 0
	for i, b := range blocks {
		if count++; i+1 == len(blocks) || blocks[i+1] != b {
			squares, count = squares+count*count, 0
		}
	}
	v.rows = blocks[:0]
	return float64(squares) / float64(len(keys))
}

// leastMore is how many rows are found at least before the floor is raised again.
const leastMore = 256

// start empties the sieve of the pass.
func (p *pass) start(k int, floor float32) {
	v := &p.s.sieve
	v.k, v.floor = k, floor
	v.rows, v.waiting = v.rows[:0], v.waiting[:0]
	v.found, v.next = v.found[:0], k+max(k/2, leastMore)
	if floor > lowest {
		v.next = 4 * k
	}
}

// sift sifts the allowed rows of the chunk that begins at row first.
func (x *Flat) sift(p *pass, first int) {
	v := &p.s.sieve
	words := v.choose(first, x.rows, p.allowed)
	for b := 0; b < len(words); b++ {
		from := b
		for b < len(words) && words[b] != 0 {
			b++
		}
		if b > from {
			p.s.sift(x.codes, &p.query, first/kernel.CodeRows+from, words[from:b])
		}
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

// sift looks at the rows in words, whose first stands in the given block, and keeps those that can pass the
// floor. Where codes are in halves, those whose upper halves pass wait for the next call, or settle, until
// their lower halves have come from the memory.
func (s *search) sift(c *codes, query *coded, block int, words []uint64) {
	v, first := &s.sieve, block*kernel.CodeRows
	scores, scale := s.scores[:len(words)*kernel.CodeRows], c.scale[first:first+len(words)*kernel.CodeRows]
	adds := v.adds[:len(words)]
	for b, rest := range c.rest[block : block+len(words)] {
		adds[b] = query.perRest*rest + query.base
	}
	if c.whole != nil {
		adds[0] = query.fine
	}
	c.scan(scores, query, block, adds, kernel.Ahead)
	s.settle(c, query)
	masks := v.masks[:len(words)]
	kernel.MaskAbove(masks, scores, v.floor)
	count := 0
	for b := range masks {
		masks[b] &= words[b]
		count += bits.OnesCount64(masks[b])
	}
	if count == 0 {
		return
	}
	if c.whole != nil {
		v.find(masks, scores, scale, first, 2*query.fine)
		return
	}
	v.rows, v.waiting = slices.Grow(v.rows[:0], count)[:count], slices.Grow(v.waiting[:0], count)[:count]
	rows, wait := v.rows, v.waiting
	n := 0
	for b, mask := range masks {
		for less := query.fine - adds[b]; mask != 0 && n < len(rows) && n < len(wait); mask &= mask - 1 {
			i := b*kernel.CodeRows + bits.TrailingZeros64(mask)
			rows[n], wait[n] = int32(first+i), waiting{scores[i], less, scale[i]}
			n++
		}
	}
	kernel.Fetch(c.fine, rows, len(c.slots)/2)
}

// find keeps the rows in the masks, whose highest scores these are, twice the width of their bounds.
func (v *sieve) find(masks []uint64, scores, scale []float32, first int, twice float32) {
	for b, mask := range masks {
		for ; mask != 0; mask &= mask - 1 {
			i := b*kernel.CodeRows + bits.TrailingZeros64(mask)
			v.found = append(v.found, sifted{row: int32(first + i), high: scores[i], low: scores[i] - twice*scale[i]})
		}
	}
}

// settle looks at the whole bytes of the rows that wait, and keeps those that still pass the floor.
func (s *search) settle(c *codes, query *coded) {
	v := &s.sieve
	if len(v.rows) == 0 {
		return
	}
	v.sums = slices.Grow(v.sums[:0], len(v.rows))[:len(v.rows)]
	kernel.FineSums(v.sums, query.planar, c.fine, v.rows, len(c.slots)/8)
	v.found = slices.Grow(v.found, len(v.rows))
	rows, wait, found := v.rows, v.waiting[:len(v.rows)], v.found[len(v.found):len(v.found)+len(v.rows)]
	n, floor := 0, v.floor
	for j, sum := range v.sums[:len(rows)] {
		w := &wait[j]
		high := w.high + (float32(sum+query.fineBias)+w.less)*w.scale
		// Without a branch, which nobody could foresee: the next one takes the place of a row that fails.
		found[n] = sifted{row: rows[j], high: high, low: high - 2*query.fine*w.scale}
		if high > floor {
			n++
		}
	}
	v.found = v.found[:len(v.found)+n]
	v.rows, v.waiting = rows[:0], wait[:0]
}

// waiting is a row whose upper half passed: its highest score by that, what its whole byte takes from the
// bound, and its scale.
type waiting struct{ high, less, scale float32 }

// tighten raises the floor to the k-th best lowest score, and drops what no longer passes it.
func (v *sieve) tighten() {
	lows := v.lows[:0]
	for i := range v.found {
		lows = append(lows, -v.found[i].low)
	}
	v.lows = lows
	if len(lows) < v.k {
		return
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
	v.next = len(kept) + max(len(kept)/2, leastMore)
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
