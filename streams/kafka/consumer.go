package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/sartorhq/sartor/streams"
)

// Partition is where the events of one topic partition go: a store with a fence. It is used by one
// goroutine at a time.
type Partition interface {
	// Next returns the offset from which the store wants to read: one behind its fence.
	Next() int64
	// Apply stores the effect of the records, which ascend by offset, and moves the fence to last,
	// which is at or behind the last record: messages that are no events lie between. It returns
	// ErrRewind when the fence is not where it was. recs and what it holds are the caller's again
	// after the return, except for the events, which may be kept. recs may be empty.
	Apply(ctx context.Context, recs []streams.Record, last int64) error
	// Idle is called about once a second between two calls of Apply, also when there is nothing to
	// apply, so that the store can move the fences of shards that no event has reached.
	Idle(ctx context.Context) error
}

// Opener returns the partition's store with its fence read anew. It is called when a partition is
// assigned and after each error of the Partition, and may be called for several partitions at once.
type Opener func(ctx context.Context, topic string, partition int) (Partition, error)

// ConsumerOptions says what is consumed and how. The zero values of all but Group are usable.
type ConsumerOptions struct {
	// Group is the consumer group; its members share the partitions.
	Group string
	// Streams to consume; all but the dead letters when nil.
	Streams []streams.Stream
	// BatchEvents bounds the events of one Apply; 1000 when zero.
	BatchEvents int
	// BatchWait is how long a batch that is not full waits for more; 5 ms when zero.
	BatchWait time.Duration
	// IdleEvery is the pace of Idle; 1 s when zero.
	IdleEvery time.Duration
	// CommitEvery is the pace of the commits that dashboards see; 1 s when zero.
	CommitEvery time.Duration
	// Drain is how long an Apply in flight may go on when its partition is taken away; 3 s when zero.
	Drain time.Duration
	// MaxAhead is how far an event's time may be ahead of the time at which the log received it, above
	// which it goes to the dead letters: it would distort every window. 5 min when zero, negative for
	// no limit. The wall clock plays no part, so that reading the log again decides alike.
	MaxAhead time.Duration
	// MaxBehind is how far an event's time may be behind the time at which the log received it, above
	// which it is counted as late; 0 for no limit. It is applied all the same: windows that are over
	// no longer have a place for it, everything else does.
	MaxBehind time.Duration
	// FetchBytes bounds one fetch; 1 MiB when zero, and less where so many partitions are assigned that
	// they would exceed MemoryBytes together.
	FetchBytes int
	// MemoryBytes bounds what all partitions of this member have read ahead of the store; 128 MiB when
	// zero. A partition holds at most three fetches: one that is applied, one that waits, and one in the
	// hands of its reader. A single message that is longer than a fetch comes all the same.
	MemoryBytes int
	// Stall is how long a partition may fail to be read before the watchdog replaces all
	// connections; 20 s when zero.
	Stall time.Duration
	// SessionTimeout is how long a member that died holds its partitions; 6 s, the least that brokers
	// allow by default (group.min.session.timeout.ms), when zero. A member that is killed and started
	// again waits for it too.
	SessionTimeout time.Duration
	// Version is written into dead letters.
	Version string
	// NoLetters passes over messages that are no events instead of writing them to the dead letters:
	// for the second group that reads a log, whose first one has written them.
	NoLetters bool
}

// maxAhead is the default of MaxAhead, which ReadAll goes by too.
const maxAhead = 5 * time.Minute

