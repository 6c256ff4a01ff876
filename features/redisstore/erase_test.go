package redisstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// Every erasure is copied, whoever else stands between those who were erased.
func TestCopyErasuresFindsAll(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := t.Context()
		s := open(t, opts)
		p := partition(t, s)
		var events []streams.Event
		for i := range 60 {
			events = append(events, event(streams.View, fmt.Sprintf("u%d", i), "a", 0))
		}
		if err := p.Apply(ctx, foldAll(events), int64(len(events))); err != nil {
			t.Fatal(err)
		}
		at := start.Add(time.Hour)
		for i := 0; i < 60; i += 2 {
			if _, err := s.EraseUser(ctx, fmt.Sprintf("u%d", i), at); err != nil {
				t.Fatal(err)
			}
		}
		aside := opts
		aside.Namespace = "g2"
		built := open(t, aside)
		if n, err := built.CopyErasures(ctx); n != 30 || err != nil {
			t.Fatalf("copied %d, %v, want 30", n, err)
		}
		for i := range 60 {
			st, err := built.User(ctx, fmt.Sprintf("u%d", i))
			if erased := st != nil && st.RemovedAt == at.UnixMilli(); err != nil || erased != (i%2 == 0) {
				t.Errorf("u%d: %v, %v", i, st, err)
			}
		}
	})
}
