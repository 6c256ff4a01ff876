package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sartorhq/sartor/deploy/devstack"
	starter "github.com/sartorhq/sartor/deploy/rules"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/models/train"
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
	users, partitions              int // 0 = what suits the events; 4
	ingestOnly                     bool
	profile                        string // a file, for 'bench ingest'
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
	cmd.AddCommand(newBenchIngestCommand(a), newBenchServeCommand(a), newBenchFreshnessCommand(a), newBenchGrowthCommand(a), newBenchLoadCommand(a), newBenchTrainCommand(a))
	return cmd
}

// bench measures in a temporary stack, which it removes.
func (a *app) bench(ctx context.Context, opts benchOptions) (err error) {
	if opts.events < 1000 || opts.connections < 1 || opts.duration <= 0 || opts.newcomers < 1 || opts.items < 10 {
		return usagef("--events needs 1000 or more, --items 10 or more, and the other numbers must be greater than zero")
	}
	stack, end, err := a.benchStack(ctx, devstack.Options{NoRedisServer: opts.noRedis, Partitions: cmp.Or(opts.partitions, 4),
		RetentionBytes: 1 << 40})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
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
	if b.opts.ingestOnly {
		return nil
	}
	return b.serving(ctx)
}

// fill produces a shop's history of about the wanted size.
func (b *benchRun) fill(ctx context.Context) (int64, error) {
	const days = 30
	b.users = cmp.Or(b.opts.users, max(20, b.opts.events/60)) // a user leaves some sixty events in a month
	start := time.Now().UTC().Add(-days * 24 * time.Hour).Truncate(time.Hour)
	shop := synth.New(synth.Options{Seed: 1, Users: b.users, Items: b.opts.items, Days: days, Start: start})
	begin := time.Now()
	if err := produceHistory(ctx, shop, time.Now().UTC(), b.parts.producer, nil); err != nil {
		return 0, err
	}
	total := count(b.ends())
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

// serving starts the read path and measures it: first alone, so that it can be set beside its limits,
// then with ingest beside it, which also applies what was shown meanwhile.
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
	g.Go(func() error {
		defer stop()
		if err := b.model(gctx, s); err != nil {
			return err
		}
		if err := b.requests(gctx, ln.Addr()); err != nil {
			return fmt.Errorf("measure requests: %w", err)
		}
		applied := newOffsets()
		g.Go(func() error { return runIngest(gctx, b.wiring, b.parts.store, applied.note) })
		if !every(gctx, pollEvery, func() bool { ends := b.ends(); return applied.sum(ends) == count(ends) }) {
			return gctx.Err()
		}
		return b.freshness(gctx, ln.Addr())
	})
	return g.Wait()
}

// count adds up offsets.
func count(ends map[string][]int64) int64 {
	var total int64
	for _, partitions := range ends {
		for _, end := range partitions {
			total += end
		}
	}
	return total
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
