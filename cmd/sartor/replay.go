package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/file"
	"github.com/sartorhq/sartor/streams/kafka"
)

// replayBatch is how many events are written, and held in memory, at once.
const replayBatch = 2000

// replayFlush bounds the time in which a batch must be acknowledged.
const replayFlush = 30 * time.Second

// replayFlags are the flags of one call.
type replayFlags struct {
	format      string
	kinds       []string // KIND=TYPE
	speed       float64
	skip, limit int64
	dry         bool
}

func newReplayCommand(a *app) *cobra.Command {
	var f replayFlags
	formats := make([]string, 0, len(file.Formats()))
	for _, format := range file.Formats() {
		formats = append(formats, string(format))
	}
	cmd := &cobra.Command{
		Use:   "replay --format FORMAT PATH",
		Short: "Publish recorded events to Kafka",
		Long: `Reads recorded events from a file or the folder of a data set (plain or gzip) and publishes them to
the topics of their streams, in order, with the times at which they were recorded. What each format
makes of its rows is written in streams/file/FORMATS.md; a row that cannot be read stops the replay
with its file, line and column, and rows that are no events are counted with the reason.

Formats: ` + strings.Join(formats, ", ") + `.
With mapped, PATH is a small YAML file of yours that says what the columns of your CSV, TSV or JSON files mean.

The events and their ids are the same each time. A replay that stopped says how many events are
acknowledged: --skip continues after them. Publishing events again counts them again, because the
features count what is in the log, unless it is so soon after that they pass for a producer's retries
(kafka.repeat_horizon).`,
		Example: `  sartor replay --format ndjson events.ndjson.gz --brokers localhost:9092
  sartor replay --format online-retail data/online-retail --speed 3600    an hour per second
  sartor replay --format rees46 data/rees46-2day --dry-run                only read and count
  sartor replay --format mapped shop.yaml --dry-run                       your own tables
  sartor replay --format gorse export/ --map share=click --map ignore=skip`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.replay(cmd.Context(), f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "", "format of the recording (required)")
	flags.StringArrayVar(&f.kinds, "map", nil, "what a kind of feedback of gorse or metarank is, `KIND=TYPE`, or KIND=skip (repeatable)")
	flags.Float64Var(&f.speed, "speed", 0, "multiple of the recorded pace: 1 = original, 0 = as fast as possible")
	flags.Int64Var(&f.skip, "skip", 0, "leave out the first `n` events: continue a replay that stopped")
	flags.Int64Var(&f.limit, "limit", 0, "stop after `n` events; 0 = all")
	flags.BoolVar(&f.dry, "dry-run", false, "read and count, publish nothing")
	a.bind(flags, "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	return cmd
}

// replay runs one call: it opens both ends, replays, and says what became of the recording.
func (a *app) replay(ctx context.Context, f replayFlags, path string) error {
	if f.format == "" {
		return usagef("which --format is %s in?", path)
	}
	format, err := file.ParseFormat(f.format)
	if err != nil {
		return usageError{err}
	}
	if f.speed < 0 || f.skip < 0 || f.limit < 0 {
		return usagef("--speed, --skip and --limit must not be negative")
	}
	if !f.dry && len(a.config.Kafka.Brokers) == 0 {
		return usagef("no Kafka broker is configured: use --brokers, or --dry-run to only read")
	}
	kinds, err := feedbackKinds(f.kinds)
	if err != nil {
		return err
	}
	source, err := file.Open(format, path, file.Options{Feedback: kinds})
	if err != nil {
		return err
	}
	defer source.Close()
	r := &replayer{source: source, pacer: file.NewPacer(f.speed, file.WallClock()), skip: f.skip, limit: f.limit}
	if !f.dry {
		producer, err := a.openProducer(ctx)
		if err != nil {
			return err
		}
		defer producer.Close()
		r.sink = producer
	}
	if isTerminal(a.stderr) {
		r.progress = replayProgress(a.stderr, f.limit)
	}
	begin := time.Now()
	err = r.run(ctx)
	r.report(a.stdout, format, source.Stats(), time.Since(begin))
	if err != nil && !f.dry {
		return fmt.Errorf("the replay stopped after %d events; continue with --skip %d: %w", r.published, f.skip+r.published, err)
	}
	return err
}

// feedbackKinds reads the values of --map.
func feedbackKinds(pairs []string) (map[string]streams.Type, error) {
	kinds := map[string]streams.Type{}
	for _, pair := range pairs {
		kind, typ, ok := strings.Cut(pair, "=")
		if !ok || kind == "" || typ == "" {
			return nil, usagef("--map %s: want KIND=TYPE, such as star=wishlist or share=skip", pair)
		}
		kinds[kind] = streams.Type(typ)
	}
	return kinds, nil
}

// openProducer makes the topics if the configuration says so, and a producer.
func (a *app) openProducer(ctx context.Context) (*kafka.Producer, error) {
	w, err := a.newWiring()
	if err != nil {
		return nil, err
	}
	if a.config.Kafka.Create {
		if err := w.ensureTopics(ctx); err != nil {
			return nil, err
		}
	}
	return kafka.NewProducer(w.kafka), nil
}

// replayer carries events from a recording to the log.
type replayer struct {
	source interface {
		Next() (streams.Event, error)
	}
	// sink publishes; nil publishes nothing.
	sink interface {
		Write(ctx context.Context, events ...streams.Event) error
	}
	pacer       *file.Pacer
	skip, limit int64
	progress    func(published int64) // nil = none

	batch       []streams.Event
	published   int64 // acknowledged
	first, last time.Time
}

// run replays until the end, the limit, an error or the end of ctx. What it has counted as published
// is acknowledged: when ctx ends, the batch under way is still finished.
func (r *replayer) run(ctx context.Context) error {
	for range r.skip {
		if _, err := r.source.Next(); err != nil {
			return endOf(err)
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
	}
	for n := int64(0); r.limit == 0 || n < r.limit; n++ {
		e, err := r.source.Next()
		if err != nil {
			return errors.Join(r.flush(ctx), endOf(err))
		}
		if r.pacer.Due(e.Time) > 0 {
			if err := r.flush(ctx); err != nil {
				return err
			}
			if r.pacer.Wait(ctx, e.Time) != nil {
				return errInterrupted
			}
		}
		r.batch = append(r.batch, e)
		if len(r.batch) == replayBatch {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return errors.Join(r.flush(ctx), errInterrupted)
		}
	}
	return r.flush(ctx)
}

// errInterrupted says that a person, or the system, stopped the replay.
var errInterrupted = errors.New("interrupted")

// endOf makes the end of the recording no error.
func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// flush publishes the batch. After an error, published still counts a prefix of the recording.
func (r *replayer) flush(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	defer func() { r.batch = r.batch[:0] }()
	done := len(r.batch)
	var err error
	if r.sink != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replayFlush)
		defer cancel()
		if err = r.sink.Write(ctx, r.batch...); err != nil {
			done = acknowledged(err, done)
		}
	}
	if done > 0 {
		if r.first.IsZero() {
			r.first = r.batch[0].Time
		}
		r.last = r.batch[done-1].Time
	}
	r.published += int64(done)
	if r.progress != nil {
		r.progress(r.published)
	}
	if err != nil {
		return fmt.Errorf("publish event %d of the recording: %w", r.skip+r.published+1, err)
	}
	return nil
}

// acknowledged is the number of events of the failed batch before the first one that failed.
func acknowledged(err error, batch int) int {
	var failed *kafka.WriteError
	if !errors.As(err, &failed) || len(failed.Errs) != batch {
		return 0
	}
	return max(0, slices.IndexFunc(failed.Errs, func(err error) bool { return err != nil }))
}

// report says in a few lines what became of the recording.
func (r *replayer) report(w io.Writer, format file.Format, stats file.Stats, took time.Duration) {
	verb := "published"
	if r.sink == nil {
		verb = "read"
	}
	fmt.Fprintf(w, "%s %s events of %s, from %s rows", verb, grouped(r.published), format, grouped(stats.Rows))
	if !r.first.IsZero() {
		const layout = "2006-01-02 15:04"
		fmt.Fprintf(w, ", recorded %s to %s", r.first.Format(layout), r.last.Format(layout))
	}
	fmt.Fprintf(w, ", in %s\n", took.Round(10*time.Millisecond))
	tellRows(w, stats)
}

// grouped writes a number with commas between the thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// replayProgress draws a bar with rate and, when the number of events is known, the time left.
func replayProgress(w io.Writer, limit int64) func(int64) {
	total := limit
	if total == 0 {
		total = -1
	}
	bar := progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("replay"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
		progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionClearOnFinish())
	return func(published int64) { _ = bar.Set64(published) } // a broken terminal must not stop a replay
}
