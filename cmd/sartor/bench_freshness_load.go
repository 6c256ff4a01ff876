package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// probePause is the time between two questions whether an event is visible yet: how exact the times are.
const probePause = 4 * time.Millisecond

// probe is one event that is followed into an answer.
type probe struct {
	user          string
	due, accepted time.Time
}

// freshness is what a run measured; the times are sorted when the run is over.
type freshness struct {
	mu            sync.Mutex
	posted        []time.Duration // from when a post was due to its acknowledgement
	fromDue       []time.Duration // from when the post was due to the first answer that shows the event
	fromAccepted  []time.Duration // from its acknowledgement
	invisible     int             // probes that were given up
	events        atomic.Int64
	refused       atomic.Int64
	firstErr      error
	behind        time.Duration // how late the last post was sent
	cpus          float64       // that this process used, broker and load generator within
	before, liked string        // an answer to a visitor whom nobody knows: how it is served, and an item in it
}

// measure posts at the rate and follows the probes.
func (f *freshnessRun) measure(ctx context.Context) error {
	m := &freshness{}
	c := &httpConn{addr: f.addr}
	answer, err := c.do(f.ask("nobody"))
	if err != nil {
		return errors.Join(err, c.close())
	}
	m.before, m.liked = textAfter(answer, `"served_by":"`), textAfter(answer, `"item_id":"`)
	if err := c.close(); err != nil {
		return err
	}
	if m.liked == "" {
		return fmt.Errorf("an unknown visitor gets no items: %s", answer)
	}
	probes := make(chan probe, int(f.opts.probes*f.opts.duration.Seconds())+1)
	var followers sync.WaitGroup
	for range 16 {
		followers.Go(func() { f.follow(ctx, m, probes) })
	}
	posts := int(f.opts.rate * f.opts.duration.Seconds() / float64(f.opts.batch))
	begin, spent := time.Now(), processCPU()
	f.post(ctx, m, posts, begin, probes)
	took := time.Since(begin)
	m.cpus = float64(processCPU()-spent) / float64(took)
	close(probes)
	followers.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.print(m, posts, took)
	if len(m.fromDue) == 0 {
		return fmt.Errorf("no event became visible; the first failure: %w", m.firstErr)
	}
	return nil
}

// post sends the posts when they are due, over as many connections as there are.
func (f *freshnessRun) post(ctx context.Context, m *freshness, posts int, begin time.Time, probes chan<- probe) {
	gap := float64(f.opts.batch) / f.opts.rate * float64(time.Second)
	followEach := float64(f.opts.rate) / float64(f.opts.batch) / f.opts.probes // posts from one probe to the next
	var next atomic.Int64
	var senders sync.WaitGroup
	for worker := range f.opts.connections {
		senders.Go(func() {
			c := &httpConn{addr: f.addr}
			defer func() { _ = c.close() }()
			rng, timer := rand.New(rand.NewPCG(1, uint64(worker))), time.NewTimer(0)
			defer timer.Stop()
			for {
				n := int(next.Add(1) - 1)
				if n >= posts {
					return
				}
				due := begin.Add(time.Duration(float64(n) * gap))
				user := ""
				if math.Floor(float64(n)/followEach) != math.Floor(float64(n-1)/followEach) {
					user = "probe-" + strconv.Itoa(n)
				}
				body := f.body(rng, n, due, user, m.liked) // before it is due: making it is not the server's time
				timer.Reset(time.Until(due))
				select {
				case <-ctx.Done():
					return
				case <-timer.C:
				}
				late := time.Since(due)
				_, err := c.do(body)
				m.note(f.opts.batch, due, late, err)
				if err == nil && user != "" {
					probes <- probe{user, due, time.Now()}
				}
			}
		})
	}
	senders.Wait()
}

// note counts a post.
func (m *freshness) note(events int, due time.Time, late time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.behind = max(m.behind, late)
	if err != nil {
		m.refused.Add(int64(events))
		m.firstErr = firstOf(m.firstErr, err)
		return
	}
	m.events.Add(int64(events))
	m.posted = append(m.posted, time.Since(due))
}

