// Package kafka carries events to and from Kafka: a producer that waits for all replicas, a consumer
// that resumes where the store says and never where a commit says, dead letters, and the reading of
// whole topics for training. It knows nothing of what consumers do with events, and it is the only
// importer of kafka-go.
//
// Delivery is at least once; the effect is exactly once when the Partition keeps its fence in the same
// transaction as what it stores. Kafka's own commits are written for lag dashboards and never read.
//
// Partitions are read with kafka-go's Transport and fetch protocol rather than with its Reader: the
// Reader hands transaction markers and aborted records to the program as messages, jumps back to
// offset 1 when a fetch holds only a record batch that compaction has emptied, and waits for ever,
// silently, beyond the end of a log that was cut; and it is slower.
package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// ErrRewind is what Partition.Apply or Idle returns, possibly wrapped, when the store's fence is not
// where the consumer thinks: the partition is opened again and read from its new Next.
var ErrRewind = errors.New("the store is at another offset")

// ErrNoTopic is returned, wrapped, when a topic that must be read does not exist.
var ErrNoTopic = errors.New("topic does not exist")

// OffsetError says that the store has applied more of a partition than the log holds: the topic was
// deleted and created again, or its log was cut. Going on would mix two histories, so nothing is
// read until a person decides.
type OffsetError struct {
	Topic     string
	Partition int
	Next      int64 // the offset that the store wants
	End       int64 // the log's end
}

// Error says what happened and what can be done.
func (e *OffsetError) Error() string {
	return fmt.Sprintf("topic %s partition %d: the store wants offset %d, but the log ends at %d: the topic was created anew or cut; "+
		"restore the topic, or let the features be rebuilt from it by starting with an empty store (another redis prefix)",
		e.Topic, e.Partition, e.Next, e.End)
}

// Mechanism is a SASL mechanism.
type Mechanism string

// The mechanisms; the names are Kafka's.
const (
	Plain       Mechanism = "PLAIN"
	ScramSHA256 Mechanism = "SCRAM-SHA-256"
	ScramSHA512 Mechanism = "SCRAM-SHA-512"
)

// SASL is how the client says who it is. It never prints its password.
type SASL struct {
	Mechanism Mechanism
	User      string
	Password  string
}

// String hides the password.
func (s SASL) String() string { return string(s.Mechanism) + " " + s.User + ":***" }

// GoString hides the password.
func (s SASL) GoString() string { return s.String() }

// LogValue hides the password.
func (s SASL) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Options says how to reach the cluster. All parts of this package take the same Options.
type Options struct {
	// Brokers are host:port addresses of which at least one must answer at the start.
	Brokers []string
	// ClientID names the client in the brokers' logs and quotas; "sartor" when empty.
	ClientID string
	// Topics gives the real name of a stream's topic; a stream that is not in it has its own name.
	Topics map[streams.Stream]string
	// Formats fixes the format of what a stream's topic holds; a stream that is not in it has
	// codec.Auto, which tells the formats apart message by message.
	Formats map[streams.Stream]codec.Format
	// Horizon is how many offsets of a partition are looked back for an event that its producer wrote
	// again: an equal event_id, type, subject and time. The repeat is passed over. 10,000 when zero,
	// negative for none. All who read a log must have the same.
	Horizon int
	// Visits is the gap that ends a visit, for whoever wants Event.Visit; 0 = nobody does. All who fold a
	// log must have the same.
	Visits time.Duration
	// TLS is used when not nil.
	TLS *tls.Config
	// SASL is used when not nil.
	SASL *SASL
	// Compression of what is produced: "" or "none", "gzip", "snappy", "lz4", "zstd".
	Compression string
	// Logger is silent when nil.
	Logger *slog.Logger
	// Registerer receives the metrics; nil keeps them unpublished.
	Registerer prometheus.Registerer
	// Headers are put on the message of each event that Producer.Write writes: a trace's place in it, by the
	// context of the write or by what the event tells. nil = none.
	Headers func(context.Context, *streams.Event) []Header
	// Batches is told of every batch that a Consumer is about to deal with, and returns the context for the
	// store and what is told how it ended. It is called by many goroutines. nil = nobody listens, at no cost.
	Batches func(context.Context, Batch) (context.Context, func(error))
}

