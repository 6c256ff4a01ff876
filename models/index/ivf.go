package index

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/sartorhq/sartor/models/kernel"
)

// IVF is an index for catalogues whose whole scan takes too long: rows are grouped around centres, and a
// search goes over the codes of the groups that promise most. It may miss a row that Flat would find;
// Recall says how often, measured when it was made. What it finds has the scores of Flat, and a filter
// does not starve the list: more groups are searched until it is full. It is immutable and safe for
// concurrent use.
type IVF struct {
	flat    *Flat // of the same rows; its codes stand in the order of the groups
	order   []int32
	starts  []int32 // group g has the positions starts[g] ... starts[g+1]-1
	centres []float32
	spread  []float32 // of each group: what a row may score above its centre, for a query of length 1
	probes  int
	recall  float64
	scratch *sync.Pool // of *probing
}

// IVFOptions tune an IVF; the zero value works.
type IVFOptions struct {
	// Groups is the number of groups; 0 = a third of the square root of the number of rows.
	Groups int
	// Recall is the share of the best hundred that a search is to find on average; 0 = 0.95. The number
	// of groups that a search looks at follows from it.
	Recall float64
	// Seed chooses the first centres.
	Seed uint64
}

// The bounds of the training of an IVF.
const (
	ivfRounds  = 8
	ivfSample  = 48 // rows for each centre
	ivfQueries = 96 // to measure recall with: half of them rows, half sums of ivfMixed rows
	ivfMixed   = 3
	ivfBest    = 100
)

// probing is the work space of one search.
type probing struct {
	search
	groups []scored
	blocks Bitmap
	ids    []int32
}

type scored struct {
	group int32
	score float32
}

// NewIVF groups the row-major vectors, which it keeps and which must not change. It panics where Check
// returns an error, and takes about as long as a search for every thousandth row. The same vectors and
// options give the same index.
func NewIVF(dim int, vectors []float32, opts IVFOptions) *IVF {
	if err := Check(dim, vectors); err != nil {
		panic(err)
	}
	rows := len(vectors) / dim
	if opts.Groups <= 0 {
		opts.Groups = int(math.Sqrt(float64(rows)) / 3)
	}
	opts.Groups = min(max(opts.Groups, 1), max(rows, 1))
	if !(opts.Recall > 0) {
		opts.Recall = 0.95
	}
	x := &IVF{flat: &Flat{dim: dim, rows: rows, vectors: vectors, scratch: new(sync.Pool)}, scratch: new(sync.Pool)}
	x.train(opts)
	x.arrange(x.assign())
	x.flat.codes = newCodes(dim, vectors, x.order, 0)
	x.tune(opts.Recall)
	return x
}

// train finds the centres by Lloyd's rounds over a sample.
func (x *IVF) train(opts IVFOptions) {
	f, rng := x.flat, rand.New(rand.NewPCG(opts.Seed, 0x1df))
	sample := make([]int32, min(f.rows, ivfSample*opts.Groups))
	for i := range sample { // a reservoir would read all; the distance of the rows makes no difference
		sample[i] = int32(rng.IntN(max(f.rows, 1)))
	}
	x.centres = make([]float32, opts.Groups*f.dim)
	for g := range opts.Groups {
		if len(sample) > 0 {
			copy(x.centres[g*f.dim:], f.row(sample[g%len(sample)]))
		}
	}
	for range ivfRounds {
		near := x.nearest(sample)
		sums, counts := make([]float64, len(x.centres)), make([]int, opts.Groups)
		for i, g := range near {
			counts[g]++
			for j, v := range f.row(sample[i]) {
				sums[int(g)*f.dim+j] += float64(v)
			}
		}
		for g, n := range counts {
			for j := range f.dim {
				if n > 0 { // an empty group keeps its centre
					x.centres[g*f.dim+j] = float32(sums[g*f.dim+j] / float64(n))
				}
			}
		}
	}
}

func (f *Flat) row(i int32) []float32 { return f.vectors[int(i)*f.dim : (int(i)+1)*f.dim] }

// nearest returns the centre nearest to each of the rows, all processors working.
func (x *IVF) nearest(rows []int32) []int32 {
	f, groups := x.flat, len(x.centres)/x.flat.dim
	half := make([]float32, groups) // of the squared length of each centre
	for g := range half {
		c := x.centres[g*f.dim : (g+1)*f.dim]
		half[g] = kernel.Dot(c, c) / 2
	}
	out := make([]int32, len(rows))
	workers := runtime.GOMAXPROCS(0)
	var done sync.WaitGroup
	for w := range workers {
		done.Go(func() {
			scores := make([]float32, groups)
			for i := len(rows) * w / workers; i < len(rows)*(w+1)/workers; i++ {
				kernel.Rows(scores, f.row(rows[i]), x.centres)
				best := float32(math.Inf(-1))
				for g, s := range scores {
					if s -= half[g]; s > best {
						best, out[i] = s, int32(g)
					}
				}
			}
		})
	}
	done.Wait()
	return out
}

