package index

import (
	"math"
	"runtime"
	"sync"

	"github.com/sartorhq/sartor/models/kernel"
)

// codes holds every row v as one byte per dimension: v[j] = columns[j] * c * (t[j] + e[j]) with whole
// numbers t in -127...127, stored as t+128, and a rest |e[j]| of at most 1/2, where c belongs to the
// row. With u[j] = q[j]*columns[j] = s*(w[j] + f[j]), w whole too, the inner product is
//
//	<q, v> = c*s * (<w, t> + <f, t> + <u/s, e>)
//
// The first sum is exact integer arithmetic. The others are at most |f||t| + |u/s||e| (Cauchy and
// Schwarz), so that every score is known within a bound that the query and three maxima over all rows
// give. Nothing that could be among the best k is dropped on the strength of a code: see sieve.
type codes struct {
	groups  int
	data    *[]byte   // behind a pointer that weighted indexes share: it owns the pages
	scale   []float32 // c, times the row's weight; 0 beyond the last row
	columns []float64
	// The largest |e|, |t| and |v|/c of any row, with a little to spare for their rounding.
	rest, size, norm float64
}

// The range of scales in which no product over- or underflows. Vectors beyond are searched as floats.
const (
	leastScale = 1e-12
	mostScale  = 1e12
	// maxCodeDim bounds the sums: 4096 * 127 * 255 fits in an int32.
	maxCodeDim = 4096
	// spare covers the float64 arithmetic that bounds are computed with.
	spare = 1 + 1e-6
)

// newCodes returns the codes of the vectors, nil when a vector is out of range. order[i] is the row whose
// code comes in place i; nil = every row in its own.
func newCodes(dim int, vectors []float32, order []int32) *codes {
	if dim > maxCodeDim {
		return nil
	}
	rows := len(vectors) / dim
	c := &codes{groups: kernel.Groups(dim), columns: columnScales(dim, vectors), data: new([]byte)}
	*c.data = pages(c.data, kernel.CodesLen(rows, dim))
	c.scale = make([]float32, (rows+kernel.CodeRows-1)/kernel.CodeRows*kernel.CodeRows)
	workers := runtime.GOMAXPROCS(0)
	parts := make([]maxima, workers)
	var done sync.WaitGroup
	for i := range parts {
		done.Go(func() { parts[i] = c.encodeRows(dim, vectors, order, rows*i/workers, rows*(i+1)/workers) })
	}
	done.Wait()
	for _, p := range parts {
		if p.outOfRange {
			return nil
		}
		c.rest, c.size, c.norm = max(c.rest, p.rest), max(c.size, p.size), max(c.norm, p.norm)
	}
	c.rest, c.size, c.norm = math.Sqrt(c.rest)*spare, math.Sqrt(c.size)*spare, math.Sqrt(c.norm)*spare
	return c
}

// columnScales returns the root mean square of every column, 1 for one without values: codes then lose
// about as much of a weak dimension as of a strong one.
func columnScales(dim int, vectors []float32) []float64 {
	out := make([]float64, dim)
	for i := 0; i < len(vectors); i += dim {
		for j, v := range vectors[i : i+dim] {
			out[j] += float64(v) * float64(v)
		}
	}
	for j, sum := range out {
		out[j] = math.Sqrt(sum * float64(dim) / float64(max(len(vectors), 1)))
		if out[j] < leastScale || out[j] > mostScale {
			out[j] = 1
		}
	}
	return out
}

// maxima are the largest squares over some rows.
type maxima struct {
	rest, size, norm float64
	outOfRange       bool
}

func (c *codes) encodeRows(dim int, vectors []float32, order []int32, from, to int) (m maxima) {
	unit := make([]float64, dim)
	for i := from; i < to; i++ {
		row := i
		if order != nil {
			row = int(order[i])
		}
		var largest, norm float64
		for j, v := range vectors[row*dim : (row+1)*dim] {
			unit[j] = float64(v) / c.columns[j]
			largest = max(largest, math.Abs(unit[j]))
			norm += float64(v) * float64(v)
		}
		scale := float32(largest / 127)
		if largest == 0 {
			scale = 0
		} else if scale < leastScale || scale > mostScale {
			return maxima{outOfRange: true}
		}
		c.scale[i] = scale
		var rest, size float64
		inverse := 0.0
		if scale > 0 {
			inverse = 1 / float64(scale)
		}
		data := *c.data
		for j, u := range unit {
			x := u * inverse
			t := min(int(x+128.5), 255) - 128 // x is at least -127.1: what is cut off is a fraction
			data[kernel.CodeAt(i, j, c.groups)] = byte(t + 128)
			rest += (x - float64(t)) * (x - float64(t))
			size += float64(t * t)
		}
		m.rest, m.size = max(m.rest, rest), max(m.size, size)
		m.norm = max(m.norm, norm*inverse*inverse)
	}
	return m
}

// weighted returns the codes under weights, which share the bytes; nil when a weight is out of range.
func (c *codes) weighted(weights []float32, order []int32) *codes {
	y := *c
	y.scale = make([]float32, len(c.scale))
	for i, w := range weights {
		if order != nil {
			w = weights[order[i]]
		}
		s := c.scale[i] * w
		if s != 0 && (s < leastScale || s > mostScale) || s == 0 && w != 0 && c.scale[i] != 0 {
			return nil
		}
		y.scale[i] = s
	}
	return &y
}

// coded is a query as codes are scored with it.
type coded struct {
	query []int8
	bias  int32
	// bound is how far the true sum may be from that of the codes: scores are within bound*scale, in
	// units of the query.
	bound float32
}

// encode turns q into whole numbers; ok is false when it cannot be.
func (c *codes) encode(q []float32, room []int8) (out coded, ok bool) {
	var largest, length, norm float64
	for j, v := range q {
		u := float64(v) * c.columns[j]
		largest = max(largest, math.Abs(u))
		length += u * u
		norm += float64(v) * float64(v)
	}
	s := largest / 127
	if !(s >= 1e-20 && s <= 1e20) { // a NaN is in no range
		return out, false
	}
	out.query = append(room[:0], make([]int8, c.groups*4)...)
	var rest, size float64
	for j, v := range q {
		x := float64(v) * c.columns[j] / s
		w := math.RoundToEven(x)
		out.query[j] = int8(w)
		out.bias -= 128 * int32(w)
		rest += (x - w) * (x - w)
		size += w * w
	}
	// What float32 arithmetic may add to or take from an inner product of this length, in any order.
	rounding := float64(len(q)+2) * 0x1p-24 * spare * math.Sqrt(norm) * c.norm / s
	bound := (math.Sqrt(rest)*c.size + math.Sqrt(length)/s*c.rest + rounding) * spare
	// The kernel, the weights and the sieve round a few times too, each by at most 2^-24 of this.
	bound += (math.Sqrt(size)*c.size + bound) * 0x1p-20
	out.bound = float32(bound * spare)
	return out, true
}
