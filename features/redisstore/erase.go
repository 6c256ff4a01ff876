package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/features"
)

// eraseLua forgets a user as the apply script does: all keys go, a document that is not older and a
// tombstone with the time remain. KEYS 1 the hash, then the lists; ARGV 1 the time, 2 the lifetime of
// the tombstone in ms (0 = for ever). It returns the time of the tombstone.
const eraseLua = `
local gone, doct, doc = unpack(redis.call('HMGET', KEYS[1], 'gone', 'doct', 'doc'))
if gone and tonumber(gone) >= tonumber(ARGV[1]) then return gone end
redis.call('DEL', unpack(KEYS))
redis.call('HSET', KEYS[1], 'gone', ARGV[1])
if doct and tonumber(doct) >= tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'doct', doct)
  if doc then redis.call('HSET', KEYS[1], 'doc', doc) end
end
if tonumber(ARGV[2]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return ARGV[1]`

// StoredKey is one key about a user: what an erasure deletes.
type StoredKey struct {
	Namespace string
	Key       string
	Type      string // hash or zset
	Entries   int64  // fields or members
	Bytes     int64  // as the server estimates it; 0 when it does not say
}

// UserKeys lists every key that is stored about the subject, in all namespaces, also lists of
// schemas that are not in use any more. It scans the whole key space.
func (s *Store) UserKeys(ctx context.Context, subject string) ([]StoredKey, error) {
	spaces, err := s.Namespaces(ctx)
	if err != nil {
		return nil, err
	}
	e := features.Entity{Kind: features.UserEntity, ID: subject}
	shard := s.shardOf(e)
	var out []StoredKey
	for _, n := range spaces {
		tag := s.opts.space(n.Name).tag(shard)
		keys := []string{hashKey(tag, e)}
		var mu sync.Mutex
		err := s.scan(ctx, globEscape(tag+"l:")+"*"+globEscape(":"+subject), func(_ redis.UniversalClient, found []string) error {
			mu.Lock()
			defer mu.Unlock()
			for _, k := range found {
				if list, id, _ := strings.Cut(strings.TrimPrefix(k, tag+"l:"), ":"); id == subject && !strings.HasPrefix(list, "i.") {
					keys = append(keys, k)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for the keys of a user: %w", err)
		}
		slices.Sort(keys[1:])
		for _, k := range slices.Compact(keys) {
			stored, err := s.describe(ctx, n.Name, k)
			if err != nil {
				return nil, fmt.Errorf("look at the keys of a user: %w", err)
			}
			if stored.Entries > 0 {
				out = append(out, stored)
			}
		}
	}
	return out, nil
}

// describe measures one key.
func (s *Store) describe(ctx context.Context, namespace, key string) (StoredKey, error) {
	k := StoredKey{Namespace: namespace, Key: key}
	var err error
	if k.Type, err = s.client.Type(ctx, key).Result(); err != nil {
		return k, err
	}
	switch k.Type {
	case "hash":
		k.Entries, err = s.client.HLen(ctx, key).Result()
	case "zset":
		k.Entries, err = s.client.ZCard(ctx, key).Result()
	}
	if err != nil {
		return k, err
	}
	k.Bytes, _ = s.client.MemoryUsage(ctx, key, 0).Result() // not every server can say
	return k, nil
}

// EraseUser forgets the subject in every namespace at once, and leaves a tombstone with the time:
// events up to it leave no trace, also when they are applied later. What remains after a return
// without error is the tombstone, and a document whose time is not before it. It does not follow the
// user's visitors, and it writes no event: a namespace that is built later needs the user-delete
// event in the log.
func (s *Store) EraseUser(ctx context.Context, subject string, at time.Time) ([]StoredKey, error) {
	keys, err := s.UserKeys(ctx, subject)
	if err != nil {
		return nil, err
	}
	spaces, err := s.Namespaces(ctx)
	if err != nil {
		return nil, err
	}
	e := features.Entity{Kind: features.UserEntity, ID: subject}
	script := redis.NewScript(eraseLua)
	for _, n := range spaces {
		names := []string{hashKey(s.opts.space(n.Name).tag(s.shardOf(e)), e)}
		for _, k := range keys {
			if k.Namespace == n.Name && k.Key != names[0] {
				names = append(names, k.Key)
			}
		}
		ttl := max(s.opts.UserTTL.Milliseconds(), 0)
		if err := script.Run(ctx, s.client, names, strconv.FormatInt(at.UnixMilli(), 10), ttl).Err(); err != nil {
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
	out := make([]*features.State, len(entities))
	var users []string
	var at []int
	items := map[int]itemReply{}
	sp := s.space()
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, e := range entities {
			if e.Kind == features.UserEntity {
				users, at = append(users, e.ID), append(at, i)
			} else {
				items[i] = s.askItem(ctx, p, sp, e.ID)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read items: %w", err)
	}
	for i, c := range items {
		if out[i], err = s.decodeItem(c); err != nil {
			return nil, fmt.Errorf("item %s: %w", entities[i].ID, err)
		}
	}
	if len(users) == 0 {
		return out, nil
	}
	states, err := s.users(ctx, users)
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	for n, i := range at {
		out[i] = states[n]
	}
	return out, nil
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
	script, n := redis.NewScript(eraseLua), 0
	var mu sync.Mutex
	err = s.scan(ctx, globEscape(from.prefix)+"{v*}:u:*", func(c redis.UniversalClient, keys []string) error {
		mu.Lock()
		defer mu.Unlock()
		gone := make([]*redis.StringCmd, len(keys))
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, k := range keys {
				gone[i] = p.HGet(ctx, k, fieldGone)
			}
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		for i, k := range keys {
			if gone[i].Val() == "" {
				continue
			}
			target := to.prefix + strings.TrimPrefix(k, from.prefix)
			if err := script.Run(ctx, s.client, []string{target}, gone[i].Val(), max(s.opts.UserTTL.Milliseconds(), 0)).Err(); err != nil {
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
