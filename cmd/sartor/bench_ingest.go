package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

func newBenchIngestCommand(a *app) *cobra.Command {
	opts := benchOptions{connections: 1, newcomers: 1, duration: time.Second, ingestOnly: true}
	cmd := &cobra.Command{
		Use:   "ingest",
		Short: "Measure the write path alone: where its CPU goes, and its limits",
		Long: `Fills the log of an in-process broker with a synthetic shop and reads it several times from its start,
each time one step further: only read, decode, fold, and apply to Redis. The differences are what each
step costs. Beside it the same features are written by plain pipelined commands, which count twice what
is delivered twice: what a store without exactly-once would do.

CPU time is the steadier figure on a machine that is shared; broker and consumer share this process.`,
		Example: `  sartor bench ingest
  sartor bench ingest --events 2000000 --users 100000 --partitions 16
  sartor bench ingest --profile apply.pprof`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.bench(cmd.Context(), opts) },
	}
	flags := cmd.Flags()
	flags.IntVar(&opts.events, "events", 500_000, "events to ingest, about")
	flags.IntVar(&opts.users, "users", 0, "users of the shop; 0 = as many as leave some sixty events each")
	flags.IntVar(&opts.items, "items", 2000, "items of the shop")
	flags.IntVar(&opts.partitions, "partitions", 4, "partitions of each topic")
	flags.BoolVar(&opts.noRedis, "in-process-redis", false, "do not use redis-server although it is on PATH")
	flags.StringVar(&opts.profile, "profile", "", "write a CPU profile of applying to this `file`")
	return cmd
}

// pass is one reading of the whole log.
type pass struct {
	rate           int64         // events a second
	client, server time.Duration // CPU
}

// perEvent returns the microseconds of a CPU time that come to one event.
func perEvent(cpu time.Duration, events int64) float64 {
	return float64(cpu) / float64(time.Microsecond) / float64(events)
}

// opener opens a partition; it calls applied with the next offset each time it has come further.
type opener func(ctx context.Context, topic string, partition int, applied func(topic string, partition int, next int64)) (kafka.Partition, error)

// ingest reads the log from its start, each time one step further.
func (b *benchRun) ingest(ctx context.Context, total int64) error {
	begin, cpu := time.Now(), processCPU()
	volume, err := kafka.Count(ctx, b.wiring.kafka, consumed())
	if err != nil {
		return err
	}
	raw := pass{rate: perSecond(volume.Messages, time.Since(begin)), client: processCPU() - cpu}
	b.printf("  read only (the limit of the client)         %10s   %.0f MB/s\n", thousands(raw.rate), float64(volume.Bytes)/time.Since(begin).Seconds()/1e6)
	draining := func(then func(context.Context, []streams.Record) error) opener {
		return func(_ context.Context, topic string, partition int, applied func(string, int, int64)) (kafka.Partition, error) {
			return &drain{then: then, note: func(next int64) { applied(topic, partition, next) }}, nil
		}
	}
	decode, err := b.consume(ctx, "bench-limit", total, draining(nil))
	if err != nil {
		return err
	}
	b.printf("  read in a group and decode, apply nothing   %10s   %.0f %% of reading only\n", thousands(decode.rate), decode.percentOf(raw))
	fold, err := b.consume(ctx, "bench-fold", total, draining(func(_ context.Context, recs []streams.Record) error {
		foldRecords(b.wiring.schema, recs)
		return nil
	}))
	if err != nil {
		return err
	}
	plainly := b.parts.store.Plain()
	plain, err := b.consume(ctx, "bench-plain", total, draining(func(ctx context.Context, recs []streams.Record) error {
		return plainly.Write(ctx, foldRecords(b.wiring.schema, recs))
	}))
	if err != nil {
		return err
	}
	b.printf("  ... fold, write plainly (may count twice)   %10s   %.0f %% of applying nothing\n", thousands(plain.rate), plain.percentOf(decode))
	stop, err := cpuProfile(b.opts.profile)
	if err != nil {
		return err
	}
	apply, err := b.consume(ctx, "bench", total, func(ctx context.Context, topic string, partition int, applied func(string, int, int64)) (kafka.Partition, error) {
		p, err := b.parts.store.Partition(ctx, topic, partition)
		if err != nil {
			return nil, err
		}
		return &sink{schema: b.wiring.schema, store: p, applied: func(next int64) { applied(topic, partition, next) }}, nil
	})
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	b.printf("  read, decode, fold, apply to Redis          %10s   %.0f %% of applying nothing, %.0f %% of reading only, %.2f x plain writes\n",
		thousands(apply.rate), apply.percentOf(decode), apply.percentOf(raw), float64(apply.rate)/float64(plain.rate))
	b.printCPU(total, raw, decode, fold, plain, apply)
	return b.stored(ctx)
}

// percentOf compares rates.
func (p pass) percentOf(of pass) float64 { return 100 * float64(p.rate) / float64(of.rate) }

