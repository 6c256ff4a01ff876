package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/features"
)

// StoredKey is one key about a user: what an erasure deletes.
type StoredKey struct {
	Namespace string
	Key       string
	Type      string // of the key in Redis
	Entries   int64  // counters, entries of lists, document and tombstone
	Bytes     int64  // as the server estimates it; 0 when it does not say
	// Tombstone is set when nothing but the time of an erasure is left.
	Tombstone bool
}

// UserKeys lists every key that is stored about the subject, in all namespaces.
func (s *Store) UserKeys(ctx context.Context, subject string) ([]StoredKey, error) {
	spaces, err := s.ownSpaces(ctx)
	if err != nil {
		return nil, err
	}
	e := features.Entity{Kind: features.UserEntity, ID: subject}
	var out []StoredKey
	for _, sp := range spaces {
		key := entityKey(sp.tag(s.shardOf(e)), e)
		parts, err := s.parts(ctx, []string{key})
		if err != nil {
			return nil, fmt.Errorf("look at the keys of a user: %w", err)
		}
		if len(parts[0]) == 0 {
			continue
		}
		k := StoredKey{Namespace: sp.name, Key: key, Type: "list", Entries: int64(len(parts[0]))}
		if st, err := s.schema.Unpack(parts[0]); err == nil { // what cannot be read can be erased
			k.Entries = entriesOf(st)
			k.Tombstone = st.RemovedAt != 0 && k.Entries == 1
		}
		k.Bytes, _ = s.client.MemoryUsage(ctx, key, 0).Result() // not every server can say
		out = append(out, k)
	}
	return out, nil
}

// entriesOf counts what is stored.
func entriesOf(st *features.State) int64 {
	n := len(st.Counters)
	for _, l := range st.Lists {
		n += len(l)
	}
	if st.DocTime != 0 || st.Doc != "" {
		n++
	}
	if st.RemovedAt != 0 {
		n++
	}
	return int64(n)
}

// ownSpaces returns the namespaces; an error when one has a layout that this version cannot read.
func (s *Store) ownSpaces(ctx context.Context) ([]space, error) {
	found, err := s.Namespaces(ctx)
	if err != nil {
		return nil, err
	}
	var out []space
	for _, n := range found {
		if n.Layout != layout {
			return nil, fmt.Errorf("namespace %q: %w", n.Name, layoutError(n.Layout))
		}
		out = append(out, s.opts.space(n.Name))
	}
	return out, nil
}

// EraseUser forgets the subject in every namespace at once, and leaves a tombstone with the time:
// events up to it leave no trace, also when they are applied later. What remains after a return
// without error is the tombstone, and a document whose time is not before it. It does not follow the
// user's visitors, and it writes no event: a namespace that is built later needs the user-delete
// event in the log. It returns what was there.
func (s *Store) EraseUser(ctx context.Context, subject string, at time.Time) ([]StoredKey, error) {
	keys, err := s.UserKeys(ctx, subject)
	if err != nil {
		return nil, err
	}
	spaces, err := s.ownSpaces(ctx)
	if err != nil {
		return nil, err
	}
	for _, sp := range spaces {
		if err := s.tombstone(ctx, sp, subject, at.UnixMilli()); err != nil {
			return nil, fmt.Errorf("erase a user: %w", err)
		}
	}
	return keys, nil
}

// Entities calls fn for every user and item that is stored in the namespace in use, in no order,
// some perhaps twice. On a cluster fn is called from several goroutines, one call at a time.
func (s *Store) Entities(ctx context.Context, fn func(features.Entity) error) error {
	var mu sync.Mutex
	prefix := s.space().prefix
	err := s.scan(ctx, globEscape(prefix)+"{v*}:[ui]:*", func(_ redis.UniversalClient, keys []string) error {
		mu.Lock()
		defer mu.Unlock()
		for _, k := range keys {
			_, rest, ok := strings.Cut(strings.TrimPrefix(k, prefix), "}:")
			if !ok || len(rest) < 3 {
				continue
			}
			if err := fn(features.Entity{Kind: features.EntityKind(rest[0]), ID: rest[2:]}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list what is stored: %w", err)
	}
	return nil
}

// StoredAll reads entities in one round trip; nil where nothing is stored. Visitors are not joined.
func (s *Store) StoredAll(ctx context.Context, entities []features.Entity) ([]*features.State, error) {
	states, err := s.states(ctx, s.space(), entities)
	if err != nil {
		return nil, fmt.Errorf("read what is stored: %w", err)
	}
	return states, nil
}

// CopyErasures brings the erasures of the active namespace into the one in use, which is being built:
// a log that was compacted may not tell of them any more. It must run before events are applied,
// because an erasure takes everything that is there. It returns how many there were.
func (s *Store) CopyErasures(ctx context.Context) (int, error) {
	name, err := s.Active(ctx)
	if err != nil {
		return 0, err
	}
	from, to := s.opts.space(name), s.space()
	if from == to {
		return 0, nil
	}
	found, err := s.client.HGet(ctx, from.prefix+"meta", "layout").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("copy the erasures: %w", err)
	}
	times := s.erasures
	switch found {
	case layout, "":
	case hashLayout:
		times = hashErasures
	default:
		return 0, fmt.Errorf("copy the erasures: %w", layoutError(found))
	}
	n := 0
	var mu sync.Mutex
	err = s.scan(ctx, globEscape(from.prefix)+"{v*}:u:*", func(c redis.UniversalClient, keys []string) error {
		mu.Lock()
		defer mu.Unlock()
		at, err := times(ctx, c, keys)
		if err != nil {
			return err
		}
		for i, k := range keys {
			_, subject, ok := strings.Cut(k[len(from.prefix):], "}:u:")
			if at[i] == 0 || !ok {
				continue
			}
			if err := s.tombstone(ctx, to, subject, at[i]); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		return n, fmt.Errorf("copy the erasures: %w", err)
	}
	return n, nil
}

// erasures returns when the users of some keys were erased, 0 for others.
func (s *Store) erasures(ctx context.Context, c redis.UniversalClient, keys []string) ([]int64, error) {
	cmds := make([]*redis.StringSliceCmd, len(keys))
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			cmds[i] = p.LRange(ctx, k, 0, -1)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]int64, len(keys))
	for i, c := range cmds {
		st, err := s.schema.Unpack(c.Val())
		if err != nil {
			return nil, err
		}
		if st != nil {
			out[i] = st.RemovedAt
		}
	}
	return out, nil
}

// hashErasures is erasures in a namespace of layout 1, which kept a user in a hash.
func hashErasures(ctx context.Context, c redis.UniversalClient, keys []string) ([]int64, error) {
	cmds := make([]*redis.StringCmd, len(keys))
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			cmds[i] = p.HGet(ctx, k, "gone")
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	out := make([]int64, len(keys))
	for i, c := range cmds {
		if c.Val() == "" {
			continue
		}
		if out[i], err = c.Int64(); err != nil {
			return nil, fmt.Errorf("the time of an erasure: %w", err)
		}
	}
	return out, nil
}
