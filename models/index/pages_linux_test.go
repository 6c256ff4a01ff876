package index

import (
	"fmt"
	"os"
	"runtime"
	"testing"
)

// resident returns the bytes of memory that the process holds.
func resident(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	var all, here int
	if _, err := fmt.Sscan(string(data), &all, &here); err != nil {
		t.Fatal(err)
	}
	return here * os.Getpagesize()
}

// TestPagesAreGivenBack makes and drops indexes whose codes lie outside of Go's heap.
func TestPagesAreGivenBack(t *testing.T) {
	vectors := make([]float32, hugePage) // a byte of code each
	for i := range vectors {
		vectors[i] = float32(i%251 - 125)
	}
	before := 0
	for i := range 40 {
		if x := newFlat(16, vectors, 1); len(x.Search(vectors[:16], 3, nil)) != 3 || !x.Coded() {
			t.Fatal("no search by codes")
		}
		runtime.GC()
		if i == 10 {
			before = resident(t)
		}
	}
	if after := resident(t); after > before+15*hugePage {
		t.Errorf("30 indexes of %d bytes of codes took the process from %d to %d bytes", hugePage, before, after)
	}
}
