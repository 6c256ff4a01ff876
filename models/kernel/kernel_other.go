//go:build !amd64 || purego

package kernel

// accelerated is a constant here, so that the compiler drops the other branches.
const accelerated = false

func dotFast(x, y []float32) float32                     { return dotGeneric(x, y) }
func axpyFast(a float32, x, y []float32)                 { axpyGeneric(a, x, y) }
func rowsFast(scores, q, rows []float32, stride int)     { rowsGeneric(scores, q, rows, stride) }
func rowsAtFast(scores, q, rows []float32, ids []int32)  { rowsAtGeneric(scores, q, rows, ids) }
func aboveFast([]float32, float32) int                   { return 0 }
func panel(scores, q, rows []float32, stride int)        { rowsGeneric(scores, q, rows, stride) }
func potrf(a []float32, lda int, dinv []float32)         { potrfGeneric(a, lda, dinv) }
func trsm(u, c []float32, ld int, dinv []float32, n int) { trsmGeneric(u, c, ld, dinv, n) }
func tilesAdd(a, b, from, to []float32, ld *strides, k, n int) {
	tilesGeneric(a, b, from, to, ld, k, n, 1)
}
func tilesSub(a, b, from, to []float32, ld *strides, k, n int) {
	tilesGeneric(a, b, from, to, ld, k, n, -1)
}
func combine(y, x, rows []float32, stride int) { combineGeneric(y, x, rows, stride) }
func pick(v, src []float32, ids []int32, dim, stride, pad int) {
	pickGeneric(v, src, ids, dim, stride, pad)
}
func gather(v, wv, sum, src []float32, ids []int32, w []float32, dim, stride, pad int) {
	gatherGeneric(v, wv, sum, src, ids, w, dim, stride, pad)
}
