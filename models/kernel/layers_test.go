package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// same fails unless two slices agree up to rounding, relative to their values and the given size.
func same(t *testing.T, what string, got, want []float32, size float64) {
	t.Helper()
	for i := range got {
		if d := math.Abs(float64(got[i]) - float64(want[i])); !(d <= 4e-6*(math.Abs(float64(want[i]))+size)) {
			t.Fatalf("%s: element %d of %d is %v, want %v", what, i, len(got), got[i], want[i])
		}
	}
}

func clones(lists ...[]float32) [][]float32 {
	out := make([][]float32, len(lists))
	for i, x := range lists {
		out[i] = slices.Clone(x)
	}
	return out
}

// layersAgree runs every elementwise kernel on n random floats against its definition.
func layersAgree(t *testing.T, n int, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 9))
	x, y, z, w, v := random(rng, n), random(rng, n), random(rng, n), random(rng, n), random(rng, n)
	s, s2 := make([]float32, n), make([]float32, n)
	Sigmoid(s, x, 1.702)
	sigmoidGeneric(s2, x, 1.702)
	same(t, "Sigmoid", s, s2, 0)
	got := slices.Clone(z)
	Mul(got, x, y)
	for i := range x {
		z[i] = x[i] * y[i]
	}
	same(t, "Mul", got, z, 0)
	d := slices.Clone(w)
	SwishBack(d, x, s, 1.702)
	for i := range d {
		want := float64(w[i]) * float64(s[i]) * (1 + 1.702*float64(x[i])*(1-float64(s[i])))
		near(t, "SwishBack", d[i], want, math.Abs(want)+math.Abs(float64(w[i])))
	}
	Decay(got, x, y, z, w)
	for i := range got {
		near(t, "Decay", got[i], float64(z[i])*float64(x[i])+float64(w[i])*float64(y[i]), math.Abs(float64(z[i]*x[i]))+math.Abs(float64(w[i]*y[i])))
	}
	c := clones(v, x, y, z, w, v, x, make([]float32, n))
	DecayBack(c[0], c[1], c[2], c[3], c[4], &DecayState{Carry: c[5], ByGamma: c[6], ByLambda: c[7]})
	for i := range v {
		g := 2 * float64(v[i])
		near(t, "by a", c[0][i], g*float64(w[i]), math.Abs(g*float64(w[i])))
		near(t, "by gamma", c[6][i], float64(x[i])+g*float64(y[i]), math.Abs(float64(x[i]))+math.Abs(g*float64(y[i])))
		near(t, "carry", c[5][i], g*float64(z[i]), math.Abs(g*float64(z[i])))
		near(t, "by lambda", c[7][i], g*float64(z[i])*float64(x[i]), math.Abs(g*float64(z[i])*float64(x[i])))
	}
	dropAgrees(t, x, uint32(seed), 0.2)
	most := float32(math.Inf(-1))
	for i := range x {
		most = max(most, x[i]+y[i])
	}
	if got := MaxSum(x, y); got != most {
		t.Fatalf("MaxSum = %v, want %v", got, most)
	}
	e, e2 := slices.Clone(x), slices.Clone(x)
	near(t, "sum of ExpSum", ExpSum(e, y, -most), float64(expSumGeneric(e2, y, -most)), float64(n))
	same(t, "ExpSum", e, e2, 0)
	want := 0.0
	for _, v := range x {
		want += float64(v) * float64(v)
	}
	if got := SquareSum(x); math.Abs(got-want) > 1e-12*want {
		t.Fatalf("SquareSum = %v, want %v", got, want)
	}
	normAgrees(t, x, y, z, w, v)
}

func dropAgrees(t *testing.T, x []float32, key uint32, rate float64) {
	t.Helper()
	fast, slow := slices.Clone(x), slices.Clone(x)
	Drop(fast, key, 3, rate)
	dropGeneric(slow, key+3, uint32(rate*(1<<32)), float32(1/(1-rate)))
	if !slices.Equal(fast, slow) {
		t.Fatalf("Drop of %d with key %d: %v, want %v", len(x), key, fast, slow)
	}
}

func normAgrees(t *testing.T, x, scale, shift, d, sums []float32) {
	t.Helper()
	if len(x) == 0 {
		return
	}
	c, g := clones(x, x, d, sums, sums), clones(x, x, d, sums, sums)
	a, b := Norm(c[0], c[1], scale, shift), normGeneric(g[0], g[1], scale, shift)
	near(t, "Norm", a, float64(b), math.Abs(float64(b))*2)
	same(t, "normalised", c[1], g[1], float64(b)*4)
	same(t, "Norm", c[0], g[0], float64(b)*8)
	NormBack(c[2], g[1], scale, c[3], c[4], b)
	normBackGeneric(g[2], g[1], scale, g[3], g[4], b)
	same(t, "NormBack", c[2], g[2], float64(b)*8)
	same(t, "by scale", c[3], g[3], 2)
	same(t, "by shift", c[4], g[4], 2)
}

func TestLayersAgainstTheirTwins(t *testing.T) {
	for n := range 70 {
		layersAgree(t, n, uint64(n))
	}
	layersAgree(t, 1000, 1)
}

