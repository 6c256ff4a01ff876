package recommender

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(2)
		first, second := w.enter(t.Context()), w.enter(t.Context())
		entered := make(chan func())
		go func() { entered <- w.enter(t.Context()) }()
		synctest.Wait()
		select {
		case <-entered:
			t.Fatal("a third came in")
		default:
		}
		first()
		third := <-entered
		// Whoever runs out of time goes on without a place, and leaves none.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.enter(ctx)()
		second()
		third()
		if len(w) != 0 {
			t.Errorf("%d places are taken in the end", len(w))
		}
		unbounded := newWorkers(-1)
		for range 100 {
			unbounded.enter(t.Context())
		}
	})
}
