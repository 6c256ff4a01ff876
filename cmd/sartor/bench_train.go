package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
)

// benchTrainOptions are the flags of 'sartor bench train'.
type benchTrainOptions struct {
	events []int64
	kinds  []string
	train  train.Options
	steps  int // of the encoder; 0 = whole epochs
	asJSON bool
}

func newBenchTrainCommand(a *app) *cobra.Command {
	opts := benchTrainOptions{events: []int64{1_000_000, 3_000_000, 10_000_000},
		kinds: []string{models.KindPopularity, models.KindItemKNN, models.KindALS, models.KindLAE, models.KindEncoder}}
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Measure how time and memory of training grow with the events",
		Long: `Makes logs of a synthetic shop with a hundredth as many users as events and a tenth as many items as
users, keeps each in memory, and trains every kind of model on it, one epoch unless asked for more. A row
is printed as soon as it is measured: seconds by the clock, processor time of all threads, also for a thousand
events, and the largest resident memory of the process meanwhile. The row "shop" is the making of the events, with the log
that grows meanwhile; the row "log" is what the log takes when the shop is gone, and the processor time of
keeping the events alone. All trainings have the log in their memory.

--steps ends the training of an encoder after so many steps: everything is laid out for the whole epochs, and
the column "whole s" says how long all of them would take, from the processor time of the steps that ran.

Where the system does not tell the memory of a part of a run (all but Linux), each row has the largest so
far.`,
		Example: `  sartor bench train
  sartor bench train --events 100000,1000000 --model als,lae --workers 1
  sartor bench train --events 100000000 --workers 1 --steps 50`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchTrain(cmd.Context(), opts) },
	}
	flags := cmd.Flags()
	flags.Int64SliceVar(&opts.events, "events", opts.events, "numbers of events")
	flags.StringSliceVar(&opts.kinds, "model", opts.kinds, "kinds of model, in the order of the rows")
	flags.IntVar(&opts.train.Epochs, "epochs", 1, "passes over the data")
	flags.IntVar(&opts.steps, "steps", 0, "steps of an encoder's training; 0 = whole epochs")
	flags.IntVar(&opts.train.Dim, "dim", 64, "factors: a multiple of 8")
	flags.IntVar(&opts.train.Workers, "workers", 0, "goroutines; 0 = one per processor")
	flags.Uint64Var(&opts.train.Seed, "seed", 1, "seed of the shops and of the random starts")
	flags.BoolVar(&opts.asJSON, "json", false, "print a line of JSON for each row")
	return cmd
}

// trainRow is one row of the table.
type trainRow struct {
	Events int64   `json:"events"`
	Part   string  `json:"part"` // shop, log, or the kind of model
	Users  int     `json:"users"`
	Items  int     `json:"items"`
	Pairs  int     `json:"pairs,omitempty"` // of a user and an item; 0 where the kind needs none
	Clock  float64 `json:"seconds"`         // by the clock; 0 where that says nothing
	CPU    float64 `json:"processor_seconds"`
	// Share of the epochs that ran, and the processor time of all of them, which is computed where that is
	// not 1.
	Share  float64 `json:"share"`
	Whole  float64 `json:"whole_processor_seconds"`
	Memory int64   `json:"peak_memory_bytes"`
}

func (o benchTrainOptions) check() error {
	if o.steps < 0 {
		return usagef("--steps %d: need 0 or more", o.steps)
	}
	for _, n := range o.events {
		if n < 1000 {
			return usagef("--events %d: need at least 1000", n)
		}
	}
	for _, kind := range o.kinds {
		k, ok := modelKinds()[kind]
		if !ok {
			return usagef("--model %s: it can be %s", kind, strings.Join(slices.Sorted(maps.Keys(modelKinds())), ", "))
		}
		if err := k.validate(o.train); err != nil {
			return usageError{err}
		}
	}
	return nil
}

