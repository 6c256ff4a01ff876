//go:build !amd64 || purego

package kernel

func coarseSome(scores []float32, query []int8, codes []byte, scale []float32, bias int32, adds []float32, _ int) {
	coarseGeneric(scores, query, codes, scale, bias, adds)
}

func fineFast(sums []int32, planar []int8, codes []byte, ids []int32, groups int) {
	fineGeneric(sums, planar, codes, ids, groups)
}

func fetchFast[T byte | float32](_ []T, _ []int32, _ int) {}
