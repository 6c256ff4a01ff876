package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sartorhq/sartor/deploy/devstack"
	starter "github.com/sartorhq/sartor/deploy/rules"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

// stopTime bounds the end of 'sartor dev' after Ctrl-C.
const stopTime = 10 * time.Second

// devShards is the number of virtual shards of one small Redis: each batch and each idle second costs
// one script per shard, and the in-process Redis runs a few thousand scripts a second.
const devShards = 16

// devBudget is the time one answer may take where no other budget is configured.
const devBudget = 2 * time.Second

// pollEvery is how often 'sartor dev' looks whether what it waits for has happened.
const pollEvery = 100 * time.Millisecond

// devOptions are the flags of 'sartor dev' that no other command knows.
type devOptions struct {
	ephemeral bool
	shop      shopOptions
	trainTime time.Duration
	noRedis   bool
}

func newDevCommand(a *app) *cobra.Command {
	var opts devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything in one process, with a synthetic shop",
		Long: `Starts an embedded Kafka-protocol broker and Redis in a data folder, lets a synthetic shop live in
them, ingests its events, trains a first model (at most a minute) and answers on http://127.0.0.1:8080.
Only the sartor binary is needed. Redis is redis-server when that is on PATH, else an in-process one.

Ctrl-C stops it. The next start resumes from the folder. Rules are in FOLDER/rules: edit them while
it runs. Nothing here is for production.`,
		Example: `  sartor dev
  sartor dev --addr 127.0.0.1:9000 --data /tmp/shop
  sartor dev --ephemeral --seed 7`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.dev(cmd.Context(), opts) },
	}
	flags := cmd.Flags()
	a.bind(flags, "addr", "http.addr", "host:port to listen on")
	a.bind(flags, "data", "data.dir", "data folder")
	flags.BoolVar(&opts.ephemeral, "ephemeral", false, "use a temporary folder and keep nothing")
	flags.Uint64Var(&opts.shop.Seed, "seed", 1, "which synthetic shop")
	flags.IntVar(&opts.shop.Users, "users", 1500, "users of the shop")
	flags.IntVar(&opts.shop.Items, "items", 1500, "items of the shop")
	flags.IntVar(&opts.shop.Days, "days", 45, "days of history")
	flags.DurationVar(&opts.trainTime, "train-time", time.Minute, "longest time to train the first model")
	flags.BoolVar(&opts.noRedis, "in-process-redis", false, "do not use redis-server although it is on PATH")
	return cmd
}

// dev runs until ctx is done. What can fail for a reason the user can mend, a busy port or a locked
// folder, fails before any long work.
func (a *app) dev(ctx context.Context, opts devOptions) error {
	if a.origins["log.level"] == "default" { // progress and banner are for people; warnings still show
		a.logger = newLogger(a.stderr, LogConfig{Level: "warn", Format: a.config.Log.Format})
	}
	ln, err := listen(ctx, a.config.HTTP.Addr)
	if err != nil {
		return err
	}
	if err := checkExposed("http.addr", ln.Addr(), a.config.HTTP); err != nil {
		return errors.Join(err, ln.Close())
	}
	admin, err := a.openAdmin(ctx)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	stack, err := devstack.Start(ctx, devstack.Options{
		Dir: a.config.Data.Dir, Ephemeral: opts.ephemeral, Production: a.config.Profile == "production",
		Brokers: a.config.Kafka.Brokers, RedisAddrs: a.config.Redis.Addrs, NoRedisServer: opts.noRedis,
		Topics: a.config.Kafka.Topics.names(), Prepare: dropUnfinished, Logger: a.logger})
	if err != nil {
		return errors.Join(err, ln.Close(), closeAny(admin))
	}
	err = a.devOn(ctx, stack, ln, admin, opts)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return errors.Join(err, stack.Close(stop))
}

// closeAny closes a listener that may not be there.
func closeAny(ln net.Listener) error {
	if ln == nil {
		return nil
	}
	return ln.Close()
}

// devOn runs the roles on a stack until ctx is done. It closes the listeners, of which that of operators may be nil.
func (a *app) devOn(ctx context.Context, stack *devstack.Stack, ln, admin net.Listener, opts devOptions) error {
	if err := a.adoptStack(stack); err != nil {
		return errors.Join(err, ln.Close(), closeAny(admin))
	}
	w, err := a.newWiring()
	if err != nil {
		return errors.Join(err, ln.Close(), closeAny(admin))
	}
	// An in-process Redis applies a few thousand events a second, one command after the other: batches of
	// all partitions wait for each other. Giving up on one only makes the same work be done twice.
	// Requests have deadlines of their own.
	w.redis.ReadTimeout = time.Minute
	tracing, err := newTracing(ctx, a.config.Trace, buildVersion())
	if err != nil {
		return errors.Join(err, ln.Close(), closeAny(admin))
	}
	tracing.wireKafka(&w.kafka)
	parts := servingParts{admin: admin, store: redisstore.New(w.redis, w.schema), producer: kafka.NewProducer(w.kafka), trace: tracing}
	d := &devRun{app: a, stack: stack, wiring: w, parts: parts, opts: opts, applied: newOffsets()}
	if err := d.open(ctx); err != nil {
		return errors.Join(err, ln.Close(), closeAny(admin), parts.close())
	}
	d.serving = newServing(w, parts)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.serving.run(gctx, ln) })
	g.Go(func() error { return runIngest(gctx, w, parts.store, d.applied.note) })
	g.Go(func() error { return d.watchRedis(gctx) })
	g.Go(func() error { return d.direct(gctx, ln.Addr().String()) })
	return errors.Join(ignoreCanceled(ctx, g.Wait()), parts.close())
}

