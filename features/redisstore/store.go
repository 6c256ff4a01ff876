// Package redisstore keeps users' and items' features in Redis: it applies a batch of deltas once in
// effect, reads a user in one round trip, and tells which items changed. It works on a single
// server, a Sentinel group and a Cluster alike, and knows neither brokers nor models.
package redisstore

import (
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/sartorhq/sartor/features"
)

// The scripts; parts.lua goes before the others.
var (
	//go:embed parts.lua
	partsLua string
	//go:embed apply.lua
	applyLua string
	//go:embed compact.lua
	compactLua string
)

const (
	// DefaultShards is the number of virtual shards of a store that is not told otherwise.
	DefaultShards = 256
	// DefaultUserTTL is how long a user without events is remembered.
	DefaultUserTTL = 180 * 24 * time.Hour

	// layout is the version of the keys and their contents; a namespace of another one is refused.
	// hashLayout kept an entity in a hash and its lists in sorted sets.
	layout, hashLayout = "2", "1"
	// loadChunk is how many items one pipeline reads.
	loadChunk = 500
)

// ErrFenced says that the store no longer is where the Partition believed it to be: another owner
// has written, or Redis lost its newest writes. The caller opens the partition again and resumes
// from its Next.
var ErrFenced = errors.New("fenced: the stored position is not the expected one")

// Options configures a Store. Its zero value is a server on 127.0.0.1:6379.
type Options struct {
	// Addrs are host:port of the server, of the sentinels (with MasterName) or of cluster nodes; or
	// the path of one unix socket.
	Addrs []string
	// Network is "tcp" or "unix"; "" = unix when the address starts with a slash.
	Network            string
	Username, Password string
	SentinelUsername   string
	SentinelPassword   string
	DB                 int
	MasterName         string
	Cluster            bool // a cluster although only one address is given
	TLS                *tls.Config
	// Prefix goes before every key, for servers that are shared; it must not hold braces.
	Prefix string
	// Namespace fixes the namespace that is read and written; "" = the active one, also when another
	// becomes active.
	Namespace string
	// Shards is the number of virtual shards, fixed when the store is first opened; 0 = 256.
	Shards int
	// UserTTL is how long after the last write a user is forgotten; 0 = 180 days, negative = never.
	UserTTL time.Duration

	DialTimeout  time.Duration // 0 = 1 s
	ReadTimeout  time.Duration // 0 = 2 s; a context's deadline counts as well
	WriteTimeout time.Duration // 0 = ReadTimeout
	PoolSize     int           // 0 = 10 per CPU

	Logger     *slog.Logger          // nil = discard
	Registerer prometheus.Registerer // nil = no metrics
}

// Store reads and writes features. It is safe for concurrent use; a Partition is not.
type Store struct {
	opts                  Options
	schema                *features.Schema
	client                redis.UniversalClient
	script, compactScript *redis.Script
	metrics               *metrics
	log                   *slog.Logger
	current               atomic.Pointer[space]
	opened                atomic.Pointer[space] // the namespace whose schema Open has checked
	err                   error                 // why the options cannot work
}

// New returns a Store for the schema. It does not connect; Open does.
func New(opts Options, schema *features.Schema) *Store {
	if opts.Shards == 0 {
		opts.Shards = DefaultShards
	}
	if opts.UserTTL == 0 {
		opts.UserTTL = DefaultUserTTL
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		opts: opts, schema: schema, log: opts.Logger, metrics: newMetrics(opts.Registerer),
		script: redis.NewScript(partsLua + applyLua), compactScript: redis.NewScript(partsLua + compactLua),
	}
	switch {
	case strings.ContainsAny(opts.Prefix, "{}"):
		s.err = fmt.Errorf("redis prefix %q must not hold braces", opts.Prefix)
	case opts.Namespace != "" && !namespaceName.MatchString(opts.Namespace):
		s.err = fmt.Errorf("redis namespace %q must be lower-case letters, digits and dashes", opts.Namespace)
	case opts.Shards < 1 || opts.Shards > 16384:
		s.err = fmt.Errorf("redis shards must be from 1 to 16384, not %d", opts.Shards)
	}
	first := opts.space(opts.Namespace)
	s.current.Store(&first)
	s.client = redis.NewUniversalClient(clientOptions(opts))
	return s
}

