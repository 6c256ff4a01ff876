package redisstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

// freePorts returns ports that nobody listens on at the moment, below those that the system hands out by
// itself: no other test's server and no connection comes by them in the meantime.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for range 1000 {
		port := strconv.Itoa(10_000 + rand.IntN(6_000))
		ln, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer ln.Close() // held until all are found
		if out = append(out, port); len(out) == n {
			return out
		}
	}
	t.Fatal("no free ports")
	return nil
}

// startCluster starts three masters and returns their addresses when all slots are served.
func startCluster(t *testing.T) []string {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server")
	}
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("no redis-cli")
	}
	ports := freePorts(t, 6)
	var addrs []string
	for i := range 3 {
		addr := "127.0.0.1:" + ports[i]
		stop, err := startServer(bin, t.TempDir(), "tcp", addr, "--port", ports[i], "--cluster-enabled", "yes",
			"--cluster-port", ports[3+i], "--cluster-config-file", "nodes.conf", "--appendonly", "no")
		if err != nil {
			t.Fatalf("a cluster node does not start: %v", err)
		}
		t.Cleanup(stop)
		addrs = append(addrs, addr)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	args := append([]string{"--cluster", "create"}, addrs...)
	if out, err := exec.CommandContext(ctx, cli, append(args, "--cluster-replicas", "0", "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("create the cluster: %v\n%s", err, out)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, addr := range addrs {
		for {
			out, err := exec.CommandContext(ctx, cli, "-p", addr[len("127.0.0.1:"):], "cluster", "info").Output()
			if err == nil && bytes.Contains(out, []byte("cluster_state:ok")) {
				break
			}
			select {
			case <-ctx.Done():
				t.Fatal("the cluster does not become ready")
			case <-tick.C:
			}
		}
	}
	return addrs
}

// TestCluster runs the write and read paths on a real cluster: the fakes know no CROSSSLOT, no
// MOVED, and lose the scripts of all nodes at once.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	ctx := context.Background()
	s := open(t, Options{Addrs: startCluster(t), Shards: 64, Prefix: "shop:"})
	var events []streams.Event
	for i := range 2000 {
		events = append(events, event(streams.Types()[i%9], fmt.Sprintf("u%d", i%97), fmt.Sprintf("i%d", i%31), time.Duration(i)*time.Minute))
	}
	log := foldAll(append(events, event(streams.UserDelete, "u5", "", 2001*time.Minute)))
	applyOnCluster(t, s, log)
	if got := partition(t, s).Next(); got != int64(len(log)) {
		t.Fatalf("Next is %d after %d events", got, len(log))
	}
	if d := differences(s, oracle(log)); d != "" {
		t.Fatal(d)
	}
	items, cursor, err := s.ChangedItems(ctx, nil)
	if err != nil || len(items) != 31 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	if items, _, err := s.ChangedItems(ctx, cursor); err != nil || len(items) != 0 {
		t.Fatalf("%d items changed, %v", len(items), err)
	}
	rebuildOnCluster(t, s, log)
}

// rebuildOnCluster erases a user, builds a namespace beside the served one, switches and drops the old.
func rebuildOnCluster(t *testing.T, s *Store, log []Folded) {
	t.Helper()
	ctx := t.Context()
	keys, err := s.EraseUser(ctx, "u7", start.Add(1e6*time.Minute))
	if err != nil || len(keys) != 1 || keys[0].Entries < 10 {
		t.Fatalf("erased %v, %v", keys, err)
	}
	aside := s.opts
	aside.Namespace = "g2"
	built := open(t, aside)
	if n, err := built.CopyErasures(ctx); n != 2 || err != nil { // u5 by event, u7 by hand
		t.Fatalf("copied %d erasures, %v", n, err)
	}
	if err := partition(t, built).Apply(ctx, log, int64(len(log)-1)); err != nil {
		t.Fatal(err)
	}
	if err := built.Activate(ctx, "g2"); err != nil {
		t.Fatal(err)
	}
	items, _, err := s.ChangedItems(ctx, make([]int64, s.Shards()))
	if err != nil || len(items) != 31 || s.Namespace() != "g2" {
		t.Fatalf("%d items of %q, %v", len(items), s.Namespace(), err)
	}
	seen := map[features.Entity]bool{}
	if err := s.Entities(ctx, func(e features.Entity) error { seen[e] = true; return nil }); err != nil || len(seen) != 97+31 {
		t.Fatalf("%d entities, %v", len(seen), err)
	}
	if n, err := s.Drop(ctx, ""); err != nil || n < 97+31 {
		t.Fatalf("dropped %d keys, %v", n, err)
	}
	want := oracle(log)
	want[features.Entity{Kind: features.UserEntity, ID: "u7"}] = &features.State{RemovedAt: start.Add(1e6 * time.Minute).UnixMilli()}
	if d := differences(s, want); d != "" {
		t.Fatal(d)
	}
}

// applyOnCluster applies the log in batches; on the way the nodes lose their scripts, and the
// partition gets a new owner while the old one still writes.
func applyOnCluster(t *testing.T, s *Store, log []Folded) {
	t.Helper()
	ctx := context.Background()
	p := partition(t, s)
	for at := 0; at < len(log); at += 100 {
		end := min(at+100, len(log))
		from, zombie := at, (*Partition)(nil)
		switch at {
		case 500:
			flushScripts(t, s)
		case 1000:
			zombie, p = p, partition(t, s)
			from = int(p.Next())
		}
		if err := p.Apply(ctx, log[from:end], int64(end-1)); err != nil {
			t.Fatal(err)
		}
		if zombie != nil {
			if err := zombie.Apply(ctx, log[at:at+50], int64(at+49)); !errors.Is(err, ErrFenced) {
				t.Fatalf("the zombie got %v", err)
			}
		}
	}
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func flushScripts(t *testing.T, s *Store) {
	t.Helper()
	client, ok := s.client.(*redis.ClusterClient)
	if !ok {
		t.Fatalf("the client is a %T", s.client)
	}
	err := client.ForEachMaster(context.Background(), func(ctx context.Context, c *redis.Client) error { return c.ScriptFlush(ctx).Err() })
	if err != nil {
		t.Fatal(err)
	}
}
