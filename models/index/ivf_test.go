package index

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// tastes are vectors as a factor model has them: clusters, a falling spectrum, lengths with a long tail.
func tastes(rng *rand.Rand, n, dim int) []float32 {
	const clusters = 100
	centres := random(rng, clusters*dim)
	out := make([]float32, n*dim)
	for i := range n {
		centre, size := centres[rng.IntN(clusters)*dim:], float32(math.Exp(rng.NormFloat64()*0.5))
		for j := range dim {
			out[i*dim+j] = size * (centre[j] + 0.7*float32(rng.NormFloat64())) / float32(math.Sqrt(1+float64(j)))
		}
	}
	return out
}

func TestIVFFindsWhatItPromises(t *testing.T) {
	const n, dim, k = 60_000, 32, 100
	rng := rand.New(rand.NewPCG(1, 1))
	vectors := tastes(rng, n, dim)
	flat, x := NewFlat(dim, vectors), NewIVF(dim, vectors, IVFOptions{Seed: 1})
	again := NewIVF(dim, vectors, IVFOptions{Seed: 1})
	if !slices.Equal(x.order, again.order) || x.probes != again.probes {
		t.Error("the same vectors gave another index")
	}
	recall := func(x *IVF, flat *Flat) float64 {
		found := 0
		for i := range 100 {
			// A taste made of three rows, as an encoder makes one of a history.
			q := make([]float32, dim)
			for _, row := range []int{i * 37, i*37 + 11, (i * 101) % n} {
				for j, v := range flat.row(int32(row)) {
					q[j] += v
				}
			}
			want := map[int]float32{}
			for _, h := range flat.Search(q, k, nil) {
				want[h.Row] = h.Score
			}
			for _, h := range x.Search(q, k, nil) {
				if score, ok := want[h.Row]; ok {
					found++
					if score != h.Score {
						t.Fatalf("row %d scores %v, want the %v of a flat index", h.Row, h.Score, score)
					}
				}
			}
		}
		return float64(found) / (100 * k)
	}
	if got := recall(x, flat); got < 0.9 || x.Recall() < 0.95 || x.Probes() >= x.Groups() {
		t.Errorf("recall %v (%v when made) with %d of %d groups, want 0.9 and 0.95", got, x.Recall(), x.Probes(), x.Groups())
	} else {
		t.Logf("recall %.3f for tastes, %.3f for rows, %d of %d groups", got, x.Recall(), x.Probes(), x.Groups())
	}
	weights := make([]float32, n)
	for i := range weights {
		weights[i] = 1 / float32(1+i%5)
	}
	if got := recall(x.Weighted(weights), flat.Weighted(weights)); got < 0.7 {
		t.Errorf("recall under weights %v, want 0.7", got)
	}
	x.probes = x.Groups()
	if got := recall(x, flat); got != 1 {
		t.Errorf("recall over all groups %v, want 1", got)
	}
}

func TestIVFFillsListsUnderFilters(t *testing.T) {
	const n, dim, k = 120_000, 16, 200
	rng := rand.New(rand.NewPCG(2, 2))
	vectors := tastes(rng, n, dim)
	flat, x := NewFlat(dim, vectors), NewIVF(dim, vectors, IVFOptions{Groups: 64})
	for _, share := range []float64{0.9, 0.45, 0.1, 0.001, 0} {
		allowed := NewBitmap(n)
		for i := range n {
			if rng.Float64() < share {
				allowed.Set(i)
			}
		}
		for i := range 10 {
			q := flat.row(int32(i * 1000))
			got, want := x.Search(q, k, allowed), flat.Search(q, k, allowed)
			if len(got) != len(want) || len(got) > 0 && got[0].Score < 0.9*want[0].Score {
				t.Fatalf("share %v: %d hits, want %d as good", share, len(got), len(want))
			}
			if allowed.Count() <= exactBelow && !slices.Equal(got, want) {
				t.Fatalf("share %v: a narrow filter is not searched exactly", share)
			}
			for _, h := range got {
				if !allowed.Has(h.Row) {
					t.Fatalf("row %d is not allowed", h.Row)
				}
			}
		}
	}
	// The worst filter for an IVF: the rows of the groups farthest from the query.
	q := flat.row(5)
	s := &probing{search: newSearch(), blocks: NewBitmap(1)}
	x.rank(s, q)
	far := NewBitmap(n)
	for _, g := range s.groups[len(s.groups)-40:] {
		for _, row := range x.order[x.starts[g.group]:x.starts[g.group+1]] {
			far.Set(int(row))
		}
	}
	if far.Count() <= exactBelow {
		t.Fatalf("only %d rows: the test shows nothing", far.Count())
	}
	if got := x.Search(q, k, far); len(got) != k {
		t.Errorf("%d hits, want %d", len(got), k)
	}
}

func TestIVFOfFewRows(t *testing.T) {
	for _, n := range []int{0, 1, 2, 63, 65, 1000} {
		vectors := random(rand.New(rand.NewPCG(3, 3)), n*8)
		x, flat := NewIVF(8, vectors, IVFOptions{}), NewFlat(8, vectors)
		if got, want := x.Search(make([]float32, 8), 10, nil), flat.Search(make([]float32, 8), 10, nil); !slices.Equal(got, want) {
			t.Errorf("%d rows: %v, want %v", n, got, want)
		}
		if x.Len() != n {
			t.Errorf("Len is %d, want %d", x.Len(), n)
		}
	}
}

func TestIVFDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	vectors := tastes(rand.New(rand.NewPCG(4, 4)), 20_000, 16)
	x, dst := NewIVF(16, vectors, IVFOptions{}), make([]Hit, 0, 100)
	if got := testing.AllocsPerRun(50, func() { dst = x.AppendSearch(dst[:0], vectors[:16], 100, nil) }); got > 0 {
		t.Errorf("%v allocations a search, want none", got)
	}
}

// BenchmarkIVF prints microseconds of a search for 264 of a million items, grouped and exact in one run,
// and what the groups find. It measures by itself; ns/op means nothing.
func BenchmarkIVF(b *testing.B) {
	const n, dim, k = 1_000_000, 64, 264
	vectors := tastes(rand.New(rand.NewPCG(1, 1)), n, dim)
	x, flat, dst := NewIVF(dim, vectors, IVFOptions{}), NewFlat(dim, vectors), make([]Hit, 0, k)
	for b.Loop() {
	}
	q := vectors[:dim]
	b.ReportMetric(least(func() { dst = x.AppendSearch(dst[:0], q, k, nil) }), "us")
	b.ReportMetric(least(func() { dst = flat.AppendSearch(dst[:0], q, k, nil) }), "us-exact")
	b.ReportMetric(x.Recall(), "recall@100")
	b.ReportMetric(100*float64(x.Probes())/float64(x.Groups()), "%-of-groups")
}
