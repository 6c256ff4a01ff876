//go:build amd64 && !purego

package kernel

import "unsafe"

func coarseSome(scores []float32, query []int8, codes []byte, scale []float32, bias int32, adds []float32, ahead int) {
	groups, blocks := len(query)/8, len(scores)/CodeRows
	switch {
	case groups == 0 || blocks == 0 || !accelerated:
		coarseGeneric(scores, query, codes, scale, bias, adds)
	case vnni:
		coarseVNNI(&scores[0], &query[0], &codes[0], &scale[0], groups, blocks, bias, &adds[0], ahead)
	default:
		coarseWords(scores, query, codes, scale, bias, adds)
	}
}

// coarseWords is the AVX2 form, for at least one group and block.
func coarseWords(scores []float32, query []int8, codes []byte, scale []float32, bias int32, adds []float32) {
	coarseAVX2(&scores[0], &query[0], &codes[0], &scale[0], len(query)/8, len(scores)/CodeRows, bias, &adds[0])
}

func fineFast(sums []int32, planar []int8, codes []byte, ids []int32, groups int) {
	fineAVX2(&sums[0], &planar[0], &codes[0], &ids[0], len(ids), groups*4, (groups+7)/8)
}

func fetchFast[T byte | float32](rows []T, ids []int32, width int) {
	fetch(unsafe.Pointer(&rows[0]), &ids[0], len(ids), width*int(unsafe.Sizeof(rows[0])))
}

// coarseVNNI scores blocks of 64 rows of groups groups with VPDPBUSD; both are at least 1. It asks for the
// memory that lies ahead bytes ahead.
//
//go:noescape
func coarseVNNI(scores *float32, query *int8, codes *byte, scale *float32, groups int, blocks int, bias int32, adds *float32, ahead int)

// coarseAVX2 is coarseVNNI for processors without it.
//
//go:noescape
func coarseAVX2(scores *float32, query *int8, codes *byte, scale *float32, groups int, blocks int, bias int32, adds *float32)

// fineAVX2 sums n rows, stride bytes apart, by pieces of 32 bytes; n and pieces are at least 1.
//
//go:noescape
func fineAVX2(sums *int32, planar *int8, codes *byte, ids *int32, n int, stride int, pieces int)

// fetch asks for the memory of n rows, stride bytes each; both are at least 1.
//
//go:noescape
func fetch(base unsafe.Pointer, ids *int32, n int, stride int)
