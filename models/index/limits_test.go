package index

import (
	"math/rand/v2"
	"testing"
)

func TestLimitsCountEveryByte(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct{ n, dim, want int }{
		{100, 8, 100 * 8 * 4},               // floats
		{5000, 8, 5056*(8+4) + 4*79},        // codes, scales and bounds, whole blocks of 64
		{5000, 10, 5056*(16+4) + 4*79},      // rows padded to eight dimensions
		{50_000, 64, 50_048*(32+4) + 4*782}, // upper halves
	} {
		l := NewFlat(c.dim, random(rng, c.n*c.dim)).Limits(2)
		if l.Bytes != c.want || l.Read <= 0 || l.Scan <= 0 || !(l.Ratio() > 0) || !(l.Bandwidth() > 0) {
			t.Errorf("%d rows of %d: %+v, want %d bytes", c.n, c.dim, l, c.want)
		}
	}
}
