//go:build !amd64 || purego

package kernel

func coarseSome(out *Passed, n, at int, q *Query, b Blocks, floor float32, _ int) int {
	return coarseGeneric(out, n, at, q, b, floor)
}

func narrowSome(rows []int32, highs, lows []float32, ids []int32, sums, scale []float32, more []int32, n Narrowing) int {
	return narrowGeneric(rows, highs, lows, ids, sums, scale, more, n)
}

func fineFast(sums []int32, planar []int8, codes []byte, ids []int32, groups int) {
	fineGeneric(sums, planar, codes, ids, groups)
}

func fetchFast[T byte | float32](_ []T, _ []int32, _ int) {}
