package index

// NewCoded is NewFlat with codes whatever the number of rows.
func NewCoded(dim int, vectors []float32) *Flat { return newFlat(dim, vectors, 0) }
