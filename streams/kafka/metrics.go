package kafka

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// consumerMetrics is what a consumer counts.
type consumerMetrics struct {
	events       *prometheus.CounterVec // by stream
	decodeErrors *prometheus.CounterVec // by stream
	deadLetters  *prometheus.CounterVec // by stream
	skipped      *prometheus.CounterVec // by stream
	repeated     *prometheus.CounterVec // by stream
	late         *prometheus.CounterVec // by stream
	refused      *prometheus.CounterVec // by stream
	lost         *prometheus.CounterVec // by topic
	rewinds      *prometheus.CounterVec // by topic
	applyErrors  *prometheus.CounterVec // by topic
	fetchErrors  *prometheus.CounterVec // by topic
	rebuilds     prometheus.Counter
	generations  prometheus.Counter
	lag          *prometheus.GaugeVec // by topic and partition
	batchSeconds prometheus.Histogram
	batchEvents  prometheus.Histogram
	freshness    *prometheus.HistogramVec // by stream
}

// newConsumerMetrics makes the metrics, or finds those that another consumer has registered.
func newConsumerMetrics(r prometheus.Registerer) *consumerMetrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sartor_kafka_" + name, Help: help}, []string{label}))
	}
	return &consumerMetrics{
		events:       counter("consumed_events_total", "Events that were applied, repeats included.", "stream"),
		decodeErrors: counter("decode_errors_total", "Messages that are not events.", "stream"),
		deadLetters:  counter("dead_letters_total", "Messages written to the dead letters.", "stream"),
		skipped:      counter("skipped_total", "Messages of foreign formats that are about other things than shopping.", "stream"),
		repeated:     counter("repeated_events_total", "Events that their producer wrote again within the horizon; passed over.", "stream"),
		late:         counter("late_events_total", "Events older than the longest window when the log received them; windows do not count them.", "stream"),
		refused:      counter("refused_events_total", "Events that the store refused for good; they are in the dead letters.", "stream"),
		lost:         counter("lost_messages_total", "Messages that the log dropped before they were read.", "topic"),
		rewinds:      counter("rewinds_total", "Times that a store was at another offset than expected.", "topic"),
		applyErrors:  counter("apply_errors_total", "Batches or partitions that the store refused.", "topic"),
		fetchErrors:  counter("fetch_errors_total", "Failed attempts to read from a broker.", "topic"),
		rebuilds: register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: "sartor_kafka_rebuilds_total",
			Help: "Times that the watchdog replaced all connections because a partition did not move."})),
		generations: register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: "sartor_kafka_generations_total",
			Help: "Assignments of partitions to this member."})),
		lag: register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sartor_kafka_lag",
			Help: "Messages in the log that are not applied yet."}, []string{"topic", "partition"})),
		batchSeconds: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sartor_kafka_batch_seconds",
			Help: "Time to apply a batch.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)})),
		batchEvents: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sartor_kafka_batch_events",
			Help: "Events in a batch.", Buckets: prometheus.ExponentialBuckets(1, 4, 8)})),
		freshness: register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sartor_kafka_freshness_seconds",
			Help: "Age of an event, by its own time, when the store had applied it.", Buckets: freshnessBuckets()}, []string{"stream"})),
	}
}

// freshnessBuckets are fine around a second, which is the promise, and coarse up to a day: events that
// are replayed are old.
func freshnessBuckets() []float64 {
	return []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86400}
}

// producerMetrics is what a producer counts.
type producerMetrics struct {
	events  *prometheus.CounterVec // by stream
	errors  *prometheus.CounterVec // by stream
	seconds prometheus.Histogram
}

// newProducerMetrics makes the metrics, or finds those that another producer has registered.
func newProducerMetrics(r prometheus.Registerer) *producerMetrics {
	return &producerMetrics{
		events: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sartor_kafka_produced_total",
			Help: "Messages that all replicas have."}, []string{"stream"})),
		errors: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sartor_kafka_produce_errors_total",
			Help: "Messages that were not written, or not certainly."}, []string{"stream"})),
		seconds: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sartor_kafka_produce_seconds",
			Help: "Time of a write, the wait for others to share the batch included.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)})),
	}
}

// register registers a metric and returns it, or the equal one that is there already.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	var there prometheus.AlreadyRegisteredError
	if err := r.Register(c); errors.As(err, &there) {
		if same, ok := there.ExistingCollector.(C); ok {
			return same
		}
	}
	return c
}
