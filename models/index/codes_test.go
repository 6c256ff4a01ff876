package index

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sartorhq/sartor/models/kernel"
)

// shapes are sets of vectors that are easy or hard to search by codes.
func shapes(rng *rand.Rand, dim, n int) map[string][]float32 {
	normal := random(rng, dim*n)
	decaying := random(rng, dim*n) // as trained factors are: a few strong dimensions, norms of all sizes
	for i := range n {
		size := float32(math.Exp(0.7 * rng.NormFloat64()))
		for j := range dim {
			decaying[i*dim+j] *= size * float32(math.Pow(float64(j+1), -0.6))
		}
	}
	outlier := slices.Clone(normal)
	for j := range dim {
		outlier[j] *= 1000 // one row, and one dimension
	}
	for i := range n {
		outlier[i*dim] *= 300
	}
	near := make([]float32, dim*n) // all alike to within what codes can tell apart
	for i := range near {
		near[i] = normal[i%dim] * (1 + 1e-6*normal[i])
	}
	same := make([]float32, dim*n)
	for i := range same {
		same[i] = normal[i%dim]
	}
	sparse := make([]float32, dim*n)
	for i := range n {
		if i%7 != 0 { // every seventh row is zero
			sparse[i*dim+rng.IntN(dim)] = normal[i]
		}
	}
	copies := slices.Clone(normal)
	for i := range n {
		copy(copies[i*dim:(i+1)*dim], normal[i%50*dim:])
	}
	return map[string][]float32{"normal": normal, "decaying": decaying, "outlier": outlier, "near": near, "same": same, "sparse": sparse, "copies": copies}
}

func TestCodesFindWhatFloatsFind(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	for _, c := range []struct{ dim, n int }{{1, 700}, {3, 1000}, {16, 3000}, {50, 5001}, {64, 4097}, {128, 2048}} {
		for name, vectors := range shapes(rng, c.dim, c.n) {
			x := newFlat(c.dim, vectors, 1)
			if !x.Coded() {
				t.Fatalf("%s: no codes", name)
			}
			for _, q := range [][]float32{random(rng, c.dim), vectors[c.dim : 2*c.dim], make([]float32, c.dim)} {
				for _, share := range []float64{2, 0.9, 0.5, 0.05, 0.005} {
					allowed := someOf(rng, c.n, share)
					for _, k := range []int{1, 20, c.n / 8} {
						got, want := x.Search(q, k, allowed), sortEverything(c.dim, vectors, q, k, allowed)
						if !slices.Equal(got, want) {
							t.Fatalf("%s %+v share %v k %d:\n got %v\nwant %v", name, c, share, k, got, want)
						}
					}
				}
			}
		}
	}
}

func someOf(rng *rand.Rand, n int, share float64) Bitmap {
	if share > 1 {
		return nil
	}
	b := NewBitmap(n)
	for i := range n {
		if rng.Float64() < share {
			b.Set(i)
		}
	}
	return b
}

// TestBoundHolds looks at the proof itself: the true score of every row, in float64 and as the float
// kernel computes it, lies within what its code says.
func TestBoundHolds(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 1))
	const dim, n = 48, 640
	for name, vectors := range shapes(rng, dim, n) {
		c := newCodes(dim, vectors, nil)
		for range 20 {
			q := random(rng, dim)
			for j := range q {
				q[j] *= float32(math.Exp(3 * rng.NormFloat64()))
			}
			e, ok := c.encode(q, nil)
			if !ok {
				t.Fatal("an ordinary query was refused")
			}
			var largest float64
			for j, v := range q {
				largest = max(largest, math.Abs(float64(v)*c.columns[j]))
			}
			high, floats := make([]float32, n), make([]float32, n)
			kernel.Codes(high, e.query, *c.data, c.scale, e.bias, e.bound)
			kernel.Rows(floats, q, vectors)
			for i := range n {
				var exact float64
				for j, v := range q {
					exact += float64(v) * float64(vectors[i*dim+j])
				}
				low := high[i] - 2*e.bound*c.scale[i]
				for _, score := range []float64{exact, float64(floats[i])} {
					if score *= 127 / largest; score > float64(high[i]) || score < float64(low) {
						t.Fatalf("%s row %d: %v is not within %v and %v", name, i, score, low, high[i])
					}
				}
			}
		}
	}
}