func FuzzLayers(f *testing.F) {
	f.Add(uint16(64), uint64(1))
	f.Add(uint16(7), uint64(2))
	f.Fuzz(func(t *testing.T, n uint16, seed uint64) { layersAgree(t, int(n)%600, seed) })
}

// FuzzMultiply holds products of any size, form and place against the definition in float64.
func FuzzMultiply(f *testing.F) {
	f.Add(uint8(13), uint8(33), uint16(65), uint8(0), uint64(1))
	f.Add(uint8(12), uint8(32), uint16(256), uint8(3), uint64(2))
	f.Add(uint8(1), uint8(1), uint16(600), uint8(1), uint64(3))
	f.Fuzz(func(t *testing.T, m8, n8 uint8, k16 uint16, form uint8, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 10))
		m, n, k := int(m8%50)+1, int(n8%70)+1, int(k16%600)+1
		a, b, ta, tb := stored(rng, m, k), stored(rng, k, n), form&1 != 0, form&2 != 0
		if ta {
			a = stored(rng, k, m)
		}
		if tb {
			b = stored(rng, n, k)
		}
		got := multiplied(m, n, k, a, ta, b, tb, rng.IntN(m+1))
		at := func(x Matrix, turned bool, i, j int) float64 {
			if turned {
				i, j = j, i
			}
			return float64(x.Row(i)[j])
		}
		i, j := rng.IntN(m), rng.IntN(n)
		want, size := 0.0, 0.0
		for p := range k {
			v := at(a, ta, i, p) * at(b, tb, p, j)
			want, size = want+v, size+math.Abs(v)
		}
		near(t, "product", got[i*n+j], want, size)
	})
}

// The exponential is within 1e-6 of each value, over its whole range.
func TestExponentialIsWithinItsBound(t *testing.T) {
	const n = 1 << 16
	x, zero := make([]float32, n), make([]float32, n)
	for i := range x {
		x[i] = float32(-86.9 + 174*float64(i)/n)
	}
	e, s := slices.Clone(x), make([]float32, n)
	ExpSum(e, zero, 0)
	Sigmoid(s, x, 1)
	for i, v := range x {
		if want := math.Exp(float64(v)); math.Abs(float64(e[i])-want) > 1e-6*want {
			t.Fatalf("e^%v = %v, want %v", v, e[i], want)
		}
		if want := 1 / (1 + math.Exp(-float64(v))); math.Abs(float64(s[i])-want) > 1e-6*want {
			t.Fatalf("sigmoid(%v) = %v, want %v", v, s[i], want)
		}
	}
	for _, extreme := range []float32{-1000, 1000, float32(math.Inf(-1)), float32(math.Inf(1))} {
		for _, length := range []int{1, 8} { // the twin and the assembly bound alike
			x := slices.Repeat([]float32{extreme}, length)
			ExpSum(x, zero[:length], 0)
			if !Finite(x) || x[0] <= 0 || extreme > 0 && x[0] < 1e38 || extreme < 0 && x[0] > 1e-37 {
				t.Errorf("e^%v = %v", extreme, x[0])
			}
		}
	}
}

func TestDropKeepsTheMeanAndRepeatsItself(t *testing.T) {
	const n = 1 << 18
	x := slices.Repeat([]float32{1}, n)
	Drop(x, 12345, 0, 0.2)
	again, parts := slices.Repeat([]float32{1}, n), slices.Repeat([]float32{1}, n)
	Drop(again, 12345, 0, 0.2)
	Drop(parts[:1001], 12345, 0, 0.2)
	Drop(parts[1001:], 12345, 1001, 0.2)
	if !slices.Equal(x, again) || !slices.Equal(x, parts) {
		t.Error("the same places are dropped otherwise")
	}
	dropped, runs := 0, 0
	for i, v := range x {
		switch v {
		case 0:
			dropped++
			if i > 0 && x[i-1] == 0 {
				runs++
			}
		case 1.25:
		default:
			t.Fatalf("1 became %v", v)
		}
	}
	// Five standard deviations of a binomial distribution, for single places and for pairs.
	if share := float64(dropped) / n; math.Abs(share-0.2) > 5*math.Sqrt(0.16/n) {
		t.Errorf("%v dropped", share)
	}
	if share := float64(runs) / n; math.Abs(share-0.04) > 5*math.Sqrt(0.04/n) {
		t.Errorf("%v pairs dropped", share)
	}
	Drop(x, 1, 0, 0)
	if !slices.Equal(x, again) {
		t.Error("rate 0 changes something")
	}
}

func TestAdamWDecaysApartFromTheGradient(t *testing.T) {
	x, zero := slices.Repeat([]float32{2}, 9), make([]float32, 9)
	NewAdamW(0.1, 0.5, 1).Step(x, slices.Clone(zero), slices.Clone(zero), zero)
	for i, v := range x {
		if math.Abs(float64(v)-1.9) > 1e-6 {
			t.Errorf("weight %d became %v, want 2 (1 - 0.1 0.5)", i, v)
		}
	}
}
