//go:build amd64 && !purego

package kernel

import "golang.org/x/sys/cpu"

// wide tells whether the 512-bit tile is used: on processors with two such units it is twice as fast,
// on the others it does no harm. Both tiles give the same bits.
var wide = accelerated && cpu.X86.HasAVX512F

// tileShape returns the rows and columns of a register tile.
func tileShape() (height, width int) {
	if wide {
		return 12, 32
	}
	return 6, 16
}

// tileHeight returns the height of the lowest tile for n rows, of which tileShape has the most.
func tileHeight(n int) int {
	if wide {
		return (n + 3) &^ 3
	}
	return 6
}

// packsLeft tells whether a transposed left side is worth packing.
func packsLeft() bool { return wide }

func packLeft(to, from []float32, step, k, n int) {
	height, _ := tileShape()
	if !wide {
		packLeftGeneric(to, from, step, k, n, height)
		return
	}
	tiles := (n + height - 1) / height
	_, _ = to[tiles*height*k-1], from[(k-1)*step+n-1]
	packLeftAVX512(&to[0], &from[0], step, k, tiles, 1<<(n-(tiles-1)*height)-1)
}

// packRight deals k rows of from, step apart, to panels that lie one after another in to.
func packRight(to, from []float32, step, k, panels int) {
	_, width := tileShape()
	if !wide {
		packRightGeneric(to, from, step, k, panels, width)
		return
	}
	_, _ = to[panels*k*width-1], from[(k-1)*step+panels*width-1]
	packRightAVX512(&to[0], &from[0], step, k, panels, k*width)
}

// turnsRight tells whether turnRight is faster than one number after another.
func turnsRight() bool { return wide }

// turnRight turns squares: row r of from becomes column r of a panel.
func turnRight(to, from []float32, step, squares int) {
	_, width := tileShape()
	if !wide {
		turnRightGeneric(to, from, step, squares, width)
		return
	}
	_, _ = to[(squares*square-1)*width+square-1], from[(square-1)*step+squares*square-1]
	turnRightAVX512(&to[0], &from[0], step, squares)
}

// mulTile multiplies a tile of a height that tileHeight returns.
func mulTile(height int, a []float32, row, step int, b []float32, ldb int, c []float32, ldc, k int, add bool) {
	_, width := tileShape()
	_, _, _ = a[(height-1)*row+(k-1)*step], b[(k-1)*ldb+width-1], c[(height-1)*ldc+width-1] // panic here, never read past the end in assembly
	plus := 0
	if add {
		plus = 1
	}
	switch {
	case wide && height == 12:
		mulTile12AVX512(&a[0], row, step, &b[0], ldb, &c[0], ldc, k, plus)
	case wide && height == 8:
		mulTile8AVX512(&a[0], row, step, &b[0], ldb, &c[0], ldc, k, plus)
	case wide:
		mulTile4AVX512(&a[0], row, step, &b[0], ldb, &c[0], ldc, k, plus)
	case accelerated:
		mulTileAVX2(&a[0], row, step, &b[0], ldb, &c[0], ldc, k, plus)
	default:
		mulTileGeneric(a, row, step, b, ldb, c, ldc, k, add, height, width)
	}
}

func adamFast(x, m, v, g []float32, a *Adam) {
	adamAVX2(&x[0], &m[0], &v[0], &g[0], len(x), &a.beta1)
}

// expFast follows Cephes' expf: n = round(z / ln 2), a polynomial on the rest, times 2^n.
func expFast(x []float32, scale, shift float32) float32 {
	var c [14 * 8]float32
	for i, v := range [14]float32{scale, shift, minExp, maxExp, 1.44269504088896341, 0.693359375, -2.12194440e-4,
		1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1} {
		for j := range 8 {
			c[i*8+j] = v
		}
	}
	return expAVX2(&x[0], len(x), &c[0])
}
