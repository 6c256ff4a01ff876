package index

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/models/kernel"
)

func random(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// compare orders by descending score, then by row.
func compare(a, b Hit) int {
	if a.Score != b.Score {
		return cmp.Compare(b.Score, a.Score)
	}
	return cmp.Compare(a.Row, b.Row)
}

// sortEverything is what Search must equal: score all, sort all, cut.
func sortEverything(dim int, vectors, q []float32, k int, allowed Bitmap) []Hit {
	scores := make([]float32, len(vectors)/dim)
	kernel.Rows(scores, q, vectors)
	var hits []Hit
	for i, s := range scores {
		if allowed == nil || allowed.Has(i) {
			hits = append(hits, Hit{Row: i, Score: s})
		}
	}
	slices.SortFunc(hits, compare)
	return hits[:min(k, len(hits))]
}

func TestSearchEqualsSortOfEverything(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct{ dim, n int }{{1, 1}, {3, 63}, {8, 64}, {16, 1023}, {64, 1025}, {24, 5000}, {72, 2500}} {
		vectors := random(rng, c.dim*c.n)
		// A third of the rows are copies of row 0: many exact ties.
		for i := range c.n {
			if i%3 == 0 {
				copy(vectors[i*c.dim:], vectors[:c.dim])
			}
		}
		x, q := NewFlat(c.dim, vectors), random(rng, c.dim)
		if x.Len() != c.n {
			t.Fatalf("Len = %d, want %d", x.Len(), c.n)
		}
		for _, share := range []float64{2, 1, 0.95, 0.5, 0.1, 0.01, 0.0005, 0} {
			var allowed Bitmap
			if share <= 1 {
				allowed = NewBitmap(c.n)
				for i := range c.n {
					if rng.Float64() < share {
						allowed.Set(i)
					}
				}
			}
			for _, k := range []int{1, 2, 20, 500, c.n, c.n + 7} {
				got, want := x.Search(q, k, allowed), sortEverything(c.dim, vectors, q, k, allowed)
				if !slices.Equal(got, want) {
					t.Fatalf("%+v share %v k %d:\n got %v\nwant %v", c, share, k, got, want)
				}
			}
		}
	}
}

func TestSearchWorstOrders(t *testing.T) {
	const n = 20_000
	for name, score := range map[string]func(i int) float32{
		"ascending":  func(i int) float32 { return float32(i) },
		"descending": func(i int) float32 { return float32(-i) },
		"equal":      func(int) float32 { return 1 },
		"sawtooth":   func(i int) float32 { return float32(i % 10) },
	} {
		vectors := make([]float32, n)
		for i := range vectors {
			vectors[i] = score(i)
		}
		x := NewFlat(1, vectors)
		got, want := x.Search([]float32{1}, 300, nil), sortEverything(1, vectors, []float32{1}, 300, nil)
		if !slices.Equal(got, want) {
			t.Errorf("%s: wrong hits", name)
		}
	}
}

func TestSearchEdges(t *testing.T) {
	x := NewFlat(2, []float32{1, 0, 0, 1})
	q := []float32{1, 2}
	if got := x.Search(q, 0, nil); got != nil {
		t.Errorf("k 0: %v", got)
	}
	if got := x.Search(q, -1, nil); got != nil {
		t.Errorf("k -1: %v", got)
	}
	if got := NewFlat(2, nil).Search(q, 5, nil); got != nil {
		t.Errorf("empty index: %v", got)
	}
	if got := x.Search(q, 5, Bitmap{}); got != nil {
		t.Errorf("a set without words allows nothing: %v", got)
	}
	if got, want := x.Search(q, 5, Bitmap{^uint64(0), ^uint64(0)}), []Hit{{1, 2}, {0, 1}}; !slices.Equal(got, want) {
		t.Errorf("bits beyond the last row: %v", got)
	}
	if got := x.Search([]float32{float32(math.NaN()), 0}, 5, nil); len(got) != 0 {
		t.Errorf("a query that is not finite: %v", got)
	}
	dst := []Hit{{Row: 9}}
	if got, want := x.AppendSearch(dst, q, 1, nil), []Hit{{Row: 9}, {1, 2}}; !slices.Equal(got, want) {
		t.Errorf("AppendSearch = %v", got)
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		dim     int
		vectors []float32
		want    string
	}{
		{2, []float32{1, 2, 3, 4}, ""},
		{0, nil, "the dimension is 0"},
		{2, []float32{1, 2, 3}, "3 floats are no whole number of rows of 2"},
		{2, []float32{1, 2, 3, float32(math.NaN())}, "row 1 holds NaN"},
		{1, []float32{float32(math.Inf(-1))}, "row 0 holds -Inf"},
	} {
		err := Check(c.dim, c.vectors)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("Check(%d, %v) = %v, want %q", c.dim, c.vectors, err, c.want)
		}
	}
	for name, f := range map[string]func(){
		"NaN":       func() { NewFlat(1, []float32{float32(math.NaN())}) },
		"dimension": func() { NewFlat(2, []float32{1, 2}).Search([]float32{1}, 1, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestBitmap(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 200} {
		all := Fill(n)
		if all.Count() != n {
			t.Errorf("Fill(%d).Count() = %d", n, all.Count())
		}
		for i := range n {
			b := NewBitmap(n)
			b.Set(i)
			if !b.Has(i) || b.Count() != 1 || b.Has(-1) || b.Has(n+64) {
				t.Fatalf("n %d: set of %d is wrong", n, i)
			}
			c := all.Clone()
			c.And(b)
			if !c.Has(i) || c.Count() != 1 || all.Count() != n {
				t.Fatalf("n %d: And with {%d} is wrong", n, i)
			}
			b.Clear(i)
			if b.Has(i) || b.Count() != 0 {
				t.Fatalf("n %d: Clear(%d) is wrong", n, i)
			}
		}
	}
	b := Fill(100)
	b.And(Fill(64))
	if b.Count() != 64 {
		t.Errorf("And with a shorter set keeps %d rows", b.Count())
	}
}

func TestSearchAllocatesOnlyTheResult(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool forgets at random under the race detector")
	}
	rng := rand.New(rand.NewPCG(2, 1))
	vectors, q, dst := random(rng, 16*5000), random(rng, 16), make([]Hit, 0, 100)
	some := NewBitmap(5000)
	for i := 0; i < 5000; i += 3 {
		some.Set(i)
	}
	for _, kind := range kinds {
		x := newFlat(16, vectors, 1, kind)
		for name, allowed := range map[string]Bitmap{"all": nil, "full": Fill(5000), "some": some} {
			x.AppendSearch(dst, q, 100, allowed)
			if n := testing.AllocsPerRun(20, func() { x.AppendSearch(dst, q, 100, allowed) }); n >= 1 {
				t.Errorf("halves from %d, %s: %v allocations", kind, name, n)
			}
		}
	}
}

func TestConcurrentSearches(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	x := NewFlat(8, random(rng, 8*3000))
	for g := range 8 {
		q := random(rng, 8)
		want := x.Search(q, 50, nil)
		t.Run(fmt.Sprint(g), func(t *testing.T) {
			t.Parallel()
			for range 50 {
				if !slices.Equal(x.Search(q, 50, nil), want) {
					t.Fatal("concurrent searches disturb each other")
				}
			}
		})
	}
}
