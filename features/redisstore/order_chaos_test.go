package redisstore_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
)

// drawLog draws events over few users and items in the order of the log, which is not that of their times.
func drawLog(t *rapid.T) []streams.Event {
	types := []streams.Type{streams.View, streams.CartAdd, streams.Wishlist, streams.Rating, streams.Order, streams.Order, streams.Return,
		streams.Exposure, streams.ItemUpsert, streams.ItemDelete, streams.UserUpsert, streams.UserMerge}
	events := make([]streams.Event, rapid.IntRange(1, 50).Draw(t, "events"))
	for i := range events {
		at := -time.Duration(rapid.IntRange(0, 60*24*60).Draw(t, "minutes late"))*time.Minute + time.Duration(i)*time.Millisecond
		e := shopEvent(rapid.SampledFrom(types).Draw(t, "type"), fmt.Sprintf("u%d", rapid.IntRange(0, 2).Draw(t, "user")),
			fmt.Sprintf("i%d", rapid.IntRange(0, 4).Draw(t, "item")), at)
		switch e.Type {
		case streams.UserMerge:
			e.Items, e.AnonymousID = nil, fmt.Sprintf("c%d", rapid.IntRange(0, 11).Draw(t, "visitor"))
		case streams.ItemUpsert, streams.UserUpsert:
			e.Attributes = map[string]any{"price": float64(i)}
		case streams.Rating:
			e.Rating = float64(rapid.IntRange(1, 5).Draw(t, "rating"))
		case streams.Order:
			e.Items = append(e.Items, streams.Line{ItemID: "i0", Quantity: 1, Price: 5})
		}
		events[i] = e
	}
	return events
}

// TestOrderIndependenceInRedis: the log in any order, in batches of any size, of which some are delivered
// again by a second owner that begins before the first one's end, leaves in Redis what the sorted log
// leaves in memory.
func TestOrderIndependenceInRedis(t *testing.T) {
	checks := "100"
	if os.Getenv("SARTOR_SOAK") != "" {
		checks = "2000"
	}
	old := flag.Lookup("rapid.checks").Value.String()
	if err := flag.Set("rapid.checks", checks); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = flag.Set("rapid.checks", old) }()
	server := startRedis(t, t.TempDir())
	cases, total, again, entities := 0, 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		cases++
		events := drawLog(rt)
		want := newLedger(events)
		l := newLedger(rapid.Permutation(events).Draw(rt, "order"))
		s := openStore(t, redisstore.Options{Addrs: []string{server.addr}, Shards: 4, Prefix: fmt.Sprintf("o%d:", cases)})
		defer s.Close()
		p := openPartition(t, s)
		for p.Next() < int64(len(l.log)) {
			from := p.Next()
			end := min(from+rapid.Int64Range(1, 20).Draw(rt, "batch"), int64(len(l.log)))
			if err := p.Apply(t.Context(), l.log[from:end], end-1); err != nil && !errors.Is(err, redisstore.ErrFenced) {
				rt.Fatal(err)
			}
			if rapid.IntRange(0, 3).Draw(rt, "owner") == 0 { // the next owner has the last batch again
				p = openPartition(t, s)
				again += int(max(0, end-p.Next()))
			} else if err := p.Flush(t.Context()); err != nil {
				rt.Fatal(err)
			}
		}
		want.log = nil
		n, first, err := want.differing(t.Context(), s)
		if err != nil || n > 0 {
			rt.Fatalf("%d entities differ (%v): %s", n, err, first)
		}
		total, entities = total+len(l.log), entities+len(want.want)
	})
	if again == 0 {
		t.Error("nothing was delivered again: the test does not test")
	}
	t.Logf("%d cases: %d events, %d of them delivered again; %d entities, 0 differing", cases, total, again, entities)
}
