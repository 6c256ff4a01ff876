package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/archive"
	"github.com/sartorhq/sartor/streams/kafka"
)

// eventLog is a log that is read as a whole, wherever it lies: train, verify and rebuild know no more
// of it.
type eventLog interface {
	// Read calls fn with every record of the streams that is there when Read is called. Records of one
	// partition come in the order of their offsets. An error of fn ends the reading and is returned.
	Read(ctx context.Context, which []streams.Stream, fn func(*streams.Record) error) error
}

// orderedLog is a log that can also be read in the order in which things happened, which training
// wants: partition by partition, all views would come before the first order.
type orderedLog interface {
	InOrder(ctx context.Context, which []streams.Stream, fn func(*streams.Record) error) error
}

// eventsOf is the reading of a log as training takes it.
func eventsOf(l orderedLog, which ...streams.Stream) func(context.Context, func(*streams.Event)) error {
	return func(ctx context.Context, add func(*streams.Event)) error {
		return l.InOrder(ctx, which, func(r *streams.Record) error {
			add(&r.Event)
			return nil
		})
	}
}

// sourceLog is a log in partitions.
type sourceLog struct {
	// open returns the partitions as they are now, and what releases them.
	open func(ctx context.Context, which []streams.Stream) ([]streams.Source, func(), error)
}

func (l sourceLog) Read(ctx context.Context, which []streams.Stream, fn func(*streams.Record) error) error {
	sources, done, err := l.open(ctx, which)
	if err != nil {
		return err
	}
	defer done()
	for _, s := range sources {
		if err := s.Read(ctx, fn); err != nil {
			return err
		}
	}
	return nil
}

func (l sourceLog) InOrder(ctx context.Context, which []streams.Stream, fn func(*streams.Record) error) error {
	sources, done, err := l.open(ctx, which)
	if err != nil {
		return err
	}
	defer done()
	return streams.InOrder(ctx, sources, fn)
}

// kafkaLog is what Kafka holds now.
func kafkaLog(options kafka.Options) sourceLog {
	return sourceLog{func(ctx context.Context, which []streams.Stream) ([]streams.Source, func(), error) {
		return kafka.Sources(ctx, options, which, func(string, int) int64 { return 0 })
	}}
}

// archiveLog is what the archive holds, and, when brokers are named, what Kafka has had since.
func archiveLog(where string, options kafka.Options) sourceLog {
	return sourceLog{func(ctx context.Context, which []streams.Stream) ([]streams.Source, func(), error) {
		a, err := archive.Open(ctx, where, archive.Options{Existing: true, Visits: options.Visits, VisitTopic: options.Topic(streams.Behavior), Logger: options.Logger})
		if err != nil {
			return nil, nil, err
		}
		sources, done, err := archiveSources(ctx, a, which, options)
		if err != nil {
			return nil, nil, errors.Join(err, a.Close())
		}
		return sources, func() { done(); _ = a.Close() }, nil
	}}
}

// archiveSources joins each partition's archive with what Kafka has from the next offset on.
func archiveSources(ctx context.Context, a *archive.Archive, which []streams.Stream, options kafka.Options) ([]streams.Source, func(), error) {
	topics := make([]string, len(which))
	for i, s := range which {
		topics[i] = options.Topic(s)
	}
	old, err := a.Sources(ctx, topics)
	if err != nil {
		return nil, nil, err
	}
	if len(options.Brokers) == 0 {
		if len(old) == 0 {
			return nil, nil, fmt.Errorf("the archive holds nothing of the topics %s: is it the right place?", strings.Join(topics, ", "))
		}
		return old, func() {}, nil
	}
	past := map[place]streams.Source{}
	for _, s := range old {
		past[place{s.Topic, s.Partition}] = s
	}
	start := func(topic string, partition int) int64 { return past[place{topic, partition}].Next }
	all, done, err := kafka.Sources(ctx, options, which, start)
	if err != nil {
		return nil, nil, err
	}
	for i, s := range all {
		before, ok := past[place{s.Topic, s.Partition}]
		if !ok {
			continue
		}
		all[i].Read = func(ctx context.Context, fn func(*streams.Record) error) error {
			if err := before.Read(ctx, fn); err != nil {
				return err
			}
			return s.Read(ctx, fn)
		}
	}
	return all, done, nil
}

// fileLog is a recording; its records have made-up offsets, which no store has fences for.
type fileLog struct {
	read func(context.Context, func(*streams.Event)) error
}

// InOrder is Read: recordings are in the order in which things happened.
func (l fileLog) InOrder(ctx context.Context, which []streams.Stream, fn func(*streams.Record) error) error {
	return l.Read(ctx, which, fn)
}

func (l fileLog) Read(ctx context.Context, which []streams.Stream, fn func(*streams.Record) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wanted := map[streams.Stream]bool{}
	for _, s := range which {
		wanted[s] = true
	}
	var n int64
	err := l.read(ctx, func(e *streams.Event) {
		if ctx.Err() != nil || !wanted[e.Type.Stream()] {
			return
		}
		r := streams.Record{Position: streams.Position{Topic: string(e.Type.Stream()), Offset: n}, Event: *e}
		n++
		if err := fn(&r); err != nil {
			cancel(err)
		}
	})
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// logFlags say which log is read: Kafka's, a recording, or the archive's.
type logFlags struct{ file, archive string }

func (f *logFlags) bind(a *app, cmd flagged) {
	f.bindLive(a, cmd)
	cmd.Flags().StringVar(&f.file, "from-file", "", fromFileUsage)
}

// bindLive declares the flags of commands that need offsets.
func (f *logFlags) bindLive(a *app, cmd flagged) {
	a.bind(cmd.Flags(), "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	f.bindArchive(cmd)
}

// bindArchive declares the flag of the archive alone.
func (f *logFlags) bindArchive(cmd flagged) {
	cmd.Flags().StringVar(&f.archive, "from-archive", "", "read the archive at `URL` first, and from Kafka, when brokers are named, only what is newer")
}

// namedLog is what the flags can name.
type namedLog interface {
	eventLog
	orderedLog
}

// open returns the log that the flags name. what is said when they name none.
func (f *logFlags) open(a *app, what string) (namedLog, error) {
	if f.file != "" && f.archive != "" {
		return nil, usagef("--from-file and --from-archive are two logs: give one")
	}
	if f.file != "" {
		format, path, err := parseRecording(f.file)
		if err != nil {
			return nil, err
		}
		return fileLog{recordedEvents(format, path, a.stderr)}, nil
	}
	if f.archive == "" && len(a.config.Kafka.Brokers) == 0 {
		return nil, usagef("%s", what)
	}
	options, err := a.kafkaOptions()
	if err != nil {
		return nil, err
	}
	schema, err := loadSchema(a.config.Schema)
	if err != nil {
		return nil, err
	}
	options.Visits = schema.VisitGap()
	if f.archive != "" {
		return archiveLog(f.archive, options), nil
	}
	return kafkaLog(options), nil
}

// place names one partition of a topic.
type place struct {
	topic     string
	partition int
}

func placeOf(r *streams.Record) place { return place{r.Topic, r.Partition} }
