//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// chaosReaders ask a real 'sartor serve' for recommendations while everything goes wrong: there is always
// an answer.
type chaosReaders struct {
	t        *testing.T
	proc     *process
	cancel   context.CancelFunc
	running  sync.WaitGroup
	asked    atomic.Int64
	answered atomic.Int64
	degraded atomic.Int64
	failure  atomic.Pointer[string] // the first answer that is not 200
}

// read starts the server and its readers.
func (w *chaosWorld) read() *chaosReaders {
	w.t.Helper()
	addr, _ := freeAddr(w.t)
	ctx, cancel := context.WithCancel(w.t.Context())
	// Without Kafka: what it shows would be events that the shop does not know of.
	env := append(slices.Clone(w.env), envPrefix+"KAFKA_BROKERS=")
	r := &chaosReaders{t: w.t, cancel: cancel, proc: launch(w.t, env, nil, w.binary, "serve", "--addr", addr, "--log-level", "error")}
	conn := &httpConn{addr: addr}
	eventually(w.t, "sartor serve", func() bool {
		if r.proc.ended() {
			w.t.Fatalf("sartor serve has ended: %v\n%s", r.proc.err, r.proc.tail())
		}
		_, err := conn.do(request("GET", "/livez", addr, nil))
		return err == nil
	})
	r.running.Go(func() {
		defer func() { _ = conn.close() }()
		every(ctx, 20*time.Millisecond, func() bool {
			n := r.asked.Add(1)
			body, err := conn.do(request("POST", "/v1/recommend", addr, fmt.Appendf(nil, `{"user_id":"u%d","scenario":"home"}`, n%100)))
			if err != nil {
				text := err.Error()
				r.failure.CompareAndSwap(nil, &text)
				return false
			}
			r.answered.Add(1)
			if bytes.Contains(body, []byte(`"user_features_unavailable"`)) {
				r.degraded.Add(1)
			}
			return false
		})
	})
	w.t.Cleanup(r.stop)
	return r
}

// judge fails the test when an answer was missing.
func (r *chaosReaders) judge() {
	r.t.Helper()
	if text := r.failure.Swap(nil); text != nil {
		r.t.Errorf("a recommendation was refused: %s\n%s", *text, r.proc.tail())
	}
}

// stop ends the readers.
func (r *chaosReaders) stop() {
	r.cancel()
	r.running.Wait()
}
