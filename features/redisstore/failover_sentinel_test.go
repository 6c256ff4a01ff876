package redisstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
)

// sentinelGroup is a master, a replica and three sentinels that watch over them.
type sentinelGroup struct {
	master, replica *redisProcess
	sentinels       []string
}

const masterName = "shop"

func startSentinelGroup(t *testing.T) *sentinelGroup {
	t.Helper()
	g := &sentinelGroup{master: startRedis(t, t.TempDir(), "--appendonly", "yes")}
	host, port, _ := strings.Cut(g.master.addr, ":")
	g.replica = startRedis(t, t.TempDir(), "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	await(t, "the replica to be in step", func() bool {
		text, err := ask(g.replica.addr, "INFO replication")
		return err == nil && strings.Contains(text, "master_link_status:up")
	})
	for range 3 {
		dir, port := t.TempDir(), freePort(t)
		file := filepath.Join(dir, "sentinel.conf")
		text := fmt.Sprintf("sentinel monitor %s %s 2\nsentinel down-after-milliseconds %s 500\nsentinel failover-timeout %s 3000\n",
			masterName, strings.Replace(g.master.addr, ":", " ", 1), masterName, masterName)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		g.sentinels = append(g.sentinels, startSentinel(t, file, port, dir).addr)
	}
	for _, addr := range g.sentinels {
		await(t, "the sentinels to know each other and the replica", func() bool {
			text, err := ask(addr, "INFO sentinel")
			return err == nil && strings.Contains(text, "status=ok") && strings.Contains(text, "slaves=1,sentinels=3")
		})
	}
	return g
}

func startSentinel(t *testing.T, file, port, dir string) *redisProcess {
	t.Helper()
	return startServerWith(t, port, file, "--sentinel", "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no", "--loglevel", "warning")
}

// TestSentinelFailover kills the master of a real group while a partition is being applied and users are
// being read: sentinels promote the replica, and in the end every entity is what the log says, although
// replication is asynchronous.
func TestSentinelFailover(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes seconds")
	}
	g := startSentinelGroup(t)
	opts := redisstore.Options{Addrs: g.sentinels, MasterName: masterName, Shards: 16, Prefix: "shop:",
		DialTimeout: 300 * time.Millisecond, ReadTimeout: 300 * time.Millisecond}
	store := openStore(t, opts)
	var events []streams.Event
	types := []streams.Type{streams.View, streams.Click, streams.CartAdd, streams.Order, streams.Return, streams.Rating}
	for i := range 20_000 {
		events = append(events, shopEvent(types[i%len(types)], fmt.Sprintf("u%d", i%397), fmt.Sprintf("i%d", i%83), time.Duration(i)*time.Minute))
	}
	l := newLedger(events)
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()

	var reads, unanswered atomic.Int64
	var worst atomic.Int64 // the longest time without an answer, in nanoseconds
	reading, stopReading := context.WithCancel(ctx)
	var readers sync.WaitGroup
	readers.Go(func() {
		last := time.Now()
		for n := 0; reading.Err() == nil; n++ {
			if _, err := store.User(reading, fmt.Sprintf("u%d", n%397)); err != nil {
				unanswered.Add(1)
				continue
			}
			reads.Add(1)
			worst.Store(max(worst.Load(), int64(time.Since(last))))
			last = time.Now()
		}
	})

	killed, begin := time.Time{}, time.Now()
	var wroteAgain time.Duration
	errs, fenced, err := l.follow(ctx, store, 100, func(next int64) {
		switch {
		case killed.IsZero() && next >= int64(len(events)/3):
			g.master.kill()
			killed = time.Now()
		case !killed.IsZero() && wroteAgain == 0:
			wroteAgain = time.Since(killed)
		}
	})
	stopReading()
	readers.Wait()
	if err != nil {
		t.Fatalf("after %s, %d errors and %d fences: %v", time.Since(begin), errs, fenced, err)
	}
	await(t, "the replica to be the master", func() bool {
		text, err := ask(g.replica.addr, "INFO replication")
		return err == nil && strings.Contains(text, "role:master")
	})
	n, first, err := l.differing(ctx, openStore(t, opts))
	if err != nil || n > 0 {
		t.Fatalf("%d of %d entities differ (%v): %s", n, len(l.want), err, first)
	}
	if killed.IsZero() || reads.Load() == 0 {
		t.Errorf("killed at %v, %d reads: the test shows nothing", killed, reads.Load())
	}
	t.Logf("%d events, %d entities, 0 differing; the master was killed after a third: %d failed attempts to write, %d rewinds, writes again after %s",
		len(events), len(l.want), errs, fenced, wroteAgain.Round(time.Millisecond))
	t.Logf("%d reads answered, %d not; the longest time without an answer was %s", reads.Load(), unanswered.Load(), time.Duration(worst.Load()).Round(time.Millisecond))
}