// printCPU prints what each step takes: what a pass takes more than the one before it.
func (b *benchRun) printCPU(total int64, raw, decode, fold, plain, apply pass) {
	b.printf("\nCPU, microseconds per event                  this process   redis-server\n")
	for _, row := range []struct {
		what         string
		with, before pass
		server       bool
	}{
		{"consume (broker and client)", raw, pass{}, false}, {"decode, in a group", decode, raw, false}, {"fold", fold, decode, false},
		{"apply", apply, fold, true}, {"plain writes in place of apply", plain, fold, true}, {"all of it", apply, pass{}, true},
	} {
		b.printf("  %-40s %12.1f", row.what, perEvent(row.with.client-row.before.client, total))
		if row.server && row.with.server > 0 {
			b.printf("   %12.1f", perEvent(row.with.server, total))
		}
		b.printf("\n")
	}
}

// cpuProfile starts a CPU profile when a file for it is named.
func cpuProfile(name string) (stop func() error, err error) {
	if name == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("--profile: %w", err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// What is measured of stored users.
const (
	sampledUsers = 400
	sampledReads = 2000
	usualHistory = 50 // entries, more or less a fifth
)

// stored measures what users take in Redis, and how long reading one takes.
func (b *benchRun) stored(ctx context.Context) error {
	var users []string
	err := b.parts.store.Entities(ctx, func(e features.Entity) error {
		if e.Kind == features.UserEntity && !strings.HasPrefix(e.ID, streams.AnonymousSubject("")) {
			users = append(users, e.ID)
		}
		return nil
	})
	if err != nil || len(users) == 0 {
		return err
	}
	slices.Sort(users)
	rng := rand.New(rand.NewPCG(1, 1))
	rng.Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
	var sum, most int64
	n := 0
	for _, u := range users {
		if n == sampledUsers {
			break
		}
		st, err := b.parts.store.User(ctx, u)
		if err != nil {
			return err
		}
		if entries := len(st.Lists["history"]); entries < usualHistory*4/5 || entries > usualHistory*6/5 {
			continue
		}
		keys, err := b.parts.store.UserKeys(ctx, u)
		if err != nil {
			return err
		}
		for _, k := range keys {
			sum, most = sum+k.Bytes, max(most, k.Bytes)
		}
		n++
	}
	var reads loadResult
	runtime.GC()
	for range sampledReads {
		u := users[rng.IntN(len(users))]
		begin := time.Now()
		if _, err := b.parts.store.User(ctx, u); err != nil {
			return err
		}
		reads.latencies = append(reads.latencies, time.Since(begin))
	}
	slices.Sort(reads.latencies)
	b.printf("\n")
	if n > 0 && sum > 0 {
		b.printf("a user of 40 to 60 history entries in Redis: %s bytes in the mean, %s at the most (%d users)\n", thousands(sum/int64(n)), thousands(most), n)
	}
	b.printf("reading a user, one after the other: p50 %s, p99 %s (%d reads)\n", millis(reads.Quantile(0.5)), millis(reads.Quantile(0.99)), sampledReads)
	return nil
}

// consume reads the whole log in a group of its own.
func (b *benchRun) consume(ctx context.Context, group string, total int64, open opener) (pass, error) {
	options := b.wiring.kafka
	options.Registerer = nil // two consumers in one process would count together
	consumer := kafka.NewConsumer(options, kafka.ConsumerOptions{Group: group, Streams: consumed(), BatchEvents: b.wiring.config.Kafka.BatchEvents})
	progress, ends := newOffsets(), b.ends()
	server := b.serverCPU(ctx)
	runtime.GC()
	g, gctx := errgroup.WithContext(ctx)
	gctx, stop := context.WithCancel(gctx)
	defer stop()
	begin, cpu := time.Now(), processCPU()
	g.Go(func() error {
		return consumer.Run(gctx, func(ctx context.Context, topic string, partition int) (kafka.Partition, error) {
			return open(ctx, topic, partition, progress.note)
		})
	})
	every(gctx, time.Millisecond, func() bool { return progress.sum(ends) >= total })
	took := time.Since(begin)
	out := pass{rate: perSecond(total, took), client: processCPU() - cpu, server: b.serverCPU(ctx) - server}
	stop()
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return pass{}, err
	}
	return out, ctx.Err()
}

// serverCPU returns 0 when the server does not say: what is in this process counts there.
func (b *benchRun) serverCPU(ctx context.Context) time.Duration {
	used, err := b.parts.store.ServerCPU(ctx)
	if err != nil {
		return 0
	}
	return used
}

func perSecond(n int64, took time.Duration) int64 { return int64(float64(n) / took.Seconds()) }

// drain is a partition that forgets everything.
type drain struct {
	next int64
	then func(context.Context, []streams.Record) error // first; nil = nothing
	note func(next int64)
}

// Next returns the offset behind the last one that was forgotten.
func (d *drain) Next() int64 { return d.next }

// Apply forgets the records.
func (d *drain) Apply(ctx context.Context, recs []streams.Record, last int64) error {
	if d.then != nil {
		if err := d.then(ctx, recs); err != nil {
			return err
		}
	}
	d.next = last + 1
	d.note(d.next)
	return nil
}

// Idle does nothing.
func (d *drain) Idle(context.Context) error { return nil }
