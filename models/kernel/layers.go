package kernel

import "math"

// The elementwise parts of a neural network's layers. Slices of one call have one length unless said
// otherwise; the first argument is what is written.

// Sigmoid sets y to 1 / (1 + e^(-scale x)); y may be x. The relative error is at most 1e-6.
func Sigmoid(y, x []float32, scale float32) {
	x = x[:len(y)]
	whole := 0
	if accelerated && len(y) >= 8 {
		whole = len(y) &^ 7
		sigmoidFast(y[:whole], x, scale)
	}
	sigmoidGeneric(y[whole:], x[whole:], scale)
}

func sigmoidGeneric(y, x []float32, scale float32) {
	x = x[:len(y)]
	for i, v := range x {
		y[i] = float32(1 / (1 + math.Exp(float64(min(max(-scale*v, minExp), maxExp)))))
	}
}

// Mul sets z to x*y; z may be either.
func Mul(z, x, y []float32) {
	x, y = x[:len(z)], y[:len(z)]
	whole := 0
	if accelerated && len(z) >= 8 {
		whole = len(z) &^ 7
		mulFast(z[:whole], x, y)
	}
	for i := whole; i < len(z); i++ {
		z[i] = x[i] * y[i]
	}
}

// SwishBack turns the gradient d by x*s into that by x, where s = Sigmoid(scale x):
//
//	d *= s (1 + scale x (1 - s))
func SwishBack(d, x, s []float32, scale float32) {
	x, s = x[:len(d)], s[:len(d)]
	whole := 0
	if accelerated && len(d) >= 8 {
		whole = len(d) &^ 7
		swishBackFast(d[:whole], x, s, scale)
	}
	for i := whole; i < len(d); i++ {
		d[i] *= s[i] * (1 + scale*x[i]*(1-s[i]))
	}
}

// Decay sets h to lambda*last + gamma*a: one step of a linear recurrence.
func Decay(h, last, a, lambda, gamma []float32) {
	last, a, lambda, gamma = last[:len(h)], a[:len(h)], lambda[:len(h)], gamma[:len(h)]
	whole := 0
	if accelerated && len(h) >= 8 {
		whole = len(h) &^ 7
		decayFast(h[:whole], last, a, lambda, gamma)
	}
	for i := whole; i < len(h); i++ {
		h[i] = lambda[i]*last[i] + gamma[i]*a[i]
	}
}

// DecayState is what a step of DecayBack reads and moves.
type DecayState struct {
	Carry    []float32 // in: gradient of the step's state from later steps; out: that for the step before
	ByGamma  []float32 // grows by the gradient by gamma
	ByLambda []float32 // is set to the gradient by log lambda of this step
}

// DecayBack goes back through one Decay: d holds the gradient by h from this step alone, and becomes
// the gradient by a.
func DecayBack(d, last, a, lambda, gamma []float32, s *DecayState) {
	last, a, lambda, gamma = last[:len(d)], a[:len(d)], lambda[:len(d)], gamma[:len(d)]
	carry, byGamma, byLambda := s.Carry[:len(d)], s.ByGamma[:len(d)], s.ByLambda[:len(d)]
	whole := 0
	if accelerated && len(d) >= 8 {
		whole = len(d) &^ 7
		decayBackFast(d[:whole], last, a, lambda, gamma, carry, byGamma, byLambda)
	}
	for i := whole; i < len(d); i++ {
		g := d[i] + carry[i]
		d[i] = g * gamma[i]
		byGamma[i] += g * a[i]
		carry[i] = g * lambda[i]
		byLambda[i] = carry[i] * last[i]
	}
}

// Drop sets a random part of x, about rate, to 0 and divides the rest by 1-rate. What is dropped
// depends on key and place only: the same call on the gradient is the way back. x[0] has the place
// first.
func Drop(x []float32, key, first uint32, rate float64) {
	if rate <= 0 {
		return
	}
	limit, scale := uint32(rate*(1<<32)), float32(1/(1-rate))
	whole := 0
	if accelerated && len(x) >= 8 {
		whole = len(x) &^ 7
		dropFast(x[:whole], key+first, limit, scale)
	}
	dropGeneric(x[whole:], key+first+uint32(whole), limit, scale)
}

