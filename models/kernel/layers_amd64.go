//go:build amd64 && !purego

package kernel

// expConstants are what the exponential needs, eight times each: the bounds of the exponent, 1/ln 2,
// ln 2 in two parts, the polynomial, 1.
var expConstants = eightfold(minExp, maxExp, 1.44269504088896341, 0.693359375, -2.12194440e-4,
	1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1)

func eightfold(values ...float32) []float32 {
	var out []float32
	for _, v := range values {
		out = append(out, v, v, v, v, v, v, v, v)
	}
	return out
}

func sigmoidFast(y, x []float32, scale float32) {
	sigmoidAVX2(&y[0], &x[0], len(y), -scale, &expConstants[0])
}

func mulFast(z, x, y []float32) { mulAVX2(&z[0], &x[0], &y[0], len(z)) }

func swishBackFast(d, x, s []float32, scale float32) {
	swishBackAVX2(&d[0], &x[0], &s[0], len(d), scale, 1)
}

func decayFast(h, last, a, lambda, gamma []float32) {
	decayAVX2(&h[0], &last[0], &a[0], &lambda[0], &gamma[0], len(h))
}

func decayBackFast(d, last, a, lambda, gamma, carry, byGamma, byLambda []float32) {
	decayBackAVX2(&d[0], &last[0], &a[0], &lambda[0], &gamma[0], &carry[0], &byGamma[0], &byLambda[0], len(d))
}

func dropFast(x []float32, place, limit uint32, scale float32) {
	const top = 1 << 31
	var c [6 * 8]uint32
	for i := range uint32(8) {
		c[i], c[8+i], c[16+i], c[24+i], c[32+i], c[40+i] = place+i, 8, 0x7feb352d, 0x846ca68b, top, limit^top
	}
	dropAVX2(&x[0], len(x), &c[0], scale)
}

func normFast(y, x, scale, shift []float32) float32 {
	return normAVX2(&y[0], &x[0], &scale[0], &shift[0], len(y), 1/float32(len(y)), normEps)
}

func normBackFast(d, x, scale, byScale, byShift []float32, inverse float32) {
	normBackAVX2(&d[0], &x[0], &scale[0], &byScale[0], &byShift[0], len(d), inverse, 1/float32(len(d)))
}

func maxSumFast(x, y []float32) float32 { return maxSumAVX2(&x[0], &y[0], len(x)) }

func expSumFast(x, y []float32, shift float32) float32 {
	return expSumAVX2(&x[0], &y[0], len(x), shift, &expConstants[0])
}

func squareSumFast(x []float32) float64 { return squareSumAVX2(&x[0], len(x)) }
