package kernel

// Codes can also stand in two halves that lie apart: the upper four bits of all rows, which a scan reads in
// order, and the lower four, which only rows worth a closer look are asked for. A byte then holds the halves
// of two dimensions, so that a row has groups of eight dimensions in four bytes, and a block CodeRows rows.

// Ahead is how far ahead a scan asks for memory, in bytes.
const Ahead = 8 << 10

// planarBytes is how many bytes of lower halves FineSums looks at together, and may read beyond a row.
const planarBytes = 32

// HalfGroups returns the number of groups of eight dimensions that a row of codes has.
func HalfGroups(dim int) int { return (dim + 7) / 8 }

// CoarseLen returns the bytes of the upper halves of rows: whole blocks of CodeRows rows, each row padded
// to whole groups.
func CoarseLen(rows, dim int) int {
	return (rows + CodeRows - 1) / CodeRows * CodeRows * HalfGroups(dim) * 4
}

// FineLen returns the bytes of the lower halves of rows.
func FineLen(rows, dim int) int { return rows*HalfGroups(dim)*4 + planarBytes }

// CoarseAt returns the place of group g of a row among the upper halves: blocks of CodeRows rows, in a
// block the groups, in a group the rows. Byte b of the four holds dimension 8g+b in its lower bits and
// 8g+4+b in its upper ones.
func CoarseAt(row, g, groups int) int { return (row/CodeRows*groups+g)*CodeRows*4 + row%CodeRows*4 }

// FineAt returns the place of group g of a row among the lower halves: row after row, the bytes as in
// CoarseAt.
func FineAt(row, g, groups int) int { return (row*groups + g) * 4 }

func coarseGeneric(out *Passed, n, at int, q *Query, b Blocks, floor float32) int {
	codes := b.Codes
	for first := 0; first < len(b.Scale); first += CodeRows {
		var high, low [CodeRows]int32
		for g := 0; g < len(q.High); g += 8 {
			group := codes[:CodeRows*4]
			eights(&high, group, q.High[g:g+8])
			if q.Low != nil {
				eights(&low, group, q.Low[g:g+8])
			}
			codes = codes[CodeRows*4:]
		}
		for i := range high {
			out.score(at+first+i, high[i]*16+q.Bias, low[i]*16+q.LowBias, b.Adds[first/CodeRows], b.Scale[first+i])
		}
	}
	return out.gather(n, at, b, floor)
}

// eights adds the products of a group of eight dimensions.
func eights(sums *[CodeRows]int32, group []byte, q []int8) {
	q0, q1, q2, q3 := int32(q[0]), int32(q[1]), int32(q[2]), int32(q[3])
	q4, q5, q6, q7 := int32(q[4]), int32(q[5]), int32(q[6]), int32(q[7])
	for i := range sums {
		c := group[i*4 : i*4+4 : i*4+4]
		sums[i] += q0*int32(c[0]&15) + q1*int32(c[1]&15) + q2*int32(c[2]&15) + q3*int32(c[3]&15) +
			q4*int32(c[0]>>4) + q5*int32(c[1]>>4) + q6*int32(c[2]>>4) + q7*int32(c[3]>>4)
	}
}

// Planar appends to room[:0] the query as FineSums wants it: of every eight groups the factors of all
// lower bits, then those of all upper ones, padded with zeros.
func Planar(query []int8, room []int8) []int8 {
	groups := len(query) / 8
	out := append(room[:0], make([]int8, (groups+7)/8*2*planarBytes)...)
	for g := range groups {
		at := g/8*2*planarBytes + g%8*4
		copy(out[at:at+4], query[g*8:])
		copy(out[at+planarBytes:at+planarBytes+4], query[g*8+4:])
	}
	return out
}

// FineSums sets sums[i] to the inner product of the query, in the form of Planar, with the lower halves of
// row ids[i]. codes has FineLen bytes; no byte of the query is -128.
func FineSums(sums []int32, planar []int8, codes []byte, ids []int32, groups int) {
	sums = sums[:len(ids)]
	for _, id := range ids {
		_ = codes[FineAt(int(id), 0, groups) : FineAt(int(id)+1, 0, groups)+planarBytes] // panic here, never read outside
	}
	if len(ids) == 0 || groups == 0 {
		clear(sums)
		return
	}
	_ = planar[(groups+7)/8*2*planarBytes-1]
	if accelerated {
		fineFast(sums, planar, codes, ids, groups)
		return
	}
	fineGeneric(sums, planar, codes, ids, groups)
}

func fineGeneric(sums []int32, planar []int8, codes []byte, ids []int32, groups int) {
	for i, id := range ids {
		row, sum := codes[FineAt(int(id), 0, groups):FineAt(int(id)+1, 0, groups)], int32(0)
		for j, c := range row {
			at := j/planarBytes*2*planarBytes + j%planarBytes
			sum += int32(planar[at])*int32(c&15) + int32(planar[at+planarBytes])*int32(c>>4)
		}
		sums[i] = sum
	}
}

// Fetch asks for the rows named, of width numbers each, so that they are in the cache when they are read
// soon; it changes nothing and waits for nothing. A row that is not there is no error.
func Fetch[T byte | float32](rows []T, ids []int32, width int) {
	if accelerated && len(ids) > 0 && len(rows) > 0 && width > 0 {
		fetchFast(rows, ids, width)
	}
}
