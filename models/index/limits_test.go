package index

import (
	"math/rand/v2"
	"testing"
)

func TestLimitsCountEveryByte(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct{ n, dim, want int }{
		{100, 8, 100 * 8 * 4},       // floats
		{5000, 8, 5056 * (8 + 4)},   // codes and scales, whole blocks of 64
		{5000, 10, 5056 * (12 + 4)}, // rows padded to four dimensions
	} {
		l := NewFlat(c.dim, random(rng, c.n*c.dim)).Limits(2)
		if l.Bytes != c.want || l.Read <= 0 || l.Scan <= 0 || !(l.Ratio() > 0) || !(l.Bandwidth() > 0) {
			t.Errorf("%d rows of %d: %+v, want %d bytes", c.n, c.dim, l, c.want)
		}
	}
}
