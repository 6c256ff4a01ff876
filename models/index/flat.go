// Package index finds the item vectors with the largest inner product with a query: exactly, within an
// allowed set of rows. It holds no ids and computes no vector.
package index

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"

	"github.com/sartorhq/sartor/models/kernel"
)

// Hit is one row that was found.
type Hit struct {
	Row   int
	Score float32
}

// Sort puts hits in the order of Search: descending scores, equal ones by row.
func Sort(hits []Hit) {
	slices.SortFunc(hits, func(a, b Hit) int { return cmp.Compare(newKey(a.Row, a.Score), newKey(b.Row, b.Score)) })
}

// chunk is how many rows are scored before the scores are looked at: they stay in the first-level
// cache. It is a multiple of 64, so that a chunk has whole words of a Bitmap.
const chunk = 1024

// Flat is an exact index: no allowed row is left out. It is immutable and safe for concurrent use.
type Flat struct {
	dim     int
	rows    int
	vectors []float32
	weights []float32  // nil = all 1
	codes   *codes     // nil for a catalogue that is scanned as fast without
	scratch *sync.Pool // of *search
}

// Check returns an error unless vectors is a whole number of rows of dim floats, all finite, few
// enough to be numbered by an int32.
func Check(dim int, vectors []float32) error {
	switch {
	case dim < 1:
		return fmt.Errorf("index vectors: the dimension is %d, need at least 1", dim)
	case len(vectors)%dim != 0:
		return fmt.Errorf("index vectors: %d floats are no whole number of rows of %d", len(vectors), dim)
	case len(vectors)/dim > math.MaxInt32:
		return fmt.Errorf("index vectors: %d rows are too many", len(vectors)/dim)
	case kernel.Finite(vectors):
		return nil
	}
	at := slices.IndexFunc(vectors, func(v float32) bool { return v-v != 0 })
	return fmt.Errorf("index vectors: row %d holds %v: train the model again or repair its file", at/dim, vectors[at])
}

// codesFrom is how many rows are worth codes: at 10,000 rows of 64 floats a search for 500 takes 46
// microseconds with them and 118 without.
const codesFrom = 4_000

// halvesFrom is how many bytes of codes are worth halves: what stays in the second-level cache, of 1 or 2 MiB,
// is read faster than the rows that half of a code leaves are looked at again.
const halvesFrom = 3 << 19

// NewFlat returns an index over the row-major vectors, which it keeps and which must not change. It
// panics where Check returns an error: models.Load and models/train have refused such vectors already;
// vectors from elsewhere are for the caller to Check. From codesFrom rows on it makes 8-bit codes of the
// vectors, a quarter of their size, for a faster search with the same hits.
func NewFlat(dim int, vectors []float32) *Flat { return newFlat(dim, vectors, codesFrom, halvesFrom) }

func newFlat(dim int, vectors []float32, codesFrom, halvesFrom int) *Flat {
	if err := Check(dim, vectors); err != nil {
		panic(err)
	}
	x := &Flat{dim: dim, rows: len(vectors) / dim, vectors: vectors, scratch: new(sync.Pool)}
	if x.rows >= max(codesFrom, 1) {
		x.codes = newCodes(dim, vectors, nil, halvesFrom)
	}
	return x
}

// Weighted returns an index over the same vectors in which row i scores weights[i] times its inner
// product with the query; one over the length of each vector makes it a search by angle. Weights are
// finite and not negative, one for each row. It shares the vectors with x.
func (x *Flat) Weighted(weights []float32) *Flat { return x.weightedBy(weights, nil) }

// weightedBy is Weighted where the codes stand in another order than the rows.
func (x *Flat) weightedBy(weights []float32, order []int32) *Flat {
	if len(weights) != x.rows {
		panic(fmt.Sprintf("index: %d weights for %d rows", len(weights), x.rows))
	}
	for i, w := range weights {
		if !(w >= 0 && w <= math.MaxFloat32) {
			panic(fmt.Sprintf("index: the weight of row %d is %v", i, w))
		}
	}
	y := *x
	y.weights = weights
	if x.codes != nil {
		y.codes = x.codes.weighted(weights, order)
	}
	return &y
}

// Coded tells whether searches go over 8-bit codes first.
func (x *Flat) Coded() bool { return x.codes != nil }

// Len returns the number of rows.
func (x *Flat) Len() int { return x.rows }

// Search returns the at most k allowed rows with the largest inner product with q, best first, equal
// scores by row. A nil allowed set allows every row; rows beyond its end are not allowed. It returns
// fewer than k hits only when fewer rows are allowed: a filter never starves the list. A row whose
// score is not a number, because q is not finite, is never found.
func (x *Flat) Search(q []float32, k int, allowed Bitmap) []Hit {
	return x.AppendSearch(nil, q, k, allowed)
}

