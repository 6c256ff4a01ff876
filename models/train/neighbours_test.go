package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

func TestInvertTimesTheMatrixIsOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{1, 5, 64, 65, 200} {
		a := kernel.Matrix{Data: make([]float32, n*n), Dim: n, Stride: n}
		for range 2 * n { // a sum of squares, and a ridge
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(rng.NormFloat64())
			}
			for i := range n {
				kernel.Axpy(x[i], x, a.Row(i))
			}
		}
		for i := range n {
			a.Row(i)[i] += 5
		}
		b := kernel.Matrix{Data: slices.Clone(a.Data), Dim: n, Stride: n}
		if err := invert(t.Context(), b, 3); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			for j := range n {
				sum := 0.0
				for k := range n {
					sum += float64(a.Row(i)[k]) * float64(b.Row(k)[j])
				}
				want := 0.0
				if i == j {
					want = 1
				}
				if math.Abs(sum-want) > 1e-3 {
					t.Fatalf("n %d: element %d %d of A A^-1 is %v", n, i, j, sum)
				}
			}
		}
	}
	if err := invert(t.Context(), kernel.Matrix{Data: []float32{1, 2, 2, 1}, Dim: 2, Stride: 2}, 1); !errors.Is(err, errUnstable) {
		t.Errorf("an indefinite matrix: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := invert(ctx, kernel.Matrix{Data: []float32{1}, Dim: 1, Stride: 1}, 1); err == nil {
		t.Error("inverted although cancelled")
	}
}

// Both baselines solve the checkerboard, and score alike with and without vectors.
func TestNeighboursOnTheCheckerboard(t *testing.T) {
	const users, items = 40, 10
	l := checkerboard(users, items)
	o := small()
	o.Signal, o.Lambda = models.Signal{Weights: map[string]float64{"view": 1}}, 5
	for name, train := range map[string]func(context.Context, *Log, Options) (*models.Neighbours, Report, error){"item-knn": ItemKNN, "ease": EASE} {
		m, r, err := train(t.Context(), l, o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Users != users || m.Meta().Kind != name || m.Meta().Dim != 16 {
			t.Errorf("%s: report %+v, manifest %+v", name, r, m.Meta())
		}
		it := m.Items()
		for u := range users {
			scores := make([]float32, items)
			user := history(l, fmt.Sprint("u", u))
			if !m.Score(user, noon, scores) {
				t.Fatal("no score")
			}
			vec, _ := m.Encode(user, noon)
			for j, id := range it.IDs {
				i := int(id[1] - '0')
				if got := kernel.Dot(vec, it.Vectors[j*it.Dim:(j+1)*it.Dim]); math.Abs(float64(got-scores[j])) > 1e-5 {
					t.Errorf("%s: %v by vectors, %v without", name, got, scores[j])
				}
				if i == missing(u, items) && scores[j] < 0.2 || u%2 != i%2 && math.Abs(float64(scores[j])) > 0.01 {
					t.Errorf("%s: u%d gives %s %v", name, u, id, scores[j])
				}
			}
		}
	}
}

func TestItemKNNIsACosine(t *testing.T) {
	l := NewLog()
	for _, x := range [][2]string{{"u", "a"}, {"u", "b"}, {"v", "a"}, {"v", "b"}, {"w", "a"}, {"w", "c"}, {"x", "a"}} {
		l.Add(event("view", x[0], x[1], 0))
	}
	o := small()
	o.Signal = models.Signal{Weights: map[string]float64{"view": 1}}
	m, _, err := ItemKNN(t.Context(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	it := m.Items() // a: 4 users, b: 2, c: 1
	for _, c := range []struct {
		i, j int
		want float64
	}{{0, 1, 2 / math.Sqrt(8)}, {1, 0, 2 / math.Sqrt(8)}, {0, 2, 0.5}, {1, 2, 0}, {0, 0, 0}} {
		if got := float64(it.Vectors[c.j*it.Dim+c.i]); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("weight %d %d is %v, want %v", c.i, c.j, got, c.want)
		}
	}
}
