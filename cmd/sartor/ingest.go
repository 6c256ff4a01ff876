package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

func newIngestCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ingest",
		Short: "Read the streams from Kafka and keep the features in Redis",
		Long: `Consumes the topics as a member of the consumer group, folds each event into feature changes and
applies them to Redis exactly once in effect: Redis itself remembers how far each partition has
been applied, so a crash, a rebalance or a Redis that lost its last second neither loses nor
doubles an event. Messages that cannot be used go to the dead-letters topic with the reason.

Run as many as there are partitions at most. It stops cleanly on SIGTERM.`,
		Example: `  sartor ingest --config sartor.yaml
  SARTOR_KAFKA_BROKERS=kafka:9092 SARTOR_REDIS_ADDRS=redis:6379 sartor ingest`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.ingest(cmd.Context()) },
	}
	a.bind(cmd.Flags(), "group", "kafka.group", "consumer group")
	return cmd
}

// ingest runs until ctx is done.
func (a *app) ingest(ctx context.Context) error {
	if err := a.needServers("ingest"); err != nil {
		return err
	}
	w, err := a.newWiring()
	if err != nil {
		return err
	}
	tracing, err := newTracing(ctx, a.config.Trace, buildVersion())
	if err != nil {
		return err
	}
	tracing.wireKafka(&w.kafka)
	return errors.Join(a.ingestInto(ctx, w), tracing.close())
}

// ingestInto runs until ctx is done.
func (a *app) ingestInto(ctx context.Context, w *wiring) error {
	store := redisstore.New(w.redis, w.schema)
	if err := store.Open(ctx); err != nil {
		return errors.Join(fmt.Errorf("open the feature store: %w", err), store.Close())
	}
	if a.config.Kafka.Create {
		if err := w.ensureTopics(ctx); err != nil {
			return errors.Join(err, store.Close())
		}
	}
	a.logger.Info("ingesting", "brokers", a.config.Kafka.Brokers, "group", a.config.Kafka.Group)
	err := runIngest(ctx, w, store, func(string, int, int64) {})
	return errors.Join(ignoreCanceled(ctx, err), store.Close())
}

// consumed are the streams that change features.
func consumed() []streams.Stream {
	return []streams.Stream{streams.Catalog, streams.Users, streams.Orders, streams.Behavior, streams.Exposures}
}

// runIngest consumes until ctx is done. Each time a partition has been applied up to an offset it
// calls applied, from several goroutines.
func runIngest(ctx context.Context, w *wiring, store *redisstore.Store, applied func(topic string, partition int, next int64)) error {
	consumer := kafka.NewConsumer(w.kafka, kafka.ConsumerOptions{Group: w.config.Kafka.Group, Streams: consumed(),
		BatchEvents: w.config.Kafka.BatchEvents, MaxBehind: time.Duration(w.schema.Retention().Days) * 24 * time.Hour, Version: buildVersion()})
	return consumer.Run(ctx, func(ctx context.Context, topic string, partition int) (kafka.Partition, error) {
		p, err := store.Partition(ctx, topic, partition)
		if err != nil {
			return nil, fmt.Errorf("read how far %s/%d has been applied: %w", topic, partition, err)
		}
		applied(topic, partition, p.Next())
		return &sink{schema: w.schema, store: p, applied: func(next int64) { applied(topic, partition, next) }}, nil
	})
}

// sink applies one Kafka partition's records to the feature store: it is where the two ends of the
// write path meet, which know nothing of each other.
type sink struct {
	schema  *features.Schema
	store   *redisstore.Partition
	applied func(next int64)
}

// Next returns the offset to read from, which the store knows and Kafka's commit does not.
func (s *sink) Next() int64 { return s.store.Next() }

// Apply folds the records and applies them in one batch; last is the offset up to which everything,
// including messages without a record, is dealt with.
func (s *sink) Apply(ctx context.Context, recs []streams.Record, last int64) error {
	if err := s.store.Apply(ctx, foldRecords(s.schema, recs), last); err != nil {
		return rewind(err)
	}
	s.applied(last + 1)
	return nil
}

// foldRecords folds the records, keeping their offsets.
func foldRecords(schema *features.Schema, recs []streams.Record) []redisstore.Folded {
	out := make([]redisstore.Folded, len(recs))
	for i := range recs {
		out[i] = redisstore.Folded{Offset: recs[i].Offset, Deltas: schema.Fold(&recs[i].Event)}
	}
	return out
}

// Idle lets the store note how far an idle partition has been read.
func (s *sink) Idle(ctx context.Context) error { return rewind(s.store.Flush(ctx)) }

// rewind translates what the store says into what the consumer must do: open the partition again, or
// put an event aside.
func rewind(err error) error {
	switch {
	case errors.Is(err, redisstore.ErrFenced):
		return fmt.Errorf("%w: %w", kafka.ErrRewind, err)
	case redisstore.Refused(err):
		return fmt.Errorf("%w: %w", kafka.ErrRefused, err)
	}
	return err
}
