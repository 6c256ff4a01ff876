package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

// realServer is the socket of the redis-server of this test run; "" when there is none.
var realServer string

func TestMain(m *testing.M) {
	RedirectClientLog(slog.New(slog.DiscardHandler))
	stop, err := startReal()
	if err != nil {
		fmt.Fprintf(os.Stderr, "redis-server is not usable, the tests on it are skipped: %v\n", err)
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

// startReal starts redis-server with an append-only file on a unix socket.
func startReal() (stop func(), err error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return func() {}, err
	}
	dir, err := os.MkdirTemp("", "sartor-redis-")
	if err != nil {
		return func() {}, err
	}
	socket := filepath.Join(dir, "redis.sock")
	kill, err := startServer(bin, dir, "unix", socket, "--port", "0", "--unixsocket", socket, "--appendonly", "yes")
	if err != nil {
		_ = os.RemoveAll(dir)
		return func() {}, err
	}
	realServer = socket
	return func() { kill(); _ = os.RemoveAll(dir) }, nil
}

// answers tells whether the server has loaded its data.
func answers(network, address string) bool {
	c, err := net.Dial(network, address)
	if err != nil {
		return false
	}
	defer c.Close()
	buf := make([]byte, 5)
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	_, err = io.ReadFull(c, buf)
	return err == nil && string(buf) == "+PONG"
}

// startServer starts one server and waits until it answers.
func startServer(bin, dir, network, address string, args ...string) (stop func(), err error) {
	cmd := exec.Command(bin, append([]string{"--dir", dir, "--save", "", "--bind", "127.0.0.1", "--daemonize", "no", "--loglevel", "warning"}, args...)...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	stop = func() {
		_ = cmd.Process.Kill()
		<-exited
	}
	deadline, tick := time.After(2*time.Minute), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-exited:
			return nil, fmt.Errorf("redis-server ended: %w", err)
		case <-deadline:
			stop()
			return nil, errors.New("redis-server does not answer")
		case <-tick.C:
			if answers(network, address) {
				return stop, nil
			}
		}
	}
}

var prefixes atomic.Int64

// onServers runs the test on miniredis and on the real server, with options that name a fresh
// key space.
func onServers(t *testing.T, test func(t *testing.T, opts Options)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		test(t, miniOptions(t))
	})
	t.Run("redis-server", func(t *testing.T) { test(t, realOptions(t)) })
}

func miniOptions(t testing.TB) Options {
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return Options{Addrs: []string{m.Addr()}, Shards: 4}
}

func realOptions(t testing.TB) Options {
	if realServer == "" {
		t.Skip("no redis-server")
	}
	return Options{Addrs: []string{realServer}, Shards: 4, Prefix: fmt.Sprintf("t%d:", prefixes.Add(1))}
}

func open(t testing.TB, opts Options) *Store {
	t.Helper()
	s := New(opts, features.Default())
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

func partition(t testing.TB, s *Store) *Partition {
	t.Helper()
	p, err := s.Partition(context.Background(), "orders", 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var start = time.Date(2026, 3, 1, 23, 30, 0, 0, time.UTC)

func event(typ streams.Type, user, item string, at time.Duration) streams.Event {
	return streams.Event{Type: typ, Time: start.Add(at), UserID: user,
		Items: []streams.Line{{ItemID: item, Quantity: 2, Price: 150}}, Country: "DE"}
}

// foldAll folds events into a log that starts at offset 0.
func foldAll(events []streams.Event) []Folded {
	s := features.Default()
	out := make([]Folded, len(events))
	for i := range events {
		out[i] = Folded{Offset: int64(i), Deltas: s.Fold(&events[i])}
	}
	return out
}

// oracle applies a log in memory, one event after the other.
func oracle(log []Folded) map[features.Entity]*features.State {
	s := features.Default()
	out := map[features.Entity]*features.State{}
	for _, f := range log {
		for _, d := range f.Deltas {
			if out[d.Entity] == nil {
				out[d.Entity] = &features.State{}
			}
			out[d.Entity].Apply(s, d.Ops)
		}
	}
	return out
}

// differences compares the store with what it should hold, as text; "" when equal.
func differences(s *Store, want map[features.Entity]*features.State) string {
	var b strings.Builder
	for e, w := range want {
		got, err := s.Stored(context.Background(), e)
		if err != nil {
			fmt.Fprintf(&b, "%v: %v\n", e, err)
			continue
		}
		if got == nil {
			got = &features.State{}
		}
		if g, w := render(got), render(w); g != w {
			fmt.Fprintf(&b, "%c %s:\n got %s\nwant %s\n", e.Kind, e.ID, g, w)
		}
	}
	return b.String()
}

// render writes a state so that equal states have equal texts; fmt sorts maps.
func render(st *features.State) string {
	return fmt.Sprintf("%v doc=%q@%d gone=%d %v", st.Counters, st.Doc, st.DocTime, st.RemovedAt, st.Lists)
}

func schemaText(t *testing.T) string {
	data, err := os.ReadFile("../schema.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
