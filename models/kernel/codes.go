package kernel

// CodeRows is how many rows one block of codes holds.
const CodeRows = 64

// CodesLen returns the bytes that the codes of rows need at dim dimensions: whole blocks of CodeRows
// rows, each row padded to a multiple of 4 dimensions.
func CodesLen(rows, dim int) int {
	return (rows + CodeRows - 1) / CodeRows * CodeRows * Groups(dim) * 4
}

// Groups returns the number of groups of four dimensions that a row of codes has.
func Groups(dim int) int { return (dim + 3) / 4 }

// CodeAt returns the place of dimension j of a row among codes: blocks of CodeRows rows, in a block
// the groups of four dimensions, in a group the rows, in a row its four bytes.
func CodeAt(row, j, groups int) int {
	return (row/CodeRows*groups+j/4)*CodeRows*4 + row%CodeRows*4 + j%4
}

func codesGeneric(out *Passed, n, at int, q *Query, b Blocks, floor float32) int {
	codes := b.Codes
	for first := 0; first < len(b.Scale); first += CodeRows {
		var high, low [CodeRows]int32
		for g := 0; g < len(q.High); g += 4 {
			group := codes[:CodeRows*4]
			fours(&high, group, q.High[g:g+4])
			if q.Low != nil {
				fours(&low, group, q.Low[g:g+4])
			}
			codes = codes[CodeRows*4:]
		}
		for i := range high {
			out.score(at+first+i, high[i]+q.Bias, low[i]+q.LowBias, b.Adds[first/CodeRows], b.Scale[first+i])
		}
	}
	return out.gather(n, at, b, floor)
}

// fours adds the products of a group of four dimensions.
func fours(sums *[CodeRows]int32, group []byte, q []int8) {
	q0, q1, q2, q3 := int32(q[0]), int32(q[1]), int32(q[2]), int32(q[3])
	for i := range sums {
		c := group[i*4 : i*4+4 : i*4+4]
		sums[i] += q0*int32(c[0]) + q1*int32(c[1]) + q2*int32(c[2]) + q3*int32(c[3])
	}
}

// MaskAbove sets bit i of mask when scores[i] > floor; it looks at 64*len(mask) scores. A NaN is never
// above.
func MaskAbove(mask []uint64, scores []float32, floor float32) {
	scores = scores[:64*len(mask)]
	if accelerated && len(mask) > 0 {
		maskFast(mask, scores, floor)
		return
	}
	maskGeneric(mask, scores, floor)
}

func maskGeneric(mask []uint64, scores []float32, floor float32) {
	for w := range mask {
		var bits uint64
		for i, s := range scores[w*64 : w*64+64] {
			if s > floor {
				bits |= 1 << i
			}
		}
		mask[w] = bits
	}
}
