package redisstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

// tag returns the prefix of a virtual shard's keys in the namespace in use.
func (s *Store) tag(shard int) string { return s.space().tag(shard) }

func userKey(s *Store, id string) string {
	e := features.Entity{Kind: features.UserEntity, ID: id}
	return entityKey(s.tag(s.shardOf(e)), e)
}

// Several processes own partitions of several topics, and events of the same users and items are in all
// of them: no change is lost or doubled, although each packs what the others append to.
func TestMembersShareEntities(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		const members, batches, size = 4, 60, 5
		var all []Folded
		var g errgroup.Group
		for m := range members {
			var events []streams.Event
			for i := range batches * size {
				events = append(events, event(streams.Types()[(i+m)%9], fmt.Sprintf("u%d", i%3), fmt.Sprintf("i%d", i%2),
					time.Duration(i)*time.Minute+time.Duration(m)*time.Second))
			}
			log := foldAll(events)
			all = append(all, log...)
			s := open(t, opts)
			g.Go(func() error {
				p, err := s.Partition(t.Context(), fmt.Sprintf("topic-%d", m%2), m/2)
				for at := 0; err == nil && at < len(log); at += size {
					err = p.Apply(t.Context(), log[at:at+size], int64(at+size-1))
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		s := open(t, opts)
		if d := differences(s, oracle(all)); d != "" {
			t.Fatal(d)
		}
		for i := range 3 {
			parts := rawParts(t, s, fmt.Sprintf("u%d", i))
			if !slices.ContainsFunc(parts, func(p string) bool { return p[0] == 0x11 }) || len(parts) > 3*usersParts {
				t.Errorf("%d parts: nobody packs them", len(parts))
			}
		}
	})
}

// When the end of the append-only file is lost within a transaction, Redis 7.0 keeps its beginning in the
// file and carries it out at the start after the next: the part is there twice, and counts once.
func TestHalfATransactionComesBack(t *testing.T) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server")
	}
	dir := t.TempDir()
	socketDir, err := os.MkdirTemp("", "sartor-redis-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(socketDir) })
	socket := filepath.Join(socketDir, "r.sock")
	start := func() (kill func()) {
		kill, err := startServer(bin, dir, "unix", socket, "--port", "0", "--unixsocket", socket, "--appendonly", "yes", "--appendfsync", "always")
		if err != nil {
			t.Fatal(err)
		}
		return kill
	}
	kill := start()
	t.Cleanup(func() { kill() })
	s := open(t, Options{Addrs: []string{socket}, Shards: 1})
	var events []streams.Event
	for i := range 6 {
		events = append(events, event(streams.Order, "u1", "i1", time.Duration(i)*time.Minute))
	}
	log := foldAll(events)
	p := partition(t, s)
	for i := range 3 {
		if err := p.Apply(t.Context(), log[i:i+1], int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	kill()
	file := lastLog(t, dir)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, int64(bytes.LastIndex(data, []byte("EXEC")))); err != nil {
		t.Fatal(err)
	}
	kill = start()
	p = partition(t, s)
	if p.Next() != 2 {
		t.Fatalf("Next is %d; the third batch is lost", p.Next())
	}
	if err := p.Apply(t.Context(), log[2:], 5); err != nil { // and more in the same batch
		t.Fatal(err)
	}
	if d := differences(s, oracle(log)); d != "" {
		t.Fatal(d)
	}
	kill()
	kill = start()
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d parts, 3 were written", len(rawParts(t, s, "u1")))
	if d := differences(s, oracle(log)); d != "" {
		t.Fatal(d)
	}
	if err := s.compact(t.Context(), s.space(), []features.Entity{{Kind: features.UserEntity, ID: "u1"}, {Kind: features.ItemEntity, ID: "i1"}}); err != nil {
		t.Fatal(err)
	}
	if d := differences(s, oracle(log)); d != "" || len(rawParts(t, s, "u1")) != 1 {
		t.Fatal(d)
	}
}

func lastLog(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no append-only file: %v", err)
	}
	return files[len(files)-1]
}

// A key that holds something else than ours stops its batch, of which nothing is applied.
func TestWrongKeyStopsTheWholeBatch(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		opts.Shards = 1
		s := open(t, opts)
		p := partition(t, s)
		log := foldAll([]streams.Event{event(streams.View, "u1", "a", 0), event(streams.View, "u2", "b", time.Minute), event(streams.View, "u3", "c", time.Hour)})
		if err := s.client.Set(t.Context(), userKey(s, "u3"), "not ours", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := p.Apply(t.Context(), log, 2); !Refused(err) {
			t.Fatalf("got %v", err)
		}
		for _, id := range []string{"u1", "u2"} {
			if parts := rawParts(t, s, id); len(parts) > 0 {
				t.Fatalf("%s got %q", id, parts)
			}
		}
		s.client.Del(t.Context(), userKey(s, "u3"))
		if err := p.Apply(t.Context(), log, 2); err != nil {
			t.Fatal(err)
		}
		if d := differences(s, oracle(log)); d != "" {
			t.Fatal(d)
		}
	})
}

