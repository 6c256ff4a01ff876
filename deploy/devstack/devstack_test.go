package devstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"github.com/sartorhq/sartor/streams"
)

// TestMain fails when the tests leave goroutines behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		err := goleak.Find()
		for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); {
			err = goleak.Find() // looks for half a second, which is short on a busy machine
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// testContext ends when the test has taken far too long.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, opts Options) *Stack {
	t.Helper()
	s, err := Start(testContext(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t *testing.T, s *Stack) {
	t.Helper()
	// The context of the test is over when a cleanup runs.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

func client(t *testing.T, s *Stack) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Network: s.RedisNetwork(), Addr: s.RedisAddrs()[0]})
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			t.Error(err)
		}
	})
	return c
}

// rungs are the embedded rungs of the Redis ladder on this machine.
func rungs() map[string]Options {
	all := map[string]Options{"miniredis": {NoRedisServer: true, SnapshotEvery: time.Hour}}
	if findRedisServer() != "" {
		all["redis-server"] = Options{}
	}
	return all
}

func TestSecondStartResumes(t *testing.T) {
	for name, opts := range rungs() {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			opts.Dir = filepath.Join(t.TempDir(), "data")
			first := start(t, opts)
			produce(ctx, t, first, "orders", "one", "two")
			c := client(t, first)
			fill(ctx, t, c)
			want := contents(ctx, t, c)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			brokers := first.Brokers()
			stop(t, first)

			second := start(t, opts)
			defer stop(t, second)
			if got := second.Brokers(); !slices.Equal(got, brokers) {
				t.Errorf("brokers moved from %v to %v: clients that hold the old address break", brokers, got)
			}
			if ends := second.Ends("orders"); len(ends) != 2 || ends[0]+ends[1] != 2 {
				t.Errorf("ends of orders = %v, want two partitions with two records in all", ends)
			}
			if got, want := consume(ctx, t, second, "orders"), []string{"one", "two"}; !slices.Equal(got, want) {
				t.Errorf("log after a restart = %v, want %v", got, want)
			}
			if got := contents(ctx, t, client(t, second)); !slices.Equal(got, want) {
				t.Errorf("Redis after a restart:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestTopicsExistWithTheirRetention(t *testing.T) {
	s := start(t, Options{Ephemeral: true, NoRedisServer: true, Partitions: 3, RetentionBytes: 1 << 20,
		Topics: map[streams.Stream]string{streams.Orders: "shop.orders"}})
	defer stop(t, s)
	for topic, want := range map[string]string{"shop.orders": "1048576", "behavior": "1048576", "catalog": "", "users": "", "exposures": "1048576", "dead-letters": "1048576"} {
		info := s.broker.cluster.TopicInfo(topic)
		if info == nil {
			t.Errorf("topic %s is missing", topic)
			continue
		}
		policy := ""
		if want == "" {
			policy = "compact"
		}
		if got := config(info.Configs, "retention.bytes"); got != want {
			t.Errorf("topic %s: retention.bytes = %q, want %q", topic, got, want)
		}
		if got := config(info.Configs, "cleanup.policy"); got != policy {
			t.Errorf("topic %s: cleanup.policy = %q, want %q", topic, got, policy)
		}
	}
}

func config(configs map[string]*string, key string) string {
	if v := configs[key]; v != nil {
		return *v
	}
	return ""
}

func TestLockedFolder(t *testing.T) {
	opts := Options{Dir: t.TempDir(), NoRedisServer: true}
	first := start(t, opts)
	_, err := Start(testContext(t), opts)
	var inUse *InUseError
	if !errors.As(err, &inUse) {
		t.Fatalf("a second start in one folder: error = %v, want an InUseError", err)
	}
	for _, want := range []string{opts.Dir, "another sartor", "--data"} {
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q: want one line with %q", err, want)
		}
	}
	stop(t, first)
	stop(t, start(t, opts)) // the lock went with its holder
}

func TestPrepareComesFirst(t *testing.T) {
	opts := Options{Dir: t.TempDir(), NoRedisServer: true}
	opts.Prepare = func(dir string) error {
		if _, err := os.Stat(filepath.Join(dir, "kafka")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the broker was there first: %v", err)
		}
		if _, err := lockFolder(dir); err == nil {
			t.Error("the folder is not locked yet")
		}
		return errors.New("not today")
	}
	if _, err := Start(testContext(t), opts); err == nil || !strings.Contains(err.Error(), "not today") {
		t.Errorf("error = %v, want Prepare's", err)
	}
}

func TestEphemeralLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := start(t, Options{Ephemeral: true})
	dir := s.Dir()
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (error %v)", left, err)
	}
}

