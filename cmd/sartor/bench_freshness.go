package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sartorhq/sartor/deploy/devstack"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
	"github.com/sartorhq/sartor/streams/synth"
)

// freshnessGoal is the promise: what is accepted is in an answer that soon, for 99 of 100 events.
const freshnessGoal = time.Second

// freshnessOptions are the flags of 'sartor bench freshness'.
type freshnessOptions struct {
	rate, probes       float64
	batch, connections int
	users, items       int
	partitions         int
	duration, patience time.Duration
	noRedis            bool
	name               string // of topics and keys, on servers that are not ours
}

func newBenchFreshnessCommand(a *app) *cobra.Command {
	var opts freshnessOptions
	cmd := &cobra.Command{
		Use:   "freshness",
		Short: "Measure how soon events posted by HTTP are visible in answers, at a constant rate",
		Long: `Posts events in batches at a constant rate to the HTTP interface, whose other end is Kafka, ingest and
Redis, and follows some of them until an answer of POST /v1/recommend shows them: the first event of a
visitor whom nobody knows, who before it gets the popular list and behind it a personal one.

The loop is open: posts are due at fixed moments whatever the answers do, and times count from these
moments, so that whoever had to wait behind a stall is counted. Servers named by the configuration are
used as they are, under topics and keys of a name of their own, which are left there; otherwise
everything runs in this process and in a temporary folder, and shares the machine with the load.`,
		Example: `  sartor bench freshness
  sartor bench freshness --rate 2000 --in-process-redis
  SARTOR_KAFKA_BROKERS=kafka:9092 SARTOR_REDIS_ADDRS=redis:6379 sartor bench freshness --duration 1m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchFreshness(cmd.Context(), opts) },
	}
	flags := cmd.Flags()
	flags.Float64Var(&opts.rate, "rate", 10_000, "events a second")
	flags.IntVar(&opts.batch, "batch", 100, "events in a post")
	flags.Float64Var(&opts.probes, "probes", 50, "events a second that are followed into an answer, one of each post at most")
	flags.DurationVar(&opts.duration, "duration", 10*time.Second, "length of the measurement")
	flags.IntVar(&opts.connections, "connections", 32, "connections that post")
	flags.IntVar(&opts.users, "users", 5000, "users whose events are the load")
	flags.IntVar(&opts.items, "items", 1000, "items of the shop")
	flags.IntVar(&opts.partitions, "partitions", 4, "partitions of each topic")
	flags.DurationVar(&opts.patience, "patience", time.Minute, "how long an event is followed at most")
	flags.BoolVar(&opts.noRedis, "in-process-redis", false, "do not use redis-server although it is on PATH")
	return cmd
}

func (o *freshnessOptions) check() error {
	switch {
	case o.rate < 1 || o.batch < 1 || o.batch > 1000 || o.probes <= 0 || o.duration <= 0 || o.connections < 1 || o.partitions < 1 || o.patience <= 0:
		return usagef("--rate and --connections need 1 or more, --batch 1 to 1000, and the other numbers must be greater than zero")
	case o.users < 10 || o.items < 20:
		return usagef("--users needs 10 or more, --items 20 or more")
	}
	o.probes = min(o.probes, o.rate/float64(o.batch)) // one of each post at most
	return nil
}

// benchFreshness measures on a temporary stack, which it removes, or on the configured servers.
func (a *app) benchFreshness(ctx context.Context, opts freshnessOptions) (err error) {
	if err := opts.check(); err != nil {
		return err
	}
	opts.name = fmt.Sprintf("freshness-%d", time.Now().UnixNano())
	topics := map[streams.Stream]string{}
	for _, s := range streams.Streams() {
		topics[s] = opts.name + "-" + string(s)
	}
	stack, end, err := a.benchStack(ctx, devstack.Options{NoRedisServer: opts.noRedis, Partitions: opts.partitions, Topics: topics,
		Brokers: a.config.Kafka.Brokers, RedisAddrs: a.config.Redis.Addrs, RetentionBytes: 1 << 40})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := a.adoptBench(stack); err != nil {
		return err
	}
	a.config.Rules.Dir, a.config.Redis.Prefix, a.config.Kafka.Partitions, a.config.Kafka.Group = "", opts.name+":", opts.partitions, opts.name
	a.config.Models.Dir = filepath.Join(stack.Dir(), "models")
	w, err := a.newWiring()
	if err != nil {
		return err
	}
	w.kafka.Topics, w.redis.ReadTimeout = topics, time.Minute
	f := &freshnessRun{app: a, opts: opts, stack: stack, wiring: w,
		parts: servingParts{store: redisstore.New(w.redis, w.schema), producer: kafka.NewProducer(w.kafka)}}
	return ignoreCanceled(ctx, errors.Join(f.run(ctx), f.parts.close()))
}

// freshnessRun is one run of 'sartor bench freshness'.
type freshnessRun struct {
	app     *app
	opts    freshnessOptions
	stack   *devstack.Stack
	wiring  *wiring
	parts   servingParts
	serving *serving
	addr    string
}

// run brings a shop to life and measures beside it.
func (f *freshnessRun) run(ctx context.Context) error {
	if err := f.parts.store.Open(ctx); err != nil {
		return err
	}
	if err := f.wiring.ensureTopics(ctx); err != nil {
		return err
	}
	if err := f.history(ctx); err != nil {
		return fmt.Errorf("fill the log: %w", err)
	}
	ln, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	f.serving, f.addr = newServing(f.wiring, f.parts), ln.Addr().String()
	applied := newOffsets()
	g, gctx := errgroup.WithContext(ctx)
	gctx, stop := context.WithCancel(gctx)
	defer stop()
	g.Go(func() error { return f.serving.run(gctx, ln) })
	g.Go(func() error { return runIngest(gctx, f.wiring, f.parts.store, applied.note) })
	g.Go(func() error {
		defer stop()
		if err := f.ready(gctx, applied); err != nil {
			return err
		}
		return f.measure(gctx)
	})
	return g.Wait()
}

// history produces a small shop's week, from which a model can learn the items.
func (f *freshnessRun) history(ctx context.Context) error {
	const days = 7
	start := time.Now().UTC().Add(-days * 24 * time.Hour).Truncate(time.Hour)
	shop := synth.New(synth.Options{Seed: 1, Users: max(f.opts.users/20, 20), Items: f.opts.items, Days: days, Start: start})
	return produceHistory(ctx, shop, time.Now().UTC(), f.parts.producer, nil)
}

// ready waits until the history is applied and a model answers.
func (f *freshnessRun) ready(ctx context.Context, applied *offsets) error {
	ends, err := kafka.Ends(ctx, f.wiring.kafka, consumed())
	if err != nil {
		return err
	}
	caughtUp := func() bool { return applied.sum(ends) == count(ends) }
	if !caughtUp() && !every(ctx, pollEvery, caughtUp) {
		return ctx.Err()
	}
	meta, err := trainModel(ctx, trainOptions{Read: kafkaEvents(f.wiring.kafka), Schema: f.wiring.schema, Split: splitNone,
		Train: train.Options{Epochs: 4, Dim: 16, Seed: 1}, FixedKappa: true, Registry: f.serving.models})
	if err != nil {
		return fmt.Errorf("train a model: %w", err)
	}
	serves := func() bool {
		st := f.serving.rec.Status()
		return st.Versions.Model == meta.Version && st.Items > 0
	}
	if !serves() && !every(ctx, pollEvery, serves) {
		return ctx.Err()
	}
	return nil
}
