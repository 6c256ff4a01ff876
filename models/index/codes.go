package index

import (
	"math"
	"runtime"
	"sync"

	"github.com/sartorhq/sartor/models/kernel"
)

// codes holds every row v as bytes, which stand in slots, so many that they fill whole groups. Slot i
// belongs to a column j, one of m that do, and says
//
//	v[j] = columns[j] * c * (t[i] + e[i])
//
// with a whole number t[i] in -128...127, stored as t[i]+128, and what that leaves out, e[i], where c
// belongs to the row. With u[i] = q[j]*columns[j]/m = s*(w[i] + f[i]), w whole too, or of 256ths where the
// processor has the time for a second digit, the inner product is
//
//	<q, v> = c*s * (<w, t> + <f, t> + <u/s, e>)
//
// The first sum is exact integer arithmetic for each digit. The second is at most |f||t| (Cauchy and Schwarz). In the third
// all slots of a column have the same u, so that it is at most |q*columns|/s times the length of the means
// of e over the slots of each column. So every score is known within a bound that the query and some
// maxima over rows give. Nothing that could be among the best k is dropped on the strength of a code: see
// sieve.
//
// Many rows have their bytes stored as two halves. The upper one alone stands for t = 16*half - 120, coarser,
// and the same holds with its own e: a scan reads the upper halves only, and the lower ones of rows that those
// leave. Those are multiplied by the first digits only, so that the others belong to f there. Rows whose bytes stay in the processor's cache are scanned faster whole.
//
// Slots that are left over when each column with values has one go to the columns that matter most to
// inner products, mostly the popularity of items. Halves are rounded at another place in each slot of a
// column, so that their mean is finer than one half; and a factor of the query that is m times smaller
// leaves the others more of their digits.
type codes struct {
	slots   []slot    // a multiple of 8
	columns []float64 // 0 for a column without values
	data    *[]byte   // all bytes; behind a pointer that weighted indexes share: it owns the pages
	whole   []byte    // nil = in halves:
	coarse  []byte    // the upper ones
	fine    []byte    // the lower ones
	scale   []float32 // c, times the row's weight; 0 beyond the last row
	rest    []float32 // of each block of rows the largest mean |e| of upper halves
	most    maxima    // of all rows, roots, with a little to spare for their rounding
}

// slot is a place of a row's code.
type slot struct {
	column int     // -1: none, its codes mean nothing and its factors are 0
	shift  float64 // is added before rounding, and in all slots of a column together comes to nothing
	share  float64 // 1 over the number of slots that the column has
}

// maxima are the largest squares over some rows.
type maxima struct {
	rest, fineRest float64 // of the means of e, for upper halves and whole bytes
	size, fineSize float64 // of t
	step           float64 // of the difference between t of whole bytes and of upper halves
	norm           float64 // of v/c
	outOfRange     bool
}

func (m *maxima) add(o maxima) {
	m.rest, m.fineRest = max(m.rest, o.rest), max(m.fineRest, o.fineRest)
	m.size, m.fineSize = max(m.size, o.size), max(m.fineSize, o.fineSize)
	m.step = max(m.step, o.step)
	m.norm, m.outOfRange = max(m.norm, o.norm), m.outOfRange || o.outOfRange
}

// The range of scales in which no product over- or underflows. Vectors beyond are searched as floats.
const (
	leastScale = 1e-12
	mostScale  = 1e12
	// maxCodeDim bounds the sums: 4096 * 127 * 255 fits in an int32.
	maxCodeDim = 4096
	// spare covers the float64 arithmetic that bounds are computed with.
	spare = 1 + 1e-6
	// A half stands for the middle of the coarseStep bytes that share it, which begin with 16*half - 128.
	coarseStep   = 16
	coarseMiddle = 120
	fineMiddle   = 128 - coarseMiddle
)

// newCodes returns the codes of the vectors, in halves when they take as many bytes, nil when a vector is out
// of range. order[i] is the row whose code comes in place i; nil = every row in its own.
func newCodes(dim int, vectors []float32, order []int32, halves int) *codes {
	if dim > maxCodeDim {
		return nil
	}
	rows := len(vectors) / dim
	blocks := (rows + kernel.CodeRows - 1) / kernel.CodeRows
	c := &codes{data: new([]byte), scale: make([]float32, blocks*kernel.CodeRows), rest: make([]float32, blocks)}
	c.layout(dim, vectors)
	if whole := kernel.CodesLen(rows, len(c.slots)); whole < halves {
		*c.data = pages(c.data, whole)
		c.whole = *c.data
	} else {
		coarse := kernel.CoarseLen(rows, len(c.slots))
		*c.data = pages(c.data, coarse+kernel.FineLen(rows, len(c.slots)))
		c.coarse, c.fine = (*c.data)[:coarse], (*c.data)[coarse:]
	}
	workers := runtime.GOMAXPROCS(0)
	parts := make([]maxima, workers)
	var done sync.WaitGroup
	for i := range parts {
		done.Go(func() {
			e := newEncoder(c, dim)
			for b := blocks * i / workers; b < blocks*(i+1)/workers; b++ {
				parts[i].add(e.block(vectors, order, b, rows))
			}
		})
	}
	done.Wait()
	for _, p := range parts {
		c.most.add(p)
	}
	if c.most.outOfRange {
		return nil
	}
	for _, v := range []*float64{&c.most.rest, &c.most.fineRest, &c.most.size, &c.most.fineSize, &c.most.step, &c.most.norm} {
		*v = math.Sqrt(*v) * spare
	}
	return c
}

