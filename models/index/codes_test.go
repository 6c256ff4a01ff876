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

// kinds are the sizes from which codes are in halves that make them so, or whole.
var kinds = []int{0, math.MaxInt}

func TestCodesFindWhatFloatsFind(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	for _, c := range []struct{ dim, n int }{{1, 700}, {3, 1000}, {16, 3000}, {50, 5001}, {64, 4097}, {128, 2048}} {
		for name, vectors := range shapes(rng, c.dim, c.n) {
			halves, whole := newFlat(c.dim, vectors, 1, 0), newFlat(c.dim, vectors, 1, math.MaxInt)
			if !halves.Coded() || !whole.Coded() || halves.codes.whole != nil || whole.codes.whole == nil {
				t.Fatalf("%s: no codes, or of the wrong kind", name)
			}
			for _, q := range [][]float32{random(rng, c.dim), vectors[c.dim : 2*c.dim], make([]float32, c.dim)} {
				for _, share := range []float64{2, 0.9, 0.5, 0.05, 0.005} {
					allowed := someOf(rng, c.n, share)
					for _, k := range []int{1, 20, c.n / 8} {
						want := sortEverything(c.dim, vectors, q, k, allowed)
						for _, x := range []*Flat{halves, whole} {
							if got := x.Search(q, k, allowed); !slices.Equal(got, want) {
								t.Fatalf("%s %+v share %v k %d:\n got %v\nwant %v", name, c, share, k, got, want)
							}
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
// kernel computes it, lies within what its code says, and half of its code.
func TestBoundHolds(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 1))
	for _, dim := range []int{1, 5, 48, 57, 136} {
		const n = 640
		for name, vectors := range shapes(rng, dim, n) {
			for i := range 40 {
				c, q := newCodes(dim, vectors, nil, kinds[i%2]), random(rng, dim)
				for j := range q {
					q[j] *= float32(math.Exp(3 * rng.NormFloat64()))
				}
				if e, ok := c.encode(q, coded{}); ok {
					boundHolds(t, name, c, &e, dim, vectors, q)
				} else if slices.Max(vectors) > 0 {
					t.Fatalf("%s, %d dimensions: an ordinary query was refused", name, dim)
				}
			}
		}
	}
}

// boundHolds sifts a block at a time under the lowest floor, so that every row is found with both bounds.
func boundHolds(t *testing.T, name string, c *codes, e *coded, dim int, vectors, q []float32) {
	t.Helper()
	var largest float64
	for _, s := range c.slots {
		if s.column >= 0 {
			largest = max(largest, math.Abs(float64(q[s.column]))*c.columns[s.column]*s.share)
		}
	}
	s, floats := newSearch(), make([]float32, len(vectors)/dim)
	kernel.Rows(floats, q, vectors)
	for b := range c.rest {
		s.sieve.found.cut(0)
		s.sieve.floor = lowest
		out := &s.sieve.passed[s.sieve.now]
		s.sift(c, e, b, []uint64{^uint64(0)})
		s.settle(c, e)
		if len(s.sieve.found.rows) != kernel.CodeRows {
			t.Fatalf("%s: %d rows of a block were found", name, len(s.sieve.found.rows))
		}
		for i, row := range s.sieve.found.rows {
			var exact float64
			for j, v := range q {
				exact += float64(v) * float64(vectors[int(row)*dim+j])
			}
			high, low := float64(s.sieve.found.highs[i]), float64(s.sieve.found.lows[i])
			coarse, width := float64(out.Sums[i]), float64(e.perRest*c.rest[b]+e.base)
			if c.whole != nil {
				width = float64(e.fine)
			}
			scale := float64(c.scale[row])
			for _, score := range []float64{exact, float64(floats[row])} {
				if score *= 127 / largest; score > high || score < low {
					t.Fatalf("%s row %d: %v is not within %v and %v", name, row, score, low, high)
				}
				if score > (coarse+width)*scale || score < (coarse-width)*scale {
					t.Fatalf("%s row %d: %v is not within %v and %v, by what a scan reads", name, row, score, (coarse-width)*scale, (coarse+width)*scale)
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
	plain := newFlat(dim, vectors, n+1, 0).Weighted(weights)
	for i := range 40 {
		coded := newFlat(dim, vectors, 1, kinds[i%2]).Weighted(weights)
		if plain.Coded() || !coded.Coded() {
			t.Fatal("the wrong way of search")
		}
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
		x := newFlat(2, vectors, 1, 0)
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
		want := sortEverything(d, vectors, q, int(k), nil)
		for _, kind := range kinds {
			if got := newFlat(d, vectors, 1, kind).Search(q, int(k), nil); !slices.Equal(got, want) {
				t.Fatalf("halves from %d: got %v\nwant %v", kind, got, want)
			}
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
	for _, kind := range kinds {
		x := newFlat(dim, vectors, 1, kind)
		for _, k := range []int{1, 20, 100, n / 8} {
			for _, share := range []float64{2, 0.5} {
				allowed := someOf(rng, n, share)
				if got, want := x.Search(q, k, allowed), sortEverything(dim, vectors, q, k, allowed); !slices.Equal(got, want) {
					t.Errorf("halves from %d, k %d share %v: wrong hits", kind, k, share)
				}
			}
		}
	}
}
