package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sartorhq/sartor/deploy/devstack"
	starter "github.com/sartorhq/sartor/deploy/rules"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
	"github.com/sartorhq/sartor/streams/synth"
)

// benchOptions are the flags of 'sartor bench'.
type benchOptions struct {
	events, newcomers, connections int
	items                          int
	duration                       time.Duration
	rate                           float64
	noRedis                        bool
}

func newBenchCommand(a *app) *cobra.Command {
	var opts benchOptions
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine: ingest, requests and freshness, each beside its limit",
		Long: `Starts everything in this process in a temporary folder and measures, one after the other, how many
events a second it ingests, how many requests a second it answers and how late, and how soon an event
changes the next answer. Beside each figure stands its limit, measured in the same run: the log read
without applying anything, an empty HTTP handler, one read from Redis.

Latencies are measured with an open loop: requests are sent at a fixed rate whatever the answers do,
and count from the moment at which they were due. Server, broker, Redis and load generator share the
machine, so the figures are lower bounds.`,
		Example: `  sartor bench
  sartor bench --events 500000 --duration 20s
  sartor bench --rate 500 --in-process-redis`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.bench(cmd.Context(), opts) },
	}
	flags := cmd.Flags()
	flags.IntVar(&opts.events, "events", 100_000, "events to ingest, about")
	flags.IntVar(&opts.items, "items", 2000, "items of the shop")
	flags.DurationVar(&opts.duration, "duration", 5*time.Second, "length of each request measurement")
	flags.Float64Var(&opts.rate, "rate", 0, "requests a second for the latencies; 0 = half of what was answered at most")
	flags.IntVar(&opts.connections, "connections", 32, "connections of the load generator")
	flags.IntVar(&opts.newcomers, "newcomers", 200, "users whose first event is followed into their next answer")
	flags.BoolVar(&opts.noRedis, "in-process-redis", false, "do not use redis-server although it is on PATH")
	return cmd
}

// bench measures in a temporary stack, which it removes.
func (a *app) bench(ctx context.Context, opts benchOptions) (err error) {
	if opts.events < 1000 || opts.connections < 1 || opts.duration <= 0 || opts.newcomers < 1 || opts.items < 10 {
		return usagef("--events needs 1000 or more, --items 10 or more, and the other numbers must be greater than zero")
	}
	if a.origins["log.level"] == "default" {
		a.logger = newLogger(a.stderr, LogConfig{Level: "warn", Format: a.config.Log.Format})
	}
	stack, err := devstack.Start(ctx, devstack.Options{Ephemeral: true, NoRedisServer: opts.noRedis, Partitions: 4,
		RetentionBytes: 1 << 40, Logger: a.logger})
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		err = errors.Join(err, stack.Close(stop))
	}()
	if err := a.adoptBench(stack); err != nil {
		return err
	}
	w, err := a.newWiring()
	if err != nil {
		return err
	}
	b := &benchRun{app: a, opts: opts, stack: stack, wiring: w,
		parts: servingParts{store: redisstore.New(w.redis, w.schema), producer: kafka.NewProducer(w.kafka)}}
	return ignoreCanceled(ctx, errors.Join(b.run(ctx), b.parts.close()))
}

// adoptBench configures the roles for the stack: the starter rules, an empty registry, and time
// enough for every answer to be complete, because the benchmark wants to know how long that takes.
func (a *app) adoptBench(stack *devstack.Stack) error {
	a.config.Kafka.Brokers, a.config.Redis.Addrs = stack.Brokers(), stack.RedisAddrs()
	a.config.Redis.Shards, a.config.Redis.ReadTimeout, a.config.HTTP.Budget = devShards, devBudget/2, devBudget
	a.config.Models.Dir, a.config.Models.Poll = filepath.Join(stack.Dir(), "models"), pollEvery
	a.config.Rules.Dir = filepath.Join(stack.Dir(), "rules")
	if err := os.CopyFS(a.config.Rules.Dir, starter.FS); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("copy the starter rules: %w", err)
	}
	return nil
}

