//go:build !linux

package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// send does what the plan says, until ctx ends. There is a goroutine for each connection.
func (p *loadPlan) send(ctx context.Context) (*loadReport, error) {
	requests := make([][]byte, len(p.Requests))
	for i, r := range p.Requests {
		requests[i] = stamped(r)
	}
	conns := make([]loadConn, p.Connections)
	for i := range conns {
		conns[i].addr = p.Addr
	}
	defer func() {
		for i := range conns {
			_ = conns[i].close() // the measurement is over
		}
	}()
	do := func(worker int) error {
		c := &conns[worker]
		c.turn++
		return c.ask(requests[(worker*31+c.turn)%len(requests)])
	}
	var load *loadResult
	out, spent := new(loadReport), processCPU()
	if p.Rate == 0 {
		load = saturate(ctx, p.Duration, p.Connections, do)
	} else {
		var late []time.Duration
		load, late = openLoopFrom(ctx, p.Duration, p.Rate, p.Connections, do)
		out.Late = spreadOf(late)
	}
	out.Took, out.CPU = load.Took, processCPU()-spent
	var accepted, refused []time.Duration
	for i := range conns {
		accepted, refused = append(accepted, conns[i].accepted...), append(refused, conns[i].refused...)
	}
	out.Accepted, out.Refused, out.Failed = spreadOf(accepted), spreadOf(refused), load.Errors
	if load.FirstErr != nil {
		out.FirstFailure = load.FirstErr.Error()
	}
	return out, nil
}

// loadConn is a connection of the generator with what it measured.
type loadConn struct {
	httpConn
	turn              int
	out               []byte // the request that is sent
	accepted, refused []time.Duration
}

// ask sends one request. That it is refused is no error: a server may.
func (c *loadConn) ask(req []byte) error {
	c.out = append(c.out[:0], req...)
	start := time.Now()
	if i := bytes.Index(c.out, []byte(sentHeader)); i >= 0 {
		at := c.out[i+len(sentHeader):][:0]
		strconv.AppendInt(at, start.UnixNano(), 10) // has the digits of sentNever from 2001 to 2286
	}
	_, err := c.do(c.out)
	took := time.Since(start)
	var status *errStatus
	switch {
	case err == nil:
		c.accepted = append(c.accepted, took)
	case errors.As(err, &status) && status.Code == http.StatusServiceUnavailable:
		c.refused = append(c.refused, took)
	default:
		return err
	}
	return nil
}
