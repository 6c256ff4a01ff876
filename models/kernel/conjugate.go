package kernel

import "math"

// System is a ridge system of Solver and Conjugate, written down:
//
//	(gram + sum_k w_k v_k v_k' + ridge I) x = sum_k w_k v_k
type System struct {
	Gram    []float32 // Pad(Rows.Dim) square, symmetric, both triangles
	Ridge   float32   // > 0
	Rows    Matrix
	IDs     []int32   // of the rows v_k
	Weights []float32 // w_k >= 0
}

// Conjugate takes solutions nearer to the truth by steps of conjugate gradients, which cost two products of the
// rows with a vector each: far less than a factorisation when there are few rows or many unknowns (Takács,
// Pilászy and Tikk 2011). It owns its work space and is for one goroutine.
type Conjugate struct {
	dim, pad          int
	v                 []float32 // the system's rows, pad apart
	s                 []float32 // gatherRows
	x, b, rest, p, by []float32 // solution, right-hand side, b - Ax, direction, A p
	fit               float64
}

// NewConjugate returns the work space for systems of dim unknowns.
func NewConjugate(dim int) *Conjugate {
	pad := Pad(dim)
	c := &Conjugate{dim: dim, pad: pad, s: make([]float32, gatherRows)}
	for _, x := range []*[]float32{&c.x, &c.b, &c.rest, &c.p, &c.by} {
		*x = make([]float32, pad)
	}
	return c
}

// Improve makes steps from x, of length dim, towards the solution, and leaves x there. It never goes further
// away, by the measure of the quadratic form. It returns false, and x is as before, when a number is not finite.
// It panics when an id is out of range.
func (c *Conjugate) Improve(x []float32, s *System, steps int) bool {
	c.gather(s)
	copy(c.x, x[:c.dim])
	clear(c.b)
	combine(c.b, s.Weights[:len(s.IDs)], c.v, c.pad)
	c.apply(c.by, c.x, s)
	for i, b := range c.b {
		c.rest[i] = b - c.by[i]
	}
	copy(c.p, c.rest)
	size := Dot(c.rest, c.rest)
	for range steps {
		if !(size > 1e-20) { // arrived, or NaN
			break
		}
		c.apply(c.by, c.p, s)
		along := size / Dot(c.p, c.by)
		Axpy(along, c.p, c.x)
		Axpy(-along, c.by, c.rest)
		next := Dot(c.rest, c.rest)
		turn := next / size
		for i, r := range c.rest {
			c.p[i] = r + turn*c.p[i]
		}
		size = next
	}
	if !Finite(c.x) || !(size <= math.MaxFloat32) {
		return false
	}
	copy(x[:c.dim], c.x)
	c.fit = float64(Dot(c.x, c.b)) + float64(Dot(c.x, c.rest))
	return true
}

// Fit is Solver.Fit of the last x: b'x + x'(b - Ax).
func (c *Conjugate) Fit() float64 { return c.fit }

// gather copies the system's rows together.
func (c *Conjugate) gather(s *System) {
	check(s.IDs, s.Rows.Data, s.Rows.Stride)
	if need := len(s.IDs) * c.pad; len(c.v) < need {
		c.v = make([]float32, need+need/4)
	}
	if len(s.IDs) > 0 {
		pick(c.v, s.Rows.Data, s.IDs, c.dim, s.Rows.Stride, c.pad)
	}
}

// apply sets y to the system's matrix times p.
func (c *Conjugate) apply(y, p []float32, s *System) {
	for i, v := range p {
		y[i] = s.Ridge * v
	}
	combine(y, p, s.Gram, c.pad)
	for at := 0; at < len(s.IDs); at += gatherRows {
		rows, weights := c.v[at*c.pad:], s.Weights[at:min(at+gatherRows, len(s.IDs))]
		scores := c.s[:len(weights)]
		panel(scores, p, rows, c.pad)
		for i, w := range weights {
			scores[i] *= w
		}
		combine(y, scores, rows, c.pad)
	}
}
