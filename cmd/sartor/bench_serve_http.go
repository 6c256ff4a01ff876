package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sartorhq/sartor/recommender/httpapi"
)

// The goals of the read path, on two cores with the load generator beside it.
const (
	goalPeer       = 385.0 // requests a second of the peer, measured on such a machine
	goalTimes      = 20.0
	mostLikeML1M   = 10_000 // items: ML-1M has 3,706
	goalOfTrip     = 0.5    // of the handler with one round trip to Redis, at 100,000 items and 20 rules
	goalScan       = 0.9    // of the bandwidth of the memory
	goalP50        = 4 * time.Millisecond
	goalP99        = 10 * time.Millisecond
	goalStart      = 5 * time.Second
	goalFilter     = 1.2 // times a search without a filter
	goalGoodput    = 0.9 // of the plateau, at three times the load
	goalRefusal    = 5 * time.Millisecond
	loadShare      = 0.6 // of the capacity, at which latencies are measured
	benchAskBodies = 512
	benchCount     = 10 // items that are asked for
)

// verdict is a line that sets a figure beside its goal.
func (b *benchServeRun) verdict(what string, ok bool, format string, args ...any) {
	word := "reached"
	if !ok {
		word = "MISSED"
	}
	b.printf("  goal %-58s %s: %s\n", what, word, fmt.Sprintf(format, args...))
}

// server is something that answers HTTP until it is shut down.
type server interface {
	Serve(ln net.Listener) error
	Shutdown(ctx context.Context) error
}

// during serves on a free port while do runs.
func during(ctx context.Context, s server, do func(addr string) error) error {
	return clocked(ctx, nil, s, do)
}

