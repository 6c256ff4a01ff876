package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/streams/kafka"
)

// letterBatch and letterBatchBytes bound what a replay of dead letters holds in memory and has in
// flight.
const (
	letterBatch      = 200
	letterBatchBytes = 8 << 20
)

// dlqReplayFlags are the flags of one call.
type dlqReplayFlags struct {
	filter   letterFilter
	all, dry bool
}

func newDLQReplayCommand(a *app) *cobra.Command {
	var f dlqReplayFlags
	cmd := &cobra.Command{
		Use:   "replay [LETTER...]",
		Short: "Publish dead letters to their topics again",
		Long: `Publishes the messages of open dead letters at the end of the topics where they were, as they were:
after a new version understands them, a setting of kafka.formats is mended, or a topic's name is. What is
still wrong comes back as a new letter. Events count at their own time, however late they come.

A letter is marked as replayed only when Kafka has acknowledged its message. When the command dies in
between, the message may be published again by the next call; none is lost.

What stays: letters whose message was too long to be kept whole, letters of topics that are not
configured, and letters of the catalog and of users for which the topic has something newer, because
compaction would forget that. The exit code is then 1.`,
		Example: `  sartor dlq replay --all --dry-run
  sartor dlq replay --topic orders --reason currency
  sartor dlq replay 0/1042 3/17`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.dlqReplay(cmd.Context(), f, args) },
	}
	f.filter.bind(cmd.Flags())
	cmd.Flags().BoolVar(&f.all, "all", false, "every open letter")
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, "say what would be published, publish nothing")
	a.bind(cmd.Flags(), "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	return cmd
}

func (a *app) dlqReplay(ctx context.Context, f dlqReplayFlags, ids []string) error {
	if len(ids) == 0 && !f.all && !f.filter.any() {
		return usagef("which letters? Name them, choose them by --topic, --reason, --since or --limit, or say --all")
	}
	options, err := a.needKafka("dlq replay")
	if err != nil {
		return err
	}
	r := &letterReplayer{options: options, filter: f.filter, now: time.Now(), published: map[string]int{}, left: map[string]int{}}
	if len(ids) > 0 {
		r.ids = map[string]bool{}
		for _, id := range ids {
			r.ids[id] = true
		}
	}
	if !f.dry {
		producer := kafka.NewProducer(options)
		defer producer.Close()
		r.producer = producer
	}
	err = kafka.ReadLetters(ctx, options, func(l kafka.Letter) error { return r.take(ctx, l) })
	if errors.Is(err, errFound) {
		err = nil
	}
	if err == nil {
		err = r.flush(ctx)
	}
	return errors.Join(err, r.report(a))
}

// letterReplayer publishes chosen letters batch by batch.
type letterReplayer struct {
	options  kafka.Options
	producer *kafka.Producer // nil publishes nothing
	filter   letterFilter
	ids      map[string]bool // nil = those that the filter chooses; true = not found yet
	now      time.Time

	batch     []kafka.Letter
	bytes     int
	chosen    int
	done      int            // letters named that were replayed before
	published map[string]int // by topic
	left      map[string]int // by why
}

// take adds a letter to the batch when it is chosen. errFound says that no more can be.
func (r *letterReplayer) take(ctx context.Context, l kafka.Letter) error {
	if r.ids != nil {
		if !r.ids[letterID(&l)] {
			return nil
		}
		r.ids[letterID(&l)] = false
	}
	if !r.filter.match(&l, r.now) {
		return nil
	}
	if l.Replayed {
		r.done++
		return nil
	}
	if r.filter.limit > 0 && r.chosen == r.filter.limit {
		return errFound
	}
	r.chosen++
	r.batch = append(r.batch, l)
	if r.bytes += len(l.Key) + len(l.Value); len(r.batch) == letterBatch || r.bytes >= letterBatchBytes {
		return r.flush(ctx)
	}
	return nil
}

// flush publishes the batch. It fails only when the cluster does; letters that cannot be published
// are counted.
func (r *letterReplayer) flush(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	newer, err := kafka.Superseded(ctx, r.options, r.batch)
	if err != nil {
		return err
	}
	var ready []kafka.Letter
	for i := range r.batch {
		l := &r.batch[i]
		if err := r.options.CanReplay(l); err != nil {
			r.left[err.Error()]++
		} else if newer[i] {
			r.left["the topic "+l.Origin.Topic+" has something newer of the same key"]++
		} else {
			ready = append(ready, *l)
		}
	}
	r.batch, r.bytes = r.batch[:0], 0
	errs := make([]error, len(ready))
	if r.producer != nil {
		// What is under way is finished, so that what is published is marked.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), replayFlush)
		defer cancel()
		errs = r.producer.Replay(limited, ready)
	}
	var failed error
	for i, err := range errs {
		if err == nil {
			r.published[ready[i].Origin.Topic]++
		} else if r.left[err.Error()]++; failed == nil {
			failed = fmt.Errorf("letter %s: %w", letterID(&ready[i]), err)
		}
	}
	if failed == nil && ctx.Err() != nil {
		return errInterrupted
	}
	return failed
}

// report says what became of the letters; it is an error when any that was chosen stays.
func (r *letterReplayer) report(a *app) error {
	verb := "published again"
	if r.producer == nil {
		verb = "would be published again"
	}
	total := 0
	for _, topic := range slices.Sorted(maps.Keys(r.published)) {
		total += r.published[topic]
		fmt.Fprintf(a.stdout, "%s: %d letters %s\n", topic, r.published[topic], verb)
	}
	if total == 0 {
		fmt.Fprintf(a.stdout, "no letters %s\n", verb)
	}
	if r.done > 0 && r.ids != nil {
		fmt.Fprintf(a.stdout, "%d were replayed before\n", r.done)
	}
	stay := 0
	for _, why := range slices.Sorted(maps.Keys(r.left)) {
		stay += r.left[why]
		fmt.Fprintf(a.stderr, "%d letters stay: %s\n", r.left[why], oneLine(why, 300))
	}
	for _, id := range slices.Sorted(maps.Keys(r.ids)) {
		if r.ids[id] {
			stay++
			fmt.Fprintf(a.stderr, "there is no letter %s\n", id)
		}
	}
	if stay > 0 {
		return errReported
	}
	return nil
}
