package index

import "math"

// NewCoded is NewFlat with codes whatever the number of rows, in halves or whole.
func NewCoded(dim int, vectors []float32, halves bool) *Flat {
	if halves {
		return newFlat(dim, vectors, 0, 0)
	}
	return newFlat(dim, vectors, 0, math.MaxInt)
}
