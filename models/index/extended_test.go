package index

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestExtendedEqualsOneIndex sets, changes and takes away rows at random and wants, after each step, the
// hits of one flat index of all rows; rows without a vector are simply not allowed there.
func TestExtendedEqualsOneIndex(t *testing.T) {
	const dim, k = 8, 40
	rng := rand.New(rand.NewPCG(1, 1))
	for _, base := range []int{0, 1, 1000, 5003} {
		vectors := random(rng, base*dim)
		x := Extend(NewFlat(dim, vectors), dim)
		all, has := slices.Clone(vectors), Fill(base+2*segmentRows+64)
		for i := base; i < len(has)*64; i++ {
			has.Clear(i)
		}
		before := x
		for step := range 12 {
			var changes []Row
			for range 1 + rng.IntN(300) {
				row := base + rng.IntN(600)
				if step%4 == 3 {
					row += segmentRows - 300
				}
				v := random(rng, dim)
				if rng.IntN(4) == 0 {
					v = nil
				}
				changes = append(changes, Row{row, v})
				for len(all) < (row+1)*dim {
					all = append(all, 0)
				}
				has.Clear(row)
				if v != nil {
					copy(all[row*dim:], v)
					has.Set(row)
				}
			}
			x = x.Set(changes)
			one := NewFlat(dim, slices.Clone(all))
			if x.Len() > one.Len() || x.Added() != has.Count()-base {
				t.Fatalf("base %d, step %d: %d rows and %d added, want %d and %d", base, step, x.Len(), x.Added(), one.Len(), has.Count()-base)
			}
			for row := range x.Len() + 70 {
				v := x.Vector(row)
				if (v != nil) != (row >= base && has.Has(row)) || v != nil && !slices.Equal(v, all[row*dim:(row+1)*dim]) {
					t.Fatalf("base %d, step %d: the vector of row %d is %v", base, step, row, v)
				}
			}
			for range 5 {
				q, allowed := random(rng, dim), has.Clone()
				for i := range allowed {
					allowed[i] &= rng.Uint64()
				}
				if got, want := x.Search(q, k, allowed), one.Search(q, k, allowed); !slices.Equal(got, want) {
					t.Fatalf("base %d, step %d:\n got %v\nwant %v", base, step, got, want)
				}
				if got, want := x.Search(q, k, nil), one.Search(q, k, has); !slices.Equal(got, want) {
					t.Fatalf("base %d, step %d, everything allowed:\n got %v\nwant %v", base, step, got, want)
				}
			}
		}
		if bare := x.Bare(); bare.Len() != base || bare.Added() != 0 {
			t.Errorf("base %d: bare it has %d rows", base, bare.Len())
		}
		if before.Added() != 0 || before.Len() != base {
			t.Errorf("base %d: Set changed the index that it was called on", base)
		}
	}
}

// BenchmarkSetRow is one new row in a full segment behind others.
func BenchmarkSetRow(b *testing.B) {
	const dim = 64
	rng := rand.New(rand.NewPCG(1, 1))
	x := Extend(NewFlat(dim, random(rng, 100_000*dim)), dim)
	rows := make([]Row, segmentRows)
	for i := range rows {
		rows[i] = Row{100_000 + i, random(rng, dim)}
	}
	x = x.Set(rows)
	v := random(rng, dim)
	b.ReportAllocs()
	for b.Loop() {
		_ = x.Set([]Row{{100_000 + segmentRows/2, v}})
	}
}
