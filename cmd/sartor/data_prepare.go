package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/synth"
)

// preparedFormat is the format of 'sartor data prepare' in --from-file; parts may follow the path, as in
// prepared:log.parquet@train+validation.
const preparedFormat = "prepared"

// preparedEvents reads a prepared log.
func preparedEvents(path string) func(context.Context, func(*streams.Event)) error {
	path, list, _ := strings.Cut(path, "@")
	var parts []string
	if list != "" {
		parts = append(strings.Split(list, "+"), train.PartDocument)
	}
	return func(ctx context.Context, add func(*streams.Event)) error {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		return train.ReadPrepared(file, info.Size(), parts, func(e *streams.Event) error {
			add(e)
			return ctx.Err()
		})
	}
}

// prepareFlags are the flags of one call.
type prepareFlags struct {
	trainFlags
	out       string
	drop      []string
	limits    train.Limits
	split     train.SplitOptions
	synthetic int64
	asJSON    bool
}

func newPrepareCommand(a *app) *cobra.Command {
	var f prepareFlags
	var steps []string
	for _, c := range train.DefaultCleanings() {
		steps = append(steps, string(c))
	}
	cmd := &cobra.Command{
		Use:   "prepare",
		Short: "Clean the events, part them by time, and write them as Parquet for training",
		Long: `Reads the streams from Kafka (or a recording) twice: first to see who is a bot and where the cuts in time
are, then to clean, part and write. It prints what each step of cleaning took away. The file is Parquet
with a row for each line of an event and its part (train, validation, test, strong, document), which
'sartor train --from-file prepared:FILE' reads, and Spark, pandas and DuckDB, too.
prepared:FILE@train+validation takes some parts only.

Steps: duplicates, impossible, bots, cancelled (order lines given back whole), short-sessions,
long-sessions.`,
		Example: `  sartor data prepare --brokers localhost:9092 --out log.parquet
  sartor data prepare --from-file online-retail:data/online-retail --drop duplicates,impossible,bots,cancelled --out retail.parquet
  sartor train --from-file prepared:retail.parquet --eval-only`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.prepareData(cmd, f) },
	}
	flags := cmd.Flags()
	a.bind(flags, "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	flags.StringVar(&f.from, "from-file", "", fromFileUsage)
	flags.Int64Var(&f.synthetic, "synthetic", 0, "make so many `events` of a synthetic shop instead, to see how time and memory grow")
	flags.StringVar(&f.out, "out", "", "`file` to write")
	flags.StringSliceVar(&f.drop, "drop", steps, "steps of cleaning, in any order")
	flags.IntVar(&f.limits.PerHour, "bot-events", 600, "events of one user in an hour before it is taken for a bot")
	flags.DurationVar(&f.limits.SessionGap, "session-gap", 30*time.Minute, "silence that ends a session")
	flags.IntVar(&f.limits.LongSessions, "long-session", 500, "events of a session before it is long")
	atLeast(flags, 1, "bot-events", "long-session")
	atLeast(flags, float64(time.Millisecond), "session-gap")
	flags.Float64Var(&f.split.Validation, "validation", 0.1, "share of the events in the validation part")
	flags.Float64Var(&f.split.Test, "test-share", 0.1, "share of the events in the test part, the newest")
	flags.Float64Var(&f.split.Strong, "strong", 0, "share of the users who are left out of the other parts")
	flags.Uint64Var(&f.split.Seed, "seed", 1, "seed of the choice of those users")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

// prepareReport is what 'sartor data prepare --json' prints.
type prepareReport struct {
	Cleaning train.CleanReport `json:"cleaning"`
	Split    train.SplitReport `json:"split"`
	Bytes    int64             `json:"bytes"`
	Seconds  float64           `json:"processor_seconds"`
	Memory   int64             `json:"peak_memory_bytes"` // 0 where it is not known
	// Making is the part of the seconds that went into making synthetic events, twice.
	Making float64 `json:"making_seconds,omitempty"`
}

func (a *app) prepareData(cmd *cobra.Command, f prepareFlags) error {
	if f.out == "" {
		return usagef("--out: name the file to write")
	}
	steps, err := train.ParseCleanings(f.drop)
	if err != nil {
		return usageError{err}
	}
	if err := mayReplace(f.out, f.from); err != nil {
		return err
	}
	read, err := a.prepareSource(&f)
	if err != nil {
		return err
	}
	split, err := train.NewSplitter(f.split)
	if err != nil {
		return usageError{err}
	}
	// What lives long is flat tables, cheap to look through: better often than with twice the memory.
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	meter := newMeter()
	var using time.Duration
	if f.synthetic > 0 {
		read = apart(read, &using)
	}
	r, err := prepareLog(cmd.Context(), read, train.NewCleaner(steps, f.limits), split, f.out)
	if err != nil {
		return err
	}
	used := meter.cost()
	if r.Seconds, r.Memory = used.Processor.Seconds(), used.Memory; f.synthetic > 0 {
		r.Making = r.Seconds - using.Seconds()
	}
	if f.asJSON {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	return a.printPrepared(f.out, r)
}

// prepareSource returns what reads the events from the beginning each time it is called.
func (a *app) prepareSource(f *prepareFlags) (func(context.Context, func(*streams.Event)) error, error) {
	if f.synthetic > 0 {
		return syntheticEvents(f.synthetic, f.split.Seed), nil
	}
	var o trainOptions
	f.told = a.stderr
	if err := f.resolveFiles(&o, false); err != nil {
		return nil, err
	}
	if o.Read != nil {
		return o.Read, nil
	}
	if len(a.config.Kafka.Brokers) == 0 {
		return nil, usagef("no events to prepare: use --brokers, or --from-file FORMAT:PATH")
	}
	options, err := a.kafkaOptions()
	if err != nil {
		return nil, err
	}
	f.limits.Newest = time.Now().Add(24 * time.Hour)
	return kafkaEvents(options, streams.Catalog, streams.Users, streams.Behavior, streams.Orders), nil
}

// syntheticEvents makes a shop that has about as many users as a hundredth of the events.
func syntheticEvents(n int64, seed uint64) func(context.Context, func(*streams.Event)) error {
	return func(ctx context.Context, add func(*streams.Event)) error {
		users := max(int(n/100), 100)
		shop := synth.New(synth.Options{Seed: seed, Users: users, Items: max(users/10, 100), Days: 365})
		left := n
		for e := range shop.History(shop.Start().AddDate(100, 0, 0)) {
			if left--; left < 0 || ctx.Err() != nil {
				break
			}
			add(&e)
		}
		return ctx.Err()
	}
}

// apart hands events on by the hundred and adds the processor time of whoever uses them to using, so that
// it can be told from that of making them. Garbage of the one is now and then collected at the other's
// expense.
func apart(read func(context.Context, func(*streams.Event)) error, using *time.Duration) func(context.Context, func(*streams.Event)) error {
	return func(ctx context.Context, add func(*streams.Event)) error {
		held := make([]streams.Event, 0, 512)
		use := func() {
			began := processCPU()
			for i := range held {
				add(&held[i])
			}
			held = held[:0]
			*using += processCPU() - began
		}
		err := read(ctx, func(e *streams.Event) {
			if held = append(held, *e); len(held) == cap(held) {
				use()
			}
		})
		use()
		return err
	}
}

// prepareLog reads the log twice and writes the file, which appears whole or not at all.
func prepareLog(ctx context.Context, read func(context.Context, func(*streams.Event)) error, clean *train.Cleaner, split *train.Splitter, path string) (r prepareReport, err error) {
	empty := true
	err = read(ctx, func(e *streams.Event) {
		empty = false
		if clean.Observe(e) {
			split.Observe(e)
		}
	})
	if err != nil {
		return r, fmt.Errorf("read events: %w", err)
	}
	if empty {
		return r, errors.New("the log holds no events: nothing is written")
	}
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return r, err
	}
	defer os.Remove(path + ".new") // after the rename there is nothing left to remove
	w := train.NewPreparedWriter(file, split)
	var failed error
	err = read(ctx, func(e *streams.Event) {
		if kept, ok := clean.Keep(e); ok && failed == nil {
			failed = w.Write(kept)
		}
	})
	if err = errors.Join(err, failed, w.Close(), file.Sync(), file.Close()); err != nil {
		return r, fmt.Errorf("write %s: %w", path, err)
	}
	info, err := os.Stat(path + ".new")
	if err != nil {
		return r, err
	}
	r = prepareReport{Cleaning: clean.Report(), Split: split.Report(), Bytes: info.Size()}
	return r, os.Rename(path+".new", path)
}

func (a *app) printPrepared(path string, r prepareReport) error {
	w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "step\tevents removed\tlines removed\tusers\n")
	for _, s := range r.Cleaning.Steps {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Step, thousands(s.Events), thousands(s.Lines), thousands(s.Subjects))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Kept %s of %s events.\n", thousands(r.Cleaning.Kept), thousands(r.Cleaning.Events))
	for _, part := range []string{train.PartTrain, train.PartValidation, train.PartTest, train.PartStrong, train.PartDocument} {
		if n, ok := r.Split.Events[part]; ok {
			fmt.Fprintf(a.stdout, "%s %s, ", part, thousands(n))
		}
	}
	fmt.Fprintf(a.stdout, "validation from %s, test from %s, %s new items in the test part.\n", r.Split.Validation.Format(time.RFC3339), r.Split.Test.Format(time.RFC3339), thousands(int64(r.Split.Cold)))
	fmt.Fprintf(a.stdout, "Wrote %s: %.1f MiB, %.1f processor seconds, peak memory %.0f MiB, of which users, sessions and latest ids took %.0f MiB.\n", path, mebi(r.Bytes),
		r.Seconds, mebi(r.Memory), mebi(r.Cleaning.Memory))
	if r.Making == 0 {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, "Without making the events, twice, %.1f processor seconds: %s events a second.\n", r.Seconds-r.Making,
		thousands(int64(float64(r.Cleaning.Events)/(r.Seconds-r.Making))))
	return err
}