// defaults fills in what is zero.
func (o *ConsumerOptions) defaults() {
	if o.Streams == nil {
		for _, s := range streams.Streams() {
			if s != streams.DeadLetters {
				o.Streams = append(o.Streams, s)
			}
		}
	}
	o.BatchEvents = cmp.Or(o.BatchEvents, 1000)
	o.BatchWait = cmp.Or(o.BatchWait, 5*time.Millisecond)
	o.IdleEvery = cmp.Or(o.IdleEvery, time.Second)
	o.CommitEvery = cmp.Or(o.CommitEvery, time.Second)
	o.Drain = cmp.Or(o.Drain, 3*time.Second)
	o.MaxAhead = cmp.Or(o.MaxAhead, maxAhead)
	o.FetchBytes = cmp.Or(o.FetchBytes, 1<<20)
	o.MemoryBytes = cmp.Or(o.MemoryBytes, 128<<20)
	o.Stall = cmp.Or(o.Stall, 20*time.Second)
	o.SessionTimeout = cmp.Or(o.SessionTimeout, 6*time.Second)
	o.Version = cmp.Or(o.Version, "dev")
}

// Consumer is one member of a consumer group.
type Consumer struct {
	options  Options
	config   ConsumerOptions
	byTopic  map[string]streams.Stream
	metrics  *consumerMetrics
	quiet    *quiet
	pool     *pool
	producer *Producer // of dead letters
}

// NewConsumer makes a member; it connects in Run.
func NewConsumer(options Options, config ConsumerOptions) *Consumer {
	config.defaults()
	c := &Consumer{options: options, config: config, byTopic: map[string]streams.Stream{},
		metrics: newConsumerMetrics(options.Registerer), quiet: newQuiet(options.logger())}
	for _, s := range config.Streams {
		c.byTopic[options.Topic(s)] = s
	}
	return c
}

// Run joins the group and applies the events of the partitions that it is given until ctx ends,
// which is no error. It keeps trying while brokers or stores do not answer. It returns early only for
// what a person must decide: wrong options, a missing topic (ErrNoTopic), an answer of the broker
// that will not change, or a store that is ahead of the log (*OffsetError). Run is called once.
func (c *Consumer) Run(ctx context.Context, open Opener) error {
	if err := c.start(); err != nil {
		return err
	}
	defer c.pool.close()
	defer func() { _ = c.producer.Close() }()
	if err := c.awaitTopics(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	group, err := c.join()
	if err != nil {
		return err
	}
	c.generations(ctx, group, &runner{consumer: c, open: open, fatal: cancel})
	_ = group.Close() // ends the generation and waits for its partitions; never fails
	var fatal *fatalError
	if errors.As(context.Cause(ctx), &fatal) {
		return fatal.error
	}
	return nil
}

// fatalError marks, as the cause of a context's end, an error that ends Run.
type fatalError struct{ error }

// start checks the options and makes what Run needs.
func (c *Consumer) start() error {
	if err := c.options.Validate(); err != nil {
		return err
	}
	if c.config.Group == "" {
		return errors.New("kafka: a consumer needs a group")
	}
	if _, dead := c.byTopic[c.options.Topic(streams.DeadLetters)]; dead {
		return errors.New("kafka: the dead letters are not consumed as events; copy them back with WriteRaw")
	}
	var err error
	if c.pool, err = newPool(&c.options); err != nil {
		return err
	}
	letters := c.options
	letters.Registerer = nil // the dead letters have their own metric
	c.producer = NewProducer(letters)
	return nil
}

// topics returns the real names of the topics, in the order of the streams.
func (c *Consumer) topics() []string {
	names := make([]string, len(c.config.Streams))
	for i, s := range c.config.Streams {
		names[i] = c.options.Topic(s)
	}
	return names
}

// awaitTopics waits until the cluster answers and refuses to go on without the topics: a group with
// a topic that does not exist would join again and again without a pause.
func (c *Consumer) awaitTopics(ctx context.Context) error {
	needed := append(c.topics(), c.options.Topic(streams.DeadLetters))
	for ctx.Err() == nil {
		a := &admin{options: c.options, wait: requestTimeout}
		there, err := a.partitions(ctx, needed)
		a.close()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && permanent(err):
			return err
		case err != nil:
			c.quiet.say(slog.LevelWarn, "waiting for Kafka", "error", err)
			continue
		}
		for _, name := range needed {
			if _, ok := there[name]; !ok {
				return fmt.Errorf("kafka topic %q: %w; create it, or name the right one in the configuration", name, ErrNoTopic)
			}
		}
		return nil
	}
	return nil
}

