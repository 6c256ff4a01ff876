// Package kernel is float32 arithmetic on slices: dot products of one query with many rows, symmetric
// rank-k sums and small positive definite systems. Each function has a pure-Go twin and, on amd64 with
// AVX2 and FMA, an assembly form chosen when the program starts (build tag purego leaves only Go). It
// knows nothing of models, starts no goroutine and keeps no state.
package kernel

//go:generate sh gen/generate.sh

// block bounds the floats that one assembly call reads: assembly cannot be preempted, and 64 Ki
// floats take well under 100 microseconds.
const block = 1 << 16

// Accelerated tells whether the assembly kernels are in use.
func Accelerated() bool { return accelerated }

// Dot returns the inner product of x and y, which have the same length. To score many rows call
// Rows: at short lengths a call costs more than the arithmetic.
func Dot(x, y []float32) float32 {
	y = y[:len(x)]
	if accelerated && len(x) >= 8 {
		return dotFast(x, y)
	}
	return dotGeneric(x, y)
}

// Axpy adds a*x to y, which have the same length.
func Axpy(a float32, x, y []float32) {
	y = y[:len(x)]
	if accelerated && len(x) >= 8 {
		axpyFast(a, x, y)
		return
	}
	axpyGeneric(a, x, y)
}

// Rows sets scores[i] to the inner product of q with row i of rows, a row-major matrix of len(scores)
// rows of len(q) floats.
func Rows(scores, q, rows []float32) {
	dim := len(q)
	rows = rows[:len(scores)*dim]
	if !accelerated || dim < 8 || dim%8 != 0 {
		rowsGeneric(scores, q, rows, dim)
		return
	}
	step := max(4, block/dim&^3)
	for len(scores) > 0 {
		n := min(step, len(scores))
		rowsFast(scores[:n], q, rows, dim)
		scores, rows = scores[n:], rows[n*dim:]
	}
}

// RowsAt sets scores[i] to the inner product of q with row ids[i] of rows, whose rows have len(q)
// floats. It panics when an id is out of range.
func RowsAt(scores, q, rows []float32, ids []int32) {
	dim := len(q)
	scores = scores[:len(ids)]
	check(ids, rows, dim)
	if !accelerated || dim < 8 || dim%8 != 0 {
		rowsAtGeneric(scores, q, rows, ids)
		return
	}
	step := max(4, block/dim&^3)
	for len(ids) > 0 {
		n := min(step, len(ids))
		rowsAtFast(scores[:n], q, rows, ids[:n])
		scores, ids = scores[n:], ids[n:]
	}
}

// check panics unless every id names a whole row: assembly must never read outside the slice.
func check(ids []int32, rows []float32, stride int) {
	n := 0
	if stride > 0 {
		n = len(rows) / stride
	}
	for _, id := range ids {
		if uint(id) >= uint(n) {
			panic("kernel: row out of range")
		}
	}
}

// NextAbove returns the first index i >= from with scores[i] > floor, or len(scores). A NaN is never
// above.
func NextAbove(scores []float32, from int, floor float32) int {
	if accelerated && len(scores)-from >= 32 {
		whole := (len(scores) - from) &^ 31
		from += aboveFast(scores[from:from+whole], floor)
	}
	for ; from < len(scores); from++ {
		if scores[from] > floor {
			return from
		}
	}
	return len(scores)
}
