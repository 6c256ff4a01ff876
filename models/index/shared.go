package index

import (
	"runtime"
	"sync"
)

// Shared lets concurrent searches of an index take their passes over its codes together. One search at a
// time for each processor goes over the codes; those that come meanwhile wait, and the next one to go
// takes all that wait with it. A search that finds a processor free never waits. It is safe for concurrent
// use, and its hits are those of the index.
type Shared struct {
	*Flat
	limit int // passes at once

	mu      sync.Mutex
	running int
	waiting []*rider
}

// rider is a search that waits for its pass.
type rider struct {
	pass pass
	// wake gets nil once the pass is done, or those whom this search is to lead, itself the first.
	wake chan []*rider
}

// maxRiders bounds the queries of one pass: their work must stay in the cache beside a chunk of codes.
const maxRiders = 16

// sharedFrom is how many bytes of codes are worth sharing a pass: fewer stay in the cache of a processor,
// and every query reads them as fast alone.
const sharedFrom = 16 << 20

// Share returns the index for concurrent searches.
func (x *Flat) Share() *Shared {
	limit := runtime.GOMAXPROCS(0)
	if x.codes == nil || len(*x.codes.data) < sharedFrom {
		limit = 0 // not worth it
	}
	return &Shared{Flat: x, limit: limit}
}

// Search is Flat.Search.
func (x *Shared) Search(q []float32, k int, allowed Bitmap) []Hit {
	return x.AppendSearch(nil, q, k, allowed)
}

// AppendSearch is Flat.AppendSearch.
func (x *Shared) AppendSearch(dst []Hit, q []float32, k int, allowed Bitmap) []Hit {
	if x.limit == 0 {
		return x.Flat.AppendSearch(dst, q, k, allowed)
	}
	return x.appendSearch(dst, q, k, allowed, x.ride)
}

// ride takes the pass over the codes, alone or with others.
func (x *Shared) ride(p *pass) {
	x.mu.Lock()
	if x.running < x.limit && len(x.waiting) == 0 {
		x.running++
		x.mu.Unlock()
		x.alone(p)
		return
	}
	r := &rider{pass: *p, wake: make(chan []*rider, 1)}
	x.waiting = append(x.waiting, r)
	x.mu.Unlock()
	if riders := <-r.wake; riders != nil {
		x.lead(riders, p)
		return
	}
	*p = r.pass
}

// alone takes the pass of the caller only.
func (x *Shared) alone(p *pass) {
	defer x.handOver()
	x.scan(p.s.pass[:])
}

// lead takes the passes of all riders, the first of whom is the caller's, and hands over to those that
// came meanwhile.
func (x *Shared) lead(riders []*rider, own *pass) {
	passes := make([]pass, len(riders))
	for i, r := range riders {
		passes[i] = r.pass
	}
	scanned := false
	defer func() {
		if !scanned { // a panic: each goes alone, since nobody may wait for ever
			x.mu.Lock()
			x.running += len(riders) - 1
			x.mu.Unlock()
		}
		for i, r := range riders[1:] {
			if r.pass = passes[i+1]; scanned {
				r.wake <- nil
			} else {
				r.wake <- []*rider{r}
			}
		}
		x.handOver()
	}()
	x.scan(passes)
	*own, scanned = passes[0], true
}

// handOver wakes the first that waits, with the others that waited.
func (x *Shared) handOver() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.waiting) == 0 {
		x.running--
		return
	}
	n := min(len(x.waiting), maxRiders)
	riders := append([]*rider(nil), x.waiting[:n]...)
	x.waiting = append(x.waiting[:0], x.waiting[n:]...)
	riders[0].wake <- riders
}
