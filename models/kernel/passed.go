package kernel

import "math/bits"

// PassRows is how many rows one call looks at at most that gathers those that pass.
const PassRows = 1 << 10

// Query is a query in whole numbers of two digits: dimension j counts High[j] + Low[j]/256. Low is nil where
// Digits is 1. No byte is -128. Bias and LowBias are added to the sums with either digit.
type Query struct {
	High, Low     []int8
	Bias, LowBias int32
}

// Blocks are whole blocks of rows to look at, at most PassRows rows.
type Blocks struct {
	Codes []byte
	Scale []float32 // of each row
	Adds  []float32 // of each block
	Words []uint64  // of each block, which rows are looked at
	First int       // the number of the first row
}

// Passed are the rows that a call found, and the sums of all that it scanned. Row i passes when its bit in Words
// is set and
//
//	(Sums[i] + Adds[i/CodeRows]) * Scale[i] > floor
//
// where Sums[i] is the sum of both digits.
type Passed struct {
	Rows   [PassRows + 16]int32 // those that pass, by number, ascending; what lies behind them means nothing
	Sums   [PassRows]float32    // of every row, in the order of the blocks
	scores [PassRows]float32
	mask   [PassRows / CodeRows]uint64
}

// CodesAbove finds among rows of 8-bit codes those that pass, and returns how many do. A sum is Bias and the inner
// product of the query, a whole number of groups of four, with the bytes of a row: Bias is -128 times the sum of
// High for codes that are offset by 128. It must fit in an int32, which up to 4096 dimensions it does.
func CodesAbove(out *Passed, q *Query, b Blocks, floor float32) int {
	bytes, n := len(q.High)*CodeRows, 0
	for at, step := 0, out.step(q, b, bytes); at < len(b.Words); at += step {
		n = codesSome(out, n, at*CodeRows, q, b.part(at, step, bytes), floor)
	}
	return n
}

// CoarseAbove finds rows by their upper halves, as CodesAbove does by whole bytes. A sum is Bias and 16 times
// the inner product of the query, a whole number of groups of eight, with the halves of a row. What lies ahead
// bytes behind each of the codes is asked for, in good time for a later call; Ahead suits calls for codes that
// follow one another.
func CoarseAbove(out *Passed, q *Query, b Blocks, floor float32, ahead int) int {
	bytes, n := len(q.High)/2*CodeRows, 0
	for at, step := 0, out.step(q, b, bytes); at < len(b.Words); at += step {
		n = coarseSome(out, n, at*CodeRows, q, b.part(at, step, bytes), floor, ahead)
	}
	return n
}

// step returns how many blocks, of so many bytes each, are looked at in one call that is not too long to be
// interrupted. It panics where there is no room, since assembly must never write outside.
func (p *Passed) step(q *Query, b Blocks, bytes int) int {
	_ = p.Sums[:len(b.Words)*CodeRows]
	if q.Low != nil {
		_ = q.Low[:len(q.High)]
	}
	return max(1, 4*block/max(bytes, 1))
}

// part returns n blocks of so many bytes, or what is left, from the given one on.
func (b Blocks) part(at, n, bytes int) Blocks {
	to := min(at+n, len(b.Words))
	return Blocks{
		Codes: b.Codes[at*bytes : to*bytes], Scale: b.Scale[at*CodeRows : to*CodeRows],
		Adds: b.Adds[at:to], Words: b.Words[at:to], First: b.First + at*CodeRows,
	}
}

// gather appends the rows that pass by the scores of their blocks, of which the first stands at place at.
func (p *Passed) gather(n, at int, b Blocks, floor float32) int {
	masks := p.mask[:len(b.Words)]
	MaskAbove(masks, p.scores[at:at+len(masks)*CodeRows], floor)
	for i, mask := range masks {
		for mask &= b.Words[i]; mask != 0; mask &= mask - 1 {
			p.Rows[n] = int32(b.First + i*CodeRows + bits.TrailingZeros64(mask))
			n++
		}
	}
	return n
}

// score makes the sum and the score of a row of its sums with either digit.
func (p *Passed) score(i int, high, low int32, add, scale float32) {
	p.Sums[i] = float32(high) + float32(low)*(1./256)
	p.scores[i] = (p.Sums[i] + add) * scale
}

// Narrow appends the rows that pass when more is known of them: row ids[i], whose sum and scale stand in
// place ids[i]-first, has
//
//	(sum + more[i] + bias + width) * scale > floor
//
// It returns how many do, and writes their numbers to rows, what stands on the left to highs and the same with
// -width to lows; these have room for 16 more than there are ids.
func Narrow(rows []int32, highs, lows []float32, ids []int32, sums, scale []float32, more []int32, n Narrowing) int {
	more, rows = more[:len(ids)], rows[:len(ids)+16]
	highs, lows, sums = highs[:len(rows)], lows[:len(rows)], sums[:len(scale)]
	if len(ids) == 0 || len(sums) == 0 {
		return 0
	}
	return narrowSome(rows, highs, lows, ids, sums, scale, more, n)
}

// Narrowing is what Narrow narrows by.
type Narrowing struct {
	First        int
	Bias         int32
	Width, Floor float32
}

func narrowGeneric(rows []int32, highs, lows []float32, ids []int32, sums, scale []float32, more []int32, n Narrowing) int {
	count := 0
	for i, id := range ids {
		at := int(id) - n.First
		sum, by := sums[at]+float32(more[i]+n.Bias), scale[at]
		high := (sum + n.Width) * by
		// Without a branch, which nobody could foresee: the next one takes the place of a row that fails.
		rows[count], highs[count], lows[count] = id, high, (sum-n.Width)*by
		if high > n.Floor {
			count++
		}
	}
	return count
}