// body makes a post: events of known users, and, when it is to be followed, the first of a new one.
func (f *freshnessRun) body(rng *rand.Rand, n int, at time.Time, probe, liked string) []byte {
	stamp := at.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	b := append(make([]byte, 0, 160*f.opts.batch), '[')
	for i := range f.opts.batch {
		if i > 0 {
			b = append(b, ',')
		}
		typ, user, item := []string{"view", "view", "view", "click", "cart-add"}[rng.IntN(5)], "u"+strconv.Itoa(1+rng.IntN(f.opts.users)), ""
		if item = "i" + strconv.Itoa(1+rng.IntN(f.opts.items)); i == f.opts.batch-1 && probe != "" { // the last of its post
			typ, user, item = "cart-add", probe, liked
		}
		b = fmt.Appendf(b, `{"event_id":"f%d-%d","type":%q,"time":%q,"user_id":%q,"item_id":%q}`, n, i, typ, stamp, user, item)
	}
	return request("POST", "/v1/events", f.addr, append(b, ']'))
}

// ask makes the request whose answer shows whether a visitor is known.
func (f *freshnessRun) ask(user string) []byte {
	return request("POST", "/v1/recommend", f.addr, fmt.Appendf(nil, `{"user_id":%q,"scenario":"home","count":5}`, user))
}

// follow asks for probes until they are visible.
func (f *freshnessRun) follow(ctx context.Context, m *freshness, probes <-chan probe) {
	c := &httpConn{addr: f.addr}
	defer func() { _ = c.close() }()
	for p := range probes {
		ask := f.ask(p.user)
		limited, cancel := context.WithTimeout(ctx, f.opts.patience)
		visible := func() bool {
			answer, err := c.do(ask)
			return err == nil && textAfter(answer, `"served_by":"`) != m.before
		}
		seen := visible() || every(limited, probePause, visible)
		now := time.Now()
		cancel()
		m.mu.Lock()
		if seen {
			m.fromDue, m.fromAccepted = append(m.fromDue, now.Sub(p.due)), append(m.fromAccepted, now.Sub(p.accepted))
		} else {
			m.invisible++
		}
		m.mu.Unlock()
	}
}

// print writes the figures.
func (f *freshnessRun) print(m *freshness, posts int, took time.Duration) {
	out := func(format string, args ...any) { fmt.Fprintf(f.app.stdout, format, args...) }
	for _, line := range f.stack.Describe()[:2] {
		out("%s\n", line)
	}
	out("\nFRESHNESS  %s events/s in posts of %d for %s, %d partitions, %s of them followed\n", thousands(int64(f.opts.rate)), f.opts.batch,
		f.opts.duration, f.opts.partitions, thousands(int64(len(m.fromDue)+m.invisible)))
	out("  accepted                              %s of %s events, %s/s", thousands(m.events.Load()), thousands(int64(posts*f.opts.batch)),
		thousands(perSecond(m.events.Load(), took)))
	if m.refused.Load() > 0 {
		out("; the first failure: %v", m.firstErr)
	}
	out("\n  %-40s %9s %9s %9s %9s\n", "", "p50", "p95", "p99", "max")
	for _, row := range []struct {
		name  string
		times []time.Duration
	}{
		{"post due to accepted (durable)", m.posted},
		{"post due to visible in an answer", m.fromDue},
		{"accepted to visible in an answer", m.fromAccepted},
	} {
		slices.Sort(row.times)
		r := loadResult{latencies: row.times}
		out("  %-40s %9s %9s %9s %9s\n", row.name, millis(r.Quantile(0.5)), millis(r.Quantile(0.95)), millis(r.Quantile(0.99)), millis(r.Quantile(1)))
	}
	late := loadResult{latencies: m.fromDue}
	verdict := "missed"
	if m.invisible == 0 && m.refused.Load() == 0 && late.Quantile(0.99) < freshnessGoal {
		verdict = "met"
	}
	out("  goal: p99 under %s, nothing refused: %s (%d never seen, the latest post was sent %s late; this process used %.2f CPUs)\n",
		freshnessGoal, verdict, m.invisible, millis(m.behind), m.cpus)
}
