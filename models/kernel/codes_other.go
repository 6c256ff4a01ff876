//go:build !amd64 || purego

package kernel

// Digits is how many digits of a query cost no more than one.
func Digits() int { return 1 }

func codesSome(out *Passed, n, at int, q *Query, b Blocks, floor float32) int {
	return codesGeneric(out, n, at, q, b, floor)
}

func maskFast(mask []uint64, scores []float32, floor float32) { maskGeneric(mask, scores, floor) }
