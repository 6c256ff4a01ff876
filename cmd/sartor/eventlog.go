package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/archive"
	"github.com/sartorhq/sartor/streams/file"
	"github.com/sartorhq/sartor/streams/kafka"
)

// eventLog is a log that is read as a whole, wherever it lies: train, verify and rebuild know no more
// of it.
type eventLog interface {
	// Read calls fn with every record of the streams that is there when Read is called. Records of one
	// partition come in the order of their offsets. An error of fn ends the reading and is returned.
	Read(ctx context.Context, which []streams.Stream, fn func(*streams.Record) error) error
}

// eventsOf is the reading of a log as training takes it.
func eventsOf(l eventLog, which ...streams.Stream) func(context.Context, func(*streams.Event)) error {
	return func(ctx context.Context, add func(*streams.Event)) error {
		return l.Read(ctx, which, func(r *streams.Record) error {
			add(&r.Event)
			return nil
		})
	}
}

// kafkaLog is what Kafka holds now.
type kafkaLog struct{ options kafka.Options }

func (l kafkaLog) Read(ctx context.Context, which []streams.Stream, fn func(*streams.Record) error) error {
	return kafka.ReadAll(ctx, l.options, which, func(r streams.Record) error { return fn(&r) })
}

// archiveLog is what the archive holds, and, when brokers are named, what Kafka has had since.
type archiveLog struct {
	where   string
	options kafka.Options
}

func (l archiveLog) Read(ctx context.Context, which []streams.Stream, fn func(*streams.Record) error) error {
	a, err := archive.Open(ctx, l.where, archive.Options{Logger: l.options.Logger})
	if err != nil {
		return err
	}
	defer a.Close()
	topics := make([]string, len(which))
	for i, s := range which {
		topics[i] = l.options.Topic(s)
	}
	ends, err := a.Read(ctx, topics, fn)
	if err != nil {
		return err
	}
	if len(l.options.Brokers) == 0 {
		if len(ends) == 0 {
			return fmt.Errorf("the archive %s holds nothing of the topics %s: is it the right place?", l.where, strings.Join(topics, ", "))
		}
		return nil
	}
	next := map[place]int64{}
	for _, end := range ends {
		next[place{end.Topic, end.Partition}] = end.Offset
	}
	start := func(topic string, partition int) int64 { return next[place{topic, partition}] }
	return kafka.ReadAfter(ctx, l.options, which, start, func(r streams.Record) error { return fn(&r) })
}

// fileLog is a recording; its records have made-up offsets, which no store has fences for.
type fileLog struct {
	read func(context.Context, func(*streams.Event)) error
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
	cmd.Flags().StringVar(&f.file, "from-file", "", "read a recording instead of Kafka: `FORMAT:PATH`")
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

// open returns the log that the flags name. what is said when they name none.
func (f *logFlags) open(a *app, what string) (eventLog, error) {
	if f.file != "" && f.archive != "" {
		return nil, usagef("--from-file and --from-archive are two logs: give one")
	}
	if f.file != "" {
		name, path, ok := strings.Cut(f.file, ":")
		format, err := file.ParseFormat(name)
		if err != nil || !ok || path == "" {
			return nil, usagef("--from-file %s: need FORMAT:PATH (%v)", f.file, errors.Join(err))
		}
		return fileLog{fileEvents(format, path)}, nil
	}
	if f.archive == "" && len(a.config.Kafka.Brokers) == 0 {
		return nil, usagef("%s", what)
	}
	options, err := a.kafkaOptions()
	if err != nil {
		return nil, err
	}
	if f.archive != "" {
		return archiveLog{f.archive, options}, nil
	}
	return kafkaLog{options}, nil
}

// place names one partition of a topic.
type place struct {
	topic     string
	partition int
}

func placeOf(r *streams.Record) place { return place{r.Topic, r.Partition} }
