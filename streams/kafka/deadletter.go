package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/sartorhq/sartor/streams"
)

// The headers of a dead letter. The key, the value and the other headers are those of the message.
const (
	HeaderReason    = "sartor-reason"    // what is wrong with it
	HeaderTopic     = "sartor-topic"     // where it was
	HeaderPartition = "sartor-partition" //
	HeaderOffset    = "sartor-offset"    //
	HeaderTime      = "sartor-time"      // when the log received it, RFC 3339
	HeaderVersion   = "sartor-version"   // of the consumer
	HeaderCut       = "sartor-cut"       // the length of a value that was too long to be kept whole
	HeaderRefused   = "sartor-refused"   // it is an event, which the store refused
)

// The most that is kept of a bad message, so that its letter always fits into a message.
const (
	letterBytes   = 512 << 10
	letterHeaders = 32
	reasonBytes   = 2048
)

// letter is a bad message and what is wrong with it.
type letter struct {
	message
	reason  string
	refused bool // by the store
}

// bury writes the letters to the dead-letters topic. It returns only when they are written, or ctx
// ends: without them the messages would be lost.
func (w *worker) bury(ctx context.Context, letters []letter) error {
	c := w.consumer
	log := c.options.logger().With("topic", w.topic, "partition", w.partition)
	if _, often := w.warned.LoadOrStore(w.topic, true); !often {
		log.Warn("messages that cannot be used go to the dead letters", "first", letters[0].offset, "reason", letters[0].reason)
	} else {
		log.Debug("dead letters", "first", letters[0].offset, "count", len(letters))
	}
	pending := make([]kafkago.Message, len(letters))
	for i := range letters {
		pending[i] = w.address(&letters[i], letterBytes)
	}
	pause := backoff{first: 50 * time.Millisecond, most: 5 * time.Second}
	for {
		errs := c.producer.write(ctx, pending)
		left := pending[:0]
		var first error
		for i, err := range errs {
			if err == nil {
				c.metrics.deadLetters.WithLabelValues(string(w.stream)).Inc()
				continue
			}
			if first == nil {
				first = err
			}
			m := pending[i]
			if errors.Is(err, kafkago.MessageSizeTooLarge) && len(m.Value) > 1024 { // the topic's limit is below ours
				m = shorten(m, len(m.Value)/2)
			}
			left = append(left, m)
		}
		if pending = left; len(pending) == 0 {
			return nil
		}
		c.quiet.say(slog.LevelError, "cannot write dead letters; the partition waits", "topic", c.options.Topic(streams.DeadLetters), "error", first)
		if pause.wait(ctx) != nil {
			return fmt.Errorf("write dead letters: %w", first)
		}
	}
}

// address makes the message of a letter.
func (w *worker) address(l *letter, most int) kafkago.Message {
	reason := l.reason
	if len(reason) > reasonBytes {
		reason = reason[:reasonBytes]
	}
	text := func(key, value string) kafkago.Header { return kafkago.Header{Key: key, Value: []byte(value)} }
	m := kafkago.Message{
		Topic: w.consumer.options.Topic(streams.DeadLetters),
		Key:   l.key,
		Value: l.value,
		Headers: []kafkago.Header{
			text(HeaderReason, reason),
			text(HeaderTopic, w.topic),
			text(HeaderPartition, strconv.Itoa(w.partition)),
			text(HeaderOffset, strconv.FormatInt(l.offset, 10)),
			text(HeaderTime, l.time.UTC().Format(time.RFC3339Nano)),
			text(HeaderVersion, w.consumer.config.Version),
		},
	}
	if l.refused {
		m.Headers = append(m.Headers, text(HeaderRefused, "true"))
	}
	if len(m.Key) > most/8 {
		m.Key = m.Key[:most/8]
	}
	for _, h := range l.headers {
		if len(m.Headers) < letterHeaders && len(h.Key)+len(h.Value) < reasonBytes {
			m.Headers = append(m.Headers, h)
		}
	}
	if len(m.Value) > most {
		return shorten(m, most)
	}
	return m
}

// shorten cuts the value of a letter and notes its length.
func shorten(m kafkago.Message, most int) kafkago.Message {
	noted := false
	for _, h := range m.Headers {
		noted = noted || h.Key == HeaderCut
	}
	if !noted {
		m.Headers = append(m.Headers, kafkago.Header{Key: HeaderCut, Value: []byte(strconv.Itoa(len(m.Value)))})
	}
	m.Value = m.Value[:most]
	return m
}
