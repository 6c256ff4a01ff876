package main

import (
	"context"
	"errors"
	"strings"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/file"
	"github.com/sartorhq/sartor/streams/kafka"
)

// logFlags say which log is read: Kafka's, or a recording.
type logFlags struct{ from string }

func (f *logFlags) bind(a *app, cmd flagged) {
	a.bind(cmd.Flags(), "brokers", "kafka.brokers", "Kafka brokers, host:port separated by commas")
	cmd.Flags().StringVar(&f.from, "from-file", "", "read a recording instead of Kafka: `FORMAT:PATH`")
}

// recordLog reads a whole log, each time from its start to the end that it has then.
type recordLog struct {
	kafka kafka.Options
	// recording is set when the log is a file; it has no offsets that Redis could have fences for.
	recording func(context.Context, func(*streams.Event)) error
}

// open returns the log that the flags name.
func (f *logFlags) open(a *app) (*recordLog, error) {
	if f.from == "" {
		if len(a.config.Kafka.Brokers) == 0 {
			return nil, usagef("no log to read: use --brokers, or --from-file FORMAT:PATH")
		}
		options, err := a.kafkaOptions()
		return &recordLog{kafka: options}, err
	}
	name, path, ok := strings.Cut(f.from, ":")
	format, err := file.ParseFormat(name)
	if err != nil || !ok || path == "" {
		return nil, usagef("--from-file %s: need FORMAT:PATH (%v)", f.from, errors.Join(err))
	}
	return &recordLog{recording: fileEvents(format, path)}, nil
}

// read calls fn with every event that changes features.
func (l *recordLog) read(ctx context.Context, fn func(*streams.Record) error) error {
	if l.recording == nil {
		return kafka.ReadAll(ctx, l.kafka, consumed(), func(r streams.Record) error { return fn(&r) })
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var n int64
	err := l.recording(ctx, func(e *streams.Event) {
		if ctx.Err() != nil {
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

// place names one partition of a topic.
type place struct {
	topic     string
	partition int
}

func placeOf(r *streams.Record) place { return place{r.Topic, r.Partition} }
