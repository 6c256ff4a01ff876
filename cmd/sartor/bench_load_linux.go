package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// send does what the plan says, until ctx ends. One thread sends and reads on all connections: with a
// goroutine for each, the generator would take three times the processor time from the server that it
// measures. What waits for that thread all the same is left out by the times at which the system has seen the
// answers arrive.
func (p *loadPlan) send(ctx context.Context) (out *loadReport, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l, err := newEpollLoad(p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	start, spent := time.Now(), processCPU()
	if err := l.run(ctx, start); err != nil {
		return nil, err
	}
	out = &loadReport{Took: time.Since(start), CPU: processCPU() - spent, Failed: l.failed}
	out.Accepted, out.AcceptedArrived = spreadOf(l.accepted.read), spreadOf(l.accepted.arrived)
	out.Refused, out.RefusedArrived = spreadOf(l.refused.read), spreadOf(l.refused.arrived)
	out.Late = spreadOf(l.late)
	if l.firstErr != nil {
		out.FirstFailure = l.firstErr.Error()
	}
	return out, nil
}

// epollLoad is a load generator of one thread. The connections take turns, as those of many users would.
type epollLoad struct {
	plan     *loadPlan
	addr     netip.AddrPort
	requests [][]byte // stamped
	stamps   []int    // where in each request the time of its sending is
	sent     int

	ep     int
	conns  []epollConn
	idle   []int // connections without a request under way, the one that waits longest first
	events []unix.EpollEvent
	buf    []byte // what a connection has received
	oob    []byte // and what the system says of it

	accepted, refused loadTimes
	late              []time.Duration
	failed            int
	firstErr          error
}

// loadTimes are the times that answers took, until they were read and until they arrived.
type loadTimes struct{ read, arrived []time.Duration }

// epollConn is a connection, with at most one request under way.
type epollConn struct {
	fd   int // negative = not open
	busy bool
	at   time.Time // when the request was sent
	part []byte    // of an answer that is not whole yet
}

const (
	replyTimeout = 10 * time.Second
	// lookEvery is how often at least it is looked whether to stop and what has timed out.
	lookEvery = 20 * time.Millisecond
	// loadTick is how often at most a generator with a rate gets up, to send what is due and read what came:
	// getting up costs more than a request, and is taken from the server on the same machine.
	loadTick = 500 * time.Microsecond
)

func newEpollLoad(p *loadPlan) (*epollLoad, error) {
	addr, err := netip.ParseAddrPort(p.Addr)
	if err != nil {
		return nil, err
	}
	l := &epollLoad{plan: p, addr: addr, conns: make([]epollConn, p.Connections),
		events: make([]unix.EpollEvent, 256), buf: make([]byte, 256<<10), oob: make([]byte, 128)}
	for _, r := range p.Requests {
		r = stamped(r)
		l.requests, l.stamps = append(l.requests, r), append(l.stamps, bytes.Index(r, []byte(sentHeader))+len(sentHeader))
	}
	for i := range l.conns {
		l.conns[i].fd = -1
		l.idle = append(l.idle, i)
	}
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("wait for connections: %w", err)
	}
	return l, nil
}

func (l *epollLoad) close() error {
	for i := range l.conns {
		l.hangUp(i)
	}
	return unix.Close(l.ep)
}

// run sends until the plan is done or ctx is, and waits for the answers to what was sent.
func (l *epollLoad) run(ctx context.Context, start time.Time) error {
	total, gap := int(l.plan.Rate*l.plan.Duration.Seconds()), time.Duration(0)
	if l.plan.Rate > 0 {
		gap = time.Duration(float64(time.Second) / l.plan.Rate)
	}
	more := func(since time.Duration) bool {
		if l.plan.Rate > 0 {
			return l.sent < total
		}
		return since < l.plan.Duration
	}
	looked := start
	for {
		now := time.Now()
		going := ctx.Err() == nil
		for going && len(l.idle) > 0 && more(now.Sub(start)) {
			if l.plan.Rate > 0 {
				late := now.Sub(start) - time.Duration(l.sent)*gap
				if late < 0 {
					break
				}
				l.late = append(l.late, late)
			}
			l.next()
			now = time.Now()
		}
		going = going && more(now.Sub(start))
		if !going && len(l.idle) == len(l.conns) {
			return nil
		}
		wait := lookEvery
		if l.plan.Rate > 0 {
			until := loadTick
			if going && len(l.idle) == len(l.conns) { // nothing will come meanwhile
				until = max(until, start.Add(time.Duration(l.sent)*gap).Sub(now))
			}
			if err := doze(min(until, lookEvery)); err != nil {
				return err
			}
			wait = 0
		}
		if err := l.receive(wait); err != nil {
			return err
		}
		if now.Sub(looked) >= lookEvery {
			looked = now
			l.expire(now)
		}
	}
}

// next sends the next request on the connection that waits longest.
func (l *epollLoad) next() {
	i := l.idle[0]
	l.idle = append(l.idle[:0], l.idle[1:]...)
	c, turn := &l.conns[i], l.sent%len(l.requests)
	l.sent++
	c.busy = true
	if c.fd < 0 {
		if err := l.dial(i); err != nil {
			l.fail(i, fmt.Errorf("connect to %s: %w", l.plan.Addr, err))
			return
		}
	}
	req := l.requests[turn]
	c.at = time.Now()
	at := l.stamps[turn]
	strconv.AppendInt(req[at:at], c.at.UnixNano(), 10) // has the digits of sentNever from 2001 to 2286
	if n, err := unix.Write(c.fd, req); err != nil {
		l.fail(i, fmt.Errorf("send: %w", err))
	} else if n < len(req) { // the buffers of a connection hold a hundred times what is sent
		l.fail(i, fmt.Errorf("%d of %d bytes were sent", n, len(req)))
	}
}
