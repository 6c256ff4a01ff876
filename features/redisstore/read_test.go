package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

// proxy forwards connections and counts round trips: turns from the server's answers back to a
// client's request.
type proxy struct {
	net.Listener
	mu         sync.Mutex
	trips      int
	fromClient bool
}

func newProxy(t *testing.T, target string) *proxy {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: ln}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	network := "tcp"
	if strings.HasPrefix(target, "/") {
		network = "unix"
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial(network, target)
			if err != nil {
				_ = c.Close()
				continue
			}
			wg.Add(2)
			go func() { defer wg.Done(); p.pump(up, c, true) }()
			go func() { defer wg.Done(); p.pump(c, up, false) }()
		}
	}()
	return p
}

func (p *proxy) pump(to io.WriteCloser, from io.ReadCloser, client bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.mu.Lock()
			if client && !p.fromClient {
				p.trips++
			}
			p.fromClient = client
			p.mu.Unlock()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trips
}

func TestUserIsOneRoundTrip(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := context.Background()
		px := newProxy(t, opts.Addrs[0])
		opts.Addrs = []string{px.Addr().String()}
		s := open(t, opts)
		var events []streams.Event
		for i := range 200 {
			events = append(events, event(streams.Types()[i%9], "u1", fmt.Sprintf("item-%d", i), time.Duration(i)*time.Minute))
		}
		log := foldAll(events)
		if err := partition(t, s).Apply(ctx, log, int64(len(log)-1)); err != nil {
			t.Fatal(err)
		}
		before := px.count()
		for range 5 {
			st, err := s.User(ctx, "u1")
			if err != nil || len(st.Lists["history"]) != 100 {
				t.Fatalf("read: %v, %v", st, err)
			}
		}
		if got := px.count() - before; got != 5 {
			t.Fatalf("5 reads took %d round trips", got)
		}
		cursor := make([]int64, s.Shards())
		_, cursor, err := s.ChangedItems(ctx, cursor)
		if err != nil {
			t.Fatal(err)
		}
		before = px.count()
		if changed, _, err := s.ChangedItems(ctx, cursor); err != nil || len(changed) != 0 {
			t.Fatalf("nothing changed, got %d, %v", len(changed), err)
		}
		if got := px.count() - before; got != 1 {
			t.Fatalf("polling without a change took %d round trips", got)
		}
	})
}

func changedIDs(items []features.ItemState) []string {
	var out []string
	for _, it := range items {
		out = append(out, it.ID)
	}
	slices.Sort(out)
	return out
}

func TestChangedItems(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := context.Background()
		s := open(t, opts)
		p := partition(t, s)
		log := foldAll([]streams.Event{
			event(streams.Order, "u1", "a", 0), event(streams.Order, "u1", "b", 0),
			event(streams.View, "u1", "b", 0), event(streams.Search, "u1", "", 0), event(streams.ItemDelete, "", "a", time.Hour),
		})
		if err := p.Apply(ctx, log[:2], 1); err != nil {
			t.Fatal(err)
		}
		all, cursor, err := s.ChangedItems(ctx, nil)
		if err != nil || !slices.Equal(changedIDs(all), []string{"a", "b"}) {
			t.Fatalf("all items: %v, %v", changedIDs(all), err)
		}
		for i, want := range [][]string{2: {"b"}, 3: nil, 4: {"a"}} {
			if i < 2 {
				continue
			}
			if err := p.Apply(ctx, log[i:i+1], int64(i)); err != nil {
				t.Fatal(err)
			}
			var got []features.ItemState
			got, cursor, err = s.ChangedItems(ctx, cursor)
			if err != nil || !slices.Equal(changedIDs(got), want) {
				t.Fatalf("after event %d: %v, %v", i, changedIDs(got), err)
			}
		}
		if st, err := s.Item(ctx, "a"); err != nil || !features.Default().Item("a", st, start).Deleted || st.Counters["u:order"] != 2 {
			t.Fatalf("a deleted item keeps what was counted: %v, %v", st, err)
		}
		// Redis comes back empty: the reader starts again instead of waiting for old numbers.
		for v := range s.Shards() {
			shardCopy{}.restore(s, v)
		}
		p = partition(t, s)
		if err := p.Apply(ctx, log[:1], 0); err != nil {
			t.Fatal(err)
		}
		if got, _, err := s.ChangedItems(ctx, cursor); err != nil || !slices.Equal(changedIDs(got), []string{"a"}) {
			t.Fatalf("after the loss: %v, %v", changedIDs(got), err)
		}
		if _, _, err := s.ChangedItems(ctx, make([]int64, 99)); err == nil {
			t.Fatal("a cursor of another store was accepted")
		}
	})
}

