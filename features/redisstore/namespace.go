package redisstore

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Namespaces let features be computed anew beside those that are being served. Each has all keys of
// a store, with its own fences, so that nothing that happens in one touches another; the key
// Prefix+"active" names the one that readers and writers follow. The first has no name.

// ErrSchema says that the active namespace was built with another schema than this process has:
// writing into it would leave gaps. The process must be started again with that schema.
var ErrSchema = errors.New("the active features were built with another schema")

// ErrActive is returned for what must not be done to the namespace that is being served.
var ErrActive = errors.New("the namespace is active")

// Keys beside the namespaces.
const (
	activeKey     = "active"     // text: name of the active namespace; absent = the first
	namespacesKey = "namespaces" // hash: name -> when it was made, Unix milliseconds
)

var namespaceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// space is one namespace: its name and what its keys start with.
type space struct{ name, prefix string }

func (o *Options) space(name string) space {
	if name == "" {
		return space{prefix: o.Prefix}
	}
	return space{name, o.Prefix + name + ":"}
}

// tag returns the prefix that all keys of a virtual shard share; its braces put them into one
// cluster slot.
func (sp space) tag(shard int) string { return sp.prefix + "{v" + strconv.Itoa(shard) + "}:" }

// generation tells cursors of different namespaces apart; 0 for the first.
func (sp space) generation() int64 {
	if sp.name == "" {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(sp.name))
	return int64(h.Sum64()>>1) | 1
}

// space returns the namespace that the store uses now.
func (s *Store) space() space { return *s.current.Load() }

// Namespace returns the name of the namespace that the store uses; "" for the first.
func (s *Store) Namespace() string { return s.space().name }

// follow uses the namespace of that name from now on, unless the options fix one.
func (s *Store) follow(name string) (changed bool) {
	if s.opts.Namespace != "" || name == s.space().name {
		return false
	}
	if name != "" && !namespaceName.MatchString(name) {
		s.log.Warn("the active namespace has an impossible name; it is not followed", "name", name)
		return false
	}
	next := s.opts.space(name)
	s.current.Store(&next)
	s.log.Info("following the active features", "namespace", name)
	return true
}

// activeName reads the reply to GET active.
func activeName(c *redis.StringCmd) (string, error) {
	name, err := c.Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return name, err
}

// Active returns the name of the active namespace, "" for the first.
func (s *Store) Active(ctx context.Context) (string, error) {
	name, err := activeName(s.client.Get(ctx, s.opts.Prefix+activeKey))
	if err != nil {
		return "", fmt.Errorf("read which features are active: %w", err)
	}
	return name, nil
}

// Activate makes a namespace the one that all stores follow: readers at their next look at changed
// items, writers at their next Flush. It is one write: there is no moment in between.
func (s *Store) Activate(ctx context.Context, name string) error {
	known, err := s.Namespaces(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(known, func(n Namespace) bool { return n.Name == name }) {
		return fmt.Errorf("activate namespace %q: there is none of that name", name)
	}
	if err := s.client.Set(ctx, s.opts.Prefix+activeKey, name, 0).Err(); err != nil {
		return fmt.Errorf("activate namespace %q: %w", name, err)
	}
	s.follow(name)
	return nil
}

// Namespace describes one namespace.
type Namespace struct {
	Name   string // "" = the first
	Active bool
	// Schema is the version that writes into it, Built the one that it was begun with; "" = unknown.
	Schema, Built string
	// Layout is the version of the keys and their contents.
	Layout string
	// Source and BuiltSource are the texts of these schemas; "" = unknown.
	Source, BuiltSource string
}

// Namespaces lists the namespaces, the first one first, then by name.
func (s *Store) Namespaces(ctx context.Context) ([]Namespace, error) {
	made, err := s.client.HGetAll(ctx, s.opts.Prefix+namespacesKey).Result()
	if err != nil {
		return nil, fmt.Errorf("list the namespaces: %w", err)
	}
	active, err := s.Active(ctx)
	if err != nil {
		return nil, err
	}
	names := append([]string{""}, slices.Sorted(maps.Keys(made))...)
	var out []Namespace
	for _, name := range names {
		meta, err := s.client.HGetAll(ctx, s.opts.space(name).prefix+"meta").Result()
		if err != nil {
			return nil, fmt.Errorf("read namespace %q: %w", name, err)
		}
		if len(meta) == 0 {
			continue
		}
		out = append(out, Namespace{Name: name, Active: name == active, Schema: meta["schema"], Source: meta["source"],
			Layout: meta["layout"], Built: meta["built"], BuiltSource: meta["builtSource"]})
	}
	return out, nil
}

// Drop deletes a namespace that is not active and returns how many keys it had. Keys are found by
// scanning, so that the server stays responsive.
func (s *Store) Drop(ctx context.Context, name string) (int64, error) {
	active, err := s.Active(ctx)
	if err != nil {
		return 0, err
	}
	if name == active {
		return 0, fmt.Errorf("drop namespace %q: %w", name, ErrActive)
	}
	sp := s.opts.space(name)
	var mu sync.Mutex
	var n int64
	err = s.scan(ctx, globEscape(sp.prefix)+"{v*}:*", func(c redis.UniversalClient, keys []string) error {
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, k := range keys {
				p.Unlink(ctx, k)
			}
			return nil
		})
		mu.Lock()
		defer mu.Unlock()
		n += int64(len(keys))
		return err
	})
	if err != nil {
		return n, fmt.Errorf("drop namespace %q: %w", name, err)
	}
	if err := s.client.Del(ctx, sp.prefix+"meta").Err(); err != nil {
		return n, fmt.Errorf("drop namespace %q: %w", name, err)
	}
	if err := s.client.HDel(ctx, s.opts.Prefix+namespacesKey, name).Err(); err != nil {
		return n, fmt.Errorf("drop namespace %q: %w", name, err)
	}
	return n, nil
}

// scanCount is how many keys the server looks at in one step of a scan.
const scanCount = 1000

// scan calls fn with the keys of the pattern, in no order, some perhaps twice; on a cluster for each
// master, several at a time.
func (s *Store) scan(ctx context.Context, pattern string, fn func(c redis.UniversalClient, keys []string) error) error {
	one := func(ctx context.Context, c redis.UniversalClient) error {
		var cursor uint64
		for {
			keys, next, err := c.Scan(ctx, cursor, pattern, scanCount).Result()
			if err != nil {
				return err
			}
			if len(keys) > 0 {
				if err := fn(c, keys); err != nil {
					return err
				}
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return one(ctx, c) })
	}
	return one(ctx, s.client)
}

// globEscape makes a text match itself in a pattern.
func globEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`).Replace(text)
}
