package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// pool is a set of connections that can be replaced while it is used.
type pool struct {
	options   *Options
	mu        sync.Mutex
	transport *kafkago.Transport
	built     time.Time
}

// newPool makes a pool; options are valid.
func newPool(options *Options) (*pool, error) {
	t, err := options.transport()
	if err != nil {
		return nil, err
	}
	return &pool{options: options, transport: t, built: time.Now()}, nil
}

// current returns the connections in use.
func (p *pool) current() *kafkago.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.transport
}

// roundTrip sends a request to the broker that it is for.
func (p *pool) roundTrip(ctx context.Context, m protocol.Message) (protocol.Message, error) {
	return p.current().RoundTrip(ctx, kafkago.TCP(p.options.Brokers...), m)
}

// rebuild replaces the connections unless they are younger than age: the first of many partitions
// that do not move does it for all. It tells whether it did.
func (p *pool) rebuild(age time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.built) < age {
		return false
	}
	t, err := p.options.transport()
	if err != nil {
		return false // cannot be: the same options have made one before
	}
	p.transport.CloseIdleConnections()
	p.transport, p.built = t, time.Now()
	return true
}

// close closes the connections.
func (p *pool) close() { p.current().CloseIdleConnections() }

// bounds returns the first offset of a partition and the one behind its last committed message.
func (p *pool) bounds(ctx context.Context, topic string, partition int) (first, end int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	client := &kafkago.Client{Addr: kafkago.TCP(p.options.Brokers...), Transport: p.current(), Timeout: requestTimeout}
	r, err := client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{
		Topics:         map[string][]kafkago.OffsetRequest{topic: {kafkago.FirstOffsetOf(partition), kafkago.LastOffsetOf(partition)}},
		IsolationLevel: kafkago.ReadCommitted,
	})
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the offsets of topic %s partition %d: %w", topic, partition, err)
	}
	for _, o := range r.Topics[topic] {
		if o.Partition == partition {
			return o.FirstOffset, o.LastOffset, o.Error
		}
	}
	return 0, 0, errors.New("the broker answered a question about offsets with something else")
}
