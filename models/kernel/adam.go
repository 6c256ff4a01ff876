package kernel

import "math"

// Adam holds the constants of one step of Adam (Kingma and Ba), bias corrections included, with the
// decoupled weight decay of AdamW (Loshchilov and Hutter).
type Adam struct {
	beta1, rest1, beta2, rest2 float32
	rate                       float32 // learning rate / (1 - beta1^step)
	root                       float32 // 1 / sqrt(1 - beta2^step)
	eps                        float32
	keep                       float32 // 1 - learning rate * weight decay
}

// NewAdam returns the constants of the given step, counted from 1, with the usual 0.9, 0.999 and 1e-8.
func NewAdam(rate float64, step int) Adam { return NewAdamW(rate, 0, step) }

// NewAdamW is NewAdam with a weight decay: each step also takes rate*decay of every weight away.
func NewAdamW(rate, decay float64, step int) Adam {
	const beta1, beta2 = 0.9, 0.999
	return Adam{beta1: beta1, rest1: 1 - beta1, beta2: beta2, rest2: 1 - beta2, eps: 1e-8,
		rate: float32(rate / (1 - math.Pow(beta1, float64(step)))),
		root: float32(1 / math.Sqrt(1-math.Pow(beta2, float64(step)))),
		keep: float32(1 - rate*decay)}
}

// Step moves x against the gradient g and updates the moments m and v; all have one length.
func (a Adam) Step(x, m, v, g []float32) {
	m, v, g = m[:len(x)], v[:len(x)], g[:len(x)]
	whole := 0
	if accelerated && len(x) >= 8 {
		whole = len(x) &^ 7
		adamFast(x[:whole], m, v, g, &a)
	}
	a.stepGeneric(x[whole:], m[whole:], v[whole:], g[whole:])
}

func (a Adam) stepGeneric(x, m, v, g []float32) {
	m, v, g = m[:len(x)], v[:len(x)], g[:len(x)]
	for i, d := range g {
		m[i] = a.beta1*m[i] + a.rest1*d
		v[i] = a.beta2*v[i] + a.rest2*d*d
		x[i] = a.keep*x[i] - a.rate*m[i]/(float32(math.Sqrt(float64(v[i])))*a.root+a.eps)
	}
}

// The bounds between which the exponential is a normal number.
const minExp, maxExp = -87, 88

// Exp sets every x to e^(scale x + shift), with the exponent bounded to -87 and 88, and returns the
// sum.
func Exp(x []float32, scale, shift float32) float32 {
	whole, sum := 0, float32(0)
	if accelerated && len(x) >= 8 {
		whole = len(x) &^ 7
		sum = expFast(x[:whole], scale, shift)
	}
	return sum + expGeneric(x[whole:], scale, shift)
}

func expGeneric(x []float32, scale, shift float32) (sum float32) {
	for i, v := range x {
		x[i] = float32(math.Exp(float64(min(max(scale*v+shift, minExp), maxExp))))
		sum += x[i]
	}
	return sum
}
