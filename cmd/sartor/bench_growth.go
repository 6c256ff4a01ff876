package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sartorhq/sartor/deploy/devstack"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

// growthOptions are the flags of 'sartor bench growth'.
type growthOptions struct {
	users, partitions      []int
	items, perUser, events int
	noRedis                bool
}

func newBenchGrowthCommand(a *app) *cobra.Command {
	opts := growthOptions{users: []int{10_000, 100_000, 1_000_000}, partitions: []int{4, 16, 64}}
	cmd := &cobra.Command{
		Use:   "growth",
		Short: "Measure what ingest costs as users and partitions grow",
		Long: `For each number of users and of partitions it starts a broker and Redis in a temporary folder, gives
every user some events, and then measures how more events of random users are ingested: events a
second, process time an event of this process (consumer, fold and the broker, which is in it) and of
Redis, memory of Redis a user, and how long one user's features take to read.

Everything shares the machine, so events a second are a lower bound; process time an event is steadier.
Memory counts everything in Redis, the items too, and divides it by the users.`,
		Example: `  sartor bench growth
  sartor bench growth --users 10000,100000 --partitions 4,16 --events 100000
  sartor bench growth --users 10000 --partitions 4 --per-user 60`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchGrowth(cmd.Context(), opts) },
	}
	flags := cmd.Flags()
	flags.IntSliceVar(&opts.users, "users", opts.users, "numbers of users")
	flags.IntSliceVar(&opts.partitions, "partitions", opts.partitions, "numbers of partitions of each topic")
	flags.IntVar(&opts.perUser, "per-user", 3, "events that every user has before the measurement")
	flags.IntVar(&opts.events, "events", 200_000, "events that are measured")
	flags.IntVar(&opts.items, "items", 2000, "items of the shop")
	flags.BoolVar(&opts.noRedis, "in-process-redis", false, "do not use redis-server although it is on PATH")
	return cmd
}

func (o *growthOptions) check() error {
	for _, n := range slices.Concat(o.users, o.partitions) {
		if n < 1 {
			return usagef("--users and --partitions need numbers greater than zero")
		}
	}
	if len(o.users) == 0 || len(o.partitions) == 0 || slices.Max(o.partitions) > 1000 || o.perUser < 1 || o.events < 1000 || o.items < 1 {
		return usagef("--users and --partitions (at most 1000) need one number each, --events 1000 or more, --per-user and --items 1 or more")
	}
	return nil
}

// benchGrowth measures one cell after the other, each on servers of its own.
func (a *app) benchGrowth(ctx context.Context, opts growthOptions) error {
	if err := opts.check(); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "GROWTH  %d events a user first, then %s events of random users; %s items, batches of %d\n",
		opts.perUser, thousands(int64(opts.events)), thousands(int64(opts.items)), a.config.Kafka.BatchEvents)
	fmt.Fprintf(a.stdout, "%10s %10s %10s %12s %12s %12s %10s %10s\n", "users", "partitions", "events/s", "process us", "redis us", "bytes/user", "read p50", "read p99")
	for _, users := range opts.users {
		for _, partitions := range opts.partitions {
			cell, err := a.growthCell(ctx, opts, users, partitions)
			if err != nil {
				return fmt.Errorf("%d users, %d partitions: %w", users, partitions, err)
			}
			redisMicros, bytes := "-", "-"
			if cell.redisCPU > 0 {
				redisMicros = fmt.Sprintf("%.1f", float64(cell.redisCPU.Nanoseconds())/1000/float64(cell.events))
			}
			if cell.bytes > 0 {
				bytes = thousands(cell.bytes / int64(users))
			}
			fmt.Fprintf(a.stdout, "%10s %10d %10s %12.1f %12s %12s %10s %10s\n", thousands(int64(users)), partitions,
				thousands(perSecond(cell.events, cell.took)), float64(cell.cpu.Nanoseconds())/1000/float64(cell.events), redisMicros, bytes,
				microseconds(cell.reads.Quantile(0.5)), microseconds(cell.reads.Quantile(0.99)))
		}
	}
	return nil
}

func microseconds(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) + "us" }

// growth is what one cell measured.
type growth struct {
	events        int64
	took          time.Duration
	cpu, redisCPU time.Duration // 0 = unknown
	bytes         int64         // of Redis after the users' first events; 0 = unknown
	reads         loadResult
}

// growthCell measures one number of users and of partitions.
func (a *app) growthCell(ctx context.Context, opts growthOptions, users, partitions int) (cell growth, err error) {
	stack, end, err := a.benchStack(ctx, devstack.Options{NoRedisServer: opts.noRedis, Partitions: partitions,
		RetentionBytes: 1 << 40})
	if err != nil {
		return cell, err
	}
	defer func() { err = errors.Join(err, end()) }()
	w, err := a.newWiring()
	if err != nil {
		return cell, err
	}
	w.kafka.Brokers, w.kafka.Registerer, w.redis.Registerer = stack.Brokers(), nil, nil
	w.redis.Addrs, w.redis.Network, w.redis.ReadTimeout = stack.RedisAddrs(), stack.RedisNetwork(), time.Minute
	g := &growthRun{opts: opts, users: users, stack: stack, wiring: w, rng: rand.New(rand.NewPCG(1, 1)),
		parts: servingParts{store: redisstore.New(w.redis, w.schema), producer: kafka.NewProducer(w.kafka)}}
	defer func() { err = errors.Join(err, g.parts.close()) }()
	if err := g.parts.store.Open(ctx); err != nil {
		return cell, err
	}
	return g.run(ctx)
}

