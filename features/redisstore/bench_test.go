package redisstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

// shopLog is a log of n events of a believable shop: mostly views, popular users and items.
func shopLog(n int) []Folded {
	rng := rand.New(rand.NewPCG(1, 2))
	users, items := rand.NewZipf(rng, 1.1, 20, 100_000), rand.NewZipf(rng, 1.1, 20, 20_000)
	s := features.Default()
	out := make([]Folded, n)
	for i := range out {
		typ := streams.View
		switch r := rng.IntN(100); {
		case r < 5:
			typ = streams.Order
		case r < 15:
			typ = streams.CartAdd
		case r < 30:
			typ = streams.Click
		}
		e := event(typ, fmt.Sprintf("user-%d", users.Uint64()), fmt.Sprintf("item-%d", items.Uint64()), time.Duration(i)*time.Second)
		out[i] = Folded{Offset: int64(i), Deltas: s.Fold(&e)}
	}
	return out
}

// BenchmarkApply measures events through the fence and the script, and beside it, in the same run
// and on the same server, two limits: the same features written by plain pipelined commands, which
// count twice what is delivered twice (x-plain is how much of their speed is left), and one HINCRBY
// per event.
func BenchmarkApply(b *testing.B) {
	for _, target := range []struct {
		name string
		opts func(testing.TB) Options
	}{{"redis-server", realOptions}, {"miniredis", miniOptions}} {
		b.Run(target.name, func(b *testing.B) {
			opts := target.opts(b)
			opts.Shards = 16
			s := open(b, opts)
			p := partition(b, s)
			ctx := context.Background()
			log := shopLog(b.N)
			apply := measured(b, s, log, func(batch []Folded) error {
				return p.Apply(ctx, batch, batch[len(batch)-1].Offset)
			})
			plain := measured(b, s, log, func(batch []Folded) error { return s.Plain().Write(ctx, batch) })
			raw := measured(b, s, log, func(batch []Folded) error {
				_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
					for i := range batch {
						pipe.HIncrBy(ctx, opts.Prefix+"raw:"+batch[i].Deltas[0].Entity.ID, "n", 1)
					}
					return nil
				})
				return err
			})
			n := float64(b.N)
			b.ReportMetric(apply.client*1e6/n, "client-us/event")
			b.ReportMetric(apply.server*1e6/n, "server-us/event")
			b.ReportMetric(plain.client*1e6/n, "plain-client-us")
			b.ReportMetric(plain.server*1e6/n, "plain-server-us")
			b.ReportMetric(n/apply.wall, "events/s")
			b.ReportMetric(plain.wall/apply.wall, "x-plain")
			b.ReportMetric(raw.wall/apply.wall, "x-hincrby")
		})
	}
}

// cost is seconds of the wall clock and of both sides' CPUs.
type cost struct{ wall, client, server float64 }

// measured runs the log through write in batches of 1000.
func measured(b *testing.B, s *Store, log []Folded, write func([]Folded) error) cost {
	const batch = 1000
	server, client, began := cpuOf(s), ownCPU(b), time.Now()
	b.StartTimer()
	for at := 0; at < len(log); at += batch {
		if err := write(log[at:min(at+batch, len(log))]); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	return cost{time.Since(began).Seconds(), (ownCPU(b) - client).Seconds(), cpuOf(s) - server}
}

// ownCPU returns the CPU time of this process: the steady figure on a busy machine.
func ownCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOf returns the seconds of CPU that the server has used; 0 for miniredis, which runs in this process
// and knows no such figure.
func cpuOf(s *Store) float64 {
	used, err := s.ServerCPU(context.Background())
	if err != nil {
		return 0
	}
	return used.Seconds()
}

// BenchmarkUser measures one read of a user with full lists, and beside it one PING.
func BenchmarkUser(b *testing.B) {
	s := open(b, realOptions(b))
	ctx := context.Background()
	var events []streams.Event
	for i := range 300 {
		events = append(events, event(streams.Types()[i%9], "u1", fmt.Sprintf("item-%d", i), time.Duration(i)*time.Hour))
	}
	log, p := foldAll(events), partition(b, s)
	for i := range log { // each in a batch of its own: parts are packed and wait as in a shop
		if err := p.Apply(ctx, log[i:i+1], int64(i)); err != nil {
			b.Fatal(err)
		}
	}
	schema := features.Default()
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.User(ctx, "u1"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ping", func(b *testing.B) {
		for b.Loop() {
			if err := s.Ping(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("view", func(b *testing.B) {
		st, err := s.User(ctx, "u1")
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			schema.User("u1", st, nil, start)
		}
	})
}

func BenchmarkFold(b *testing.B) {
	s := features.Default()
	e := event(streams.Order, "u", "i", 0)
	b.ReportAllocs()
	for b.Loop() {
		s.Fold(&e)
	}
}