func dropGeneric(x []float32, place, limit uint32, scale float32) {
	for i := range x {
		if spread(place+uint32(i)) < limit {
			x[i] = 0
		} else {
			x[i] *= scale
		}
	}
}

// spread is a bijection of 32 bits whose output looks random (Wellons' lowbias32).
func spread(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x7feb352d
	x ^= x >> 15
	x *= 0x846ca68b
	return x ^ x>>16
}

// normEps keeps the variance of a constant row from dividing by zero.
const normEps = 1e-5

// Norm normalises x in place to mean 0 and variance 1, sets y to scale*x + shift, and returns the
// factor by which x was multiplied after its mean was taken away.
func Norm(y, x, scale, shift []float32) (inverse float32) {
	x, scale, shift = x[:len(y)], scale[:len(y)], shift[:len(y)]
	if accelerated && len(y) >= 8 && len(y)%8 == 0 {
		return normFast(y, x, scale, shift)
	}
	return normGeneric(y, x, scale, shift)
}

func normGeneric(y, x, scale, shift []float32) float32 {
	mean := float32(0)
	for _, v := range x {
		mean += v
	}
	mean /= float32(len(x))
	square := float32(0)
	for i := range x {
		x[i] -= mean
		square += x[i] * x[i]
	}
	inverse := float32(1 / math.Sqrt(float64(square/float32(len(x))+normEps)))
	for i := range x {
		x[i] *= inverse
		y[i] = scale[i]*x[i] + shift[i]
	}
	return inverse
}

// NormBack turns the gradient d by y into that by the x before Norm, where x is what Norm left, and
// adds to the gradients by scale and shift.
func NormBack(d, x, scale, byScale, byShift []float32, inverse float32) {
	x, scale, byScale, byShift = x[:len(d)], scale[:len(d)], byScale[:len(d)], byShift[:len(d)]
	if accelerated && len(d) >= 8 && len(d)%8 == 0 {
		normBackFast(d, x, scale, byScale, byShift, inverse)
		return
	}
	normBackGeneric(d, x, scale, byScale, byShift, inverse)
}

func normBackGeneric(d, x, scale, byScale, byShift []float32, inverse float32) {
	var mean, along float32
	for i, v := range d {
		byScale[i] += v * x[i]
		byShift[i] += v
		d[i] = v * scale[i]
		mean += d[i]
		along += d[i] * x[i]
	}
	mean, along = mean/float32(len(d)), along/float32(len(d))
	for i := range d {
		d[i] = inverse * (d[i] - mean - x[i]*along)
	}
}

// MaxSum returns the largest x+y, -Inf for none.
func MaxSum(x, y []float32) float32 {
	y = y[:len(x)]
	best, whole := float32(math.Inf(-1)), 0
	if accelerated && len(x) >= 8 {
		whole = len(x) &^ 7
		best = maxSumFast(x[:whole], y)
	}
	for i := whole; i < len(x); i++ {
		best = max(best, x[i]+y[i])
	}
	return best
}

// ExpSum sets x to e^(x + y + shift), with the exponent bounded to -87 and 88, and returns the sum.
// The relative error is at most 1e-6 of each value, beside that of adding up the exponent.
func ExpSum(x, y []float32, shift float32) float32 {
	y = y[:len(x)]
	whole, sum := 0, float32(0)
	if accelerated && len(x) >= 8 {
		whole = len(x) &^ 7
		sum = expSumFast(x[:whole], y, shift)
	}
	return sum + expSumGeneric(x[whole:], y[whole:], shift)
}

func expSumGeneric(x, y []float32, shift float32) (sum float32) {
	for i, v := range x {
		x[i] = float32(math.Exp(float64(min(max(v+y[i]+shift, minExp), maxExp))))
		sum += x[i]
	}
	return sum
}

// SquareSum returns the sum of the squares in float64.
func SquareSum(x []float32) (sum float64) {
	whole := 0
	if accelerated && len(x) >= 8 {
		whole = len(x) &^ 7
		sum = squareSumFast(x[:whole])
	}
	for _, v := range x[whole:] {
		sum += float64(v) * float64(v)
	}
	return sum
}