// adoptStack points the configuration at the stack and puts the starter rules into its folder.
func (a *app) adoptStack(stack *devstack.Stack) error {
	// Broker, Redis, shop and trainer share a laptop with the answers: better late than incomplete.
	if a.origins["http.budget"] == "default" {
		a.config.HTTP.Budget = devBudget
	}
	if a.origins["redis.read_timeout"] == "default" {
		a.config.Redis.ReadTimeout = devBudget / 2
	}
	a.config.Kafka.Brokers, a.config.Redis.Addrs = stack.Brokers(), stack.RedisAddrs()
	if a.origins["redis.shards"] == "default" {
		a.config.Redis.Shards = devShards
	}
	if a.config.Models.Dir == "" {
		a.config.Models.Dir = filepath.Join(stack.Dir(), "models")
	}
	if a.config.Rules.Dir != "" {
		return nil
	}
	a.config.Rules.Dir = filepath.Join(stack.Dir(), "rules")
	if _, err := os.Stat(a.config.Rules.Dir); !errors.Is(err, fs.ErrNotExist) {
		return err // there already: they are the user's now
	}
	if err := os.CopyFS(a.config.Rules.Dir, starter.FS); err != nil {
		return fmt.Errorf("copy the starter rules: %w", err)
	}
	return nil
}

// devRun is one run of 'sartor dev'.
type devRun struct {
	app     *app
	stack   *devstack.Stack
	wiring  *wiring
	parts   servingParts
	serving *serving
	opts    devOptions
	applied *offsets
}

func (d *devRun) open(ctx context.Context) error {
	if err := d.parts.store.Open(ctx); err != nil {
		return err
	}
	if d.stack.Ends(d.wiring.kafka.Topic(streams.Orders)) != nil {
		return nil // the embedded broker has its topics
	}
	return d.wiring.ensureTopics(ctx)
}

// watchRedis ends the run when the embedded Redis dies.
func (d *devRun) watchRedis(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.stack.RedisStopped():
		return fmt.Errorf("redis-server has ended: see %s", filepath.Join(d.stack.Dir(), "redis", "redis.log"))
	}
}

// direct brings the shop to life: history, ingest, first model, the banner, and then live events.
func (d *devRun) direct(ctx context.Context, addr string) error {
	out := d.app.stdout
	shop, err := openShop(ctx, d.stack.Dir(), d.opts.shop, d.parts.producer, out)
	if err != nil {
		return err
	}
	if err := d.waitIngested(ctx); err != nil {
		return err
	}
	if err := d.firstModel(ctx); err != nil {
		return err
	}
	if err := d.banner(out, "http://"+addr, findPlanted(shop)); err != nil {
		return err
	}
	live(ctx, shop, d.parts.producer, complainer{logger: d.app.logger, what: "the shop's live events cannot be produced"})
	return nil
}

// waitIngested waits until what is in the log now is applied, and seen by the catalogue view.
func (d *devRun) waitIngested(ctx context.Context) error {
	ends, total := map[string][]int64{}, int64(0)
	for _, stream := range consumed() {
		topic := d.wiring.kafka.Topic(stream)
		ends[topic] = d.stack.Ends(topic)
		for _, end := range ends[topic] {
			total += end
		}
	}
	bar := newStep(d.app.stdout, "ingest", "records", total)
	caughtUp := func() bool {
		applied := d.applied.sum(ends)
		bar.set(applied)
		return applied >= total && d.serving.rec.Status().Items > 0
	}
	if !caughtUp() && !every(ctx, pollEvery, caughtUp) {
		return ctx.Err()
	}
	bar.done()
	return nil
}

// firstModel trains a model unless the registry has one, and waits until it answers requests.
func (d *devRun) firstModel(ctx context.Context) error {
	models := d.serving.models
	version, err := models.Current()
	if errors.Is(err, registry.ErrEmpty) {
		// The budget bounds all trainings together: those to choose, to judge and to keep.
		meta, trainErr := trainModel(ctx, trainOptions{Read: kafkaEvents(d.wiring.kafka), Schema: d.wiring.schema,
			Train: train.Options{Seed: d.opts.shop.Seed}, Budget: d.opts.trainTime,
			Registry: models, Progress: d.app.stdout})
		version, err = meta.Version, trainErr
	}
	if err != nil {
		return fmt.Errorf("train the first model: %w", err)
	}
	serves := func() bool { return d.serving.rec.Status().Versions.Model == version }
	if !serves() && !every(ctx, pollEvery, serves) {
		return ctx.Err()
	}
	return nil
}
