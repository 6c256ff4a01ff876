// Package devstack is the quick start in one process: an embedded broker that speaks Kafka's protocol
// and an embedded Redis, kept in one data folder. It starts and stops servers and knows nothing of
// what is stored in them; a laptop is one more place to deploy to. It refuses to run in production.
package devstack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// Options says what to start. The zero value starts everything in a temporary folder.
type Options struct {
	// Dir is the data folder, created when missing. It is ignored when Ephemeral is set.
	Dir string
	// Ephemeral uses a temporary folder that Close removes.
	Ephemeral bool
	// Prepare, when set, may tidy the folder before a server opens it; the folder is already locked.
	Prepare func(dir string) error
	// Production makes Start fail when a server would have to be embedded.
	Production bool

	// Brokers, when set, are used as they are and no broker is embedded.
	Brokers []string
	// RedisAddrs, when set, are used as they are and no Redis is embedded.
	RedisAddrs []string
	// NoRedisServer skips a redis-server found on PATH.
	NoRedisServer bool

	// Topics maps streams to topic names (nil = the stream's name); Partitions is for each of them
	// (0 = 2). Topics of an embedded broker are created with bounded retention.
	Topics     map[streams.Stream]string
	Partitions int
	// RetentionBytes bounds each partition of an embedded broker; 0 = 128 MiB.
	RetentionBytes int64

	// SnapshotEvery is how often an in-process Redis is written to the folder; 0 = 30 s.
	SnapshotEvery time.Duration
	// Logger receives what goes wrong in the background; nil = discard.
	Logger *slog.Logger
}

// Stack is a set of running servers. Its methods may be called from any goroutine.
type Stack struct {
	opts   Options
	dir    string
	lock   *folderLock
	broker *broker
	redis  redisServer
}

// redisServer is one rung of the Redis ladder.
type redisServer interface {
	network() string
	addrs() []string
	describe() string
	// stopped is closed when the server has ended by itself; nil when it cannot.
	stopped() <-chan struct{}
	// close stops the server, having saved its data.
	close(ctx context.Context) error
}

// Start starts what the options ask for and returns when everything answers. On an error nothing is
// left running. A folder that another process holds is an *InUseError.
func Start(ctx context.Context, opts Options) (*Stack, error) {
	opts = withDefaults(opts)
	if opts.Production && (len(opts.Brokers) == 0 || len(opts.RedisAddrs) == 0) {
		return nil, errors.New("profile production refuses embedded servers: set kafka.brokers and redis.addrs")
	}
	s := &Stack{opts: opts}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func withDefaults(opts Options) Options {
	if opts.Partitions == 0 {
		opts.Partitions = 2
	}
	if opts.RetentionBytes == 0 {
		opts.RetentionBytes = 128 << 20
	}
	if opts.SnapshotEvery == 0 {
		opts.SnapshotEvery = 30 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return opts
}

func (s *Stack) start(ctx context.Context) error {
	if err := s.openFolder(); err != nil {
		return err
	}
	if s.opts.Prepare != nil {
		if err := s.opts.Prepare(s.dir); err != nil {
			return fmt.Errorf("prepare %s: %w", s.dir, err)
		}
	}
	if len(s.opts.Brokers) == 0 {
		b, err := startBroker(filepath.Join(s.dir, "kafka"), filepath.Join(s.dir, "broker.port"), s.opts)
		if err != nil {
			return fmt.Errorf("start the embedded broker: %w", err)
		}
		s.broker = b
	}
	r, err := s.startRedis(ctx)
	if err != nil {
		return fmt.Errorf("start the embedded Redis: %w", err)
	}
	s.redis = r
	return nil
}

// openFolder creates the data folder and takes its lock.
func (s *Stack) openFolder() error {
	dir, err := filepath.Abs(s.opts.Dir)
	if s.opts.Ephemeral || s.opts.Dir == "" {
		s.opts.Ephemeral = true
		dir, err = os.MkdirTemp("", "sartor-dev-")
	}
	if err != nil {
		return fmt.Errorf("find a data folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create the data folder: %w", err)
	}
	s.dir = dir
	s.lock, err = lockFolder(dir)
	return err
}

// startRedis climbs the ladder: a configured address, redis-server on PATH, an in-process Redis.
func (s *Stack) startRedis(ctx context.Context) (redisServer, error) {
	if len(s.opts.RedisAddrs) > 0 {
		return givenRedis(s.opts.RedisAddrs), nil
	}
	if path := findRedisServer(); path != "" && !s.opts.NoRedisServer {
		return startRedisServer(ctx, path, filepath.Join(s.dir, "redis"))
	}
	return startMiniredis(filepath.Join(s.dir, "redis.snapshot"), s.opts.SnapshotEvery, s.opts.Logger)
}

// Dir returns the absolute data folder. A caller may keep its own files in it.
func (s *Stack) Dir() string { return s.dir }

// Brokers returns the addresses of the Kafka brokers.
func (s *Stack) Brokers() []string {
	if s.broker != nil {
		return []string{s.broker.addr}
	}
	return s.opts.Brokers
}

// Ends returns the offset that the next record of each partition of a topic will get, by partition.
// It is nil when the brokers are not embedded.
func (s *Stack) Ends(topic string) []int64 {
	if s.broker == nil {
		return nil
	}
	var ends []int64
	for _, p := range s.broker.cluster.PartitionInfos(topic) {
		ends = append(ends, p.HighWatermark)
	}
	return ends
}

// RedisNetwork returns "tcp", or "unix" when the address is the path of a socket.
func (s *Stack) RedisNetwork() string { return s.redis.network() }

// RedisAddrs returns the addresses of Redis.
func (s *Stack) RedisAddrs() []string { return s.redis.addrs() }

// RedisStopped is closed when an embedded Redis has ended although nobody asked it to; it is nil
// where that cannot happen.
func (s *Stack) RedisStopped() <-chan struct{} { return s.redis.stopped() }

// Describe says in one line each what runs and where its data is.
func (s *Stack) Describe() []string {
	kafka := fmt.Sprintf("kafka   %v (configured)", s.opts.Brokers)
	if s.broker != nil {
		kafka = "kafka   " + s.broker.addr + " (embedded broker, not for production)"
	}
	kept := "kept: the next start resumes from it"
	if s.opts.Ephemeral {
		kept = "removed at the end"
	}
	return []string{kafka, "redis   " + s.redis.describe(), "data    " + s.dir + " (" + kept + ")"}
}

// Close saves and stops everything in order: Redis, the broker, the lock, the temporary folder. It
// may be called on a stack that has only half started; clients should be closed before.
func (s *Stack) Close(ctx context.Context) error {
	var errs []error
	if s.redis != nil {
		errs = append(errs, s.redis.close(ctx))
	}
	if s.broker != nil {
		s.broker.close()
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
		if s.opts.Ephemeral {
			errs = append(errs, os.RemoveAll(s.dir))
		}
	}
	s.redis, s.broker, s.lock = nil, nil, nil
	return errors.Join(errs...)
}

// givenRedis is a Redis that somebody else runs.
type givenRedis []string

func (r givenRedis) network() string {
	if len(r) == 1 && filepath.IsAbs(r[0]) {
		return "unix"
	}
	return "tcp"
}
func (r givenRedis) addrs() []string             { return r }
func (r givenRedis) describe() string            { return fmt.Sprintf("%v (configured)", []string(r)) }
func (r givenRedis) stopped() <-chan struct{}    { return nil }
func (r givenRedis) close(context.Context) error { return nil }