// layout chooses columns and slots.
func (c *codes) layout(dim int, vectors []float32) {
	squares := make([]float64, dim)
	for i := 0; i < len(vectors); i += dim {
		for j, v := range vectors[i : i+dim] {
			squares[j] += float64(v) * float64(v)
		}
	}
	counts, used := make([]int, dim), 0
	c.columns = make([]float64, dim)
	for j, sum := range squares {
		if sum == 0 {
			continue
		}
		counts[j]++
		used++
		// The root mean square: codes then lose about as much of a weak dimension as of a strong one.
		c.columns[j] = math.Sqrt(sum * float64(dim) / float64(max(len(vectors), 1)))
		if c.columns[j] < leastScale || c.columns[j] > mostScale {
			c.columns[j] = 1
		}
	}
	slots := 8 * kernel.HalfGroups(max(used, 1))
	for ; used > 0 && used < slots; used++ {
		// Queries are like rows: the part of a column in inner products is about its square.
		best := 0
		for j := range counts {
			if counts[j] > 0 && squares[j]*float64(counts[best]) > squares[best]*float64(counts[j]) || counts[best] == 0 {
				best = j
			}
		}
		counts[best]++
	}
	for j, n := range counts {
		for i := range n {
			shift := coarseStep * ((float64(i)+0.5)/float64(n) - 0.5)
			c.slots = append(c.slots, slot{column: j, share: 1 / float64(n), shift: shift})
		}
	}
	for len(c.slots) < slots {
		c.slots = append(c.slots, slot{column: -1})
	}
}

// encoder makes codes, for one goroutine.
type encoder struct {
	*codes
	dim   int
	live  []live
	unit  []float64 // of each live column
	bytes []byte    // of each slot
}

// live is a column with values: its slots stand behind those of the one before.
type live struct {
	column, count  int
	inverse, share float64 // of its scale, of the number of its slots
	reach          float64 // 1 over what a number may be, for no shift to carry it out of its range
}

func newEncoder(c *codes, dim int) *encoder {
	e := &encoder{codes: c, dim: dim, bytes: make([]byte, len(c.slots))}
	for _, s := range c.slots {
		n := len(e.live)
		switch {
		case s.column < 0:
		case n > 0 && e.live[n-1].column == s.column:
			e.live[n-1].count++
		default: // the first shift of a column is as large as the last
			e.live = append(e.live, live{s.column, 1, 1 / c.columns[s.column], s.share, 1 / (127 - math.Abs(s.shift))})
		}
	}
	e.unit = make([]float64, len(e.live))
	return e
}

// block makes the codes of a block of rows.
func (e *encoder) block(vectors []float32, order []int32, b, rows int) (m maxima) {
	for i := b * kernel.CodeRows; i < min(rows, (b+1)*kernel.CodeRows); i++ {
		row := i
		if order != nil {
			row = int(order[i])
		}
		m.add(e.row(vectors[row*e.dim:(row+1)*e.dim], i))
	}
	e.rest[b] = float32(math.Sqrt(m.rest) * spare)
	return m
}

func (e *encoder) row(vector []float32, i int) (m maxima) {
	var largest, norm float64
	for _, v := range vector {
		norm += float64(v) * float64(v)
	}
	unit := e.unit[:len(e.live)]
	for k := range e.live {
		l := &e.live[k]
		u := float64(vector[l.column]) * l.inverse
		if unit[k] = u; math.Abs(u)*l.reach > largest {
			largest = math.Abs(u) * l.reach
		}
	}
	if largest == 0 { // scores 0, whatever its code
		return maxima{}
	}
	scale := float32(largest)
	if scale < leastScale || scale > mostScale {
		return maxima{outOfRange: true}
	}
	e.scale[i] = scale
	inverse := 1 / float64(scale)
	m = e.round(inverse)
	m.norm = norm * inverse * inverse
	e.store(i)
	return m
}

// store writes the bytes at hand to place i.
func (e *encoder) store(i int) {
	groups := len(e.slots) / 8
	for g := range groups {
		bytes := e.bytes[g*8 : g*8+8]
		if e.whole != nil {
			copy(e.whole[kernel.CodeAt(i, g*8, 2*groups):], bytes[:4])
			copy(e.whole[kernel.CodeAt(i, g*8+4, 2*groups):], bytes[4:])
			continue
		}
		upper, lower := e.coarse[kernel.CoarseAt(i, g, groups):][:4], e.fine[kernel.FineAt(i, g, groups):][:4]
		for b := range 4 {
			upper[b] = bytes[b]>>4 | bytes[b+4]&0xf0
			lower[b] = bytes[b]&0xf | bytes[b+4]<<4
		}
	}
}

// round rounds the row that is at hand, inverse its 1/c, and adds up what that leaves.
func (e *encoder) round(inverse float64) (m maxima) {
	slots, bytes := e.slots, e.bytes[:len(e.slots)]
	i := 0
	for k := range e.live {
		l := &e.live[k]
		x := e.unit[k] * inverse
		var fineRest, rest float64
		for range l.count {
			code := max(min(int(x+slots[i].shift+128.5), 255), 0)
			bytes[i] = byte(code)
			fine, coarse := float64(code-128), float64(code&^15-coarseMiddle)
			m.fineSize += fine * fine
			m.size += coarse * coarse
			m.step += (fine - coarse) * (fine - coarse)
			fineRest += x - fine
			rest += x - coarse
			i++
		}
		fineRest, rest = fineRest*l.share, rest*l.share
		m.fineRest += fineRest * fineRest
		m.rest += rest * rest
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
