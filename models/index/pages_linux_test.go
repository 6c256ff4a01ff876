package index

import (
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// mapped tells whether an address of a page belongs to the process.
func mapped(page uintptr) bool {
	var here byte
	_, _, errno := syscall.Syscall(syscall.SYS_MINCORE, page, 1, uintptr(unsafe.Pointer(&here)))
	return errno != syscall.ENOMEM
}

// TestPagesAreGivenBack makes and drops indexes whose codes lie outside of Go's heap, and waits until most of
// their addresses are of nobody: what is not given back keeps its address for ever.
func TestPagesAreGivenBack(t *testing.T) {
	vectors := make([]float32, hugePage) // a byte of code each
	for i := range vectors {
		vectors[i] = float32(i%251 - 125)
	}
	const indexes = 16
	places := map[uintptr]bool{} // one address may serve several, one after the other
	for range indexes {
		x := newFlat(16, vectors, 1, 0)
		if len(x.Search(vectors[:16], 3, nil)) != 3 || !x.Coded() {
			t.Fatal("no search by codes")
		}
		places[uintptr(unsafe.Pointer(&(*x.codes.data)[0]))] = true
		runtime.GC()
	}
	held := func() (n int) {
		runtime.GC()
		for p := range places {
			if mapped(p) {
				n++
			}
		}
		return n
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(time.Minute)
	for held() > indexes/4 { // another may have moved in where one was
		if <-tick.C; time.Now().After(end) {
			t.Fatalf("%d of %d places are still mapped", held(), len(places))
		}
	}
}