// Validate returns what is wrong with the options, or nil. The constructors do not; what they make
// returns the same error at its first use.
func (o *Options) Validate() error {
	if len(o.Brokers) == 0 {
		return errors.New("kafka: no broker address is configured")
	}
	if _, err := o.mechanism(); err != nil {
		return err
	}
	if _, err := o.compression(); err != nil {
		return err
	}
	for _, s := range streams.Streams() { // in their order, so that the error is always the same
		if _, err := codec.ParseFormat(string(o.Formats[s])); err != nil {
			return fmt.Errorf("kafka: the format of the stream %s: %w", s, err)
		}
	}
	seen := map[string]streams.Stream{}
	for _, s := range streams.Streams() {
		if other, twice := seen[o.Topic(s)]; twice {
			return fmt.Errorf("kafka: the streams %s and %s share the topic %s", other, s, o.Topic(s))
		}
		seen[o.Topic(s)] = s
	}
	return nil
}

// Topic returns the real name of a stream's topic.
func (o *Options) Topic(s streams.Stream) string {
	return cmp.Or(o.Topics[s], string(s))
}

// logger returns a logger that is never nil.
func (o *Options) logger() *slog.Logger {
	if o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Logger
}

// mechanism makes kafka-go's SASL mechanism, or nil.
func (o *Options) mechanism() (sasl.Mechanism, error) {
	if o.SASL == nil {
		return nil, nil
	}
	switch o.SASL.Mechanism {
	case Plain:
		return plain.Mechanism{Username: o.SASL.User, Password: o.SASL.Password}, nil
	case ScramSHA256:
		return scramMechanism(scram.SHA256, o.SASL)
	case ScramSHA512:
		return scramMechanism(scram.SHA512, o.SASL)
	}
	return nil, fmt.Errorf("kafka: unknown SASL mechanism %q; use %s, %s or %s", o.SASL.Mechanism, Plain, ScramSHA256, ScramSHA512)
}

// scramMechanism keeps the password out of the error.
func scramMechanism(a scram.Algorithm, s *SASL) (sasl.Mechanism, error) {
	m, err := scram.Mechanism(a, s.User, s.Password)
	if err != nil {
		return nil, errors.New("kafka: the SASL user or password has characters that SCRAM does not allow")
	}
	return m, nil
}

// compression returns kafka-go's codec number.
func (o *Options) compression() (kafkago.Compression, error) {
	switch o.Compression {
	case "", "none":
		return 0, nil
	case "gzip":
		return kafkago.Gzip, nil
	case "snappy":
		return kafkago.Snappy, nil
	case "lz4":
		return kafkago.Lz4, nil
	case "zstd":
		return kafkago.Zstd, nil
	}
	return 0, fmt.Errorf("kafka: unknown compression %q; use none, gzip, snappy, lz4 or zstd", o.Compression)
}

// The limits of every conversation with a broker.
const (
	dialTimeout    = 5 * time.Second
	requestTimeout = 10 * time.Second
	metadataTTL    = 2 * time.Second // also the time limit of asking for it
)

// transport makes a connection pool; the caller closes it with CloseIdleConnections.
func (o *Options) transport() (*kafkago.Transport, error) {
	m, err := o.mechanism()
	if err != nil {
		return nil, err
	}
	topics := make([]string, 0, len(streams.Streams()))
	for _, s := range streams.Streams() {
		topics = append(topics, o.Topic(s))
	}
	return &kafkago.Transport{
		ClientID:       cmp.Or(o.ClientID, "sartor"),
		DialTimeout:    dialTimeout,
		MetadataTTL:    metadataTTL,
		MetadataTopics: topics, // and not all of a large cluster's, every second
		TLS:            o.TLS,
		SASL:           m,
	}, nil
}

// dialer makes what the group protocol needs, which does not go through the transport.
func (o *Options) dialer() (*kafkago.Dialer, error) {
	m, err := o.mechanism()
	if err != nil {
		return nil, err
	}
	return &kafkago.Dialer{
		ClientID:      cmp.Or(o.ClientID, "sartor"),
		Timeout:       dialTimeout,
		DualStack:     true,
		TLS:           o.TLS,
		SASLMechanism: m,
	}, nil
}
