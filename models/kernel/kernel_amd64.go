//go:build amd64 && !purego

package kernel

import "golang.org/x/sys/cpu"

// accelerated is fixed when the program starts. It is a plain flag rather than a table of function
// values, so that the compiler sees which arguments do not escape.
var accelerated = cpu.X86.HasAVX2 && cpu.X86.HasFMA

func dotFast(x, y []float32) float32 {
	whole := len(x) &^ 7
	s := dotAVX2(&x[0], &y[0], whole)
	for i := whole; i < len(x); i++ {
		s += x[i] * y[i]
	}
	return s
}

func axpyFast(a float32, x, y []float32) {
	whole := len(x) &^ 7
	axpyAVX2(a, &x[0], &y[0], whole)
	axpyGeneric(a, x[whole:], y[whole:])
}

// rowsFast and rowsAtFast score the rows left over by the blocks of four with the same kernel, so that
// a row's score does not depend on its place: ties between equal rows stay ties.
func rowsFast(scores, q, rows []float32, stride int) {
	whole := len(scores) &^ 3
	if whole > 0 {
		rowsAVX2(&scores[0], &q[0], &rows[0], whole, len(q), stride)
	}
	if rest := len(scores) - whole; rest > 0 {
		last := int32(rest - 1)
		ids, out := [4]int32{0, min(1, last), min(2, last), last}, [4]float32{}
		rowsAtAVX2(&out[0], &q[0], &rows[whole*stride], &ids[0], 4, len(q), stride)
		copy(scores[whole:], out[:])
	}
}

func rowsAtFast(scores, q, rows []float32, ids []int32) {
	whole := len(ids) &^ 3
	if whole > 0 {
		rowsAtAVX2(&scores[0], &q[0], &rows[0], &ids[0], whole, len(q), len(q))
	}
	if rest := ids[whole:]; len(rest) > 0 {
		last := len(rest) - 1
		four, out := [4]int32{rest[0], rest[min(1, last)], rest[min(2, last)], rest[last]}, [4]float32{}
		rowsAtAVX2(&out[0], &q[0], &rows[0], &four[0], 4, len(q), len(q))
		copy(scores[whole:], out[:])
	}
}

func aboveFast(scores []float32, floor float32) int {
	return aboveAVX2(&scores[0], len(scores), floor)
}

func gather(v, wv, sum, src []float32, ids []int32, w []float32, dim, stride, pad int) {
	switch {
	case wide && dim%16 == 0:
		gatherAVX512(&v[0], &wv[0], &sum[0], &src[0], &ids[0], &w[0], len(ids), dim, stride, pad)
	case accelerated && dim%8 == 0:
		gatherAVX2(&v[0], &wv[0], &sum[0], &src[0], &ids[0], &w[0], len(ids), dim, stride, pad)
	default:
		gatherGeneric(v, wv, sum, src, ids, w, dim, stride, pad)
	}
}

// pick copies the rows of src named by ids to v, whose rows begin pad floats apart; dim floats of each count.
func pick(v, src []float32, ids []int32, dim, stride, pad int) {
	if !accelerated || dim%8 != 0 {
		pickGeneric(v, src, ids, dim, stride, pad)
		return
	}
	pickAVX2(&v[0], &src[0], &ids[0], len(ids), dim, stride, pad)
}

func tilesAdd(a, b, from, to []float32, ld *strides, k, n int) {
	switch {
	case wide:
		tilesAddAVX512(&a[0], &b[0], &from[0], &to[0], ld.a, ld.b, ld.from, ld.to, k, n)
	case accelerated:
		for r := 0; r < tileWidth; r += 4 {
			tilesAddAVX2(&a[r], &b[0], &from[r*ld.from], &to[r*ld.to], ld.a, ld.b, ld.from, ld.to, k, n)
		}
	default:
		tilesGeneric(a, b, from, to, ld, k, n, 1)
	}
}

func tilesSub(a, b, from, to []float32, ld *strides, k, n int) {
	switch {
	case wide:
		tilesSubAVX512(&a[0], &b[0], &from[0], &to[0], ld.a, ld.b, ld.from, ld.to, k, n)
	case accelerated:
		for r := 0; r < tileWidth; r += 4 {
			tilesSubAVX2(&a[r], &b[0], &from[r*ld.from], &to[r*ld.to], ld.a, ld.b, ld.from, ld.to, k, n)
		}
	default:
		tilesGeneric(a, b, from, to, ld, k, n, -1)
	}
}

func potrf(a []float32, lda int, dinv []float32) {
	switch {
	case wide:
		potrfAVX512(&a[0], lda, &dinv[0])
	case accelerated:
		potrfAVX2(&a[0], lda, &dinv[0])
	default:
		potrfGeneric(a, lda, dinv)
	}
}

func trsm(u, c []float32, ld int, dinv []float32, n int) {
	switch {
	case wide:
		trsmAVX512(&u[0], &c[0], ld, &dinv[0], n/16)
	case accelerated:
		trsmAVX2(&u[0], &c[0], ld, &dinv[0], n/8)
	default:
		trsmGeneric(u, c, ld, dinv, n)
	}
}

// combine adds the sum of x[i] times row i of rows, which begin stride floats apart, to y.
func combine(y, x, rows []float32, stride int) {
	switch {
	case len(x) == 0:
	case wide && len(y)%16 == 0:
		combineAVX512(&y[0], &x[0], &rows[0], len(x), len(y), stride)
	case accelerated && len(y)%8 == 0:
		combineAVX2(&y[0], &x[0], &rows[0], len(x), len(y), stride)
	default:
		combineGeneric(y, x, rows, stride)
	}
}

// panel scores len(scores) rows that begin stride floats apart.
func panel(scores, q, rows []float32, stride int) {
	if !accelerated || len(q) < 8 || len(q)%8 != 0 {
		rowsGeneric(scores, q, rows, stride)
		return
	}
	rowsFast(scores, q, rows, stride)
}
