package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
)

// faultProxy stands between the server and Redis and behaves as badly as it is told to.
type faultProxy struct {
	ln     net.Listener
	target string
	fault  atomic.Value // string: "", "slow", "reset", "black-hole" or "gone"
	mu     sync.Mutex
	open   map[net.Conn]bool
	done   sync.WaitGroup
}

func newFaultProxy(t *testing.T, target string) *faultProxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &faultProxy{ln: ln, target: target, open: map[net.Conn]bool{}}
	p.fault.Store("")
	p.done.Go(p.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		p.cut()
		p.done.Wait()
	})
	return p
}

func (p *faultProxy) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		if p.fault.Load() == "gone" {
			_ = c.Close()
			continue
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = c.Close()
			continue
		}
		p.mu.Lock()
		p.open[c], p.open[server] = true, true
		p.mu.Unlock()
		p.done.Go(func() { p.pump(c, server) })
		p.done.Go(func() { p.pump(server, c) })
	}
}

// pump carries bytes from one side to the other, each with the fault of the moment.
func (p *faultProxy) pump(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		switch p.fault.Load() {
		case "slow":
			<-time.After(50 * time.Millisecond)
		case "black-hole":
			continue
		case "reset":
			if tcp, ok := from.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// become changes the fault; connections of before are cut when Redis is gone.
func (p *faultProxy) become(fault string) {
	p.fault.Store(fault)
	if fault == "gone" {
		p.cut()
	}
}

func (p *faultProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
	clear(p.open)
}

// shopInRedis writes items and a user's history, and returns a model of them in a registry folder.
func shopInRedis(t *testing.T, addr string) (models string) {
	t.Helper()
	schema := features.Default()
	store := redisstore.New(redisstore.Options{Addrs: []string{addr}}, schema)
	defer store.Close()
	if err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	part, err := store.Partition(t.Context(), "behavior", 0)
	if err != nil {
		t.Fatal(err)
	}
	at, log := time.Now().Add(-time.Hour), train.NewLog()
	var batch []redisstore.Folded
	happen := func(e streams.Event) {
		e.ID, e.Time = fmt.Sprint("e", len(batch)), at.Add(time.Duration(len(batch))*time.Millisecond)
		log.Add(&e)
		batch = append(batch, redisstore.Folded{Offset: int64(len(batch)), Deltas: schema.Fold(&e)})
	}
	for i := range 200 {
		happen(streams.Event{Type: streams.ItemUpsert, Items: []streams.Line{{ItemID: fmt.Sprint("i", i)}}, Attributes: map[string]any{"price": 1000.0, "category": fmt.Sprint("c", i%7)}})
	}
	for i := range 2000 {
		happen(streams.Event{Type: streams.View, UserID: fmt.Sprint("u", i%100), Items: []streams.Line{{ItemID: fmt.Sprint("i", i*i%200)}}})
	}
	for some := range slices.Chunk(batch, 100) { // miniredis takes seconds for all of them where the machine is busy
		if err := part.Apply(t.Context(), some, some[len(some)-1].Offset); err != nil {
			t.Fatal(err)
		}
	}
	if err := part.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m, _, err := train.ALS(t.Context(), log, train.Options{Dim: 16, Epochs: 2, Seed: 1, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.New(dir).Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return dir
}

// faultLength is how long each fault is held: short in the ordinary run, what SARTOR_FAULTS says
// (a duration such as 60s) in the long one.
func faultLength(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SARTOR_FAULTS")
	if text == "" {
		return 700 * time.Millisecond
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SARTOR_FAULTS: %v", err)
	}
	return d
}

// TestFaults breaks one thing after the other under load and prints a table. Every request must be
// answered with 200 whatever is broken; that answers lack something then is part of the promise.
func TestFaults(t *testing.T) {
	redis := miniredis.RunT(t)
	models := shopInRedis(t, redis.Addr())
	proxy := newFaultProxy(t, redis.Addr())
	a := &app{config: defaultConfig(), logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
	a.config.Redis.Addrs, a.config.Models.Dir = []string{proxy.ln.Addr().String()}, models
	a.config.Kafka.Brokers = []string{deadAddr} // Kafka is gone all the time
	a.config.Models.Poll = 20 * time.Millisecond
	a.config.HTTP.MaxInFlight = -1 // refusals for want of processors are another test's
	url, _ := serveHere(t, a)
	whole := func() bool {
		_, body := get(t, "POST", url+"/v1/recommend", `{"user_id":"u1"}`)
		return strings.Contains(body, `"served_by":"model"`) && !strings.Contains(body, "user_features") && !strings.Contains(body, "no_catalogue")
	}
	eventually(t, "an answer of the model", whole)
	current := filepath.Join(models, "CURRENT")
	good, err := os.ReadFile(current)
	if err != nil {
		t.Fatal(err)
	}
	breakModel := func(text []byte) func() {
		return func() {
			if err := os.WriteFile(current, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	back := make(chan struct{})
	be := func(fault string) func() { return func() { proxy.become(fault) } }
	t.Logf("%-24s %9s %8s %9s %9s %9s  %s", "fault", "requests", "200", "p50", "p99", "max", "answers lacked")
	for _, f := range []struct {
		name     string
		set, end func()
	}{
		{"none (Kafka gone)", func() {}, func() {}},
		{"Redis 50 ms slower", be("slow"), be("")},
		{"Redis resets", be("reset"), be("")},
		{"Redis a black hole", be("black-hole"), be("")},
		{"Redis gone", be("gone"), be("")},
		{"restart of Redis", func() { // gone, then reading its file, then back: each for a third of the time
			proxy.become("gone")
			third := faultLength(t) / 3
			time.AfterFunc(third, func() { redis.SetError("LOADING Redis is loading the dataset in memory"); proxy.become("") })
			time.AfterFunc(2*third, func() { redis.SetError(""); close(back) })
		}, func() { <-back }},
		{"model file broken", breakModel([]byte("no-such-version\n")), breakModel(good)},
		{"catalogue emptied", func() { redis.FlushAll() }, func() {}},
	} {
		f.set()
		r, lacked := underLoad(t, url, faultLength(t))
		if strings.HasPrefix(f.name, "Redis") {
			eventually(t, "readiness that tells of: "+f.name, func() bool {
				code, body := get(t, "GET", url+"/readyz?verbose", "")
				return code == 200 && strings.Contains(body, `"name":"full","ok":false`)
			})
		}
		f.end()
		share := 100 * float64(r.Calls-r.Errors) / float64(r.Calls)
		t.Logf("%-24s %9d %7.2f%% %9s %9s %9s  %s", f.name, r.Calls, share, millis(r.Quantile(0.5)), millis(r.Quantile(0.99)), millis(r.Quantile(1)), lacked)
		if share < 99.9 {
			t.Errorf("%s: %.2f %% were answered with 200, want 99.9; the first failure: %v", f.name, share, r.FirstErr)
		}
		if f.name != "catalogue emptied" {
			eventually(t, "whole answers after: "+f.name, whole)
		}
	}
}

// faultWorkers is how many requests are under way at most.
const faultWorkers = 32

// underLoad asks for recommendations at a fixed rate and tells what the answers lacked.
func underLoad(t *testing.T, url string, d time.Duration) (r *loadResult, lacked string) {
	t.Helper()
	const workers, rate = faultWorkers, 150
	addr := strings.TrimPrefix(url, "http://")
	conns := make([]httpConn, workers)
	var mu sync.Mutex
	losses := map[string]int{}
	ctx, cancel := context.WithTimeout(t.Context(), 2*d+30*time.Second)
	defer cancel()
	var n atomic.Int64
	r = openLoop(ctx, d, rate, workers, func(worker int) error {
		c := &conns[worker]
		c.addr = addr
		body, err := c.do(request("POST", "/v1/recommend", addr, fmt.Appendf(nil, `{"user_id":"u%d","scenario":"home"}`, n.Add(1)%100)))
		if err != nil {
			return err
		}
		list := textAfter([]byte(strings.ReplaceAll(string(body), `"degraded":[]`, `"degraded":["nothing"]`)), `"degraded":["`)
		mu.Lock()
		losses[list]++
		mu.Unlock()
		return nil
	})
	for i := range conns {
		if err := conns[i].close(); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(losses)) {
		parts = append(parts, fmt.Sprintf("%s %d %%", name, 100*losses[name]/max(r.Calls, 1)))
	}
	return r, strings.Join(parts, ", ")
}