// What is read is replaced only while it is still there, and what came behind it meanwhile stays.
func TestReplace(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := t.Context()
		s := open(t, opts)
		e := features.Entity{Kind: features.UserEntity, ID: "u1"}
		key := userKey(s, "u1")
		for name, tc := range map[string]struct {
			stored, read []string
			want         []string
			moved        bool
		}{
			"as read":       {[]string{"a", "b"}, []string{"a", "b"}, []string{"new"}, false},
			"one":           {[]string{"a"}, []string{"a"}, []string{"new"}, false},
			"more behind":   {[]string{"a", "b", "c", "d"}, []string{"a", "b"}, []string{"new", "c", "d"}, false},
			"packed before": {[]string{"state"}, []string{"a", "b"}, []string{"state"}, true},
			"another first": {[]string{"x", "b"}, []string{"a", "b"}, []string{"x", "b"}, true},
			"another last":  {[]string{"a", "x"}, []string{"a", "b"}, []string{"a", "x"}, true},
			"new":           {nil, nil, []string{"new"}, false},
			"came up":       {[]string{"a"}, nil, []string{"a"}, true},
			"went":          {nil, []string{"a"}, nil, true},
		} {
			s.client.Del(ctx, key)
			if len(tc.stored) > 0 {
				s.client.RPush(ctx, key, tc.stored)
				s.client.PExpire(ctx, key, time.Hour)
			}
			moved, err := s.replace(ctx, s.space(), []replacement{{e, tc.read, []byte("new")}}, 0)
			if err != nil || (len(moved) == 1) != tc.moved {
				t.Errorf("%s: moved %v, %v", name, moved, err)
			}
			if got := rawParts(t, s, "u1"); !slices.Equal(got, tc.want) {
				t.Errorf("%s: got %q, want %q", name, got, tc.want)
			}
			if ttl := s.client.PTTL(ctx, key).Val(); len(tc.stored) > 0 && ttl <= 0 {
				t.Errorf("%s: the lifetime is gone", name)
			}
		}
		if err := s.client.ScriptFlush(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		s.client.Del(ctx, key)
		if moved, err := s.replace(ctx, s.space(), []replacement{{e, nil, []byte("new")}}, 0); err != nil || len(moved) > 0 {
			t.Errorf("after the server lost its scripts: %v, %v", moved, err)
		}
	})
}

// A user who is packed by another process between reading and erasing is read again.
func TestEraseWhatMoves(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := t.Context()
		s, other := open(t, opts), open(t, opts)
		log := foldAll([]streams.Event{event(streams.Order, "u1", "a", 0), event(streams.Order, "u1", "b", time.Minute), event(streams.UserDelete, "u1", "", time.Hour)})
		p := partition(t, s)
		for i := range 2 {
			if err := p.Apply(ctx, log[i:i+1], int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		groups, err := p.group(log[2:], 2)
		if err != nil || len(groups) != 1 {
			t.Fatal(groups, err)
		}
		if err := p.readErased(ctx, groups); err != nil {
			t.Fatal(err)
		}
		if err := other.compact(ctx, other.space(), []features.Entity{{Kind: features.UserEntity, ID: "u1"}}); err != nil {
			t.Fatal(err)
		}
		keys, args := groups[0].call(p, 2)
		groups[0].cmd = s.script.EvalSha(ctx, s.client, keys, args...)
		again, err := p.settle(ctx, groups, 2, nil)
		if err != nil || len(again) != 1 {
			t.Fatalf("got %v, %v", again, err)
		}
		if err := p.Apply(ctx, log[2:], 2); err != nil {
			t.Fatal(err)
		}
		if d := differences(s, oracle(log)); d != "" {
			t.Fatal(d)
		}
	})
}

