package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
)

// These tests see the store as its users do, through what it exports, and Redis as an operator does.

// guard bounds every wait; it says "broken", not "slow".
const guard = 4 * time.Minute

// redisProcess is one redis-server that a test may kill.
type redisProcess struct {
	addr string
	cmd  *exec.Cmd
	once sync.Once
}

// kill ends the process without warning.
func (p *redisProcess) kill() {
	p.once.Do(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
}

// freePort returns a port that was free a moment ago, below those that the system hands out by itself: no
// other test's server and no connection comes by it in the meantime, also not while its server is down.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(10_000 + rand.IntN(6_000))
		if ln, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = ln.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

// startRedis starts a redis-server on a free port and waits until it answers; args follow its defaults.
func startRedis(t *testing.T, dir string, args ...string) *redisProcess {
	t.Helper()
	return startRedisAt(t, freePort(t), dir, append([]string{"--save", "", "--appendonly", "no"}, args...)...)
}

func startRedisAt(t *testing.T, port, dir string, args ...string) *redisProcess {
	t.Helper()
	return startServerWith(t, port, append(args, "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no", "--loglevel", "warning")...)
}

// startServerWith starts redis-server, which may be a sentinel, with just these arguments.
func startServerWith(t *testing.T, port string, args ...string) *redisProcess {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server")
	}
	p := &redisProcess{addr: "127.0.0.1:" + port, cmd: exec.Command(bin, args...)}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	await(t, "redis-server on "+p.addr, func() bool {
		answer, err := ask(p.addr, "PING")
		return err == nil && strings.HasPrefix(answer, "+PONG")
	})
	return p
}

// ask sends one inline command and returns what comes first.
func ask(addr, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", err
	}
	buf := make([]byte, 64<<10)
	n, err := conn.Read(buf)
	return string(buf[:n]), err
}

// await polls what something else makes true.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(10*time.Millisecond), time.After(guard)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func openStore(t *testing.T, opts redisstore.Options) *redisstore.Store {
	t.Helper()
	s := redisstore.New(opts, features.Default())
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func openPartition(t *testing.T, s *redisstore.Store) *redisstore.Partition {
	t.Helper()
	p, err := s.Partition(t.Context(), "orders", 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var shopOpens = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func shopEvent(typ streams.Type, user, item string, at time.Duration) streams.Event {
	return streams.Event{Type: typ, Time: shopOpens.Add(at), UserID: user, Country: "DE",
		Items: []streams.Line{{ItemID: item, Quantity: 2, Price: 150}}}
}

// ledger is a log and what its fold must leave behind.
type ledger struct {
	schema *features.Schema
	log    []redisstore.Folded
	want   map[features.Entity]*features.State
}

func newLedger(events []streams.Event) *ledger {
	l := &ledger{schema: features.Default(), want: map[features.Entity]*features.State{}}
	for i := range events {
		f := redisstore.Folded{Offset: int64(i), Deltas: l.schema.Fold(&events[i])}
		l.log = append(l.log, f)
		for _, d := range f.Deltas {
			if l.want[d.Entity] == nil {
				l.want[d.Entity] = &features.State{}
			}
			l.want[d.Entity].Apply(l.schema, d.Ops)
		}
	}
	return l
}

// differing counts the entities that the store holds otherwise than the fold, and describes the first.
func (l *ledger) differing(ctx context.Context, s *redisstore.Store) (n int, first string, err error) {
	for e, want := range l.want {
		got, err := s.Stored(ctx, e)
		if err != nil {
			return 0, "", err
		}
		if d := want.Differences(got); len(d) > 0 {
			if n++; first == "" {
				first = fmt.Sprintf("%c %s: %v", e.Kind, e.ID, d)
			}
		}
	}
	return n, first, nil
}

// follow applies the log from where the store is to its end, whatever happens to the server, and
// returns how often it had to begin again. note is called after each batch.
func (l *ledger) follow(ctx context.Context, s *redisstore.Store, batch int, note func(next int64)) (errs, fenced int, err error) {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	var p *redisstore.Partition
	for ctx.Err() == nil {
		if p == nil {
			if p, err = s.Partition(ctx, "orders", 0); err != nil {
				errs++
				<-pause.C
				continue
			}
		}
		next := p.Next()
		if next < int64(len(l.log)) {
			end := min(next+int64(batch), int64(len(l.log)))
			err = p.Apply(ctx, l.log[next:end], end-1)
		}
		if err == nil {
			err = p.Flush(ctx)
		}
		switch {
		case errors.Is(err, redisstore.ErrFenced):
			fenced++
			p = nil
		case err != nil:
			errs++
			p = nil
			<-pause.C
		case p.Next() == int64(len(l.log)):
			return errs, fenced, nil
		default:
			note(p.Next())
		}
	}
	return errs, fenced, ctx.Err()
}