// assign returns the group of every row.
func (x *IVF) assign() []int32 {
	all := make([]int32, x.flat.rows)
	for i := range all {
		all[i] = int32(i)
	}
	return x.nearest(all)
}

// arrange puts the rows in the order of their groups, and notes how far the groups spread.
func (x *IVF) arrange(group []int32) {
	groups := len(x.centres) / x.flat.dim
	x.starts, x.order, x.spread = make([]int32, groups+1), make([]int32, len(group)), make([]float32, groups)
	for _, g := range group {
		x.starts[g+1]++
	}
	for g := range groups {
		x.starts[g+1] += x.starts[g]
	}
	next := slices.Clone(x.starts)
	sums := make([]float64, groups)
	for i, g := range group {
		x.order[next[g]] = int32(i)
		next[g]++
		centre := x.centres[int(g)*x.flat.dim:]
		for j, v := range x.flat.row(int32(i)) {
			d := float64(v - centre[j])
			sums[g] += d * d
		}
	}
	for g := range x.spread {
		if n := x.starts[g+1] - x.starts[g]; n > 0 {
			// In any one direction the rows deviate by about this; the best of many lie some deviations out.
			x.spread[g] = 2 * float32(math.Sqrt(sums[g]/float64(n)/float64(x.flat.dim)))
		}
	}
}

// tune chooses how many groups a search looks at, by what searches of all groups find: for rows as
// queries, which is how items like another are searched, and for sums of some, of which the taste of a user
// is made and whose best rows lie in more groups. The worse of the two counts.
func (x *IVF) tune(target float64) {
	groups := len(x.spread)
	if x.flat.codes == nil || groups < 4 {
		x.probes, x.recall = groups, 1
		return
	}
	rng := rand.New(rand.NewPCG(7, 0x1df))
	queries, truth := make([][]float32, ivfQueries), make([]map[int]bool, ivfQueries)
	x.probes = groups
	for i := range queries {
		queries[i] = make([]float32, x.flat.dim)
		for range 1 + i%2*(ivfMixed-1) {
			for j, v := range x.flat.row(int32(rng.IntN(x.flat.rows))) {
				queries[i][j] += v
			}
		}
		truth[i] = map[int]bool{}
		for _, h := range x.Search(queries[i], ivfBest, nil) {
			truth[i][h.Row] = true
		}
	}
	for x.probes = max(groups/64, 1); ; x.probes = min(x.probes+max(x.probes/4, 1), groups) {
		var found, all [2]int
		for i, q := range queries {
			all[i%2] += len(truth[i])
			for _, h := range x.Search(q, ivfBest, nil) {
				if truth[i][h.Row] {
					found[i%2]++
				}
			}
		}
		x.recall = 1
		for kind := range all {
			x.recall = min(x.recall, float64(found[kind])/float64(max(all[kind], 1)))
		}
		if x.recall >= target || x.probes == groups {
			return
		}
	}
}

// Len returns the number of rows.
func (x *IVF) Len() int { return x.flat.rows }

// Recall is the share of the best hundred rows that searches found when the index was made, with rows of
// the index and sums of rows as queries, whichever found less. Probes is how many of Groups a search looks at first.
func (x *IVF) Recall() float64 { return x.recall }

// Probes is the number of groups that a search without a filter looks at, and Groups how many there are.
func (x *IVF) Probes() int { return x.probes }

// Groups is the number of groups.
func (x *IVF) Groups() int { return len(x.spread) }

// Weighted is Flat.Weighted: row i scores weights[i] times its inner product.
func (x *IVF) Weighted(weights []float32) *IVF {
	y := *x
	y.flat = x.flat.weightedBy(weights, x.order)
	return &y
}

// Search returns at most k allowed rows with a large inner product with q, best first, equal scores by
// row: k of them when as many are allowed, but not always the best.
func (x *IVF) Search(q []float32, k int, allowed Bitmap) []Hit {
	return x.AppendSearch(nil, q, k, allowed)
}

// exactBelow is how many allowed rows are searched one by one, without a miss.
const exactBelow = 50_000