// What cannot be read is an error that names the remedy and not the user; events go on being applied,
// and an erasure takes it away.
func TestDamagedUser(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := t.Context()
		s := open(t, opts)
		p := partition(t, s)
		var events []streams.Event
		for i := range usersParts + 3 {
			events = append(events, event(streams.View, "someone", "a", time.Duration(i)*time.Minute))
		}
		log := foldAll(events)
		s.client.RPush(ctx, userKey(s, "someone"), "\x99 of the future")
		for i := range log {
			if err := p.Apply(ctx, log[i:i+1], int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := s.User(ctx, "someone")
		if !errors.Is(err, features.ErrPacked) || !strings.Contains(err.Error(), "sartor features rebuild") || strings.Contains(err.Error(), "someone") {
			t.Fatalf("got %v", err)
		}
		if parts := rawParts(t, s, "someone"); len(parts) != len(log)+1 {
			t.Fatalf("%d parts", len(parts))
		}
		at := start.Add(time.Hour)
		if _, err := s.EraseUser(ctx, "someone", at); err != nil {
			t.Fatal(err)
		}
		if st, err := s.User(ctx, "someone"); err != nil || render(st) != render(&features.State{RemovedAt: at.UnixMilli()}) {
			t.Fatalf("got %v, %v", st, err)
		}
	})
}

// A namespace of the layout before this one is refused with the remedy, which works: its tombstones are
// copied, it can be left and dropped.
func TestLayoutBefore(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := t.Context()
		s := open(t, opts)
		s.client.HSet(ctx, opts.Prefix+"meta", "layout", hashLayout)
		at := start.UnixMilli()
		s.client.HSet(ctx, userKey(s, "gone"), "gone", at)
		s.client.HSet(ctx, userKey(s, "there"), "n:view", 3)
		if err := s.Open(ctx); !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), "sartor features rebuild") {
			t.Fatalf("got %v", err)
		}
		served := New(Options{Addrs: opts.Addrs, Prefix: opts.Prefix}, features.Default())
		defer served.Close()
		if err := served.Attach(ctx); !errors.Is(err, ErrLayout) || served.Shards() != opts.Shards {
			t.Fatalf("got %v, %d shards", err, served.Shards())
		}
		if _, err := served.EraseUser(ctx, "there", start); !errors.Is(err, ErrLayout) {
			t.Fatalf("got %v", err)
		}
		aside := opts
		aside.Namespace = "g2"
		built := open(t, aside)
		if n, err := built.CopyErasures(ctx); n != 1 || err != nil {
			t.Fatalf("copied %d, %v", n, err)
		}
		if err := built.Activate(ctx, "g2"); err != nil {
			t.Fatal(err)
		}
		if n, err := built.Drop(ctx, ""); err != nil || n != 2 {
			t.Fatalf("dropped %d, %v", n, err)
		}
		if err := s.Open(ctx); err != nil {
			t.Fatal(err)
		}
		if st, err := s.User(ctx, "gone"); err != nil || st == nil || st.RemovedAt != at {
			t.Fatalf("got %v, %v", st, err)
		}
	})
}

// The lifetime is not set with every change, but again after a while and in a new partition.
func TestLifetimeIsSetAgain(t *testing.T) {
	s := open(t, miniOptions(t))
	p := partition(t, s)
	if !p.stale(1) || p.stale(1) || !p.stale(2) {
		t.Fatal("once for each user")
	}
	p.livesSince = p.livesSince.Add(-25 * time.Hour)
	if !p.stale(1) {
		t.Fatal("again after a day")
	}
	s.opts.UserTTL = 8 * time.Hour
	p.livesSince = p.livesSince.Add(-61 * time.Minute)
	if !p.stale(1) {
		t.Fatal("again after an eighth of a short life")
	}
	s.opts.UserTTL = -1
	if p.stale(3) {
		t.Fatal("users live for ever")
	}
}

// A namespace that another version of the program made active is not written into.
func TestFollowedLayout(t *testing.T) {
	s := open(t, miniOptions(t))
	s.client.HSet(t.Context(), "g9:meta", "layout", "3", "schema", features.Default().Version(), "shards", "4")
	s.client.Set(t.Context(), activeKey, "g9", 0)
	if err := partition(t, s).Flush(t.Context()); !errors.Is(err, ErrFenced) {
		t.Fatalf("got %v", err)
	}
	if _, err := s.Partition(t.Context(), "orders", 0); !errors.Is(err, ErrLayout) {
		t.Fatalf("got %v", err)
	}
}