func (a *app) benchTrain(ctx context.Context, o benchTrainOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 14, 0, 2, ' ', tabwriter.AlignRight)
	if !o.asJSON {
		fmt.Fprintln(w, "events\tpart\tusers\titems\tpairs\ts\tprocessor s\tshare\twhole s\tms per 1,000\tpeak MiB\t")
	}
	show := func(r trainRow) error {
		if o.asJSON {
			return json.NewEncoder(a.stdout).Encode(r)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f\t%.1f\t%.3g%%\t%.1f\t%.2f\t%.0f\t\n", thousands(r.Events), r.Part, thousands(int64(r.Users)), thousands(int64(r.Items)),
			thousands(int64(r.Pairs)), r.Clock, r.CPU, 100*r.Share, r.Whole, 1e6*r.Whole/float64(r.Events), mebi(r.Memory))
		return w.Flush()
	}
	for _, n := range slices.Sorted(slices.Values(o.events)) { // ascending: a peak that cannot be reset says as much as it can
		if err := o.grow(ctx, n, show); err != nil {
			return err
		}
	}
	return nil
}

// grow measures one size.
func (o benchTrainOptions) grow(ctx context.Context, events int64, show func(trainRow) error) error {
	row := func(part string, users, items int, used cost) trainRow {
		s := used.Processor.Seconds()
		return trainRow{Events: events, Part: part, Users: users, Items: items, CPU: s, Share: 1, Whole: s, Memory: used.Memory}
	}
	log, making, keeping, err := o.fill(ctx, events)
	if err != nil {
		return err
	}
	users, items := log.Distinct()
	if err := show(row("shop", users, items, making)); err != nil {
		return err
	}
	if err := show(row("log", users, items, keeping)); err != nil {
		return err
	}
	for _, kind := range o.kinds {
		r, err := o.measure(ctx, kind, log, row)
		if err != nil {
			return fmt.Errorf("train %s on %d events: %w", kind, events, err)
		}
		if err := show(r); err != nil {
			return err
		}
	}
	return nil
}

// fill keeps the events of a shop, and tells what the making of them costs and what the keeping does.
func (o benchTrainOptions) fill(ctx context.Context, events int64) (log *train.Log, making, keeping cost, err error) {
	// What the shop leaves behind must not add up to as much as the log.
	defer debug.SetGCPercent(debug.SetGCPercent(gcWhileReading))
	m := newMeter()
	log = train.NewLog()
	if err := apart(syntheticEvents(events, o.train.Seed), &keeping.Processor)(ctx, func(e *streams.Event) { log.Add(e) }); err != nil {
		return nil, making, keeping, err
	}
	making = m.cost()
	making.Processor -= keeping.Processor
	keeping.Memory = newMeter().cost().Memory // the shop is gone
	return log, making, keeping, nil
}

// measure trains one kind.
func (o benchTrainOptions) measure(ctx context.Context, kind string, log *train.Log, row func(string, int, int, cost) trainRow) (trainRow, error) {
	limited, stop := context.WithCancel(ctx)
	defer stop()
	options, last := o.train, train.Step{}
	var first, now time.Duration // processor time after the first step, and after the last
	options.Encoder.OnStep = func(s train.Step) {
		if now = processCPU(); s.Step == 1 {
			first = now
		}
		if last = s; s.Step == o.steps {
			stop()
		}
	}
	m, began := newMeter(), time.Now()
	_, report, err := modelKinds()[kind].fit(limited, log, options)
	if err != nil && (ctx.Err() != nil || !errors.Is(err, context.Canceled)) {
		return trainRow{}, err
	}
	r := row(kind, report.Users, report.Items, m.cost())
	r.Clock = time.Since(began).Seconds()
	if r.Pairs = report.Pairs; err != nil {
		each := (now - first).Seconds() / float64(max(last.Step-1, 1))
		r.Share, r.Whole = last.Done, r.CPU+each*(float64(last.Step)/last.Done-float64(last.Step))
	}
	return r, nil
}
