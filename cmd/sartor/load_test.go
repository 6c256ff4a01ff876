package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestOpenLoopChargesTheWait has a server that stands still for a second in the middle of a run of
// ten calls a second. A client that waits for its answers would send one slow call; users would have
// sent ten, and waited 1.0, 0.9, ... 0.1 seconds.
func TestOpenLoopChargesTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := openLoop(t.Context(), 3*time.Second, 10, 1, func(int) error {
			if at := time.Since(start); at >= time.Second && at < 2*time.Second {
				time.Sleep(2*time.Second - at)
			}
			return nil
		})
		if r.Calls != 30 || r.Errors != 0 {
			t.Fatalf("%d calls, %d errors; want 30 and none", r.Calls, r.Errors)
		}
		var slow []time.Duration
		for _, l := range r.latencies {
			if l > 0 {
				slow = append(slow, l.Round(time.Millisecond))
			}
		}
		var want []time.Duration
		for ms := 100; ms <= 1000; ms += 100 {
			want = append(want, time.Duration(ms)*time.Millisecond)
		}
		if !slices.Equal(slow, want) {
			t.Errorf("waits = %v, want %v", slow, want)
		}
	})
}

func TestSaturateStopsAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		broken := errors.New("broken")
		r := saturate(t.Context(), 995*time.Millisecond, 4, func(int) error {
			time.Sleep(10 * time.Millisecond)
			if n.Add(1)%10 == 0 {
				return broken
			}
			return nil
		})
		if r.Calls != 400 || r.Errors != 40 || r.Rate() != 360 || !errors.Is(r.FirstErr, broken) {
			t.Errorf("calls %d, errors %d, rate %v, first error %v; want 400, 40, 360, broken", r.Calls, r.Errors, r.Rate(), r.FirstErr)
		}
		if r.Quantile(0.5) != 10*time.Millisecond || r.Quantile(1) != 10*time.Millisecond {
			t.Errorf("quantiles %v and %v, want 10 ms", r.Quantile(0.5), r.Quantile(1))
		}
	})
}

func TestQuantile(t *testing.T) {
	r := &loadResult{}
	if r.Quantile(0.99) != 0 {
		t.Error("a quantile of nothing")
	}
	for i := range 100 {
		r.latencies = append(r.latencies, time.Duration(i))
	}
	for q, want := range map[float64]time.Duration{0: 0, 0.5: 50, 0.99: 99, 1: 99} {
		if got := r.Quantile(q); got != want {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
}

func TestHTTPConn(t *testing.T) {
	conns := map[string]bool{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			http.Error(w, "no", http.StatusTeapot)
			return
		}
		var body strings.Builder
		_ = r.Write(&body)
		_, _ = w.Write([]byte(r.Method + " " + r.Host + " " + body.String()[strings.LastIndex(body.String(), "\n")+1:]))
	}))
	srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns[c.RemoteAddr().String()] = true
		}
	}
	srv.Start()
	defer srv.Close()
	c := &httpConn{addr: srv.Listener.Addr().String()}
	defer c.close()
	for range 3 {
		if body, err := c.do(request("POST", "/x", "shop.example", []byte(`{"a":1}`))); err != nil || string(body) != `POST shop.example {"a":1}` {
			t.Fatalf("body %q, error %v", body, err)
		}
	}
	var status *errStatus
	if _, err := c.do(request("GET", "/refused", "x", nil)); !errors.As(err, &status) || status.Code != http.StatusTeapot {
		t.Errorf("error = %v, want HTTP 418", err)
	}
	if len(conns) != 1 {
		t.Errorf("%d connections for four requests, want one", len(conns))
	}
}

func TestOpenLoopStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	r := openLoop(ctx, time.Hour, 1000, 1, func(int) error {
		if calls++; calls == 5 {
			cancel()
		}
		return nil
	})
	if r.Calls < 5 || r.Calls > 6 {
		t.Errorf("%d calls after the end of the context, want 5 or 6", r.Calls)
	}
}
