package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// call does one request for a worker. It must be safe for one goroutine per worker.
type call func(worker int) error

// loadResult is what a load run measured.
type loadResult struct {
	Took      time.Duration
	Calls     int
	Errors    int
	FirstErr  error
	latencies []time.Duration // sorted
}

// Rate returns the calls per second that were answered.
func (r *loadResult) Rate() float64 { return float64(r.Calls-r.Errors) / r.Took.Seconds() }

// Quantile returns the latency below which the share q of the calls stayed; 0 without calls.
func (r *loadResult) Quantile(q float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(int(q*float64(len(r.latencies))), len(r.latencies)-1)]
}

// saturate has each worker call as fast as it can: the capacity, not the latency, is of interest.
func saturate(ctx context.Context, d time.Duration, workers int, do call) *loadResult {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return gather(workers, func(worker int, note func(latency time.Duration, err error)) {
		for ctx.Err() == nil {
			begin := time.Now()
			err := do(worker)
			note(time.Since(begin), err)
		}
	})
}

// openLoop starts calls at a fixed rate whatever the answers do, as users would. A call's latency
// counts from the moment it should have been sent: a server that stalls is charged for everybody who
// waited meanwhile, which a client that waits for its last answer would leave out.
func openLoop(ctx context.Context, d time.Duration, rate float64, workers int, do call) *loadResult {
	r, _ := openLoopFrom(ctx, d, rate, workers, do)
	return r
}

// openLoopFrom is openLoop and tells how long after they were due the calls were started.
func openLoopFrom(ctx context.Context, d time.Duration, rate float64, workers int, do call) (r *loadResult, late []time.Duration) {
	total := int64(rate * d.Seconds())
	gap := time.Duration(float64(time.Second) / rate)
	var next atomic.Int64
	parts := make([][]time.Duration, workers)
	start := time.Now()
	r = gather(workers, func(worker int, note func(latency time.Duration, err error)) {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			n := next.Add(1) - 1
			if n >= total {
				return
			}
			due := start.Add(time.Duration(n) * gap)
			if wait := time.Until(due); wait > 0 { // a timer for what is late already would cost a processor that is short
				timer.Reset(wait)
				select {
				case <-ctx.Done():
					return
				case <-timer.C:
				}
			} else if ctx.Err() != nil {
				return
			}
			parts[worker] = append(parts[worker], time.Since(due))
			err := do(worker)
			note(time.Since(due), err)
		}
	})
	return r, slices.Concat(parts...)
}

// gather runs the workers and collects what they note.
func gather(workers int, work func(worker int, note func(latency time.Duration, err error))) *loadResult {
	parts := make([]loadResult, workers)
	start := time.Now()
	var running sync.WaitGroup
	for w := range workers {
		running.Go(func() {
			p := &parts[w]
			work(w, func(latency time.Duration, err error) {
				p.Calls++
				if err != nil {
					p.Errors++
					p.FirstErr = firstOf(p.FirstErr, err)
					return
				}
				p.latencies = append(p.latencies, latency)
			})
		})
	}
	running.Wait()
	out := &loadResult{Took: time.Since(start)}
	for i := range parts {
		out.Calls += parts[i].Calls
		out.Errors += parts[i].Errors
		out.FirstErr = firstOf(out.FirstErr, parts[i].FirstErr)
		out.latencies = append(out.latencies, parts[i].latencies...)
	}
	slices.Sort(out.latencies)
	return out
}

// firstOf keeps the first error.
func firstOf(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// httpConn is one kept-alive HTTP/1.1 connection of the load generator. It does far less than
// net/http, because the generator shares the machine with what it measures.
type httpConn struct {
	addr string
	conn net.Conn
	r    *bufio.Reader
	body bytes.Buffer
}

// request is a prepared request: the bytes that go over the wire.
func request(method, path, host string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, host)
	if body != nil {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// errStatus is an answer that is not 2xx.
type errStatus struct {
	Code int
	Body string
}

func (e *errStatus) Error() string { return fmt.Sprintf("HTTP %d: %s", e.Code, e.Body) }

// do sends a prepared request and returns the answer's body, which is valid until the next call. A
// broken connection is opened again by the next call.
func (c *httpConn) do(req []byte) ([]byte, error) {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.addr, 5*time.Second)
		if err != nil {
			return nil, err
		}
		c.conn, c.r = conn, bufio.NewReader(conn)
	}
	code, err := c.roundTrip(req)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	if code < 200 || code > 299 {
		return nil, &errStatus{code, c.body.String()}
	}
	return c.body.Bytes(), nil
}

func (c *httpConn) roundTrip(req []byte) (code int, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(req); err != nil {
		return 0, err
	}
	status, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(status) < len("HTTP/1.1 200") {
		return 0, fmt.Errorf("status line %q", status)
	}
	if code, err = strconv.Atoi(string(status[9:12])); err != nil {
		return 0, fmt.Errorf("status line %q", status)
	}
	length, err := c.bodyLength()
	if err != nil {
		return 0, err
	}
	c.body.Reset()
	_, err = io.CopyN(&c.body, c.r, int64(length))
	return code, err
}

// bodyLength reads the rest of a header.
func (c *httpConn) bodyLength() (length int, err error) {
	const name = "content-length:"
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			return length, nil
		}
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err != nil || length < 0 {
				return 0, fmt.Errorf("content length %q", line)
			}
		}
	}
}

func (c *httpConn) close() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}
