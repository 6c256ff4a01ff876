package kernel

import "math"

// tileWidth is the width of the square blocks of a factorisation and of the panels beside them.
const tileWidth = 16

// gatherRows is how many rows are brought together before they are multiplied: 64 rows of 64 floats,
// twice, fit the first-level cache.
const gatherRows = 64

// Pad returns dim rounded up to the leading dimension that Gram and Solver use.
func Pad(dim int) int { return (dim + tileWidth - 1) &^ (tileWidth - 1) }

// Matrix is a row-major matrix inside a larger array: row i is Data[i*Stride : i*Stride+Dim].
type Matrix struct {
	Data   []float32
	Dim    int
	Stride int // >= Dim
}

// Row returns row i, which shares memory with the matrix.
func (m Matrix) Row(i int) []float32 { return m.Data[i*m.Stride : i*m.Stride+m.Dim] }

// Gram adds the sum of v v' over the rows lo <= i < hi to the upper triangle of sum, a Pad(Dim) square.
// The sums are float32 inside a run of 256 rows and float64 across runs, so that millions of rows do
// not lose digits. The result depends on lo and hi only, not on who computes it.
func Gram(sum []float64, m Matrix, lo, hi int) {
	const run = 256
	pad := Pad(m.Dim)
	v := make([]float32, run*pad)
	part := make([]float32, pad*pad)
	for ; lo < hi; lo += run {
		n := min(run, hi-lo)
		for i := range n {
			copy(v[i*pad:], m.Row(lo+i))
		}
		clear(part)
		rankK(part, part, v, v, &strides{pad, pad, pad, pad}, pad, n)
		for i, x := range part {
			sum[i] += float64(x)
		}
	}
}

// rankK sets the upper triangle of to to that of from plus the sum over n rows of v' w: the tiles on the
// diagonal are computed whole.
func rankK(to, from, v, w []float32, ld *strides, pad, n int) {
	for i := 0; i < pad; i += tileWidth {
		tilesAdd(v[i:], w[i:], from[i*ld.from+i:], to[i*ld.to+i:], ld, n, (pad-i)/tileWidth)
	}
}

// Solver builds and solves one ridge system after another:
//
//	(gram + sum_k w_k v_k v_k' + ridge I) x = sum_k w_k v_k
//
// by a blocked float32 Cholesky factorisation. It owns its work space and is for one goroutine.
type Solver struct {
	dim, pad, ld int
	a            []float32 // pad x ld: the upper triangle, then inverses of blocks (factor)
	v, wv        []float32 // gatherRows x pad
	b            []float32
	inv          []float32 // 1 / diagonal of the factor
	t            []float32 // tileWidth
	fit          float64   // of the last solution
	from         []float32 // what the next rows are added to: the caller's gram, and then a
	ridge        float32
}

// NewSolver returns a solver for systems of dim unknowns.
func NewSolver(dim int) *Solver {
	pad := Pad(dim)
	ld := pad + tileWidth
	return &Solver{dim: dim, pad: pad, ld: ld,
		a: make([]float32, pad*ld),
		v: make([]float32, gatherRows*pad), wv: make([]float32, gatherRows*pad),
		b: make([]float32, pad), inv: make([]float32, pad), t: make([]float32, tileWidth)}
}

// Reset begins a new system. The upper triangle of gram, a Pad(dim) square, is read by the calls that
// follow, up to Solve; ridge is added to the diagonal and must be positive.
func (s *Solver) Reset(gram []float32, ridge float32) {
	s.from, s.ridge = gram[:s.pad*s.pad], ridge
	clear(s.b)
}

// Add adds the rows of m named by ids, weighted by weights, to both sides. m.Dim equals the solver's;
// it panics when an id is out of range.
func (s *Solver) Add(m Matrix, ids []int32, weights []float32) {
	weights = weights[:len(ids)]
	check(ids, m.Data, m.Stride)
	for len(ids) > 0 {
		n := min(gatherRows, len(ids))
		gather(s.v, s.wv, s.b, m.Data, ids[:n], weights[:n], s.dim, m.Stride, s.pad)
		from, ld := s.a, s.ld
		if s.from != nil {
			from, ld, s.from = s.from, s.pad, nil
		}
		rankK(s.a, from, s.v, s.wv, &strides{s.pad, s.pad, ld, s.ld}, s.pad, n)
		ids, weights = ids[n:], weights[n:]
	}
}

// Solve sets x, of length dim, to the solution. It returns false, and x is undefined, when the system
// is not positive definite in float32 or not finite. The system is used up: call Reset next.
func (s *Solver) Solve(x []float32) bool {
	if s.from != nil { // no row was added
		for i := range s.pad {
			first := i &^ (tileWidth - 1)
			copy(s.a[i*s.ld+first:], s.from[i*s.pad+first:(i+1)*s.pad])
		}
		s.from = nil
	}
	for i := range s.pad {
		s.a[i*s.ld+i] += s.ridge
	}
	s.factor()
	s.substitute()
	for i, inv := range s.inv {
		// A pivot of zero or below leaves Inf or NaN, an infinite one leaves 0.
		if !(inv > 0 && inv <= math.MaxFloat32) || s.b[i]-s.b[i] != 0 {
			return false
		}
	}
	copy(x[:s.dim], s.b)
	return true
}

// Fit returns 2b'x - x'Ax of the last solution, by how much it lowers the quadratic form that it minimises. It
// equals b'x.
func (s *Solver) Fit() float64 { return s.fit }

// factor turns a into U of a = U'U. Beside each block on the diagonal stands, in the columns after the last, the
// inverse of its transpose: solving with it is a product, which does not wait as a substitution does.
func (s *Solver) factor() {
	a, ld := s.a, s.ld
	all := strides{ld, ld, ld, ld}
	for i := 0; i < s.pad; i += tileWidth {
		if i > 0 {
			to := a[i*ld+i:]
			tilesSub(a[i:], a[i:], to, to, &all, i, (s.pad-i)/tileWidth)
		}
		for k := range tileWidth {
			row := a[(i+k)*ld+s.pad : (i+k+1)*ld]
			clear(row)
			row[k] = 1
		}
		potrf(a[i*ld+i:], ld, s.inv[i:])
		trsm(a[i*ld+i:], a[i*ld+i+tileWidth:], ld, s.inv[i:], s.pad-i)
	}
}

// substitute solves U'z = b from the first block down and U x = z from the last block up; x is left in b.
func (s *Solver) substitute() {
	a, ld, pad := s.a, s.ld, s.pad
	for i := 0; i < pad; i += tileWidth {
		clear(s.t)
		combine(s.t, s.b[:i], a[i:], ld)
		for k, v := range s.b[i : i+tileWidth] {
			s.t[k] = v - s.t[k]
		}
		panel(s.b[i:i+tileWidth], s.t, a[i*ld+pad:], ld)
	}
	s.fit = SquareSum(s.b)
	for i := pad - tileWidth; i >= 0; i -= tileWidth {
		clear(s.t)
		next := i + tileWidth
		if next < pad {
			panel(s.t, s.b[next:], a[i*ld+next:], ld)
		}
		for k, v := range s.b[i:next] {
			s.t[k] = v - s.t[k]
		}
		clear(s.b[i:next])
		combine(s.b[i:next], s.t, a[i*ld+pad:], ld)
	}
}

// Finite tells whether no value is NaN or infinite.
func Finite(values []float32) bool {
	for _, v := range values {
		if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
			return false
		}
	}
	return true
}
