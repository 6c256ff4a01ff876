package recommender

import (
	"math/rand/v2"
	"testing"
)

func TestRowMapEqualsAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, size := range []int{0, 10, 300, 5000} {
		m, want := newRowMap(size/2), map[int32]int{}
		for i := range size {
			row := rng.Int32N(1 << 20)
			if i%3 == 0 {
				row = int32(i) * 4096 // rows that a weak hash puts together
			}
			if _, ok := want[row]; ok {
				continue
			}
			want[row] = i
			if i%2 == 0 {
				m.put(row, i)
			} else if had, ok := m.place(row, i); ok {
				t.Fatalf("row %d had %d", row, had)
			}
		}
		for row, number := range want {
			if had, ok := m.place(row, -1); !ok || had != number {
				t.Fatalf("row %d had %d, %v; want %d", row, had, ok, number)
			}
			if got, ok := m.get(row); !ok || got != number {
				t.Fatalf("row %d: %d, %v; want %d", row, got, ok, number)
			}
		}
		for range 1000 {
			row := rng.Int32N(1 << 21)
			_, has := want[row]
			if _, ok := m.get(row); ok != has {
				t.Fatalf("row %d: %v, want %v", row, ok, has)
			}
		}
	}
}