// clocked is during with a server whose connections are measured, unless the clock is nil.
func clocked(ctx context.Context, clock *serverClock, s server, do func(addr string) error) error {
	ln, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	if clock != nil {
		ln = clock.listen(ln)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	err = do(ln.Addr().String())
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if stopErr := s.Shutdown(stop); err == nil {
		err = stopErr
	}
	if serveErr := <-served; err == nil {
		err = serveErr
	}
	return err
}

// sampleEvery is how many answers of a worker there are to one that is looked at: every one would cost the load
// generator, which shares the machine with the server, more than it costs to read them.
const sampleEvery = 64

// requestsFor returns a call that sends prepared requests in turn, each worker on its own connection. Full judges a
// sample of the answers, each worker's first among them; nil for answers that are no lists.
func (b *benchServeRun) requestsFor(addr string, workers int, asks [][]byte, full func(answer []byte) error) (do call, closeAll func()) {
	conns := make([]httpConn, workers)
	for i := range conns {
		conns[i].addr = addr
	}
	turn := make([]int, workers)
	return func(worker int) error {
			turn[worker]++
			answer, err := conns[worker].do(asks[(worker*31+turn[worker])%len(asks)])
			if err == nil && full != nil && turn[worker]%sampleEvery == 1 {
				err = full(answer)
			}
			return err
		}, func() {
			for i := range conns {
				_ = conns[i].close() // the measurement is over
			}
		}
}

// asks are requests to recommend of all users in turn.
func asks(users []string) [][]byte {
	out := make([][]byte, benchAskBodies)
	for i := range out {
		out[i] = request("POST", "/v1/recommend", "bench", fmt.Appendf(nil,
			`{"user_id":%q,"scenario":"home","count":%d,"context":{"country":"DE"}}`, users[i*len(users)/len(out)], benchCount))
	}
	return out
}

// figure is what one target took.
type figure struct {
	most          float64       // answers a second
	cpu           time.Duration // of this process for one of them, load generator included
	p50, p95, p99 time.Duration // at loadShare of most
}

// figureOf measures a target: as fast as it goes, then at a share of that, in an open loop.
func (b *benchServeRun) figureOf(ctx context.Context, name string, do call) (figure, error) {
	warm := min(b.opts.duration, time.Second)
	if r := saturate(ctx, warm, b.opts.connections, do); r.Errors > 0 {
		return figure{}, fmt.Errorf("%s: %d of %d failed, the first: %w", name, r.Errors, r.Calls, r.FirstErr)
	}
	before := processCPU()
	r := saturate(ctx, b.opts.duration, b.opts.connections, do)
	spent := processCPU() - before
	if r.Errors > 0 || r.Calls == 0 {
		return figure{}, fmt.Errorf("%s: %d of %d failed, the first: %w", name, r.Errors, r.Calls, r.FirstErr)
	}
	out := figure{most: r.Rate(), cpu: spent / time.Duration(r.Calls)}
	l := openLoop(ctx, b.opts.duration, max(loadShare*out.most, 1), b.opts.connections, do)
	if l.Errors > 0 {
		return figure{}, fmt.Errorf("%s: %d of %d failed, the first: %w", name, l.Errors, l.Calls, l.FirstErr)
	}
	out.p50, out.p95, out.p99 = l.Quantile(0.5), l.Quantile(0.95), l.Quantile(0.99)
	b.printf("  %-46s %9s %9s %9s %9s %9s\n", name, thousands(int64(out.most)), micros(out.cpu), millis(out.p50), millis(out.p95), millis(out.p99))
	return out, ctx.Err()
}

func (b *benchServeRun) figureHead() {
	b.printf("  %-46s %9s %9s %9s %9s %9s\n", "", "most/s", "CPU each", "p50", "p95", "p99")
}

func micros(d time.Duration) string { return fmt.Sprintf("%dus", d.Microseconds()) }

// limits measures what any answer over HTTP costs here.
func (b *benchServeRun) limits(ctx context.Context) error {
	b.printf("\nLIMITS OF THIS MACHINE; latencies at %.0f %% of the most, open loop, %d connections\n", 100*loadShare, b.opts.connections)
	b.figureHead()
	var asked atomic.Int64
	answer := make([]byte, 1800)
	for i := range answer {
		answer[i] = ' '
	}
	user := func() string { return benchUser(int(asked.Add(1)) % b.opts.users) }
	body := []byte(`{"user_id":"u1","scenario":"home","count":10,"context":{"country":"DE"}}`)
	empty, work := request("GET", "/empty", "bench", nil), request("POST", "/work", "bench", body)
	for _, t := range []struct {
		name string
		ask  []byte
		work func(context.Context) error
		trip bool
	}{
		{"empty Fiber handler", empty, nil, false},
		{"Fiber handler with one PING of Redis", work, b.store.Ping, false},
		{"Fiber handler with one read of a user", work, func(ctx context.Context) error {
			_, err := b.store.User(ctx, user())
			return err
		}, true},
	} {
		err := during(ctx, httpapi.NewLimit(t.work, answer), func(addr string) error {
			do, closeAll := b.requestsFor(addr, b.opts.connections, [][]byte{t.ask}, nil)
			defer closeAll()
			f, err := b.figureOf(ctx, t.name, do)
			if t.trip {
				b.trip = f.most
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// requests measures answers under each number of rules.
func (b *benchServeRun) requests(ctx context.Context, p *benchPath) error {
	b.figureHead()
	return during(ctx, httpapi.New(httpapi.Options{Recommender: p.rec, MaxReads: -1, Logger: b.app.logger}), func(addr string) error {
		do, closeAll := b.requestsFor(addr, b.opts.connections, asks(benchUsers(b.opts.users)), fullList)
		defer closeAll()
		for _, n := range b.opts.rules {
			set, err := benchRules(b.schema, n)
			if err != nil {
				return err
			}
			p.rec.SetRules(set)
			first := time.Now()
			if err := do(0); err != nil {
				return err
			}
			waited := time.Since(first)
			stop, err := cpuProfile(b.opts.profile)
			if err != nil {
				return err
			}
			f, err := b.figureOf(ctx, fmt.Sprintf("POST /v1/recommend, %d rules", n), do)
			if err = errors.Join(err, stop()); err != nil {
				return err
			}
			b.printf("  %-46s %9s\n", "  the first request under them", millis(waited))
			b.judge(p.n, n, f)
		}
		return nil
	})
}

// judge sets the figures that have goals beside them.
func (b *benchServeRun) judge(items, rules int, f figure) {
	if items == slices.Min(b.opts.items) && items <= mostLikeML1M && rules == 10 {
		b.verdict(fmt.Sprintf("%.0f times the %.0f/s of Gorse on ML-1M", goalTimes, goalPeer), f.most >= goalTimes*goalPeer, "%.1f times", f.most/goalPeer)
	}
	if items == 100_000 && rules == 20 && b.trip > 0 {
		b.verdict("half of the handler that only reads the user", f.most >= goalOfTrip*b.trip, "%.0f %%", 100*f.most/b.trip)
	}
	if items == 1_000_000 {
		b.verdict(fmt.Sprintf("p50 %v, p99 %v at %.0f %% load", goalP50, goalP99, 100*loadShare), f.p50 <= goalP50 && f.p99 <= goalP99, "%s and %s", millis(f.p50), millis(f.p99))
	}
}

// heldBytes is the memory that Go holds for heap and stacks.
func heldBytes() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
