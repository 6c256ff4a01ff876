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

// Codes scores whole blocks of rows of 8-bit codes: scores[i] = (sum + add) * scale[i], where sum is
// the inner product of query, a whole number of groups, with the bytes of row i less 128 each. bias
// must be -128 times the sum of query. len(scores) is a multiple of CodeRows; the sum must fit in an
// int32, which up to 4096 dimensions it does.
func Codes(scores []float32, query []int8, codes []byte, scale []float32, bias int32, add float32) {
	groups := len(query) / 4
	step := max(1, 4*block/(CodeRows*4*max(groups, 1)))
	for n := len(scores) / CodeRows; n > 0; {
		now := min(n, step)
		codesSome(scores[:now*CodeRows], query, codes[:now*groups*CodeRows*4], scale[:now*CodeRows], bias, add)
		scores, scale, codes = scores[now*CodeRows:], scale[now*CodeRows:], codes[now*groups*CodeRows*4:]
		n -= now
	}
}

func codesGeneric(scores []float32, query []int8, codes []byte, scale []float32, bias int32, add float32) {
	for first := 0; first < len(scores); first += CodeRows {
		var sums [CodeRows]int32
		for g := 0; g < len(query); g += 4 {
			q0, q1, q2, q3 := int32(query[g]), int32(query[g+1]), int32(query[g+2]), int32(query[g+3])
			group := codes[:CodeRows*4]
			for i := range sums {
				c := group[i*4 : i*4+4 : i*4+4]
				sums[i] += q0*int32(c[0]) + q1*int32(c[1]) + q2*int32(c[2]) + q3*int32(c[3])
			}
			codes = codes[CodeRows*4:]
		}
		for i, sum := range sums {
			scores[first+i] = (float32(sum+bias) + add) * scale[first+i]
		}
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
