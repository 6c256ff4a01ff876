package decision

import (
	"context"
	"log/slog"
	"slices"
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
	// Timeout bounds one write; 0 = 5 s.
	Timeout time.Duration
	// Spill is a file that takes what could not be written, until it can be; "" = that is dropped and
	// counted. It holds at most SpillBytes; 0 = 256 MiB.
	Spill      string
	SpillBytes int64
	// Accepts tells whether the log takes an event; nil = all. What it does not take is dropped and counted: it
	// would keep those that are written with it from being written for ever.
	Accepts func(*streams.Event) bool
	// Retry is how long after a failed write the next one is tried; 0 = 1 s. Meanwhile everything goes into
	// the spill file.
	Retry time.Duration
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
	spilled prometheus.Counter
	dropped *prometheus.CounterVec

	// What follows is Run's.
	spill spill
	down  time.Time // writes are not tried before
}

// The reasons for which a decision is dropped.
const (
	dropFull    = "buffer_full"
	dropWrite   = "write_failed"
	dropSubject = "no_subject" // nobody or nothing to attribute to
	dropInvalid = "invalid"    // the log would not take it
	dropClosed  = "closed"
	dropSpill   = "spill_full" // or a line of the spill file that cannot be read
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
	if opts.SpillBytes <= 0 {
		opts.SpillBytes = 256 << 20
	}
	if opts.Retry <= 0 {
		opts.Retry = time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	f := promauto.With(opts.Registerer)
	l := &Log{
		opts: opts, writer: w, logger: opts.Logger,
		queue:  make(chan *Decision, opts.Buffer),
		closed: make(chan struct{}),
		spill:  spill{path: opts.Spill, max: opts.SpillBytes},
		written: f.NewCounter(prometheus.CounterOpts{
			Name: "sartor_exposures_written_total", Help: "Exposure events written."}),
		spilled: f.NewCounter(prometheus.CounterOpts{
			Name: "sartor_exposures_spilled_total", Help: "Exposure events that were put aside in a file, to be written later."}),
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
// is done it drops what waits in memory. With a spill file it first takes up what an earlier process left
// there. It returns nil: a write that fails costs exposures, not the service.
func (l *Log) Run(ctx context.Context) error {
	if err := l.spill.open(); err != nil {
		l.logger.Error("exposures will be dropped while Kafka is away", "error", err)
	}
	defer func() {
		if err := l.spill.close(); err != nil {
			l.logger.Error("exposures that wait may be lost", "error", err)
		}
	}()
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
			l.takeUp(ctx)
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
	if !l.accepts(&e) {
		l.drop(dropInvalid, 1)
		return batch
	}
	return append(batch, e)
}

func (l *Log) accepts(e *streams.Event) bool { return l.opts.Accepts == nil || l.opts.Accepts(e) }

// flush writes the batch and returns it empty.
func (l *Log) flush(ctx context.Context, batch []streams.Event) []streams.Event {
	if len(batch) == 0 {
		return batch
	}
	if !l.write(ctx, batch) {
		l.putAside(batch)
	}
	clear(batch)
	return batch[:0]
}

// write tells whether the events are safe. After a failure it does not try for a while: a write to a broker
// that is away takes its whole time.
func (l *Log) write(ctx context.Context, events []streams.Event) bool {
	if l.spill.file != nil && time.Now().Before(l.down) {
		return false
	}
	timed, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	if err := l.writer.Write(timed, events...); err != nil {
		l.down = time.Now().Add(l.opts.Retry)
		l.logger.Warn("exposures could not be written", "events", len(events), "kept", l.spill.file != nil, "error", err)
		return false
	}
	l.written.Add(float64(len(events)))
	return true
}

// putAside keeps events for later, as many as there is room for.
func (l *Log) putAside(events []streams.Event) {
	if l.spill.file == nil {
		l.drop(dropWrite, len(events))
		return
	}
	taken, err := l.spill.put(events)
	if err != nil {
		l.logger.Error("exposures were dropped", "error", err)
	}
	l.spilled.Add(float64(taken))
	l.drop(dropSpill, len(events)-taken)
}

// takeUp writes some of what was put aside: a batch for each batch of time, so that new ones do not wait.
func (l *Log) takeUp(ctx context.Context) {
	if !l.spill.waiting() || time.Now().Before(l.down) {
		return
	}
	events, skipped, bytes, err := l.spill.next(l.opts.Batch)
	if err != nil {
		l.logger.Error("kept exposures cannot be read", "error", err)
		l.down = time.Now().Add(l.opts.Retry)
		return
	}
	read := len(events)
	events = slices.DeleteFunc(events, func(e streams.Event) bool { return !l.accepts(&e) }) // an older process put it there
	if len(events) > 0 && !l.write(ctx, events) {
		return
	}
	l.drop(dropInvalid, read-len(events))
	l.drop(dropSpill, skipped)
	if err := l.spill.written(bytes); err != nil {
		l.logger.Error("exposures may be written twice", "error", err)
	}
}

func (l *Log) drop(reason string, n int) {
	if n > 0 {
		l.dropped.WithLabelValues(reason).Add(float64(n))
	}
}