func TestProductionRefuses(t *testing.T) {
	for name, opts := range map[string]Options{
		"nothing-configured": {Production: true},
		"no-redis":           {Production: true, Brokers: []string{"kafka:9092"}},
		"no-kafka":           {Production: true, RedisAddrs: []string{"redis:6379"}},
	} {
		t.Run(name, func(t *testing.T) {
			opts.Dir = filepath.Join(t.TempDir(), "data")
			if _, err := Start(testContext(t), opts); err == nil || !strings.Contains(err.Error(), "production") {
				t.Errorf("error = %v, want a refusal", err)
			}
			if _, err := os.Stat(opts.Dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the refusal has left a folder: %v", err)
			}
		})
	}
}

func TestConfiguredServersAreLeftAlone(t *testing.T) {
	s := start(t, Options{Dir: t.TempDir(), Production: true, Brokers: []string{"kafka:9092"}, RedisAddrs: []string{"/run/redis.sock"}})
	defer stop(t, s)
	if got := s.RedisNetwork() + " " + s.RedisAddrs()[0] + " " + s.Brokers()[0]; got != "unix /run/redis.sock kafka:9092" {
		t.Errorf("stack uses %s", got)
	}
	lines := strings.Join(s.Describe(), "\n")
	if strings.Count(lines, "(configured)") != 2 || strings.Contains(lines, "embedded") {
		t.Errorf("description:\n%s\nwant two configured servers and nothing embedded", lines)
	}
}

func TestTakenPortIsSaid(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := t.TempDir()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	if err := os.WriteFile(filepath.Join(dir, "broker.port"), []byte(port+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Start(testContext(t), Options{Dir: dir, NoRedisServer: true})
	if err == nil || !strings.Contains(err.Error(), "port "+port+" is taken") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error = %v, want one line that names the taken port", err)
	}
}

func TestDamagedPortFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "broker.port"), []byte("eighty"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(testContext(t), Options{Dir: dir, NoRedisServer: true}); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("error = %v, want advice", err)
	}
}

func produce(ctx context.Context, t *testing.T, s *Stack, topic string, values ...string) {
	t.Helper()
	w := &kafka.Writer{Addr: kafka.TCP(s.Brokers()...), Topic: topic, RequiredAcks: kafka.RequireAll, BatchSize: 1, Balancer: &kafka.Hash{},
		Transport: &kafka.Transport{}}
	for _, v := range values {
		if err := w.WriteMessages(ctx, kafka.Message{Key: []byte("one-key"), Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.Transport.(*kafka.Transport).CloseIdleConnections()
}

// consume reads what all partitions of a topic hold.
func consume(ctx context.Context, t *testing.T, s *Stack, topic string) []string {
	t.Helper()
	var values []string
	for p := range 2 {
		conn, err := kafka.DialLeader(ctx, "tcp", s.Brokers()[0], topic, p)
		if err != nil {
			t.Fatal(err)
		}
		first, last, err := conn.ReadOffsets()
		if err != nil {
			t.Fatal(err)
		}
		for range last - first {
			m, err := conn.ReadMessage(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, string(m.Value))
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return values
}
