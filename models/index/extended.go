package index

import "slices"

// Base is an index that can be extended: Flat, Shared and IVF are.
type Base interface {
	Len() int
	AppendSearch(dst []Hit, q []float32, k int, allowed Bitmap) []Hit
}

// segmentRows is how many rows one segment of an extension holds: setting a row copies its segment.
const segmentRows = 1 << 13

// Extended is an index whose rows go on behind those of another one: rows come in, change and go one by
// one, at a cost that does not depend on the size of the base. It is immutable, Set returns another one
// that shares what did not change, and it is safe for concurrent use. Its hits are those of one index of
// all its rows, as far as those of the base are.
type Extended struct {
	base     Base
	dim      int
	segments []segment
	rows     int // of all segments
}

// segment is a part of the rows behind the base.
type segment struct {
	flat    *Flat
	vectors []float32 // segmentRows x dim
	has     Bitmap    // rows that have a vector
	count   int       // of them
}

// Extend returns an index of the rows of base and none behind.
func Extend(base Base, dim int) *Extended { return &Extended{base: base, dim: dim} }

// Row is a row with its vector; nil takes the row away.
type Row struct {
	Row    int
	Vector []float32
}

// Set returns the index with other vectors in some rows behind those of the base, each of which must pass
// Check. It reads the vectors and keeps none. A row may lie beyond the last one.
func (x *Extended) Set(changes []Row) *Extended {
	if len(changes) == 0 {
		return x
	}
	y := *x
	y.segments = slices.Clone(x.segments)
	touched := map[int]bool{}
	for _, c := range changes {
		at := c.Row - x.base.Len()
		if at < 0 || c.Vector != nil && len(c.Vector) != x.dim {
			panic("index: a row of the base, or a vector of another dimension, is set")
		}
		n := at / segmentRows
		for len(y.segments) <= n {
			y.segments = append(y.segments, segment{})
		}
		if g := &y.segments[n]; !touched[n] {
			touched[n] = true
			g.vectors = append(make([]float32, 0, segmentRows*x.dim), g.vectors...)
			g.has = append(make(Bitmap, 0, segmentRows/64), g.has...)
		}
		y.segments[n].set(at%segmentRows, c.Vector, x.dim)
		y.rows = max(y.rows, at+1)
	}
	for n := range touched {
		g := &y.segments[n]
		g.count = g.has.Count()
		g.flat = newFlat(x.dim, g.vectors, segmentRows, halvesFrom)
	}
	return &y
}

func (g *segment) set(row int, vector []float32, dim int) {
	for len(g.vectors) < (row+1)*dim {
		g.vectors = append(g.vectors, 0)
	}
	for len(g.has) <= row/64 {
		g.has = append(g.has, 0)
	}
	clear(g.vectors[row*dim : (row+1)*dim])
	g.has.Clear(row)
	if vector != nil {
		copy(g.vectors[row*dim:], vector)
		g.has.Set(row)
	}
}

// Len returns the number of rows, with those that have no vector.
func (x *Extended) Len() int { return x.base.Len() + x.rows }

// SharesPasses tells whether concurrent searches wait for one another's passes over the base.
func (x *Extended) SharesPasses() bool {
	s, ok := x.base.(*Shared)
	return ok && s.limit > 0
}

// Added returns the number of rows behind the base that have a vector.
func (x *Extended) Added() int {
	n := 0
	for i := range x.segments {
		n += x.segments[i].count
	}
	return n
}

// Vector returns the vector of a row behind the base; nil when it has none. It must not be changed.
func (x *Extended) Vector(row int) []float32 {
	at := row - x.base.Len()
	if at < 0 || at/segmentRows >= len(x.segments) {
		return nil
	}
	if g, i := &x.segments[at/segmentRows], at%segmentRows; g.has.Has(i) {
		return g.vectors[i*x.dim : (i+1)*x.dim]
	}
	return nil
}

// Bare returns the index with the rows of its base only.
func (x *Extended) Bare() *Extended { return Extend(x.base, x.dim) }

// Search returns the best k of what the base finds and the rows behind it.
func (x *Extended) Search(q []float32, k int, allowed Bitmap) []Hit {
	return x.AppendSearch(nil, q, k, allowed)
}

// AppendSearch appends what Search returns to dst.
func (x *Extended) AppendSearch(dst []Hit, q []float32, k int, allowed Bitmap) []Hit {
	from := len(dst)
	dst = x.base.AppendSearch(dst, q, k, allowed)
	if k <= 0 || x.rows == 0 {
		return dst
	}
	first := x.base.Len()
	for i := range x.segments {
		g := &x.segments[i]
		if g.count > 0 {
			at := len(dst)
			dst = g.flat.AppendSearch(dst, q, k, g.allowed(first, allowed))
			for j := range dst[at:] {
				dst[at+j].Row += first
			}
		}
		first += segmentRows
	}
	Sort(dst[from:])
	return dst[:min(len(dst), from+k)]
}

// allowed returns the allowed rows of the segment that begins at row first.
func (g *segment) allowed(first int, allowed Bitmap) Bitmap {
	if allowed == nil {
		return g.has
	}
	out, shift := make(Bitmap, len(g.has)), first%64
	word := func(i int) uint64 {
		if i < len(allowed) {
			return allowed[i]
		}
		return 0
	}
	for i := range out {
		out[i] = word(first/64+i) >> shift
		if shift > 0 {
			out[i] |= word(first/64+i+1) << (64 - shift)
		}
		out[i] &= g.has[i]
	}
	return out
}
