package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
)

// rebuildFlags are the flags of one call.
type rebuildFlags struct {
	log    logFlags
	name   string
	drop   bool
	settle time.Duration // how long the others may take to follow before their namespace is dropped
}

func newFeaturesRebuildCommand(a *app) *cobra.Command {
	f := rebuildFlags{settle: 5 * time.Second}
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Fold the log again beside what is served, then switch",
		Long: `Folds the whole log with the schema of the configuration into a new namespace of Redis, while the
old features are served and kept up to date. Then one write makes the new namespace active: serve and
ingest follow within a second, ingest from the position up to which the new namespace is built, so that
no event is lost or doubled. Reads never stop; between the switch and the moment ingest has caught up
they miss the newest seconds.

When the schema changed, ingest processes with the old one stop applying at the switch and say so:
start them, and serve, again with the new schema file. A rebuild that was interrupted continues where
it stopped when it is given the same --name.

Redis needs memory for both namespaces until the old one is dropped (--drop-old, or a later rebuild with
it). What Kafka's retention has deleted is not in the log: such a rebuild loses it, unless an archive has
it (--from-archive).`,
		Example: `  sartor features plan --config sartor.yaml
  sartor features rebuild --config sartor.yaml
  sartor features rebuild --config sartor.yaml --drop-old
  sartor features rebuild --config sartor.yaml --from-archive s3://shop-events/log`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.rebuild(cmd.Context(), f, time.Now()) },
	}
	a.bindStore(cmd)
	f.log.bindLive(a, cmd)
	cmd.Flags().StringVar(&f.name, "name", "", "`name` of the new namespace; empty = the time of day")
	cmd.Flags().BoolVar(&f.drop, "drop-old", false, "drop all other namespaces after the switch")
	return cmd
}

// rebuild runs one call.
func (a *app) rebuild(ctx context.Context, f rebuildFlags, now time.Time) error {
	if f.name == "" {
		f.name = now.UTC().Format("g20060102-150405")
	}
	log, err := f.log.open(a, "rebuild needs a log: set kafka.brokers in the --config file or SARTOR_KAFKA_BROKERS, or use --from-archive URL")
	if err != nil {
		return err
	}
	return a.withAnyStore(ctx, func(w *wiring, served *redisstore.Store, attached error) error {
		if attached != nil && !errors.Is(attached, redisstore.ErrLayout) {
			return attached
		}
		if served.Namespace() == f.name {
			return usagef("--name %s: that namespace is being served", f.name)
		}
		opts := w.redis
		opts.Namespace, opts.Shards = f.name, served.Shards()
		built := redisstore.New(opts, w.schema)
		defer built.Close()
		if err := built.Open(ctx); err != nil {
			return err
		}
		r := &rebuilder{schema: w.schema, store: built, log: log, out: a.stdout, batch: w.config.Kafka.BatchEvents}
		if err := r.run(ctx); err != nil {
			return fmt.Errorf("rebuild into %s (continue it with --name %s): %w", f.name, f.name, err)
		}
		if err := built.Activate(ctx, f.name); err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "namespace %s is active: serve and ingest follow within a second\n", f.name)
		return a.sweep(ctx, served, f)
	})
}

// sweep drops the other namespaces, or says that they are there.
func (a *app) sweep(ctx context.Context, store *redisstore.Store, f rebuildFlags) error {
	spaces, err := store.Namespaces(ctx)
	if err != nil {
		return err
	}
	if f.drop && len(spaces) > 1 {
		select { // until everybody has left
		case <-time.After(f.settle):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, n := range spaces {
		name := n.Name
		if name == "" {
			name = "(the first)"
		}
		switch {
		case n.Active:
		case f.drop:
			keys, err := store.Drop(ctx, n.Name)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "namespace %s is dropped: %s keys\n", name, grouped(keys))
		default:
			fmt.Fprintf(a.stdout, "namespace %s still takes memory: a rebuild with --drop-old drops it\n", name)
		}
	}
	return nil
}

// rebuilder folds the log into a store.
type rebuilder struct {
	schema *features.Schema
	store  *redisstore.Store
	log    eventLog
	out    io.Writer
	batch  int
	open   map[place]*filling
}

// filling is one partition on its way into the store.
type filling struct {
	to   *redisstore.Partition
	next int64
	todo []redisstore.Folded
}

// maxPasses bounds how often the log is read; each pass is left with what came during the one before.
const maxPasses = 3

// run applies the whole log.
func (r *rebuilder) run(ctx context.Context) error {
	erased, err := r.store.CopyErasures(ctx)
	if err != nil {
		return err
	}
	if erased > 0 {
		fmt.Fprintf(r.out, "%d erased users stay erased\n", erased)
	}
	r.open = map[place]*filling{}
	for pass := range maxPasses {
		began := time.Now()
		applied, err := r.pass(ctx)
		if err != nil {
			return err
		}
		took := time.Since(began)
		fmt.Fprintf(r.out, "pass %d: %s events applied in %s\n", pass+1, grouped(applied), took.Round(10*time.Millisecond))
		if took < 10*time.Second {
			return nil // what came meanwhile is for ingest
		}
	}
	return nil
}

// pass applies what the log holds now and the store has not.
func (r *rebuilder) pass(ctx context.Context) (applied int64, err error) {
	err = r.log.Read(ctx, consumed(), func(rec *streams.Record) error {
		f, err := r.at(ctx, placeOf(rec))
		if err != nil || rec.Offset < f.next {
			return err
		}
		applied++
		f.todo = append(f.todo, redisstore.Folded{Offset: rec.Offset, Deltas: r.schema.Fold(&rec.Event)})
		if len(f.todo) >= max(r.batch, 1) {
			return f.flush(ctx)
		}
		return nil
	})
	if err != nil {
		return applied, err
	}
	for _, f := range r.open {
		if err := f.flush(ctx); err != nil {
			return applied, err
		}
		if err := f.to.Flush(ctx); err != nil {
			return applied, err
		}
	}
	return applied, nil
}

func (r *rebuilder) at(ctx context.Context, at place) (*filling, error) {
	if f := r.open[at]; f != nil {
		return f, nil
	}
	p, err := r.store.Partition(ctx, at.topic, at.partition)
	if err != nil {
		return nil, err
	}
	f := &filling{to: p, next: p.Next()}
	r.open[at] = f
	return f, nil
}

// flush applies what is waiting.
func (f *filling) flush(ctx context.Context) error {
	if len(f.todo) == 0 {
		return nil
	}
	last := f.todo[len(f.todo)-1].Offset
	if err := f.to.Apply(ctx, f.todo, last); err != nil {
		return err
	}
	f.next, f.todo = last+1, slices.Delete(f.todo, 0, len(f.todo))
	return nil
}