func clientOptions(o Options) *redis.UniversalOptions {
	addrs := make([]string, len(o.Addrs))
	for i, a := range o.Addrs {
		if o.Network == "unix" && !strings.HasPrefix(a, "/") {
			if abs, err := filepath.Abs(a); err == nil {
				a = abs
			}
		}
		addrs[i] = a
	}
	timeout := func(d, def time.Duration) time.Duration {
		if d > 0 {
			return d
		}
		return def
	}
	read := timeout(o.ReadTimeout, 2*time.Second)
	return &redis.UniversalOptions{
		Addrs: addrs, Username: o.Username, Password: o.Password, DB: o.DB, MasterName: o.MasterName,
		SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
		IsClusterMode: o.Cluster, TLSConfig: o.TLS, PoolSize: o.PoolSize,
		DialTimeout: timeout(o.DialTimeout, time.Second), ReadTimeout: read, WriteTimeout: timeout(o.WriteTimeout, read),
		// A dead server must be noticed quickly: one retry, no repeated dialling.
		MaxRetries: 1, DialerRetries: 1, ContextTimeoutEnabled: true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// RedirectClientLog sends the messages of the Redis client library, which it writes to standard
// error by itself, to the logger at debug level: they repeat what the store's errors say. The
// setting is the library's own global: main calls it once, before the first store is opened.
func RedirectClientLog(l *slog.Logger) { redis.SetLogger(clientLog{l}) }

type clientLog struct{ log *slog.Logger }

// Printf implements the client library's logger.
func (c clientLog) Printf(ctx context.Context, format string, v ...any) {
	c.log.DebugContext(ctx, fmt.Sprintf(format, v...))
}

// followActive finds the active namespace, unless one was chosen.
func (s *Store) followActive(ctx context.Context) error {
	if s.err != nil || s.opts.Namespace != "" {
		return s.err
	}
	active, err := s.Active(ctx)
	if err != nil {
		return fmt.Errorf("open the feature store: %w", err)
	}
	s.follow(active)
	return nil
}

// Open connects, finds the active namespace, and writes the layout of a new store or checks that of
// an existing one.
func (s *Store) Open(ctx context.Context) error {
	if err := s.followActive(ctx); err != nil {
		return err
	}
	sp := s.space()
	key, want, version := sp.prefix+"meta", strconv.Itoa(s.opts.Shards), s.schema.Version()
	var shards, format, schema *redis.StringCmd
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSetNX(ctx, key, "shards", want)
		p.HSetNX(ctx, key, "layout", layout)
		p.HSetNX(ctx, key, "schema", version)
		shards, format, schema = p.HGet(ctx, key, "shards"), p.HGet(ctx, key, "layout"), p.HGet(ctx, key, "schema")
		if sp.name != "" {
			p.HSetNX(ctx, s.opts.Prefix+namespacesKey, sp.name, time.Now().UnixMilli())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("open the feature store: %w", err)
	}
	if shards.Val() != want {
		return fmt.Errorf("open the feature store: it was made with %s shards and is now configured with %s; "+
			"set redis.shards to %s, or use another prefix and replay the log", shards.Val(), want, shards.Val())
	}
	if format.Val() != layout {
		return fmt.Errorf("open the feature store: %w", layoutError(format.Val()))
	}
	s.opened.Store(&sp)
	return s.noteSchema(ctx, key, schema.Val())
}

// ErrLayout says that what is stored has the layout of another version.
var ErrLayout = errors.New("the stored features have the layout of another version")

func layoutError(found string) error {
	return fmt.Errorf("%w: theirs is %q, this version's %q; run 'sartor features rebuild' to compute them anew from the log beside what is there, then start with it", ErrLayout, found, layout)
}

// ErrEmpty says that no store was ever opened under the prefix.
var ErrEmpty = errors.New("nothing is stored under this prefix")

// Attach connects to an existing store to look at it: nothing is written, and the number of shards is
// the stored one. It fails with ErrEmpty where Open would make a new store, and with ErrLayout where the
// features can only be listed, built anew and dropped. Call it before anything else, from one goroutine.
func (s *Store) Attach(ctx context.Context) error {
	if err := s.followActive(ctx); err != nil {
		return err
	}
	meta, err := s.client.HGetAll(ctx, s.space().prefix+"meta").Result()
	if err != nil {
		return fmt.Errorf("open the feature store: %w", err)
	}
	shards, err := strconv.Atoi(meta["shards"])
	switch {
	case len(meta) == 0:
		return fmt.Errorf("open the feature store: %w", ErrEmpty)
	case err != nil || shards < 1:
		return fmt.Errorf("open the feature store: it says that it has %q shards", meta["shards"])
	}
	s.opts.Shards = shards
	if meta["layout"] != layout {
		return fmt.Errorf("open the feature store: %w", layoutError(meta["layout"]))
	}
	return nil
}

// noteSchema writes down which schema the namespace is written with and, the first time, built with.
func (s *Store) noteSchema(ctx context.Context, key, stored string) error {
	version, source := s.schema.Version(), s.schema.Source()
	if stored != version {
		s.log.Warn("the feature schema changed: what it added has no history before now; 'sartor features plan' says what needs a rebuild",
			"stored", stored, "now", version)
	}
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, key, "schema", version, "source", source)
		if stored == version {
			p.HSetNX(ctx, key, "built", version)
			p.HSetNX(ctx, key, "builtSource", source)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record the schema: %w", err)
	}
	return nil
}

// Ping checks that the server answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ping redis: %w", err)
	}
	return nil
}

// Close releases the connections.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("close redis: %w", err)
	}
	return nil
}

// Shards returns the number of virtual shards.
func (s *Store) Shards() int { return s.opts.Shards }

// shardOf returns the virtual shard of an entity.
func (s *Store) shardOf(e features.Entity) int { return s.shardOfHash(hashOf(e)) }

func (s *Store) shardOfHash(hash uint64) int { return int(hash % uint64(s.opts.Shards)) }

// hashOf returns FNV-1a of "kind:id", its bits mixed: the low ones alone are not even enough for a
// small modulus. Where an entity is stored follows from it.
func hashOf(e features.Entity) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	v := (uint64(offset) ^ uint64(e.Kind)) * prime
	v = (v ^ ':') * prime
	for i := range len(e.ID) {
		v = (v ^ uint64(e.ID[i])) * prime
	}
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	v ^= v >> 33
	return v
}

// entityKey returns the key of an entity's parts.
func entityKey(tag string, e features.Entity) string {
	return tag + string(rune(e.Kind)) + ":" + e.ID
}
