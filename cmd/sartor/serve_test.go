package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams/kafka"
)

// TestServeWithoutAnything starts with nothing configured, and with servers that do not answer. It
// must answer all the same, say what is missing, and stop.
func TestServeWithoutAnything(t *testing.T) {
	const dead = deadAddr
	for name, tc := range map[string]struct {
		brokers, redis []string
		dirs           bool
		lacks          []string
	}{
		"nothing-configured": {lacks: []string{"no_catalogue", "no_model", "no_rules"}},
		"servers-down":       {brokers: []string{dead}, redis: []string{dead}, dirs: true, lacks: []string{"no_catalogue", "no_model", "user_features_unavailable"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := &app{config: defaultConfig(), logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
			a.config.Kafka.Brokers, a.config.Redis.Addrs = tc.brokers, tc.redis
			if tc.dirs {
				a.config.Models.Dir, a.config.Rules.Dir = t.TempDir(), t.TempDir()
			}
			url, stop := serveHere(t, a)
			for _, path := range []string{"/livez", "/readyz", "/version", "/metrics", "/openapi.json", "/v1/status"} {
				eventually(t, path, func() bool { code, _ := get(t, http.MethodGet, url+path, ""); return code == http.StatusOK })
			}
			code, body := get(t, http.MethodPost, url+"/v1/recommend", `{"user_id":"u1","scenario":"home"}`)
			var got answer
			if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK || got.ServedBy != "none" || len(got.Items) != 0 {
				t.Errorf("HTTP %d, %v: %s; want an empty list that says so", code, err, body)
			}
			for _, lack := range tc.lacks {
				if !strings.Contains(strings.Join(got.Degraded, " "), lack) {
					t.Errorf("degraded = %v, want %s in it", got.Degraded, lack)
				}
			}
			code, body = get(t, http.MethodPost, url+"/v1/events", `{"event_id":"1","type":"view","time":"2026-01-01T00:00:00Z","user_id":"u","item_id":"i"}`)
			if code != http.StatusServiceUnavailable || !strings.Contains(body, "problem") {
				t.Errorf("an event without Kafka: HTTP %d: %s; want 503", code, body)
			}
			stop()
		})
	}
}

// deadAddr is an address where nothing listens, nor will: the system hands out no such port.
const deadAddr = "127.0.0.1:1"

// freeAddr returns a loopback address that was free a moment ago, below those that the system hands out by
// itself: no other test's server and no connection comes by it in the meantime, also not while its server is
// down.
func freeAddr(t *testing.T) (addr, port string) {
	t.Helper()
	for range 1000 {
		port = strconv.Itoa(10_000 + rand.IntN(6_000))
		addr = net.JoinHostPort("127.0.0.1", port)
		if ln, err := net.Listen("tcp", addr); err == nil {
			_ = ln.Close()
			return addr, port
		}
	}
	t.Fatal("no free port")
	return "", ""
}

// serveHere serves as the command does, on a free port.
func serveHere(t *testing.T, a *app) (url string, stop func()) {
	t.Helper()
	w, err := a.newWiring()
	if err != nil {
		t.Fatal(err)
	}
	var parts servingParts
	if len(a.config.Redis.Addrs) > 0 {
		parts.store = redisstore.New(w.redis, w.schema)
	}
	if len(a.config.Kafka.Brokers) > 0 {
		parts.producer = kafka.NewProducer(w.kafka)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServing(w, parts)
	return "http://" + ln.Addr().String(), background(t, func(ctx context.Context) error {
		return errors.Join(s.run(ctx, ln), parts.close())
	})
}

// get sends one request on a connection of its own.
func get(t *testing.T, method, url, body string) (code int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := (&http.Client{Timeout: deadline}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func TestServeCommandNeedsItsPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	code, _, errOut := runHere(t, "serve", "--addr", ln.Addr().String())
	if code != exitFailed || strings.Count(errOut, "\n") != 1 || !strings.Contains(errOut, "is in use") {
		t.Errorf("exit code %d, error %q; want 1 and one line", code, errOut)
	}
}

// TestServeMendsItself starts while Redis is down, which comes, goes and comes back.
func TestServeMendsItself(t *testing.T) {
	m := miniredis.NewMiniRedis()
	addr, _ := freeAddr(t)
	if err := m.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	m.Close()
	a := &app{config: defaultConfig(), logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
	a.config.Redis.Addrs = []string{addr}
	a.config.Redis.ReadTimeout, a.config.HTTP.Budget = 5*time.Second, 10*time.Second
	url, _ := serveHere(t, a)
	lacksUser := func() bool {
		_, body := get(t, http.MethodPost, url+"/v1/recommend", `{"user_id":"u1"}`)
		return strings.Contains(body, `"user_features_`) // unavailable, or a cached copy
	}
	eventually(t, "an answer that says that Redis is down", lacksUser)
	for range 2 {
		if err := m.Restart(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the first complete answer", func() bool { return !lacksUser() })
		m.Close()
		eventually(t, "an answer that says that Redis is down again", lacksUser)
	}
}