func TestUserTTL(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		for name, tc := range map[string]struct{ ttl, want time.Duration }{
			"default": {0, DefaultUserTTL}, "never": {-1, -1}, "own": {time.Hour, time.Hour},
		} {
			t.Run(name, func(t *testing.T) {
				ctx := context.Background()
				o := opts
				o.UserTTL, o.Prefix = tc.ttl, opts.Prefix+name+":"
				s := open(t, o)
				p := partition(t, s)
				log := foldAll([]streams.Event{event(streams.Order, "u1", "a", 0), event(streams.View, "u1", "b", 48*time.Hour)})
				for i := range log {
					if err := p.Apply(ctx, log[i:i+1], int64(i)); err != nil {
						t.Fatal(err)
					}
				}
				keys := s.client.Keys(ctx, o.Prefix+"*:u1").Val()
				if len(keys) != 1 {
					t.Fatalf("keys %v", keys)
				}
				for _, k := range keys {
					got := s.client.PTTL(ctx, k).Val()
					if tc.want < 0 && got >= 0 || tc.want > 0 && (got > tc.want || got < tc.want-time.Minute) {
						t.Errorf("%s lives %v, want %v", k, got, tc.want)
					}
				}
			})
		}
	})
}

func TestOpenChecksLayout(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		ctx := context.Background()
		open(t, opts)
		other := opts
		other.Shards = 8
		err := New(other, features.Default()).Open(ctx)
		if err == nil || !strings.Contains(err.Error(), "made with 4 shards and is now configured with 8; set redis.shards to 4") {
			t.Fatalf("got %v", err)
		}
		changed, err := features.Parse("x", []byte(strings.Replace(schemaText(t), "max: 100", "max: 50", 1)))
		if err != nil {
			t.Fatal(err)
		}
		s := New(opts, changed)
		defer s.Close()
		if err := s.Open(ctx); err != nil {
			t.Fatal(err)
		}
		if got := s.client.HGet(ctx, opts.Prefix+"meta", "schema").Val(); got != changed.Version() {
			t.Fatalf("schema %s, want %s", got, changed.Version())
		}
		s.client.HSet(ctx, opts.Prefix+"meta", "layout", "99")
		if err := s.Open(ctx); err == nil || !strings.Contains(err.Error(), `theirs is "99", this version's "2"; run 'sartor features rebuild'`) {
			t.Fatalf("got %v", err)
		}
	})
	for _, o := range []Options{{Prefix: "a{b"}, {Shards: -1}, {Shards: 16385}} {
		s := New(o, features.Default())
		if err := s.Open(context.Background()); err == nil {
			t.Errorf("%+v was accepted", o)
		}
		_ = s.Close()
	}
	for _, shards := range []int{1, 16384} { // the slots of a Cluster
		opts := miniOptions(t)
		opts.Shards = shards
		open(t, opts)
	}
}

func TestBadOrderOfOffsets(t *testing.T) {
	s := open(t, miniOptions(t))
	p := partition(t, s)
	log := foldAll([]streams.Event{event(streams.View, "u", "a", 0), event(streams.View, "u", "a", 0)})
	if err := p.Apply(context.Background(), []Folded{log[1], log[0]}, 1); err == nil {
		t.Fatal("descending offsets were accepted")
	}
	if err := p.Apply(context.Background(), log, 0); err == nil {
		t.Fatal("an offset beyond last was accepted")
	}
}

// TestServerDown uses a server that never answers and a port where none listens: an error within
// the context's or the options' time, never a hang. The context ends the test if it does hang.
func TestServerDown(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, addr := range map[string]string{"silent": silent.Addr().String(), "closed": "127.0.0.1:1"} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			s := New(Options{Addrs: []string{addr}, ReadTimeout: 20 * time.Millisecond, DialTimeout: 20 * time.Millisecond, Shards: 4}, features.Default())
			defer s.Close()
			if _, err := s.User(ctx, "u"); err == nil {
				t.Error("User succeeded")
			}
			if _, err := s.Item(ctx, "i"); err == nil {
				t.Error("Item succeeded")
			}
			if _, _, err := s.ChangedItems(ctx, nil); err == nil {
				t.Error("ChangedItems succeeded")
			}
			if err := errors.Join(s.Open(ctx), s.Ping(ctx)); err == nil {
				t.Error("Open and Ping succeeded")
			}
			if _, err := s.Partition(ctx, "orders", 0); err == nil {
				t.Error("Partition succeeded")
			}
		})
	}
}

func TestMetricsAreShared(t *testing.T) {
	reg := prometheus.NewRegistry()
	opts := miniOptions(t)
	opts.Registerer = reg
	a, b := open(t, opts), open(t, opts)
	log := foldAll([]streams.Event{event(streams.View, "u", "a", 0)})
	if err := partition(t, a).Apply(context.Background(), log, 0); err != nil {
		t.Fatal(err)
	}
	if err := partition(t, b).Apply(context.Background(), log, 0); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "sartor_features_events_applied_total" {
			if got := f.GetMetric()[0].GetCounter().GetValue(); got != 2 {
				t.Fatalf("counted %v", got)
			}
			return
		}
	}
	t.Fatal("no such metric")
}
