package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// The batching of a producer: what shares a partition and comes within the linger shares a request.
const (
	linger     = 5 * time.Millisecond
	batchSize  = 1000
	batchBytes = 1 << 20
)

// Header is one header of a message.
type Header struct {
	Key   string
	Value []byte
}

// Producer writes events to the topics of their streams and waits until all in-sync replicas have
// them. Events of one key stay in order. It is safe for concurrent use; concurrent writers share
// requests.
type Producer struct {
	options   Options
	err       error // of the options
	writer    *kafkago.Writer
	transport *kafkago.Transport
	metrics   *producerMetrics
}

// NewProducer makes a producer; it connects at the first write. Close it to free its connections.
func NewProducer(options Options) *Producer {
	p := &Producer{options: options, err: options.Validate(), metrics: newProducerMetrics(options.Registerer)}
	if p.err != nil {
		return p
	}
	p.transport, p.err = options.transport()
	compression, _ := options.compression()
	p.writer = &kafkago.Writer{
		Addr: kafkago.TCP(options.Brokers...),
		// The hash of the Java client: whoever produces, a key has the same partition.
		Balancer:        kafkago.Murmur2Balancer{},
		RequiredAcks:    kafkago.RequireAll, // the Writer's default is none, and silent
		MaxAttempts:     6,
		WriteBackoffMin: 50 * time.Millisecond,
		WriteBackoffMax: time.Second,
		BatchTimeout:    linger,
		BatchSize:       batchSize,
		BatchBytes:      batchBytes,
		WriteTimeout:    requestTimeout,
		ReadTimeout:     requestTimeout,
		Compression:     compression,
		Transport:       p.transport,
		ErrorLogger:     kafkago.LoggerFunc(newQuiet(options.logger()).printf(slog.LevelWarn, "kafka producer: ")),
	}
	return p
}

// WriteError says which events of a Write were not written, or not certainly: a write that timed out
// may have reached the log, so that repeating it may repeat the event (which event_id tells).
type WriteError struct {
	// Errs has one entry for each event, nil for those that are written.
	Errs []error
}

// Error counts the failures and tells the first.
func (e *WriteError) Error() string {
	failed, first := 0, error(nil)
	for _, err := range e.Errs {
		if err != nil {
			if failed++; first == nil {
				first = err
			}
		}
	}
	return fmt.Sprintf("%d of %d events were not written: %v", failed, len(e.Errs), first)
}

// Unwrap returns the failures.
func (e *WriteError) Unwrap() []error {
	var errs []error
	for _, err := range e.Errs {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// headers are those of one event's message.
func (p *Producer) headers(ctx context.Context, e *streams.Event) []kafkago.Header {
	if p.options.Headers == nil {
		return nil
	}
	var out []kafkago.Header
	for _, h := range p.options.Headers(ctx, e) {
		out = append(out, kafkago.Header(h))
	}
	return out
}

// Write writes events, each to its stream's topic under its key, and returns when all are
// acknowledged. When some are not, the error is a *WriteError; an event that the codec refuses is
// an errors.Is codec.ErrMalformed in it and keeps no other event from being written.
func (p *Producer) Write(ctx context.Context, events ...streams.Event) error {
	if p.err != nil {
		return p.err
	}
	errs := make([]error, len(events))
	messages := make([]kafkago.Message, 0, len(events))
	index := make([]int, 0, len(events))
	for i := range events {
		value, err := codec.Encode(&events[i])
		if err != nil {
			errs[i] = err
			p.metrics.errors.WithLabelValues(string(events[i].Type.Stream())).Inc()
			continue
		}
		messages = append(messages, kafkago.Message{
			Topic: p.options.Topic(events[i].Type.Stream()),
			Key:   []byte(events[i].Key()),
			Value: value, Headers: p.headers(ctx, &events[i]),
		})
		index = append(index, i)
	}
	for j, err := range p.write(ctx, messages) {
		i := index[j]
		errs[i] = err
		p.count(events[i].Type.Stream(), err)
	}
	for _, err := range errs {
		if err != nil {
			return &WriteError{errs}
		}
	}
	return nil
}

// WriteRaw writes one message as it is. A nil value is a tombstone. The message is not checked: it
// is for copying dead letters back, and for tests.
func (p *Producer) WriteRaw(ctx context.Context, stream streams.Stream, key, value []byte, headers ...Header) error {
	if p.err != nil {
		return p.err
	}
	m := kafkago.Message{Topic: p.options.Topic(stream), Key: key, Value: value}
	for _, h := range headers {
		m.Headers = append(m.Headers, kafkago.Header(h))
	}
	err := p.write(ctx, []kafkago.Message{m})[0]
	p.count(stream, err)
	if err != nil {
		return fmt.Errorf("write to topic %s: %w", m.Topic, err)
	}
	return nil
}

// write writes messages and returns one result for each.
func (p *Producer) write(ctx context.Context, messages []kafkago.Message) []error {
	errs := make([]error, len(messages))
	if len(messages) == 0 {
		return errs
	}
	start := time.Now()
	err := p.writer.WriteMessages(ctx, messages...)
	p.metrics.seconds.Observe(time.Since(start).Seconds())
	var each kafkago.WriteErrors
	if errors.As(err, &each) && len(each) == len(errs) {
		copy(errs, each)
		return errs
	}
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// count counts one message.
func (p *Producer) count(stream streams.Stream, err error) {
	if err != nil {
		p.metrics.errors.WithLabelValues(string(stream)).Inc()
	} else {
		p.metrics.events.WithLabelValues(string(stream)).Inc()
	}
}

// Close waits for writes in flight and closes the connections. Later writes fail.
func (p *Producer) Close() error {
	if p.err != nil {
		return nil
	}
	err := p.writer.Close()
	p.transport.CloseIdleConnections()
	return err
}
