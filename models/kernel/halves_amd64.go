//go:build amd64 && !purego

package kernel

import "unsafe"

func coarseSome(out *Passed, n, at int, q *Query, b Blocks, floor float32, ahead int) int {
	groups := len(q.High) / 8
	switch {
	case groups > 0 && vnni && q.Low != nil:
		return coarseVNNI(out, n, at, &q.High[0], &q.Low[0], &b.Codes[0], &b.Scale[0], groups, len(b.Words), q.Bias, q.LowBias, &b.Adds[0], &b.Words[0], int32(b.First), floor, ahead)
	case groups > 0 && accelerated && q.Low == nil:
		return coarseWords(out, n, at, q, b, floor)
	}
	return coarseGeneric(out, n, at, q, b, floor)
}

// coarseWords is the AVX2 form, of one digit, for at least one group and block.
func coarseWords(out *Passed, n, at int, q *Query, b Blocks, floor float32) int {
	coarseAVX2(&out.scores[at], &out.Sums[at], &q.High[0], &b.Codes[0], &b.Scale[0], len(q.High)/8, len(b.Words), q.Bias, &b.Adds[0])
	return out.gather(n, at, b, floor)
}

func narrowSome(rows []int32, highs, lows []float32, ids []int32, sums, scale []float32, more []int32, n Narrowing) int {
	if !vnni {
		return narrowGeneric(rows, highs, lows, ids, sums, scale, more, n)
	}
	return narrow512(&rows[0], &highs[0], &lows[0], &ids[0], len(ids), &sums[0], &scale[0], &more[0], int32(n.First), int32(len(sums)), n.Bias, n.Width, n.Floor)
}

func fineFast(sums []int32, planar []int8, codes []byte, ids []int32, groups int) {
	fineAVX2(&sums[0], &planar[0], &codes[0], &ids[0], len(ids), groups*4, (groups+7)/8)
}

func fetchFast[T byte | float32](rows []T, ids []int32, width int) {
	fetch(unsafe.Pointer(&rows[0]), &ids[0], len(ids), width*int(unsafe.Sizeof(rows[0])))
}

// coarseVNNI looks at blocks of 64 rows of groups groups with VPDPBUSD; both are at least 1. It asks for the
// memory that lies ahead bytes ahead.
//
//go:noescape
func coarseVNNI(out *Passed, n int, at int, query *int8, low *int8, codes *byte, scale *float32, groups int, blocks int, bias int32, lowBias int32, adds *float32, words *uint64, first int32, floor float32, ahead int) int

// coarseAVX2 writes the sums and the scores of blocks of 64 rows of groups groups; both are at least 1.
//
//go:noescape
func coarseAVX2(scores *float32, sums *float32, query *int8, codes *byte, scale *float32, groups int, blocks int, bias int32, adds *float32)

// narrow512 is Narrow of n rows, at least one, among count.
//
//go:noescape
func narrow512(rows *int32, highs *float32, lows *float32, ids *int32, n int, sums *float32, scale *float32, more *int32, first int32, count int32, bias int32, width float32, floor float32) int

// fineAVX2 sums n rows, stride bytes apart, by pieces of 32 bytes; n and pieces are at least 1.
//
//go:noescape
func fineAVX2(sums *int32, planar *int8, codes *byte, ids *int32, n int, stride int, pieces int)

// fetch asks for the memory of n rows, stride bytes each; both are at least 1.
//
//go:noescape
func fetch(base unsafe.Pointer, ids *int32, n int, stride int)
