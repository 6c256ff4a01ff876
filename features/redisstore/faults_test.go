package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

// shardCopy is the content of one virtual shard, taken and put back with plain commands.
type shardCopy struct {
	hashes  map[string]map[string]string
	zsets   map[string][]redis.Z
	lists   map[string][]string
	strings map[string]string
}

func shardKeys(s *Store, shard int) []string {
	return s.client.Keys(context.Background(), strings.NewReplacer("{", "\\{", "}", "\\}").Replace(s.tag(shard))+"*").Val()
}

func copyShard(s *Store, shard int) shardCopy {
	ctx := context.Background()
	c := shardCopy{map[string]map[string]string{}, map[string][]redis.Z{}, map[string][]string{}, map[string]string{}}
	for _, k := range shardKeys(s, shard) {
		switch s.client.Type(ctx, k).Val() {
		case "hash":
			c.hashes[k] = s.client.HGetAll(ctx, k).Val()
		case "zset":
			c.zsets[k] = s.client.ZRangeWithScores(ctx, k, 0, -1).Val()
		case "list":
			c.lists[k] = s.client.LRange(ctx, k, 0, -1).Val()
		case "string":
			c.strings[k] = s.client.Get(ctx, k).Val()
		}
	}
	return c
}

// restore makes the shard what it was: a failover that lost the newest writes.
func (c shardCopy) restore(s *Store, shard int) {
	ctx := context.Background()
	for _, k := range shardKeys(s, shard) {
		s.client.Del(ctx, k)
	}
	for k, v := range c.hashes {
		s.client.HSet(ctx, k, v)
	}
	for k, v := range c.zsets {
		s.client.ZAdd(ctx, k, v...)
	}
	for k, v := range c.lists {
		s.client.RPush(ctx, k, v)
	}
	for k, v := range c.strings {
		s.client.Set(ctx, k, v, 0)
	}
}

// faulty drives one partition through a log while things go wrong.
type faulty struct {
	*testing.T
	s   *Store
	log []Folded
	p   *Partition
	// zombie is the owner before the last takeover.
	zombie *Partition
	old    shardCopy
	oldN   int
}

func (f *faulty) reopen() {
	p, err := f.s.Partition(context.Background(), "orders", 0)
	if err != nil {
		f.Fatal(err)
	}
	f.p = p
}

// next returns the following n events of the log and the offset that they end at.
func (f *faulty) next(n int) ([]Folded, int64) {
	at := int(f.p.last) + 1
	end := min(at+n, len(f.log))
	return f.log[at:end], int64(end - 1)
}

func (f *faulty) apply(n int) {
	events, last := f.next(n)
	if err := f.p.Apply(context.Background(), events, last); errors.Is(err, ErrFenced) {
		f.reopen()
	} else if err != nil {
		f.Fatal(err)
	}
}

// crash applies a batch to the first shards only and forgets all that the process knew.
func (f *faulty) crash(n, shards int) {
	events, last := f.next(n)
	groups, err := f.p.group(events, last)
	if err != nil {
		f.Fatal(err)
	}
	if err := f.p.send(context.Background(), groups[:min(shards, len(groups))], last); err != nil && !errors.Is(err, ErrFenced) {
		f.Fatal(err)
	}
	f.reopen()
}

// lostAnswer applies a batch, but the answers of all shards after the first ones never arrive; the
// same batch is then applied again by the same owner.
func (f *faulty) lostAnswer(n, known int) {
	events, last := f.next(n)
	before := append([]int64(nil), f.p.fences...)
	groups, err := f.p.group(events, last)
	if err != nil {
		f.Fatal(err)
	}
	if err := f.p.send(context.Background(), groups, last); errors.Is(err, ErrFenced) {
		f.reopen()
		return
	} else if err != nil {
		f.Fatal(err)
	}
	for _, g := range groups[min(known, len(groups)):] {
		f.p.fences[g.shard] = before[g.shard]
	}
	f.apply(n)
}

// again delivers a batch twice.
func (f *faulty) again(n int) {
	events, last := f.next(n)
	owner := f.p
	f.apply(n)
	if err := owner.Apply(context.Background(), events, last); err != nil && !errors.Is(err, ErrFenced) {
		f.Fatal(err)
	}
}

// takeover lets the owner before the last write once more, and opens the partition anew.
func (f *faulty) takeover(n int) {
	z := f.zombie
	end := min(int(z.last)+1+n, len(f.log))
	if err := z.Apply(context.Background(), f.log[z.last+1:end], int64(end-1)); err != nil && !errors.Is(err, ErrFenced) {
		f.Fatal(err)
	}
	f.zombie = f.p
	f.reopen()
}

// flush returns whether the owner still is the owner.
func (f *faulty) flush() bool {
	err := f.p.Flush(context.Background())
	if errors.Is(err, ErrFenced) {
		f.reopen()
	} else if err != nil {
		f.Fatal(err)
	}
	return err == nil
}

// finish applies the rest of the log. An idle owner finds what Redis lost.
func (f *faulty) finish() {
	for done := false; !done; done = f.flush() {
		for int(f.p.last) < len(f.log)-1 {
			f.apply(20)
		}
	}
}

