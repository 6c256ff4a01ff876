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
	found sifted
	next  int // tighten at this many found
	words [chunkBlocks]uint64
	adds  [chunkBlocks]float32 // what makes of a block's sums highest scores
	// What the scan of a chunk left, and of the one before, whose rows wait for their lower halves.
	passed  [2]kernel.Passed
	now     int // which of the two a scan writes to
	waiting []int32
	first   int // row of the chunk that waits
	sums    []int32
	nothing [chunk]int32 // what is added to whole codes
}

// chunkBlocks is how many blocks of codes a chunk has.
const chunkBlocks = chunk / kernel.CodeRows

// sifted are rows with their highest and lowest scores.
type sifted struct {
	rows        []int32
	highs, lows []float32
}

// grow makes room for n more, and as much more as the kernel wants.
func (f *sifted) grow(n int) {
	n += 16
	f.rows, f.highs, f.lows = slices.Grow(f.rows, n), slices.Grow(f.highs, n), slices.Grow(f.lows, n)
}

func (f *sifted) cut(n int) { f.rows, f.highs, f.lows = f.rows[:n], f.highs[:n], f.lows[:n] }

// keep drops the rows of which keep says so, from the given one on.
func (f *sifted) keep(from int, keep func(i int) bool) {
	n := from
	for i := from; i < len(f.rows); i++ {
		f.rows[n], f.highs[n], f.lows[n] = f.rows[i], f.highs[i], f.lows[i]
		if keep(i) {
			n++
		}
	}
	f.cut(n)
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
	p.s.sieve.tighten()
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
		v := &p.s.sieve
		p.start(2*of, lowest)
		for first := 0; first < x.rows; first += chunk {
			x.glance(p, first/kernel.CodeRows)
		}
		if v.tighten(); len(v.found.rows) > of {
			// Where rows that are alike stand together, the sample tells as little as a smaller one.
			of = int(share + 3*math.Sqrt(share*v.clumps(exceeded(v.found.lows, of))) + 3)
			p.guess = exceeded(v.found.lows, min(of, len(v.found.lows)))
		}
	}
}

// glance gives the best rows of a block to the sieve, with the middles of what their codes say.
func (x *Flat) glance(p *pass, block int) {
	c, v, first := x.codes, &p.s.sieve, block*kernel.CodeRows
	words := v.choose(first, min(x.rows, first+kernel.CodeRows), p.allowed)
	if words[0] == 0 {
		return
	}
	var none [1]float32
	out := &v.passed[0]
	n := c.scan(out, &p.query, block, words, none[:], v.floor, 2*chunkBlocks*kernel.CodeRows*len(c.slots)/2)
	if v.find(c, out, n, first, 0); len(v.found.rows) >= v.next {
		v.tighten()
	}
}

// clumps returns the mean over the rows that are sure to exceed the floor of how many of them stand in the same
// block; the sieve has them in ascending order.
func (v *sieve) clumps(floor float32) float64 {
	squares, all, count, last := 0, 0, 0, int32(-1)
	for i, row := range v.found.rows {
		if !(v.found.lows[i] > floor) {
			continue
		}
		if block := row / kernel.CodeRows; block != last {
			squares, count, last = squares+count*count, 0, block
		}
		count++
		all++
	}
	return float64(squares+count*count) / float64(max(all, 1))
}

// leastMore is how many rows are found at least before the floor is raised again.
const leastMore = 256

