package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
is printed as soon as it is measured: processor time of all threads, also for a thousand events, and the
largest resident memory of the process meanwhile. The log is in it; what it takes alone is the row "log",
whose processor time is what keeping the events takes, without making them.

Where the system does not tell the memory of a part of a run (all but Linux), each row has the largest so
far.`,
		Example: `  sartor bench train
  sartor bench train --events 100000,1000000 --model als,lae --workers 1
  sartor bench train --events 100000000 --model popularity,als`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchTrain(cmd.Context(), opts) },
	}
	flags := cmd.Flags()
	flags.Int64SliceVar(&opts.events, "events", opts.events, "numbers of events")
	flags.StringSliceVar(&opts.kinds, "model", opts.kinds, "kinds of model, in the order of the rows")
	flags.IntVar(&opts.train.Epochs, "epochs", 1, "passes over the data")
	flags.IntVar(&opts.train.Dim, "dim", 64, "factors: a multiple of 8")
	flags.IntVar(&opts.train.Workers, "workers", 0, "goroutines; 0 = one per processor")
	flags.Uint64Var(&opts.train.Seed, "seed", 1, "seed of the shops and of the random starts")
	flags.BoolVar(&opts.asJSON, "json", false, "print a line of JSON for each row")
	return cmd
}

// trainRow is one row of the table.
type trainRow struct {
	Events int64   `json:"events"`
	Part   string  `json:"part"` // log, or the kind of model
	Users  int     `json:"users"`
	Items  int     `json:"items"`
	Pairs  int     `json:"pairs,omitempty"` // of a user and an item; 0 where the kind needs none
	CPU    float64 `json:"processor_seconds"`
	Memory int64   `json:"peak_memory_bytes"`
}

func (o benchTrainOptions) check() error {
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
		fmt.Fprintln(w, "events\tpart\tusers\titems\tpairs\tprocessor s\tms per 1,000\tpeak MiB\t")
	}
	show := func(r trainRow) error {
		if o.asJSON {
			return json.NewEncoder(a.stdout).Encode(r)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f\t%.2f\t%.0f\t\n", thousands(r.Events), r.Part, thousands(int64(r.Users)), thousands(int64(r.Items)),
			thousands(int64(r.Pairs)), r.CPU, 1e6*r.CPU/float64(r.Events), mebi(r.Memory))
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
	meter := newMeter()
	var keeping time.Duration
	log := train.NewLog()
	err := apart(syntheticEvents(events, o.train.Seed), &keeping)(ctx, func(e *streams.Event) { log.Add(e) })
	if err != nil {
		return err
	}
	users, items := log.Distinct()
	if err := show(trainRow{Events: events, Part: "log", Users: users, Items: items, CPU: keeping.Seconds(), Memory: meter.cost().Memory}); err != nil {
		return err
	}
	for _, kind := range o.kinds {
		meter := newMeter()
		_, report, err := modelKinds()[kind].fit(ctx, log, o.train)
		if err != nil {
			return fmt.Errorf("train %s on %d events: %w", kind, events, err)
		}
		used := meter.cost()
		err = show(trainRow{Events: events, Part: kind, Users: report.Users, Items: report.Items, Pairs: report.Pairs, CPU: used.Processor.Seconds(), Memory: used.Memory})
		if err != nil {
			return err
		}
	}
	return nil
}