// step does one thing, right or wrong.
func (f *faulty) step(rt *rapid.T) {
	n := rapid.IntRange(1, 15).Draw(rt, "n")
	switch rapid.SampledFrom([]string{"apply", "apply", "again", "crash", "lost", "zombie", "copy", "rollback", "flush"}).Draw(rt, "step") {
	case "apply":
		f.apply(n)
	case "again":
		f.again(n)
	case "crash":
		f.crash(n, rapid.IntRange(0, 3).Draw(rt, "shards"))
	case "lost":
		f.lostAnswer(n, rapid.IntRange(0, 3).Draw(rt, "known"))
	case "zombie":
		f.takeover(n)
	case "copy":
		f.oldN = rapid.IntRange(0, 3).Draw(rt, "shard")
		f.old = copyShard(f.s, f.oldN)
	case "rollback":
		if f.oldN >= 0 {
			f.old.restore(f.s, f.oldN)
		}
	case "flush":
		f.flush()
	}
}

func TestExactlyOnceUnderFaults(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		n := 0
		rapid.Check(t, func(rt *rapid.T) {
			n++
			o := opts
			o.Prefix = fmt.Sprintf("%sf%d:", opts.Prefix, n)
			s := open(t, o)
			defer s.Close()
			f := &faulty{T: t, s: s, log: foldAll(genEvents(rt)), oldN: -1}
			f.reopen()
			f.zombie = f.p
			for range rapid.IntRange(0, 12).Draw(rt, "steps") {
				f.step(rt)
			}
			f.finish()
			if f.p.Next() != int64(len(f.log)) {
				rt.Fatalf("Next is %d after %d events", f.p.Next(), len(f.log))
			}
			if d := differences(s, oracle(f.log)); d != "" {
				rt.Fatal(d)
			}
		})
	})
}

func TestOrderDoesNotMatter(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		n := 0
		rapid.Check(t, func(rt *rapid.T) {
			n++
			events := genEvents(rt)
			for i := range events { // an erasure takes what came before it: order matters by design
				if events[i].Type == streams.UserDelete {
					events[i].Type = streams.View
				}
			}
			shuffled := rapid.Permutation(events).Draw(rt, "order")
			o := opts
			o.Prefix = fmt.Sprintf("%so%d:", opts.Prefix, n)
			s := open(t, o)
			defer s.Close()
			applyInBatches(rt, partition(t, s), foldAll(shuffled))
			if d := differences(s, oracle(foldAll(events))); d != "" {
				rt.Fatal(d)
			}
		})
	})
}

func TestErasureCoversWhatHappenedBefore(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := context.Background()
		s := open(t, opts)
		remove := event(streams.UserDelete, "u1", "", time.Hour)
		log := foldAll([]streams.Event{
			event(streams.Order, "u1", "a", 0),
			remove,
			event(streams.Order, "u1", "b", 30*time.Minute), // late, before the erasure
			event(streams.Order, "u1", "c", 2*time.Hour),    // a new life
		})
		p := partition(t, s)
		if err := p.Apply(ctx, log[:2], 1); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.User(ctx, "u1"); render(got) != render(&features.State{RemovedAt: remove.Time.UnixMilli()}) {
			t.Fatalf("after the erasure: %s", render(got))
		}
		if raw := rawParts(t, s, "u1"); len(raw) != 1 || len(raw[0]) > 10 {
			t.Fatalf("Redis still holds %q", raw)
		}
		// Both in one batch, by an owner that does not know of the tombstone.
		if err := partition(t, s).Apply(ctx, log[2:], 3); err != nil {
			t.Fatal(err)
		}
		if d := differences(s, oracle(log)); d != "" {
			t.Fatal(d)
		}
		got, _ := s.User(ctx, "u1")
		if got.Counters["n:order"] != 1 || len(got.Lists["last_items"]) != 1 || got.Lists["last_items"][0].ItemID != "c" {
			t.Fatalf("want the later order only, got %s", render(got))
		}
	})
}

func TestScriptFlushedOnServer(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := context.Background()
		s := open(t, opts)
		p := partition(t, s)
		log := foldAll([]streams.Event{event(streams.Order, "u1", "a", 0), event(streams.View, "u2", "b", 0)})
		for i := range log {
			if err := s.client.ScriptFlush(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			if err := p.Apply(ctx, log[i:i+1], int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		if d := differences(s, oracle(log)); d != "" {
			t.Fatal(d)
		}
	})
}

func TestCounterStaysAtTheEndOfItsRange(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := context.Background()
		s := open(t, opts)
		e := features.Entity{Kind: features.UserEntity, ID: "u1"}
		add := func(v int64) features.Delta {
			return features.Delta{Entity: e, Ops: []features.Op{{Code: features.Add, Field: "a:order", Value: v, Time: 1}}}
		}
		log := []Folded{{0, []features.Delta{add(1 << 62)}}, {1, []features.Delta{add(1 << 62)}}, {2, []features.Delta{add(1 << 62)}}}
		p := partition(t, s)
		for i := range log {
			if err := p.Apply(ctx, log[i:i+1], int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		if d := differences(s, oracle(log)); d != "" {
			t.Fatal(d)
		}
	})
}
