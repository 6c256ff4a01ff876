//go:build !amd64 || purego

package kernel

func tileShape() (height, width int) { return 6, 16 }

func tileHeight(int) int { return 6 }

func packsLeft() bool { return false }

func packLeft(to, from []float32, step, k, n int) { packLeftGeneric(to, from, step, k, n, 6) }

func packRight(to, from []float32, step, k, panels int) {
	packRightGeneric(to, from, step, k, panels, 16)
}

func turnsRight() bool { return false }

func turnRight(to, from []float32, step, squares int) {
	turnRightGeneric(to, from, step, squares, 16)
}

func mulTile(height int, a []float32, row, step int, b []float32, ldb int, c []float32, ldc, k int, add bool) {
	mulTileGeneric(a, row, step, b, ldb, c, ldc, k, add, height, 16)
}
func adamFast(x, m, v, g []float32, a *Adam)            {}
func expFast(x []float32, scale, shift float32) float32 { return 0 }