func TestWeightedSearchesByAngle(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	const dim, n = 24, 3000
	vectors := random(rng, dim*n)
	clear(vectors[5*dim : 6*dim])
	weights := make([]float32, n)
	for i := range weights {
		if row := vectors[i*dim : (i+1)*dim]; i != 5 {
			weights[i] = float32(1 / math.Sqrt(float64(kernel.Dot(row, row))))
		}
	}
	plain, coded := newFlat(dim, vectors, n+1).Weighted(weights), newFlat(dim, vectors, 1).Weighted(weights)
	if plain.Coded() || !coded.Coded() {
		t.Fatal("the wrong way of search")
	}
	for i := range 20 {
		q := vectors[i*dim : (i+1)*dim]
		for _, share := range []float64{2, 0.95, 0.3} {
			allowed := someOf(rng, n, share)
			got, want := coded.Search(q, 40, allowed), plain.Search(q, 40, allowed)
			if !slices.Equal(got, want) {
				t.Fatalf("row %d share %v:\n got %v\nwant %v", i, share, got, want)
			}
			if i != 5 && share > 1 && (got[0].Row != i || math.Abs(float64(got[0].Score*weights[i])-1) > 1e-5) {
				t.Fatalf("row %d: the nearest is %v", i, got[0])
			}
		}
	}
}

func TestVectorsOutOfRangeAreSearchedAsFloats(t *testing.T) {
	for name, v := range map[string]float32{"huge": 1e30, "tiny": 1e-30} {
		vectors := make([]float32, 2000)
		for i := range vectors {
			vectors[i] = v * float32(i%97)
		}
		vectors[0] = 1
		x := newFlat(2, vectors, 1)
		q := []float32{1, 0.5}
		if got, want := x.Search(q, 10, nil), sortEverything(2, vectors, q, 10, nil); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestFromManyRowsOnCodesAreUsed(t *testing.T) {
	if NewFlat(1, make([]float32, codesFrom-1)).Coded() || !NewFlat(1, make([]float32, codesFrom)).Coded() {
		t.Error("codes at the wrong size")
	}
}

func TestWeightsMustFit(t *testing.T) {
	x := NewFlat(1, []float32{1, 2})
	for _, weights := range [][]float32{{1}, {1, -1}, {1, float32(math.NaN())}, {1, float32(math.Inf(1))}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("weights %v were taken", weights)
				}
			}()
			x.Weighted(weights)
		}()
	}
}

// FuzzCodes makes vectors and a query of bytes: whatever they are, codes find what floats find.
func FuzzCodes(f *testing.F) {
	f.Add(uint8(3), uint8(2), []byte("some bytes of vectors, neither many nor few, to begin with"))
	f.Add(uint8(1), uint8(200), []byte{0, 0, 0, 0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, dim, k uint8, data []byte) {
		d := int(dim%40) + 1
		values := make([]float32, 0, len(data)*8)
		for len(values) < 64*8*d && len(data) > 0 {
			for _, b := range data {
				values = append(values, float32(int8(b))*float32(math.Exp2(float64(int(b)*7%31-15)))/float32(len(values)%5+1))
			}
		}
		if len(values) < 2*d {
			return
		}
		q, vectors := values[:d], values[d:len(values)/d*d]
		x := newFlat(d, vectors, 1)
		got, want := x.Search(q, int(k), nil), sortEverything(d, vectors, q, int(k), nil)
		if !slices.Equal(got, want) {
			t.Fatalf("got %v\nwant %v", got, want)
		}
	})
}

// TestUnluckySample puts the best rows where the guess looks: it then guesses too high a floor, and must
// notice.
func TestUnluckySample(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 1))
	const dim, n = 16, 8 * chunk
	vectors, q := random(rng, dim*n), random(rng, dim)
	for i := range n {
		if i%chunk < kernel.CodeRows {
			kernel.Axpy(5, q, vectors[i*dim:(i+1)*dim])
		}
	}
	x := newFlat(dim, vectors, 1)
	for _, k := range []int{1, 20, 100, n / 8} {
		for _, share := range []float64{2, 0.5} {
			allowed := someOf(rng, n, share)
			if got, want := x.Search(q, k, allowed), sortEverything(dim, vectors, q, k, allowed); !slices.Equal(got, want) {
				t.Errorf("k %d share %v: wrong hits", k, share)
			}
		}
	}
}
