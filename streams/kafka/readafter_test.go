package kafka

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

// What is read from any offset on is the rest of what is read from the start: also where a repeat is
// behind the offset and its first writing before it.
func TestReadAfter(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 1)
		p := newTestProducer(t, o)
		all := views(1, 0, 30)
		for _, part := range [][]streams.Event{all[:20], all[5:15], all[20:]} {
			if err := p.Write(ctx, part...); err != nil {
				t.Fatal(err)
			}
		}
		whole := readAll(t, o, streams.Behavior)
		if len(whole) != len(all) {
			t.Fatalf("%d events, want %d", len(whole), len(all))
		}
		for start := int64(0); start <= 40; start += 8 {
			var got, want []string
			err := ReadAfter(ctx, o, []streams.Stream{streams.Behavior}, func(string, int) int64 { return start }, func(r streams.Record) error {
				got = append(got, fmt.Sprint(r.Offset, r.Event.ID))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range whole {
				if r.Offset >= start {
					want = append(want, fmt.Sprint(r.Offset, r.Event.ID))
				}
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("from %d: got %v, want %v", start, got, want)
			}
		}
		err := ReadAfter(ctx, o, []streams.Stream{streams.Behavior}, func(string, int) int64 { return 41 }, nil)
		if err == nil || !strings.Contains(err.Error(), "was created anew or cut") {
			t.Errorf("beyond the end: %v", err)
		}
	})
}

// All partitions at once, in the order in which things happened.
func TestSourcesInOrder(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 3)
		p := newTestProducer(t, o)
		all := views(7, 0, 200)
		if err := p.Write(ctx, all...); err != nil {
			t.Fatal(err)
		}
		sources, done, err := Sources(ctx, o, []streams.Stream{streams.Orders, streams.Behavior}, func(string, int) int64 { return 0 })
		if err != nil || len(sources) != 6 {
			t.Fatal(len(sources), err)
		}
		defer done()
		var got []streams.Record
		if err := streams.InOrder(ctx, sources, func(r *streams.Record) error { got = append(got, *r); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(all) || !slices.IsSortedFunc(got, func(a, b streams.Record) int { return a.Event.Time.Compare(b.Event.Time) }) {
			t.Errorf("%d of %d events, sorted: no", len(got), len(all))
		}
		one := append(sources[:0:0], sources...)
		slices.Reverse(one)
		n := 0
		for _, s := range one { // one after the other is possible, too
			if err := s.Read(ctx, func(*streams.Record) error { n++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if n != len(all) {
			t.Errorf("%d events one by one", n)
		}
	})
}