// benchRun is one run of 'sartor bench'.
type benchRun struct {
	app    *app
	opts   benchOptions
	stack  *devstack.Stack
	wiring *wiring
	parts  servingParts
	users  int
}

func (b *benchRun) printf(format string, args ...any) { fmt.Fprintf(b.app.stdout, format, args...) }

// run measures in the order of the road.
func (b *benchRun) run(ctx context.Context) error {
	kernels := "pure Go"
	if kernel.Accelerated() {
		kernels = "assembly"
	}
	b.printf("sartor %s, %s %s/%s, %d CPUs, %s kernels\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), kernels)
	for _, line := range b.stack.Describe()[:2] {
		b.printf("%s\n", line)
	}
	if err := b.parts.store.Open(ctx); err != nil {
		return err
	}
	total, err := b.fill(ctx)
	if err != nil {
		return fmt.Errorf("fill the log: %w", err)
	}
	if err := b.ingest(ctx, total); err != nil {
		return fmt.Errorf("measure ingest: %w", err)
	}
	return b.serving(ctx)
}

// fill produces a shop's history of about the wanted size.
func (b *benchRun) fill(ctx context.Context) (int64, error) {
	const days = 30
	b.users = max(20, b.opts.events/60) // a user leaves some sixty events in a month
	start := time.Now().UTC().Add(-days * 24 * time.Hour).Truncate(time.Hour)
	shop := synth.New(synth.Options{Seed: 1, Users: b.users, Items: b.opts.items, Days: days, Start: start})
	begin := time.Now()
	if err := produceHistory(ctx, shop, time.Now().UTC(), b.parts.producer, nil); err != nil {
		return 0, err
	}
	total := int64(0)
	for _, ends := range b.ends() {
		for _, end := range ends {
			total += end
		}
	}
	b.printf("\nINGEST                                          events/s\n")
	b.printf("  produce, acks=all                           %10s   (%s events)\n", thousands(perSecond(total, time.Since(begin))), thousands(total))
	return total, nil
}

func (b *benchRun) ends() map[string][]int64 {
	ends := map[string][]int64{}
	for _, stream := range consumed() {
		topic := b.wiring.kafka.Topic(stream)
		ends[topic] = b.stack.Ends(topic)
	}
	return ends
}

// ingest consumes the log twice, each time from its start: into nothing, and into Redis.
func (b *benchRun) ingest(ctx context.Context, total int64) error {
	limit, err := b.consume(ctx, "bench-limit", total, func(_ context.Context, topic string, partition int, applied func(string, int, int64)) (kafka.Partition, error) {
		return &drain{note: func(next int64) { applied(topic, partition, next) }}, nil
	})
	if err != nil {
		return err
	}
	b.printf("  read and decode, apply nothing (the limit)  %10s\n", thousands(limit))
	rate, err := b.consume(ctx, "bench", total, func(ctx context.Context, topic string, partition int, applied func(string, int, int64)) (kafka.Partition, error) {
		p, err := b.parts.store.Partition(ctx, topic, partition)
		if err != nil {
			return nil, err
		}
		return &sink{schema: b.wiring.schema, store: p, applied: func(next int64) { applied(topic, partition, next) }}, nil
	})
	if err != nil {
		return err
	}
	b.printf("  read, decode, fold, apply to Redis          %10s   %.0f %% of the limit\n", thousands(rate), 100*float64(rate)/float64(limit))
	return nil
}

// consume reads the whole log in a group of its own and returns the events per second.
func (b *benchRun) consume(ctx context.Context, group string, total int64,
	open func(ctx context.Context, topic string, partition int, applied func(string, int, int64)) (kafka.Partition, error)) (int64, error) {
	options := b.wiring.kafka
	options.Registerer = nil // two consumers in one process would count together
	consumer := kafka.NewConsumer(options, kafka.ConsumerOptions{Group: group, Streams: consumed(), BatchEvents: b.wiring.config.Kafka.BatchEvents})
	progress, ends := newOffsets(), b.ends()
	g, gctx := errgroup.WithContext(ctx)
	gctx, stop := context.WithCancel(gctx)
	defer stop()
	g.Go(func() error {
		return consumer.Run(gctx, func(ctx context.Context, topic string, partition int) (kafka.Partition, error) {
			return open(ctx, topic, partition, progress.note)
		})
	})
	begin := time.Now()
	every(gctx, time.Millisecond, func() bool { return progress.sum(ends) >= total })
	took := time.Since(begin)
	stop()
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return 0, err
	}
	return perSecond(total, took), ctx.Err()
}

