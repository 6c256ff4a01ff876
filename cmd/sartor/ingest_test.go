package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/deploy/devstack"
	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

// deadline bounds everything that a test waits for; it says "broken", not "slow".
const deadline = 4 * time.Minute

// startStack starts embedded servers that end with the test.
func startStack(t testing.TB, opts devstack.Options) *devstack.Stack {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	stack, err := devstack.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), deadline)
		defer cancel()
		if err := stack.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return stack
}

// stackApp is an app configured for a stack, with its own metrics and a silent logger.
func stackApp(stack *devstack.Stack) *app {
	a := &app{config: defaultConfig(), logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
	a.config.Kafka.Brokers, a.config.Redis.Addrs, a.config.Redis.Shards = stack.Brokers(), stack.RedisAddrs(), devShards
	return a
}

// background runs fn until the returned function stops it, which the end of the test does too.
func background(t testing.TB, fn func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := fn(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// eventually waits until ok, which something else makes true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if !ok() && !every(ctx, 10*time.Millisecond, ok) {
		t.Fatalf("waited in vain for %s", what)
	}
}

// openStore returns a store of the stack beside the one under test.
func openStore(t testing.TB, a *app) *redisstore.Store {
	t.Helper()
	opts, err := a.redisOptions()
	if err != nil {
		t.Fatal(err)
	}
	opts.Registerer = nil
	store := redisstore.New(opts, features.Default())
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// produce writes events and waits for the acknowledgement.
func produce(t testing.TB, a *app, events ...streams.Event) {
	t.Helper()
	opts, err := a.kafkaOptions()
	if err != nil {
		t.Fatal(err)
	}
	opts.Registerer = nil
	p := kafka.NewProducer(opts)
	if err := errors.Join(p.Write(t.Context(), events...), p.Close()); err != nil {
		t.Fatal(err)
	}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func order(n int, user, item string, quantity, price int64) streams.Event {
	return streams.Event{ID: fmt.Sprintf("order-%d", n), Type: streams.Order, Time: noon.Add(time.Duration(n) * time.Second),
		UserID: user, OrderID: fmt.Sprint(n), Currency: "EUR", Items: []streams.Line{{ItemID: item, Quantity: quantity, Price: price}}}
}

// TestIngestCountsOnce runs the command twice over one log: the second run must resume, not repeat.
func TestIngestCountsOnce(t *testing.T) {
	a := stackApp(startStack(t, devstack.Options{NoRedisServer: true}))
	store := openStore(t, a)
	var events []streams.Event
	for n := range 200 {
		events = append(events, order(n, fmt.Sprintf("u%d", n%7), fmt.Sprintf("sku-%d", n%3), 2, 150))
	}
	orders := func(user string) (orders, spend float64) {
		state, err := store.User(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		u := features.Default().User(user, state, nil, noon.Add(time.Hour))
		return number(t, u.Env["orders"]), number(t, u.Env["spend"])
	}
	produce(t, a, events[:150]...)
	stop := background(t, a.ingest)
	eventually(t, "the first part to be applied", func() bool { n, _ := orders("u0"); return n == 22 }) // 0, 7, ... 147
	stop()
	produce(t, a, events[150:]...)
	a.metrics = prometheus.NewRegistry()
	background(t, a.ingest)
	eventually(t, "the second part to be applied", func() bool { n, _ := orders("u3"); return n == 29 }) // 3, 10, ... 199
	for n := range 7 {
		user := fmt.Sprintf("u%d", n)
		want := float64(200 / 7)
		if n < 200%7 {
			want++
		}
		eventually(t, user, func() bool { got, _ := orders(user); return got >= want })
		if got, spend := orders(user); got != want || spend != want*3 {
			t.Errorf("%s has %v orders and spent %v, want %v and %v", user, got, spend, want, want*3)
		}
	}
}

func number(t *testing.T, v any) float64 {
	t.Helper()
	switch v := v.(type) {
	case int:
		return float64(v)
	case float64:
		return v
	}
	t.Fatalf("%v is not a number", v)
	return 0
}

func TestIngestSaysWhatIsMissing(t *testing.T) {
	a := &app{config: defaultConfig()}
	err := a.ingest(t.Context())
	if err == nil || !strings.Contains(err.Error(), "SARTOR_KAFKA_BROKERS") || !strings.Contains(err.Error(), "SARTOR_REDIS_ADDRS") {
		t.Errorf("error = %v, want one that says what to set", err)
	}
}

func TestRewind(t *testing.T) {
	if err := rewind(fmt.Errorf("apply: %w", redisstore.ErrFenced)); !errors.Is(err, kafka.ErrRewind) || !errors.Is(err, redisstore.ErrFenced) {
		t.Errorf("a fenced store does not rewind: %v", err)
	}
	if err := rewind(errors.New("broken pipe")); errors.Is(err, kafka.ErrRewind) {
		t.Error("any error rewinds")
	}
	if rewind(nil) != nil {
		t.Error("nil became an error")
	}
}

func TestOffsetsSum(t *testing.T) {
	o := newOffsets()
	o.note("a", 0, 5)
	o.note("a", 1, 9)
	o.note("b", 0, 100)
	if got := o.sum(map[string][]int64{"a": {7, 7, 7}, "b": {3}}); got != 5+7+0+3 {
		t.Errorf("sum = %d, want 15", got)
	}
}