// start empties the sieve of the pass.
func (p *pass) start(k int, floor float32) {
	v := &p.s.sieve
	v.k, v.floor = k, floor
	v.waiting = v.waiting[:0]
	v.found.cut(0)
	v.next = k + max(k/2, leastMore)
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
	if len(v.found.rows) >= v.next {
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
	adds, out := v.adds[:len(words)], &v.passed[v.now]
	for b, rest := range c.rest[block : block+len(words)] {
		if adds[b] = query.fine; c.whole == nil {
			adds[b] = query.perRest*rest + query.base
		}
	}
	n := c.scan(out, query, block, words, adds, v.floor, kernel.Ahead)
	if c.whole != nil {
		v.find(c, out, n, first, query.fine)
		return
	}
	s.settle(c, query)
	v.waiting, v.first, v.now = out.Rows[:n], first, 1-v.now
	kernel.Fetch(c.fine, v.waiting, len(c.slots)/2)
}

// find keeps the first n rows that passed, whose sums are known within a width.
func (v *sieve) find(c *codes, out *kernel.Passed, n, first int, width float32) {
	v.narrow(c, out, out.Rows[:n], first, v.nothing[:n], kernel.Narrowing{Width: width})
}

// narrow keeps those of the rows, whose sums stand in a chunk from row first on, that still pass the floor when
// more is added.
func (v *sieve) narrow(c *codes, out *kernel.Passed, rows []int32, first int, more []int32, by kernel.Narrowing) {
	f, n := &v.found, len(v.found.rows)
	f.grow(len(rows))
	f.cut(n + len(rows) + 16)
	scale := c.scale[first:min(first+chunk, len(c.scale))]
	by.First, by.Floor = first, v.floor
	f.cut(n + kernel.Narrow(f.rows[n:], f.highs[n:], f.lows[n:], rows, out.Sums[:len(scale)], scale, more, by))
}

// settle looks at the whole bytes of the rows that wait, and keeps those that still pass the floor.
func (s *search) settle(c *codes, query *coded) {
	v := &s.sieve
	ids := v.waiting
	if len(ids) == 0 {
		return
	}
	v.waiting = nil
	v.sums = slices.Grow(v.sums[:0], len(ids))[:len(ids)]
	kernel.FineSums(v.sums, query.planar, c.fine, ids, len(c.slots)/8)
	v.narrow(c, &v.passed[1-v.now], ids, v.first, v.sums, kernel.Narrowing{Bias: query.fineBias, Width: query.fine})
}

// tighten raises the floor to a score that k rows are sure to exceed, about the highest such score, and drops
// what no longer passes it.
func (v *sieve) tighten() {
	f := &v.found
	if len(f.rows) <= v.k {
		return
	}
	v.floor = max(v.floor, exceeded(f.lows, v.k))
	n, floor := 0, v.floor
	rows, highs, lows := f.rows, f.highs[:len(f.rows)], f.lows[:len(f.rows)]
	for i, high := range highs { // without a branch, as kernel.Narrow
		rows[n], highs[n], lows[n] = rows[i], high, lows[i]
		if high > floor {
			n++
		}
	}
	f.cut(n)
	v.next = len(f.rows) + max(len(f.rows)/2, leastMore)
}

// exceeded returns a number that at least k of the scores exceed, and not many more if it can be helped;
// negative infinity if there is none.
func exceeded(scores []float32, k int) float32 {
	least, most := scores[0], scores[0]
	for _, s := range scores { // a new end is rare: cheaper than slices.Min, which knows no branch
		if s < least {
			least = s
		} else if s > most {
			most = s
		}
	}
	if countAbove(scores, least) < k {
		return math.Nextafter32(least, lowest)
	}
	for range 24 {
		middle := least + (most-least)/2
		n := countAbove(scores, middle)
		if n < k {
			most = middle
			continue
		}
		if least = middle; n <= k+k/32 {
			break
		}
	}
	return least
}

// countAbove returns how many of the scores exceed the floor.
func countAbove(scores []float32, floor float32) int {
	var masks [chunkBlocks]uint64
	n := 0
	for len(scores) >= 64 {
		words := masks[:min(len(scores)/64, len(masks))]
		kernel.MaskAbove(words, scores, floor)
		for _, w := range words {
			n += bits.OnesCount64(w)
		}
		scores = scores[64*len(words):]
	}
	for _, s := range scores {
		if s > floor {
			n++
		}
	}
	return n
}

// rescore offers the rows that are left with their scores as floats.
func (x *Flat) rescore(s *search, q []float32) {
	for ids := s.sieve.found.rows; len(ids) > 0; {
		part := ids[:min(chunk, len(ids))]
		ids = ids[len(part):]
		kernel.Fetch(x.vectors, part, x.dim)
		scores := s.scores[:len(part)]
		x.scoreRows(scores, q, part)
		for i, score := range scores { // most of them are good enough: there is nothing to skip
			if score > s.best.floor {
				s.best.add(int(part[i]), score)
			}
		}
	}
}