// AppendSearch appends what Search returns to dst: with enough capacity it allocates nothing.
func (x *Flat) AppendSearch(dst []Hit, q []float32, k int, allowed Bitmap) []Hit {
	return x.appendSearch(dst, q, k, allowed, nil)
}

// appendSearch searches with a pass over the codes that ride takes; nil = alone.
func (x *Flat) appendSearch(dst []Hit, q []float32, k int, allowed Bitmap, ride func(*pass)) []Hit {
	if len(q) != x.dim {
		panic(fmt.Sprintf("index: a query of %d dimensions for rows of %d", len(q), x.dim))
	}
	k = min(k, x.rows)
	if k <= 0 {
		return dst
	}
	s, _ := x.scratch.Get().(*search)
	if s == nil {
		room := newSearch()
		s = &room
	}
	s.best.reset(k)
	if p, ok := x.begin(s, q, k, allowed); !ok {
		x.searchFloats(s, q, allowed)
	} else {
		s.pass[0] = p
		if ride == nil {
			x.scan(s.pass[:])
		} else {
			ride(&s.pass[0])
		}
		x.finish(&s.pass[0], q)
		s.pass[0] = pass{} // keeps no bitmap alive
	}
	dst = s.best.appendHits(dst)
	x.scratch.Put(s)
	return dst
}

func (x *Flat) searchFloats(s *search, q []float32, allowed Bitmap) {
	for first := 0; first < x.rows; first += chunk {
		n := min(chunk, x.rows-first)
		if allowed == nil {
			x.scoreAll(s, q, first, n)
		} else {
			x.scoreAllowed(s, q, first, n, allowed)
		}
	}
}

// search is the work space of one query.
type search struct {
	scores []float32
	ids    []int32
	best   top
	sieve  sieve
	query  coded
	pass   [1]pass
}

func newSearch() search { return search{scores: make([]float32, chunk), ids: make([]int32, chunk)} }

// scoreAll offers the rows first..first+n-1.
func (x *Flat) scoreAll(s *search, q []float32, first, n int) {
	x.scoreChunk(s.scores[:n], q, first)
	s.offer(s.scores[:n], func(i int) int { return first + i })
}

func (x *Flat) scoreChunk(scores, q []float32, first int) {
	kernel.Rows(scores, q, x.vectors[first*x.dim:(first+len(scores))*x.dim])
	if x.weights != nil {
		for i, w := range x.weights[first : first+len(scores)] {
			scores[i] *= w
		}
	}
}

// scoreRows scores the rows named.
func (x *Flat) scoreRows(scores, q []float32, ids []int32) {
	kernel.RowsAt(scores, q, x.vectors, ids)
	if x.weights != nil {
		for i, id := range ids {
			scores[i] *= x.weights[id]
		}
	}
}

// scoreAllowed offers the allowed rows of a chunk. It scans the whole chunk when most rows are
// allowed, because reading in order is cheapest, and picks rows one by one otherwise, so that a
// narrow filter costs what it lets through.
func (x *Flat) scoreAllowed(s *search, q []float32, first, n int, allowed Bitmap) {
	lo, hi := min(first/64, len(allowed)), min((first+n+63)/64, len(allowed))
	words := allowed[lo:hi]
	ids := s.ids[:0]
	for w, word := range words {
		for base := first + w*64; word != 0; word &= word - 1 {
			ids = append(ids, int32(base+bits.TrailingZeros64(word)))
		}
	}
	for len(ids) > 0 && int(ids[len(ids)-1]) >= first+n {
		ids = ids[:len(ids)-1] // bits beyond the last row
	}
	switch {
	case len(ids) == 0:
	case len(ids) == n:
		x.scoreAll(s, q, first, n)
	case len(ids) >= n-n/8:
		all := s.scores[:n]
		x.scoreChunk(all, q, first)
		// ids ascend, so that a score moves down only over scores that were moved or are not wanted.
		for i, id := range ids {
			all[i] = all[int(id)-first]
		}
		s.offer(all[:len(ids)], func(i int) int { return int(ids[i]) })
	default:
		x.scoreRows(s.scores[:len(ids)], q, ids)
		s.offer(s.scores[:len(ids)], func(i int) int { return int(ids[i]) })
	}
}

// offer gives the scores that can still matter to the list of the best, in ascending order of rows.
func (s *search) offer(scores []float32, row func(int) int) {
	for i := kernel.NextAbove(scores, 0, s.best.floor); i < len(scores); i = kernel.NextAbove(scores, i+1, s.best.floor) {
		s.best.add(row(i), scores[i])
	}
}