// AppendSearch appends what Search returns to dst.
func (x *IVF) AppendSearch(dst []Hit, q []float32, k int, allowed Bitmap) []Hit {
	f := x.flat
	if len(q) != f.dim {
		panic(fmt.Sprintf("index: a query of %d dimensions for rows of %d", len(q), f.dim))
	}
	k = min(k, f.rows)
	if k <= 0 {
		return dst
	}
	s, _ := x.scratch.Get().(*probing)
	if s == nil {
		s = &probing{search: newSearch(), blocks: NewBitmap((f.rows + kernel.CodeRows - 1) / kernel.CodeRows)}
	}
	defer x.scratch.Put(s)
	s.best.reset(k)
	count := f.rows
	if allowed != nil {
		count = min(allowed.Count(), f.rows)
	}
	ok := f.codes != nil && k <= f.rows/8 && (allowed == nil || count > exactBelow)
	if ok {
		s.query, ok = f.codes.encode(q, s.query)
	}
	if !ok {
		f.searchFloats(&s.search, q, allowed)
		return s.best.appendHits(dst)
	}
	s.pass[0] = pass{s: &s.search, query: s.query, k: k, count: count, allowed: allowed}
	x.probe(s, q, k, count)
	x.rescore(s, q)
	s.pass[0] = pass{}
	return s.best.appendHits(dst)
}

// probe sifts the codes of the groups that promise most, and of more until enough are found.
func (x *IVF) probe(s *probing, q []float32, k, count int) {
	x.rank(s, q)
	p := &s.pass[0]
	p.start(k, lowest)
	clear(s.blocks)
	// Of a group only some rows are allowed: more groups give as many candidates.
	probes := min(len(s.groups), int(math.Ceil(float64(x.probes)*math.Sqrt(float64(x.flat.rows)/float64(max(count, 1))))))
	for from := 0; ; from, probes = probes, min(2*probes, len(s.groups)) {
		x.sift(s, s.groups[from:probes])
		if p.s.sieve.tighten(); len(p.s.sieve.found.rows) >= k || probes == len(s.groups) {
			return
		}
	}
}

// rank orders the groups by what their best rows promise to score.
func (x *IVF) rank(s *probing, q []float32) {
	groups, dim := len(x.spread), x.flat.dim
	if cap(s.groups) < groups {
		s.groups = make([]scored, groups)
	}
	s.groups = s.groups[:groups]
	length := float32(math.Sqrt(float64(kernel.Dot(q, q))))
	for from := 0; from < groups; from += chunk {
		n := min(chunk, groups-from)
		kernel.Rows(s.scores[:n], q, x.centres[from*dim:(from+n)*dim])
		for i, v := range s.scores[:n] {
			s.groups[from+i] = scored{int32(from + i), v + length*x.spread[from+i]}
		}
	}
	slices.SortFunc(s.groups, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.group, b.group))
	})
}

// sift sifts the blocks of the groups that were not sifted before.
func (x *IVF) sift(s *probing, groups []scored) {
	v, query := &s.sieve, &s.pass[0].query
	for _, g := range groups {
		last := (int(x.starts[g.group+1]) + kernel.CodeRows - 1) / kernel.CodeRows
		for b := int(x.starts[g.group]) / kernel.CodeRows; b < last; {
			if s.blocks.Has(b) {
				b++
				continue
			}
			from := b
			for b < last && b-from < chunkBlocks && !s.blocks.Has(b) {
				s.blocks.Set(b)
				b++
			}
			x.take(s, query, from, b)
			if len(v.found.rows) >= v.next {
				v.tighten()
			}
		}
	}
	runtime.KeepAlive(x)
}

// take keeps the allowed rows of the blocks from...to-1 that can pass the floor; the sieve knows them by
// position.
func (x *IVF) take(s *probing, query *coded, from, to int) {
	v, allowed := &s.sieve, s.pass[0].allowed
	words := v.words[:to-from]
	for i := range words {
		words[i] = ^uint64(0)
	}
	if beyond := to*kernel.CodeRows - x.flat.rows; beyond > 0 {
		words[len(words)-1] >>= beyond
	}
	kept := len(v.found.rows)
	s.search.sift(x.flat.codes, query, from, words)
	s.settle(x.flat.codes, query)
	if rows := v.found.rows; allowed != nil {
		v.found.keep(kept, func(i int) bool { return allowed.Has(int(x.order[rows[i]])) })
	}
}

// rescore offers the rows that are left with their scores as floats.
func (x *IVF) rescore(s *probing, q []float32) {
	s.ids = s.ids[:0]
	for _, row := range s.sieve.found.rows {
		s.ids = append(s.ids, x.order[row])
	}
	slices.Sort(s.ids)
	for rest := s.ids; len(rest) > 0; {
		part := rest[:min(chunk, len(rest))]
		rest = rest[len(part):]
		scores := s.scores[:len(part)]
		x.flat.scoreRows(scores, q, part)
		s.offer(scores, func(i int) int { return int(part[i]) })
	}
}
