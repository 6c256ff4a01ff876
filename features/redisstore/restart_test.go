package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// TestRedisLosesItsNewestWrites kills redis-server, cuts the end of its append-only file, starts it
// again and lets the owner go on, several times: every event counts once all the same.
func TestRedisLosesItsNewestWrites(t *testing.T) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server")
	}
	dir, rng, ctx := t.TempDir(), rand.New(rand.NewPCG(7, 7)), context.Background()
	socketDir, err := os.MkdirTemp("", "sartor-redis-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(socketDir) })
	socket := filepath.Join(socketDir, "r.sock")
	run := func() (kill func()) {
		kill, err := startServer(bin, dir, "unix", socket, "--port", "0", "--unixsocket", socket, "--appendonly", "yes")
		if err != nil {
			t.Fatal(err)
		}
		return kill
	}
	kill := run()
	t.Cleanup(func() { kill() })
	s := open(t, Options{Addrs: []string{socket}, Shards: 8})
	var events []streams.Event
	for i := range 3000 {
		events = append(events, event(streams.Types()[i%9], fmt.Sprintf("u%d", rng.IntN(200)), fmt.Sprintf("i%d", rng.IntN(50)), time.Duration(i)*time.Minute))
	}
	log := foldAll(events)
	p := partition(t, s)
	rewinds := 0
	for round := 0; round < 6 || int(p.Next()) < len(log); {
		end := min(int(p.last)+1+150, len(log))
		if err := p.Apply(ctx, log[p.last+1:end], int64(end-1)); errors.Is(err, ErrFenced) {
			rewinds++
			p = partition(t, s)
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(ctx); err != nil && !errors.Is(err, ErrFenced) {
			t.Fatal(err)
		} else if err != nil {
			rewinds++
			p = partition(t, s)
		}
		if round < 6 && end >= (round+1)*450 {
			round++
			kill()
			cutAppendOnly(t, dir, 1+rng.Int64N(100_000))
			kill = run()
		}
	}
	if rewinds == 0 {
		t.Fatal("nothing was lost: the test does not test")
	}
	if d := differences(s, oracle(log)); d != "" {
		t.Fatal(d)
	}
	t.Logf("%d rewinds", rewinds)
}

// cutAppendOnly takes n bytes off the end of the append-only file, or what there is.
func cutAppendOnly(t *testing.T, dir string, n int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no append-only file: %v", err)
	}
	info, err := os.Stat(files[len(files)-1])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(files[len(files)-1], max(info.Size()-n, 0)); err != nil {
		t.Fatal(err)
	}
}