// join makes the group member.
func (c *Consumer) join() (*kafkago.ConsumerGroup, error) {
	dialer, err := c.options.dialer()
	if err != nil {
		return nil, err
	}
	return kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID:                     c.config.Group,
		Brokers:                c.options.Brokers,
		Dialer:                 dialer,
		Topics:                 c.topics(),
		GroupBalancers:         []kafkago.GroupBalancer{kafkago.RoundRobinGroupBalancer{}},
		StartOffset:            kafkago.FirstOffset, // said though never used
		HeartbeatInterval:      min(time.Second, c.config.SessionTimeout/6),
		SessionTimeout:         c.config.SessionTimeout,
		RebalanceTimeout:       10 * time.Second,
		JoinGroupBackoff:       300 * time.Millisecond,
		WatchPartitionChanges:  true,
		PartitionWatchInterval: 5 * time.Second,
		ErrorLogger:            kafkago.LoggerFunc(c.quiet.printf(slog.LevelInfo, "kafka group: ")),
	})
}

// shortestGeneration is the pace at which generations may follow each other: one that ends at once,
// for example because a topic was deleted, must not become a busy loop.
const shortestGeneration = 200 * time.Millisecond

// generations runs one generation after the other until ctx ends.
func (c *Consumer) generations(ctx context.Context, group *kafkago.ConsumerGroup, r *runner) {
	for {
		generation, err := group.Next(ctx)
		if ctx.Err() != nil || errors.Is(err, kafkago.ErrGroupClosed) {
			return
		}
		if err != nil {
			if denied(err) {
				r.fatal(&fatalError{fmt.Errorf("join the group %s: %w", c.config.Group, err)})
				return
			}
			c.quiet.say(slog.LevelWarn, "kafka group", "group", c.config.Group, "error", err)
			continue
		}
		c.metrics.generations.Inc()
		r.start(ctx, generation)
		pause := backoff{first: shortestGeneration, most: shortestGeneration}
		if pause.wait(ctx) != nil {
			return
		}
	}
}

// denied tells whether the cluster refuses this member for good, until a person changes something.
func denied(err error) bool {
	for _, e := range []kafkago.Error{kafkago.GroupAuthorizationFailed, kafkago.TopicAuthorizationFailed,
		kafkago.ClusterAuthorizationFailed, kafkago.SASLAuthenticationFailed, kafkago.UnsupportedSASLMechanism,
		kafkago.InvalidGroupId, kafkago.InconsistentGroupProtocol, kafkago.InvalidSessionTimeout} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// fetchBytes returns the bound of one fetch where so many partitions are read at once.
func (o *ConsumerOptions) fetchBytes(partitions int) int {
	const least = 16 << 10 // below it a fetch costs more than what it brings
	return min(o.FetchBytes, max(o.MemoryBytes/(chunksAhead*max(partitions, 1)), least))
}

// runner starts the partitions of a generation.
type runner struct {
	consumer *Consumer
	open     Opener
	fatal    context.CancelCauseFunc
	warned   sync.Map // topic -> true, so that a flood of bad messages is not a flood of logs
	faults            // where tests let the process die; nothing in production
}

// start starts a worker for each partition that is assigned.
func (r *runner) start(ctx context.Context, generation *kafkago.Generation) {
	n := 0
	for _, assigned := range generation.Assignments {
		n += len(assigned)
	}
	for topic, assigned := range generation.Assignments {
		for _, a := range assigned {
			w := &worker{runner: r, generation: generation, topic: topic, partition: a.ID,
				stream: r.consumer.byTopic[topic], committed: a.Offset, fetchBytes: r.consumer.config.fetchBytes(n)}
			generation.Start(func(ended context.Context) { w.run(ctx, ended) })
		}
	}
	r.consumer.options.logger().Info("kafka partitions assigned", "group", generation.GroupID, "generation", generation.ID, "partitions", n)
}
