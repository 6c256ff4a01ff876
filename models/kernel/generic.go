package kernel

import "math"

// The pure-Go twins. They define what the assembly must compute, up to the order of the sums and the
// rounding of fused multiply-adds.

func dotGeneric(x, y []float32) float32 {
	y = y[:len(x)]
	var a, b, c, d float32
	i := 0
	for ; i+4 <= len(x); i += 4 {
		p, q := x[i:i+4:i+4], y[i:i+4:i+4]
		a += p[0] * q[0]
		b += p[1] * q[1]
		c += p[2] * q[2]
		d += p[3] * q[3]
	}
	for ; i < len(x); i++ {
		a += x[i] * y[i]
	}
	return (a + b) + (c + d)
}

func axpyGeneric(a float32, x, y []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] += a * v
	}
}

// rowsGeneric scores len(scores) rows that begin stride floats apart.
func rowsGeneric(scores, q, rows []float32, stride int) {
	for i := range scores {
		scores[i] = dotGeneric(q, rows[i*stride:i*stride+len(q)])
	}
}

func rowsAtGeneric(scores, q, rows []float32, ids []int32) {
	for i, id := range ids {
		at := int(id) * len(q)
		scores[i] = dotGeneric(q, rows[at:at+len(q)])
	}
}

// gatherGeneric copies the rows of src named by ids to v and, times w, to wv, and adds the latter to
// sum. Rows of v and wv begin pad floats apart, rows of src stride; dim floats of each count.
func gatherGeneric(v, wv, sum, src []float32, ids []int32, w []float32, dim, stride, pad int) {
	for k, id := range ids {
		row := src[int(id)*stride : int(id)*stride+dim]
		to, wto := v[k*pad:k*pad+dim], wv[k*pad:k*pad+dim]
		for i, y := range row {
			to[i] = y
			wto[i] = w[k] * y
			sum[i] += wto[i]
		}
	}
}

func pickGeneric(v, src []float32, ids []int32, dim, stride, pad int) {
	for k, id := range ids {
		copy(v[k*pad:k*pad+dim], src[int(id)*stride:])
	}
}

// strides are the leading dimensions of the four matrices of a row of tiles.
type strides struct{ a, b, from, to int }

// tilesGeneric sets n tiles of 16 x 16 side by side in to to those of from plus sign times the product of the
// transposed k x 16 matrix a and the k x 16n matrix b. from and to may be one.
func tilesGeneric(a, b, from, to []float32, ld *strides, k, n int, sign float32) {
	for r := 0; r < tileWidth; r += 2 {
		for j := 0; j < n*tileWidth; j += 4 {
			var s [8]float32
			for i := range k {
				x, y := a[i*ld.a+r], a[i*ld.a+r+1]
				p := b[i*ld.b+j : i*ld.b+j+4 : i*ld.b+j+4]
				s[0] += x * p[0]
				s[1] += x * p[1]
				s[2] += x * p[2]
				s[3] += x * p[3]
				s[4] += y * p[0]
				s[5] += y * p[1]
				s[6] += y * p[2]
				s[7] += y * p[3]
			}
			for i := range 4 {
				to[r*ld.to+j+i] = from[r*ld.from+j+i] + sign*s[i]
				to[(r+1)*ld.to+j+i] = from[(r+1)*ld.from+j+i] + sign*s[4+i]
			}
		}
	}
}

// combineGeneric adds the sum of x[i] times row i of rows, which begin stride floats apart, to y.
func combineGeneric(y, x, rows []float32, stride int) {
	for i, v := range x {
		axpyGeneric(v, rows[i*stride:i*stride+len(y)], y)
	}
}

// potrfGeneric factors the 16 x 16 block a = U'U in place (upper triangle); dinv gets the inverse of
// the diagonal, NaN or Inf when a pivot is not positive.
func potrfGeneric(a []float32, lda int, dinv []float32) {
	for k := range tileWidth {
		row := a[k*lda : k*lda+tileWidth]
		inv := 1 / float32(math.Sqrt(float64(row[k])))
		dinv[k] = inv
		for j := k; j < tileWidth; j++ {
			row[j] *= inv
		}
		for i := k + 1; i < tileWidth; i++ {
			to := a[i*lda : i*lda+tileWidth]
			for j := i; j < tileWidth; j++ {
				to[j] -= row[i] * row[j]
			}
		}
	}
}

// trsmGeneric solves U'X = C in place for n columns; u is the factored block, c has 16 rows.
func trsmGeneric(u, c []float32, ld int, dinv []float32, n int) {
	for k := range tileWidth {
		row := c[k*ld : k*ld+n]
		for j := range row {
			row[j] *= dinv[k]
		}
		for i := k + 1; i < tileWidth; i++ {
			axpyGeneric(-u[k*ld+i], row, c[i*ld:i*ld+n])
		}
	}
}
