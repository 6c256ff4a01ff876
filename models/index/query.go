package index

import (
	"math"

	"github.com/sartorhq/sartor/models/kernel"
)

// coded is a query as codes are scored with it. Scores are in units of the query: what a true sum is,
// divided by s.
type coded struct {
	query    kernel.Query
	planar   []int8 // the first digits as kernel.FineSums wants them
	fineBias int32  // of sums over lower halves
	// A sum over upper halves is within perRest*rest+base of the true one, over c, where rest is that of
	// the block; one over whole bytes within fine.
	perRest, base, fine float32
	unit                float64 // s
}

// secondDigits is how many of the second digit make one of the first.
const secondDigits = 256

// encode turns q into whole numbers; ok is false when it cannot be. The result keeps the room of old.
func (c *codes) encode(q []float32, old coded) (out coded, ok bool) {
	var largest, length, norm float64
	for j, v := range q {
		u := float64(v) * c.columns[j] // not a number if v is not, even where the column is 0
		length += u * u
		if c.columns[j] > 0 {
			norm += float64(v) * float64(v)
		}
	}
	for _, s := range c.slots {
		if s.column >= 0 {
			largest = max(largest, math.Abs(float64(q[s.column]))*c.columns[s.column]*s.share)
		}
	}
	s := largest / 127
	if !(s >= 1e-20 && s <= 1e20 && length >= 0) { // a NaN is in no range
		return old, false
	}
	out = coded{unit: s, planar: old.planar}
	rest, firstRest, size := c.digits(&out.query, q, s, old.query)
	if c.whole == nil {
		sum := -out.query.Bias / 128
		out.planar, out.fineBias = kernel.Planar(out.query.High, old.planar), -fineMiddle*sum
		out.query.Bias, out.query.LowBias = -coarseMiddle*sum, out.query.LowBias/128*coarseMiddle
	}
	c.bound(&out, bounds{length: math.Sqrt(length) / s, norm: math.Sqrt(norm) / s, rest: math.Sqrt(rest), firstRest: math.Sqrt(firstRest), size: math.Sqrt(size), dim: len(q)})
	return out, true
}

// digits writes the digits of q in units of s, with biases for whole bytes, and returns the squares of what both
// of them and what the first ones leave, and of the first ones.
func (c *codes) digits(out *kernel.Query, q []float32, s float64, old kernel.Query) (rest, firstRest, size float64) {
	out.High = append(old.High[:0], make([]int8, len(c.slots))...)
	if kernel.Digits() > 1 {
		out.Low = append(old.Low[:0], make([]int8, len(c.slots))...)
	}
	for i, t := range c.slots {
		if t.column < 0 {
			continue
		}
		x := float64(q[t.column]) * c.columns[t.column] * t.share / s
		w := math.RoundToEven(x)
		left := x - w
		out.High[i] = int8(w)
		out.Bias -= 128 * int32(w)
		firstRest += left * left
		if out.Low != nil {
			second := max(min(math.RoundToEven(left*secondDigits), 127), -127)
			out.Low[i] = int8(second)
			out.LowBias -= 128 * int32(second)
			left -= second / secondDigits
		}
		rest += left * left
		size += w * w
	}
	return rest, firstRest, size
}

// bounds are the lengths of a query from which its bounds follow, in units of s.
type bounds struct {
	length    float64 // of q times the columns
	norm      float64 // of q
	rest      float64 // of f, what the digits leave
	firstRest float64 // of what the first digits leave
	size      float64 // of the first digits
	dim       int
}

// scan looks at the blocks from the given one on, of which words says which rows count, and adds what is added
// to the sums; it returns how many pass. What lies ahead of what is read is asked for.
func (c *codes) scan(out *kernel.Passed, query *coded, block int, words []uint64, adds []float32, floor float32, ahead int) int {
	n, first := len(words), block*kernel.CodeRows
	b := kernel.Blocks{Scale: c.scale[first : first+n*kernel.CodeRows], Adds: adds, Words: words, First: first}
	if c.whole == nil {
		bytes := len(c.slots) / 2 * kernel.CodeRows
		b.Codes = c.coarse[block*bytes : (block+n)*bytes]
		return kernel.CoarseAbove(out, &query.query, b, floor, ahead)
	}
	bytes := len(c.slots) * kernel.CodeRows
	b.Codes = c.whole[block*bytes : (block+n)*bytes]
	return kernel.CodesAbove(out, &query.query, b, floor)
}

func (c *codes) bound(out *coded, b bounds) {
	// What float32 arithmetic may add to or take from an inner product of this length, in any order.
	rounding := float64(b.dim+2) * 0x1p-24 * spare * b.norm * c.most.norm
	fine := (b.rest*c.most.fineSize + b.length*c.most.fineRest + rounding) * spare
	base := (b.rest*c.most.size + rounding) * spare
	if c.whole == nil && out.query.Low != nil { // lower halves are multiplied by the first digits only
		fine += (b.firstRest + b.rest) * c.most.step * spare
	}
	// The kernel, the weights and the sieve round less than twenty times, each by at most 2^-24 of no more than this.
	slack := 0x1p-19 * ((b.size+b.firstRest)*(c.most.size+c.most.fineSize) + base + b.length*c.most.rest + fine) * spare
	out.perRest = float32(b.length * spare)
	out.base, out.fine = float32((base+slack)*spare), float32((fine+slack)*spare)
}
