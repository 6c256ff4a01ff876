package main

import (
	"bytes"
	"math/bits"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// serverClock measures from inside of a server, at the bytes of its connections, where the time of a
// request goes: until the server reads it, and from there until its answer is written. What the client
// measures beyond the two it spends itself, waiting for a processor before it reads.
type serverClock struct {
	// accepted and refused count from the reading of a request to the writing of its answer, arrived from
	// the sending to the reading, for requests that say when they were sent.
	accepted, refused, arrived delays
}

// sentHeader is the field in which the load generator says when it sent a request: nanoseconds since 1970,
// of the one clock that both processes read. sentNever has its length.
const (
	sentHeader = "X-Sent-At: "
	sentNever  = "0000000000000000000"
)

// listen returns a listener whose connections are measured.
func (c *serverClock) listen(ln net.Listener) net.Listener { return &clockedListener{ln, c} }

type clockedListener struct {
	net.Listener
	clock *serverClock
}

func (l *clockedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &clockedConn{Conn: conn, clock: l.clock}, nil
}

// clockedConn is a connection that carries one request after the other, as those of the generator do.
type clockedConn struct {
	net.Conn
	clock *serverClock
	read  atomic.Int64 // when the request that is being answered was; net/http looks ahead while it writes
}

func (c *clockedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		now := time.Now().UnixNano()
		c.read.Store(now)
		if at := sentAt(b[:n]); at > 0 {
			c.clock.arrived.add(time.Duration(now - at))
		}
	}
	return n, err
}

func (c *clockedConn) Write(b []byte) (int, error) {
	read := c.read.Load()
	n, err := c.Conn.Write(b)
	if took := time.Duration(time.Now().UnixNano() - read); bytes.HasPrefix(b, []byte("HTTP/1.1 200")) {
		c.clock.accepted.add(took)
	} else if bytes.HasPrefix(b, []byte("HTTP/1.1 "+refusedCode)) {
		c.clock.refused.add(took)
	}
	return n, err
}

var refusedCode = strconv.Itoa(http.StatusServiceUnavailable)

// sentAt is what a request says about its sending, 0 for nothing.
func sentAt(request []byte) (at int64) {
	_, rest, found := bytes.Cut(request, []byte(sentHeader))
	if !found || len(rest) < len(sentNever) {
		return 0
	}
	for _, b := range rest[:len(sentNever)] {
		at = 10*at + int64(b-'0')
	}
	return at
}

// delays counts durations by their size, to a sixteenth of it. It is safe for concurrent use.
type delays struct {
	buckets [64 * delayParts]atomic.Int64
}

const delayParts = 16

func (d *delays) add(took time.Duration) {
	n := uint64(max(took, delayParts))
	octave := bits.Len64(n) - 1
	d.buckets[octave*delayParts+int(n>>(octave-4)&(delayParts-1))].Add(1)
}

// spread sums up what was counted and forgets it. Quantiles are the upper ends of their buckets.
func (d *delays) spread() (out spread) {
	var counts [len(d.buckets)]int64
	for i := range counts {
		counts[i] = d.buckets[i].Swap(0)
		out.Count += int(counts[i])
	}
	below := int64(0)
	for i, n := range counts {
		before := float64(below) / float64(max(out.Count, 1))
		below += n
		now := float64(below) / float64(max(out.Count, 1))
		octave, part := i/delayParts, i%delayParts
		end := time.Duration((delayParts + uint64(part) + 1) << octave >> 4)
		for _, q := range []struct {
			at  float64
			out *time.Duration
		}{{0.5, &out.P50}, {0.99, &out.P99}} {
			if before < q.at && now >= q.at {
				*q.out = end
			}
		}
	}
	return out
}

// reset forgets what was measured.
func (c *serverClock) reset() {
	for _, d := range []*delays{&c.accepted, &c.refused, &c.arrived} {
		d.spread()
	}
}
