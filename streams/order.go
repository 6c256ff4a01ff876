package streams

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"sync"
)

// Source is one partition of a log that can be read from its start to an end.
type Source struct {
	Topic     string
	Partition int
	// Next is the offset behind the last that Read can deliver.
	Next int64
	// Read calls fn with every record, in the order of the offsets. An error of fn ends it and is
	// returned. Several sources of a log may be read at once.
	Read func(ctx context.Context, fn func(*Record) error) error
}

// InOrder reads all sources at once and calls fn, from one goroutine, with their records in the order in
// which they happened: of the next records of all partitions, that with the least event time. The order
// within a partition stays, so that an event that came late comes late here, too. The result depends on
// the records alone. An error of fn or of a source ends the reading and is returned.
func InOrder(ctx context.Context, sources []Source, fn func(*Record) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	heads := make(headHeap, 0, len(sources))
	for i := range sources {
		h := &head{source: i, batches: make(chan []Record, 1), err: make(chan error, 1)}
		running.Go(func() { h.run(ctx, &sources[i]) })
		ok, err := h.next()
		if err != nil {
			return err
		}
		if ok {
			heads = append(heads, h)
		}
	}
	heap.Init(&heads)
	for len(heads) > 0 {
		h := heads[0]
		if err := fn(&h.batch[0]); err != nil {
			return err
		}
		h.batch = h.batch[1:]
		ok, err := h.next()
		if err != nil {
			return err
		}
		if ok {
			heap.Fix(&heads, 0)
		} else {
			heap.Pop(&heads)
		}
	}
	return ctx.Err()
}

// batchRecords is how many records a source hands over at once.
const batchRecords = 128

// head is a source and what it has delivered and nobody has taken.
type head struct {
	source  int
	batch   []Record
	batches chan []Record
	err     chan error
}

// run reads the source until its end, or until ctx ends.
func (h *head) run(ctx context.Context, s *Source) {
	defer close(h.batches)
	send := func(b []Record) error {
		select {
		case h.batches <- b:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	batch := make([]Record, 0, batchRecords)
	err := s.Read(ctx, func(r *Record) error {
		if batch = append(batch, *r); len(batch) < batchRecords {
			return nil
		}
		full := batch
		batch = make([]Record, 0, batchRecords)
		return send(full)
	})
	if len(batch) > 0 {
		err = errors.Join(err, send(batch))
	}
	h.err <- err
}

// next makes sure that there is a first record; ok is false at the end.
func (h *head) next() (ok bool, err error) {
	for len(h.batch) == 0 {
		b, open := <-h.batches
		if !open {
			return false, <-h.err
		}
		h.batch = b
	}
	return true, nil
}

// headHeap orders the heads by the time of their first record; equal times by the order of the sources.
type headHeap []*head

func (h headHeap) Len() int      { return len(h) }
func (h headHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h headHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(a.batch[0].Event.Time.Compare(b.batch[0].Event.Time), cmp.Compare(a.source, b.source)) < 0
}

// Push adds a head; heap needs it, nobody calls it.
func (h *headHeap) Push(x any) { *h = append(*h, x.(*head)) }

// Pop takes the last head.
func (h *headHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
