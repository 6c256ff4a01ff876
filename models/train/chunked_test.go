package train

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A chunked slice is a slice, also where a chunk ends and the next begins.
func TestChunkedIsASlice(t *testing.T) {
	const chunk = 1 << chunkBits
	for _, n := range []int{0, 1, 3, chunk - 1, chunk, chunk + 1, 3*chunk + 7} {
		var c chunked[int32]
		for i := range n {
			if c.len() != i {
				t.Fatalf("%d elements, want %d", c.len(), i)
			}
			c.add(int32(i))
		}
		next := 0
		for i, x := range c.all() {
			if i != next || x != int32(i) || c.at(i) != x {
				t.Fatalf("element %d of %d is number %d: %d", next, n, i, x)
			}
			next++
		}
		if next != n {
			t.Errorf("%d elements came, want %d", next, n)
		}
		for i, full := range c.chunks[:max(len(c.chunks)-1, 0)] {
			if len(full) != chunk || i > 0 && cap(full) != chunk {
				t.Errorf("chunk %d has %d elements and room for %d", i, len(full), cap(full))
			}
		}
	}
	var c chunked[int32]
	c.add(1)
	c.add(2)
	for range c.all() {
		break // a reader may stop
	}
}

// Selecting gives what sorting gives.
func TestFirstIsWhatASortPutsFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.SampledFrom([]float32{0, 0.25, 0.5, 0.75, 1}), 0, 60).Draw(t, "weights")
		n := rapid.IntRange(1, 70).Draw(t, "n")
		var list []link
		for row, w := range weights {
			list = append(list, link{row: int32(row*7919) % 61, weight: w})
		}
		want := slices.SortedFunc(slices.Values(list), nearer)
		want = want[:min(n, len(want))]
		got := first(list, n)
		slices.SortFunc(got, nearer)
		if !slices.Equal(got, want) {
			t.Fatalf("first %d of %v: %v, want %v", n, weights, got, want)
		}
	})
}
