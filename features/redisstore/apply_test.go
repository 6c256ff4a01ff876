package redisstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/streams"
)

// genEvent draws events over few users and items, so that they meet, and over enough days that
// retention acts.
func genEvent(t *rapid.T, i int) streams.Event {
	types := streams.Types()
	e := streams.Event{
		Type:    rapid.SampledFrom(types).Draw(t, "type"),
		Time:    start.Add(time.Duration(rapid.Int64Range(0, 100*86400).Draw(t, "second"))*time.Second + time.Duration(i)*time.Millisecond),
		UserID:  fmt.Sprintf("u%d", rapid.IntRange(0, 2).Draw(t, "user")),
		Country: rapid.SampledFrom([]string{"", "DE", "fr"}).Draw(t, "country"),
		Rating:  float64(rapid.IntRange(1, 5).Draw(t, "rating")),
	}
	if e.Type == streams.UserMerge {
		e.AnonymousID = fmt.Sprintf("c%d", rapid.IntRange(0, 11).Draw(t, "visitor"))
	}
	if rapid.IntRange(0, 9).Draw(t, "rare") > 0 && (e.Type == streams.UserDelete) {
		e.Type = streams.Order // erasures are rare
	}
	for range rapid.IntRange(0, 3).Draw(t, "lines") {
		e.Items = append(e.Items, streams.Line{
			ItemID:   fmt.Sprintf("i%d", rapid.IntRange(0, 5).Draw(t, "item")),
			Quantity: rapid.Int64Range(1, 5).Draw(t, "quantity"), Price: rapid.Int64Range(0, 5000).Draw(t, "price"),
		})
	}
	if rapid.Bool().Draw(t, "document") {
		e.Attributes = map[string]any{"price": float64(rapid.IntRange(1, 9).Draw(t, "price")), "brand": "x"}
	}
	return e
}

func genEvents(t *rapid.T) []streams.Event {
	out := make([]streams.Event, rapid.IntRange(1, 60).Draw(t, "events"))
	for i := range out {
		out[i] = genEvent(t, i)
	}
	return out
}

// applyInBatches gives the log to the partition in pieces, from its own position on.
func applyInBatches(t *rapid.T, p *Partition, log []Folded) {
	for at := int(p.Next()); at < len(log); {
		n := rapid.IntRange(1, 20).Draw(t, "batch")
		end := min(at+n, len(log))
		if err := p.Apply(context.Background(), log[at:end], int64(end-1)); err != nil {
			t.Fatal(err)
		}
		at = end
	}
}

func TestStoreEqualsFold(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		n := 0
		rapid.Check(t, func(rt *rapid.T) {
			n++
			o := opts
			o.Prefix = fmt.Sprintf("%sr%d:", opts.Prefix, n)
			s := open(t, o)
			defer s.Close()
			log := foldAll(genEvents(rt))
			applyInBatches(rt, partition(t, s), log)
			if d := differences(s, oracle(log)); d != "" {
				rt.Fatal(d)
			}
		})
	})
}

func TestNothingStored(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		s := open(t, opts)
		if st, err := s.User(context.Background(), "nobody"); st != nil || err != nil {
			t.Fatalf("got %v, %v", st, err)
		}
		if st, err := s.Item(context.Background(), "nothing"); st != nil || err != nil {
			t.Fatalf("got %v, %v", st, err)
		}
	})
}

func TestZombieIsRefused(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := context.Background()
		s := open(t, opts)
		log := foldAll([]streams.Event{
			event(streams.Order, "u1", "a", 0), event(streams.Order, "u1", "a", time.Minute), event(streams.Order, "u1", "a", time.Hour),
		})
		owner, zombie := partition(t, s), partition(t, s)
		if err := owner.Apply(ctx, log[:2], 1); err != nil {
			t.Fatal(err)
		}
		err := zombie.Apply(ctx, log[:1], 0)
		if !errors.Is(err, ErrFenced) {
			t.Fatalf("the zombie got %v", err)
		}
		if err := zombie.Apply(ctx, log, 2); !errors.Is(err, ErrFenced) {
			t.Fatalf("a fenced partition must stay fenced, got %v", err)
		}
		if err := owner.Apply(ctx, log[2:], 2); err != nil {
			t.Fatal(err)
		}
		if d := differences(s, oracle(log)); d != "" {
			t.Fatal(d)
		}
	})
}
