package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/deploy/devstack"
	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/models/kernel"
)

// benchServeOptions are the flags of 'sartor bench serve'.
type benchServeOptions struct {
	items, rules   []int
	factors, users int
	connections    int
	duration       time.Duration
	overload       time.Duration
	noRedis        bool
	only           []string
	data           string // a recording in place of the synthetic shops: FORMAT:PATH
	profile        string // a file, for the requests and the start
}

// The parts of 'sartor bench serve', in the order in which they are measured.
const (
	partLimits   = "limits"
	partRequests = "requests"
	partFilters  = "filters"
	partStart    = "start"
	partOverload = "overload"
	partIndex    = "index" // only when it is named
)

var benchParts = []string{partLimits, partRequests, partFilters, partStart, partOverload, partIndex}

func newBenchServeCommand(a *app) *cobra.Command {
	opts := benchServeOptions{items: []int{10_000, 100_000, 1_000_000}, rules: []int{0, 10, 20, 50}}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Measure answers by size of the catalogue and number of rules, beside their limits",
		Long: `Starts Redis and the read path in this process with synthetic catalogues and a factor model, and prints
in one run: the empty HTTP handler and the handler with one round trip to Redis; the scan of the index
beside the bandwidth of the memory; answers a second at most, and how late they are at 60 % of that (open
loop) by items and rules; searches under filters; start to ready from a local snapshot; what three times too many requests,
from another process, do. Lines of ratios say how far each goal is.

Server, Redis and load generator share the machine, so the figures are lower bounds; process time per
answer, which other programs disturb least, stands beside them.`,
		Example: `  sartor bench serve
  sartor bench serve --items 10000 --rules 0,20 --duration 1s
  sartor bench serve --only start,overload --items 1000000 --overload 60s
  sartor bench serve --only index --items 10000000
  sartor bench serve --data ml-1m:data/ml-1m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchServe(cmd.Context(), opts) },
	}
	flags := cmd.Flags()
	flags.IntSliceVar(&opts.items, "items", opts.items, "sizes of the catalogue")
	flags.IntSliceVar(&opts.rules, "rules", opts.rules, "numbers of rules")
	flags.IntVar(&opts.factors, "factors", 64, "dimensions of the item vectors, a multiple of 8 from 16 on")
	flags.IntVar(&opts.users, "users", 1000, "users that ask, each with fifty events in Redis")
	flags.IntVar(&opts.connections, "connections", 32, "connections of the load generator")
	flags.DurationVar(&opts.duration, "duration", 5*time.Second, "length of each request measurement")
	flags.DurationVar(&opts.overload, "overload", 10*time.Second, "length of the overload")
	flags.StringSliceVar(&opts.only, "only", nil, "parts to measure: "+strings.Join(benchParts, ", ")+"; none = all but index")
	flags.StringVar(&opts.data, "data", "", "measure answers to the users of a recording, `FORMAT:PATH`, under the starter rules, and no synthetic shop")
	flags.StringVar(&opts.profile, "profile", "", "write a CPU profile of the last requests, start or overload that is measured to this `file`")
	flags.BoolVar(&opts.noRedis, "in-process-redis", false, "do not use redis-server although it is on PATH")
	return cmd
}

func (o *benchServeOptions) check() error {
	for _, part := range o.only {
		if !slices.Contains(benchParts, part) {
			return usagef("--only %s: there are %s", part, strings.Join(benchParts, ", "))
		}
	}
	for _, n := range o.items {
		if n < 1000 {
			return usagef("--items %d: need 1000 or more", n)
		}
	}
	for _, n := range o.rules {
		if n < 0 || n > 1000 {
			return usagef("--rules %d: need 0 to 1000", n)
		}
	}
	if len(o.items) == 0 || len(o.rules) == 0 {
		return usagef("--items and --rules need at least one number each")
	}
	if o.factors < 16 || o.factors%8 != 0 || o.factors > 256 {
		return usagef("--factors %d: need a multiple of 8 from 16 to 256", o.factors)
	}
	if o.users < 1 || o.connections < 1 || o.duration <= 0 || o.overload <= 0 {
		return usagef("--users, --connections, --duration and --overload must be greater than zero")
	}
	return nil
}

func (o *benchServeOptions) measures(part string) bool {
	return len(o.only) == 0 || slices.Contains(o.only, part)
}

// benchServe measures in a temporary stack, which it removes.
func (a *app) benchServe(ctx context.Context, opts benchServeOptions) (err error) {
	if err := opts.check(); err != nil {
		return err
	}
	stack, end, err := a.benchStack(ctx, devstack.Options{NoRedisServer: opts.noRedis})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	dir, err := os.MkdirTemp("", "sartor-bench-")
	if err != nil {
		return fmt.Errorf("make a folder for snapshots: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	a.config.Redis.Addrs, a.config.Redis.Shards = stack.RedisAddrs(), devShards
	w, err := a.newWiring()
	if err != nil {
		return err
	}
	b := &benchServeRun{app: a, opts: opts, stack: stack, wiring: w, dir: dir, schema: w.schema, store: redisstore.New(w.redis, w.schema)}
	defer keepGCRoom()() // as in 'sartor serve'
	return ignoreCanceled(ctx, errors.Join(b.run(ctx), b.store.Close()))
}

// benchServeRun is one run of 'sartor bench serve'.
type benchServeRun struct {
	app    *app
	opts   benchServeOptions
	stack  *devstack.Stack
	wiring *wiring
	schema *features.Schema
	store  *redisstore.Store
	dir    string
	// trip is the capacity of the handler with one round trip to Redis, answers a second.
	trip float64
}

func (b *benchServeRun) printf(format string, args ...any) {
	fmt.Fprintf(b.app.stdout, format, args...)
}

func (b *benchServeRun) run(ctx context.Context) error {
	kernels := "pure Go"
	if kernel.Accelerated() {
		kernels = "assembly"
	}
	b.printf("sartor %s, %s %s/%s, %d CPUs, %s kernels\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), kernels)
	b.printf("%s\n", b.stack.Describe()[1])
	if err := b.store.Open(ctx); err != nil {
		return err
	}
	if b.opts.data != "" {
		return b.recording(ctx)
	}
	if err := b.fillUsers(ctx); err != nil {
		return fmt.Errorf("write users to Redis: %w", err)
	}
	if b.opts.measures(partLimits) || b.opts.measures(partRequests) {
		if err := b.limits(ctx); err != nil {
			return fmt.Errorf("measure the limits: %w", err)
		}
	}
	for _, n := range b.opts.items {
		measure := b.size
		if b.opts.vectorsOnly() {
			measure = b.indexes
		}
		if err := measure(ctx, n); err != nil {
			return fmt.Errorf("measure %d items: %w", n, err)
		}
		runtime.GC()
	}
	return ctx.Err()
}

// size measures one size of the catalogue.
func (b *benchServeRun) size(ctx context.Context, n int) error {
	p, err := b.newPath(ctx, n)
	if err != nil {
		return err
	}
	defer ushered(ctx, p.rec, b.app.logger)()
	b.printf("\n%s ITEMS, %d dimensions: %s a catalogue item, %s an item of model and index; built in %s\n", thousands(int64(n)), b.opts.factors,
		bytesText(p.catalogueBytes/int64(n)), bytesText(p.modelBytes/int64(n)), p.took.Round(time.Millisecond))
	for _, part := range []struct {
		name string
		run  func(context.Context, *benchPath) error
	}{
		{partLimits, b.scan}, {partRequests, b.requests}, {partFilters, b.filters},
		{partStart, b.starts}, {partOverload, b.overload},
	} {
		if !b.opts.measures(part.name) {
			continue
		}
		if err := part.run(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if slices.Contains(b.opts.only, partIndex) {
		return b.indexes(ctx, n)
	}
	return nil
}

// bytesText writes a number of bytes for people.
func bytesText(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