func perSecond(n int64, took time.Duration) int64 { return int64(float64(n) / took.Seconds()) }

// drain is a partition that forgets everything.
type drain struct {
	next int64
	note func(next int64)
}

// Next returns the offset behind the last one that was forgotten.
func (d *drain) Next() int64 { return d.next }

// Apply forgets the records.
func (d *drain) Apply(_ context.Context, _ []streams.Record, last int64) error {
	d.next = last + 1
	d.note(d.next)
	return nil
}

// Idle does nothing.
func (d *drain) Idle(context.Context) error { return nil }

// serving starts the read path, ingest beside it, and measures both.
func (b *benchRun) serving(ctx context.Context) error {
	ln, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := newServing(b.wiring, b.parts)
	g, gctx := errgroup.WithContext(ctx)
	gctx, stop := context.WithCancel(gctx)
	defer stop()
	g.Go(func() error { return s.run(gctx, ln) })
	g.Go(func() error { return runIngest(gctx, b.wiring, b.parts.store, func(string, int, int64) {}) })
	g.Go(func() error {
		defer stop()
		if err := b.model(gctx, s); err != nil {
			return err
		}
		if err := b.requests(gctx, ln.Addr()); err != nil {
			return fmt.Errorf("measure requests: %w", err)
		}
		return b.freshness(gctx, ln.Addr())
	})
	return g.Wait()
}

// model trains what the requests are answered from and waits until it serves.
func (b *benchRun) model(ctx context.Context, s *serving) error {
	meta, err := trainModel(ctx, trainOptions{Read: kafkaEvents(b.wiring.kafka), Schema: b.wiring.schema, Split: splitNone,
		Train: train.Options{Epochs: 4, Seed: 1}, FixedKappa: true, Registry: s.models})
	if err != nil {
		return fmt.Errorf("train a model: %w", err)
	}
	ready := func() bool {
		st := s.rec.Status()
		return st.Versions.Model == meta.Version && st.Items > 0
	}
	if !ready() && !every(ctx, pollEvery, ready) {
		return ctx.Err()
	}
	st := s.rec.Status()
	b.printf("\nREQUESTS  %s items, %d factors, the starter rules, lists of 10, %s users\n", thousands(int64(st.Items)), st.Model.Dim, thousands(int64(b.users)))
	return nil
}

// target is something that requests are measured on.
type target struct {
	name string
	do   call
}

// targets are the answer and, before it, its limits.
func (b *benchRun) targets(ctx context.Context, addr net.Addr) (all []target, closeAll func()) {
	conns := make([]*httpConn, b.opts.connections)
	for i := range conns {
		conns[i] = &httpConn{addr: addr.String()}
	}
	empty := request("GET", "/livez", addr.String(), nil)
	asks := make([][]byte, 512)
	for i := range asks {
		asks[i] = request("POST", "/v1/recommend", addr.String(),
			fmt.Appendf(nil, `{"user_id":"u%d","scenario":"home","count":10,"context":{"country":"DE"}}`, 1+i*b.users/len(asks)))
	}
	turn := make([]int, b.opts.connections)
	next := func(worker int) int { turn[worker]++; return (worker*31 + turn[worker]) % len(asks) }
	return []target{
			{"empty HTTP handler (limit)", func(worker int) error { _, err := conns[worker].do(empty); return err }},
			{"one user read from Redis (limit)", func(worker int) error {
				_, err := b.parts.store.User(ctx, "u"+strconv.Itoa(1+next(worker)*b.users/len(asks)))
				return err
			}},
			{"POST /v1/recommend", func(worker int) error { _, err := conns[worker].do(asks[next(worker)]); return err }},
		}, func() {
			for _, c := range conns {
				_ = c.close() // the measurement is over
			}
		}
}

