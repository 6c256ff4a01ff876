//go:build !amd64 || purego

package kernel

func codesSome(scores []float32, query []int8, codes []byte, scale []float32, bias int32, add float32) {
	codesGeneric(scores, query, codes, scale, bias, add)
}

func maskFast(mask []uint64, scores []float32, floor float32) { maskGeneric(mask, scores, floor) }
