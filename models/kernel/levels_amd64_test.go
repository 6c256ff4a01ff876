//go:build amd64 && !purego

package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Every level of the processor's instructions gives the same products: the two tiles bit for bit, Go up to
// rounding. The other kernels are held against their twins on each, too.
func TestEveryLevelAgrees(t *testing.T) {
	best, widest := accelerated, wide
	defer func() { accelerated, wide = best, widest }()
	rng := rand.New(rand.NewPCG(11, 4))
	const m, n, k = 50, 70, 300
	a, b := stored(rng, m, k), stored(rng, k, n)
	results := map[string][]float32{}
	for _, level := range []struct {
		name              string
		accelerated, wide bool
	}{{"go", false, false}, {"avx2", true, false}, {"avx512", true, true}} {
		if level.accelerated && !best || level.wide && !widest {
			t.Logf("this processor has no %s", level.name)
			continue
		}
		accelerated, wide = level.accelerated, level.wide
		results[level.name] = multiplied(m, n, k, a, false, b, false, 7)
		for _, n := range []int{1, 8, 13, 64} {
			layersAgree(t, n, uint64(n))
		}
	}
	if narrow, broad := results["avx2"], results["avx512"]; narrow != nil && broad != nil && !slices.Equal(narrow, broad) {
		t.Error("the tiles of AVX2 and AVX-512 give other bits")
	}
	if narrow := results["avx2"]; narrow != nil {
		for i, want := range results["go"] {
			near(t, "product", narrow[i], float64(want), k)
		}
	}
}