// requests finds what each target can take, and then how late it is at one rate for all.
func (b *benchRun) requests(ctx context.Context, addr net.Addr) error {
	all, closeAll := b.targets(ctx, addr)
	defer closeAll()
	capacity := make([]float64, len(all))
	for i, t := range all {
		saturate(ctx, time.Second, b.opts.connections, t.do) // warm up
		r := saturate(ctx, b.opts.duration, b.opts.connections, t.do)
		if r.Errors > 0 {
			return fmt.Errorf("%s: %d of %d failed, the first: %w", t.name, r.Errors, r.Calls, r.FirstErr)
		}
		capacity[i] = r.Rate()
	}
	rate := b.opts.rate
	if rate == 0 {
		rate = capacity[len(capacity)-1] / 2
	}
	b.printf("  %-34s %10s   at %s/s: %8s %8s %8s\n", "", "most/s", thousands(int64(rate)), "p50", "p95", "p99")
	for i, t := range all {
		r := openLoop(ctx, b.opts.duration, rate, b.opts.connections, t.do)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.printf("  %-34s %10s   %*s %8s %8s %8s", t.name, thousands(int64(capacity[i])), len("at /s:")+len(thousands(int64(rate))), "",
			millis(r.Quantile(0.5)), millis(r.Quantile(0.95)), millis(r.Quantile(0.99)))
		if r.Errors > 0 {
			b.printf("   %d failed: %v", r.Errors, r.FirstErr)
		}
		b.printf("\n")
	}
	return nil
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2fms", float64(d.Microseconds())/1000) }

// freshness follows the first event of new users into their next answer.
func (b *benchRun) freshness(ctx context.Context, addr net.Addr) error {
	c := &httpConn{addr: addr.String()}
	defer func() { _ = c.close() }()
	delays := &loadResult{}
	for n := range b.opts.newcomers {
		user := fmt.Sprintf("newcomer-%d", n)
		ask := request("POST", "/v1/recommend", addr.String(), fmt.Appendf(nil, `{"user_id":%q,"scenario":"home"}`, user))
		answer, err := c.do(ask)
		if err != nil {
			return err
		}
		before, liked := textAfter(answer, `"served_by":"`), textAfter(answer, `"item_id":"`) // a hot one: the model knows it
		event := request("POST", "/v1/events", addr.String(), fmt.Appendf(nil, `{"event_id":"fresh-%d","type":"cart-add","time":%q,"user_id":%q,"item_id":%q}`,
			n, time.Now().UTC().Format(time.RFC3339Nano), user, liked))
		begin := time.Now()
		if _, err := c.do(event); err != nil {
			return err
		}
		for textAfter(answer, `"served_by":"`) == before {
			if answer, err = c.do(ask); err != nil {
				return err
			}
			if time.Since(begin) > time.Minute {
				return fmt.Errorf("the event of %s has not changed its answer for a minute: %s", user, answer)
			}
		}
		delays.latencies = append(delays.latencies, time.Since(begin))
	}
	slices.Sort(delays.latencies)
	b.printf("\nFRESHNESS\n  event posted by HTTP, durable, folded, in the next answer: p50 %s, p99 %s (%d users)\n",
		millis(delays.Quantile(0.5)), millis(delays.Quantile(0.99)), len(delays.latencies))
	return nil
}

// textAfter cuts the first JSON text behind a key out of an answer, without reading the rest.
func textAfter(body []byte, key string) string {
	_, rest, _ := bytes.Cut(body, []byte(key))
	text, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(text)
}
