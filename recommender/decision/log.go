package decision

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/sartorhq/sartor/streams"
)

// EventWriter writes events durably, or says that it could not.
type EventWriter interface {
	Write(ctx context.Context, events ...streams.Event) error
}

// LogOptions tune a Log; the zero value works.
type LogOptions struct {
	// Buffer is how many decisions may wait; 0 = 8,192.
	Buffer int
	// Batch is the most events in one write; 0 = 500. Linger is how long a write waits for more
	// events; 0 = 50 ms.
	Batch  int
	Linger time.Duration
	// Timeout bounds one write; 0 = 5 s. What could not be written by then is dropped and counted.
	Timeout time.Duration
	// Logger and Registerer are nil for discard.
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Log writes decisions as exposure events. Record never blocks: what does not fit into the buffer is
// dropped and counted. All methods are safe for concurrent use.
type Log struct {
	opts   LogOptions
	writer EventWriter
	queue  chan *Decision
	closed chan struct{} // closed by Close: no more decisions come
	once   sync.Once
	logger *slog.Logger

	written prometheus.Counter
	dropped *prometheus.CounterVec
}

// The reasons for which a decision is dropped.
const (
	dropFull    = "buffer_full"
	dropWrite   = "write_failed"
	dropSubject = "no_subject" // nobody or nothing to attribute to
	dropClosed  = "closed"
)

// NewLog returns a log that writes to w once Run is called.
func NewLog(w EventWriter, opts LogOptions) *Log {
	if opts.Buffer <= 0 {
		opts.Buffer = 8192
	}
	if opts.Batch <= 0 {
		opts.Batch = 500
	}
	if opts.Linger <= 0 {
		opts.Linger = 50 * time.Millisecond
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 5 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	f := promauto.With(opts.Registerer)
	l := &Log{
		opts: opts, writer: w, logger: opts.Logger,
		queue:  make(chan *Decision, opts.Buffer),
		closed: make(chan struct{}),
		written: f.NewCounter(prometheus.CounterOpts{
			Name: "sartor_exposures_written_total", Help: "Exposure events written."}),
		dropped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sartor_exposures_dropped_total", Help: "Decisions that left no exposure event, by reason."}, []string{"reason"}),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sartor_exposures_waiting", Help: "Decisions that wait to be written."},
		func() float64 { return float64(len(l.queue)) })
	return l
}

// Record hands a decision over. It never blocks.
func (l *Log) Record(d *Decision) {
	select {
	case <-l.closed:
		l.drop(dropClosed, 1)
		return
	default:
	}
	select {
	case l.queue <- d:
	default:
		l.drop(dropFull, 1)
	}
}

// Close makes Run write what waits and return. Decisions recorded later are dropped and counted.
func (l *Log) Close() { l.once.Do(func() { close(l.closed) }) }

// Run writes until Close is called or ctx is done. After Close it drains the buffer first; after ctx
// is done it drops what waits. It returns nil: a write that fails costs exposures, not the service.
func (l *Log) Run(ctx context.Context) error {
	batch := make([]streams.Event, 0, l.opts.Batch)
	timer := time.NewTimer(l.opts.Linger)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			l.drop(dropClosed, len(batch)+len(l.queue))
			return nil
		case <-l.closed:
			l.drain(ctx, batch)
			return nil
		case <-timer.C:
			batch = l.flush(ctx, batch)
			timer.Reset(l.opts.Linger)
		case d := <-l.queue:
			if batch = l.add(batch, d); len(batch) >= l.opts.Batch {
				batch = l.flush(ctx, batch)
			}
		}
	}
}

// drain writes what waits; nothing can be added while it runs, except what a Record that began
// before Close still adds.
func (l *Log) drain(ctx context.Context, batch []streams.Event) {
	for {
		select {
		case d := <-l.queue:
			if batch = l.add(batch, d); len(batch) >= l.opts.Batch {
				batch = l.flush(ctx, batch)
			}
		default:
			l.flush(ctx, batch)
			return
		}
	}
}

func (l *Log) add(batch []streams.Event, d *Decision) []streams.Event {
	e, ok := d.Exposure()
	if !ok {
		l.drop(dropSubject, 1)
		return batch
	}
	return append(batch, e)
}

// flush writes the batch and returns it empty.
func (l *Log) flush(ctx context.Context, batch []streams.Event) []streams.Event {
	if len(batch) == 0 {
		return batch
	}
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	if err := l.writer.Write(ctx, batch...); err != nil {
		l.drop(dropWrite, len(batch))
		l.logger.Warn("exposures were dropped", "events", len(batch), "error", err)
	} else {
		l.written.Add(float64(len(batch)))
	}
	clear(batch)
	return batch[:0]
}

func (l *Log) drop(reason string, n int) {
	if n > 0 {
		l.dropped.WithLabelValues(reason).Add(float64(n))
	}
}
