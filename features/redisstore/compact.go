package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/features"
)

// Each entity is a list of parts (features/pack.go). After so many they are packed into one: often
// enough that reading stays cheap and memory small, rarely enough that writing stays an append.
const (
	usersParts = 32
	itemsParts = 32 // whoever serves reads all items that change
	// tailBytes is about how much the parts may hold beside the state before they are packed; a
	// document that is renewed each day should not be stored thirty times.
	tailBytes = 1536
	// foreignParts is after how many parts those of a list that the schema does not have are given up.
	foreignParts = 256

	// A user of a very long part is packed at once, because the fold of hundreds of events is slow to read;
	// an item's document is as long packed.
	usersLeast, itemsLeast = 1, 2

	// setLifetime is added to a user's limit when the lifetime is to be set.
	setLifetime = 128
	// maxLifetimes bounds the users that a partition remembers to have given their lifetime.
	maxLifetimes = 1 << 17
)

// limitOf returns after how many parts an entity is packed, from least to most, when one takes size bytes.
func limitOf(least, most, size int) byte { return byte(max(least, min(most, tailBytes/max(size, 1)))) }

// lifetime returns how long users live, in milliseconds; 0 = for ever.
func (s *Store) lifetime() int64 { return max(s.opts.UserTTL.Milliseconds(), 0) }

// stale tells whether the user's lifetime is to be set now: not more often than once a day or, when it
// is short, some times in its course. The script sets that of a new key by itself.
func (p *Partition) stale(hash uint64) bool {
	ttl := p.store.opts.UserTTL
	if ttl <= 0 {
		return false
	}
	if now := time.Now(); now.Sub(p.livesSince) > min(ttl/8, 24*time.Hour) || len(p.lives) >= maxLifetimes {
		p.lives, p.livesSince = map[uint64]struct{}{}, now
	}
	if _, ok := p.lives[hash]; ok {
		return false
	}
	p.lives[hash] = struct{}{}
	return true
}

// parts reads the parts of the keys in one round trip.
func (s *Store) parts(ctx context.Context, keys []string) ([][]string, error) {
	cmds := make([]*redis.StringSliceCmd, len(keys))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			cmds[i] = p.LRange(ctx, k, 0, -1)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([][]string, len(keys))
	for i, c := range cmds {
		out[i] = c.Val()
	}
	return out, nil
}

// replacement is one entity whose parts are to be replaced by one.
type replacement struct {
	entity features.Entity
	read   []string
	part   []byte
}

// compact packs the parts of the entities. It changes nothing of what they say, so that it may fail or
// be left out at any time; whoever appends next asks for it again.
func (s *Store) compact(ctx context.Context, sp space, entities []features.Entity) error {
	for len(entities) > 0 {
		n := min(len(entities), loadChunk)
		if err := s.compactSome(ctx, sp, entities[:n]); err != nil {
			return err
		}
		entities = entities[n:]
	}
	return nil
}

func (s *Store) compactSome(ctx context.Context, sp space, entities []features.Entity) error {
	keys := make([]string, len(entities))
	for i, e := range entities {
		keys[i] = entityKey(sp.tag(s.shardOf(e)), e)
	}
	parts, err := s.parts(ctx, keys)
	if err != nil {
		return fmt.Errorf("read what is to be packed: %w", err)
	}
	var todo []replacement
	var damaged error
	for i, e := range entities {
		part, whole, err := s.schema.Repack(parts[i])
		switch {
		case err != nil:
			damaged = fmt.Errorf("pack an entity of shard %d: %w", s.shardOf(e), err)
		case len(parts[i]) == 0 || len(parts[i]) == 1 && len(part) >= len(parts[i][0]): // nothing to gain
		case whole || len(parts[i]) >= foreignParts:
			todo = append(todo, replacement{e, parts[i], part})
		}
	}
	moved, err := s.replace(ctx, sp, todo, 0)
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	s.metrics.packed.Add(float64(len(todo) - len(moved)))
	s.metrics.moved.Add(float64(len(moved)))
	return damaged
}

// replace puts one part in place of what was read, a script call for each shard, and returns those that
// were something else by then. ttl is the lifetime to set, 0 leaves it as it is.
func (s *Store) replace(ctx context.Context, sp space, todo []replacement, ttl int64) (moved []replacement, err error) {
	byShard := map[int][]replacement{}
	var order []int
	for _, r := range todo {
		v := s.shardOf(r.entity)
		if byShard[v] == nil {
			order = append(order, v)
		}
		byShard[v] = append(byShard[v], r)
	}
	for try := 0; len(order) > 0; try++ {
		cmds := make([]*redis.Cmd, len(order))
		_, pipeErr := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, v := range order {
				tag, keys, args := sp.tag(v), []string(nil), []any{ttl}
				for _, r := range byShard[v] {
					keys, args = append(keys, entityKey(tag, r.entity)), appendParts(args, r.read, r.part)
				}
				cmds[i] = s.compactScript.EvalSha(ctx, p, keys, args...)
			}
			return nil
		})
		var again []int
		for i, v := range order {
			left, err := cmds[i].Int64Slice()
			if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
				again = append(again, v)
				continue
			}
			if err != nil {
				return nil, errors.Join(err, pipeErr)
			}
			for _, n := range left {
				if n < 1 || n > int64(len(byShard[v])) {
					return nil, fmt.Errorf("unexpected reply %v", left)
				}
				moved = append(moved, byShard[v][n-1])
			}
		}
		if order = again; len(order) == 0 {
			break
		}
		if try == sendTries {
			return nil, pipeErr
		}
		s.metrics.reloads.Inc()
		if err := s.compactScript.Load(ctx, s.client).Err(); err != nil {
			return nil, fmt.Errorf("load the compact script: %w", err)
		}
	}
	return moved, nil
}

// erase packs what the parts and then a part with an erasure say. What cannot be read is given up.
func (s *Store) erase(parts []string, erasure []byte) ([]byte, error) {
	state, _, err := s.schema.Repack(append(parts[:len(parts):len(parts)], string(erasure)))
	if errors.Is(err, features.ErrPacked) {
		s.log.Warn("what was stored about an erased user could not be read; it is gone all the same")
		state, _, err = s.schema.Repack([]string{string(erasure)})
	}
	return state, err
}

// tombstone erases a user outside of any log, whatever others do at the same time.
func (s *Store) tombstone(ctx context.Context, sp space, subject string, ms int64) error {
	e := features.Entity{Kind: features.UserEntity, ID: subject}
	key := entityKey(sp.tag(s.shardOf(e)), e)
	erasure := features.PackOps(nil, features.Origin{}, []features.Op{{Code: features.Remove, Time: ms}})
	for range sendTries {
		parts, err := s.parts(ctx, []string{key})
		if err != nil {
			return err
		}
		state, err := s.erase(parts[0], erasure)
		if err != nil {
			return err
		}
		moved, err := s.replace(ctx, sp, []replacement{{e, parts[0], state}}, s.lifetime())
		if err != nil || len(moved) == 0 {
			return err
		}
	}
	return errors.New("others kept writing in shard " + strconv.Itoa(s.shardOf(e)))
}