// growthRun is one cell under way.
type growthRun struct {
	opts   growthOptions
	users  int
	stack  *devstack.Stack
	wiring *wiring
	parts  servingParts
	rng    *rand.Rand
	made   int
}

func (g *growthRun) run(ctx context.Context) (cell growth, err error) {
	empty, err := redisFigures(ctx, g.stack.RedisNetwork(), g.stack.RedisAddrs()[0])
	if err != nil {
		return cell, err
	}
	first := g.users * g.opts.perUser
	if err := g.produce(ctx, first, func(n int) int { return n % g.users }); err != nil {
		return cell, err
	}
	if _, err := g.consume(ctx); err != nil {
		return cell, err
	}
	full, err := redisFigures(ctx, g.stack.RedisNetwork(), g.stack.RedisAddrs()[0])
	if err != nil {
		return cell, err
	}
	cell.bytes = full.memory - empty.memory
	if err := g.produce(ctx, g.opts.events, func(int) int { return g.rng.IntN(g.users) }); err != nil {
		return cell, err
	}
	before, err := redisFigures(ctx, g.stack.RedisNetwork(), g.stack.RedisAddrs()[0])
	if err != nil {
		return cell, err
	}
	spent := processCPU()
	if cell.took, err = g.consume(ctx); err != nil {
		return cell, err
	}
	cell.events, cell.cpu = int64(g.opts.events), processCPU()-spent
	after, err := redisFigures(ctx, g.stack.RedisNetwork(), g.stack.RedisAddrs()[0])
	if err != nil {
		return cell, err
	}
	cell.redisCPU = after.cpu - before.cpu
	return cell, g.read(ctx, &cell)
}

// produce writes n events of users that which chooses.
func (g *growthRun) produce(ctx context.Context, n int, which func(n int) int) error {
	const piece = 2000
	types := []streams.Type{streams.View, streams.View, streams.View, streams.View, streams.Click, streams.CartAdd, streams.Order}
	start := time.Now().UTC().Add(-30 * 24 * time.Hour).Truncate(time.Hour)
	events := make([]streams.Event, 0, piece)
	for i := range n {
		typ := types[g.rng.IntN(len(types))]
		e := streams.Event{ID: "g" + strconv.Itoa(g.made), Type: typ, Time: start.Add(time.Duration(g.made) * time.Millisecond),
			UserID: "user-" + strconv.Itoa(which(i)), Items: []streams.Line{{ItemID: "sku-" + strconv.Itoa(g.rng.IntN(g.opts.items))}}}
		g.made++
		switch typ {
		case streams.CartAdd, streams.Order:
			e.Items[0].Quantity, e.Items[0].Price = 1, 1000+g.rng.Int64N(10_000)
		}
		if typ == streams.Order {
			e.OrderID, e.Currency = e.ID, "EUR"
		}
		if events = append(events, e); len(events) == piece || i == n-1 {
			if err := g.parts.producer.Write(ctx, events...); err != nil {
				return err
			}
			events = events[:0]
		}
	}
	return nil
}

// consume ingests what is in the log and not in Redis, and returns how long that took from the moment
// at which all partitions were open.
func (g *growthRun) consume(ctx context.Context) (time.Duration, error) {
	ends, err := kafka.Ends(ctx, g.wiring.kafka, consumed())
	if err != nil {
		return 0, err
	}
	progress, wanted := newOffsets(), 0
	for _, partitions := range ends {
		wanted += len(partitions)
	}
	eg, gctx := errgroup.WithContext(ctx)
	gctx, stop := context.WithCancel(gctx)
	defer stop()
	eg.Go(func() error { return runIngest(gctx, g.wiring, g.parts.store, progress.note) })
	var begin time.Time
	total := count(ends)
	every(gctx, time.Millisecond, func() bool {
		if begin.IsZero() && progress.known() == wanted {
			begin = time.Now()
		}
		return progress.sum(ends) >= total
	})
	took := time.Since(begin)
	stop()
	if err := eg.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return 0, err
	}
	return took, ctx.Err()
}

// read reads users one after the other.
func (g *growthRun) read(ctx context.Context, cell *growth) error {
	for range 3000 {
		user, begin := "user-"+strconv.Itoa(g.rng.IntN(g.users)), time.Now()
		if st, err := g.parts.store.User(ctx, user); err != nil || st == nil {
			return fmt.Errorf("read %s: nothing is stored (%w)", user, err)
		}
		cell.reads.latencies = append(cell.reads.latencies, time.Since(begin))
	}
	slices.Sort(cell.reads.latencies)
	return nil
}
