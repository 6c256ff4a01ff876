package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/features"
)

// User returns what is stored about the subject, joined with what is stored about the visitors that
// the user turned out to be; nil when nothing is. It takes one round trip, and one more for a user
// with visitors.
func (s *Store) User(ctx context.Context, subject string) (*features.State, error) {
	states, err := s.users(ctx, []string{subject})
	if err != nil {
		return nil, fmt.Errorf("read a user: %w", err)
	}
	st := states[0]
	visitors := st.Visitors()
	if len(visitors) == 0 {
		return st, nil
	}
	if states, err = s.users(ctx, visitors); err != nil {
		return nil, fmt.Errorf("read the visitors of a user: %w", err)
	}
	for _, v := range states {
		st.Join(s.schema, v)
	}
	return st, nil
}

// Stored returns what is stored about the entity itself, without visitors; nil when nothing is.
func (s *Store) Stored(ctx context.Context, e features.Entity) (*features.State, error) {
	if e.Kind == features.ItemEntity {
		return s.Item(ctx, e.ID)
	}
	states, err := s.users(ctx, []string{e.ID})
	if err != nil {
		return nil, fmt.Errorf("read a user: %w", err)
	}
	return states[0], nil
}

// users reads the states of some subjects in one round trip; nil where nothing is stored.
func (s *Store) users(ctx context.Context, subjects []string) ([]*features.State, error) {
	entities := make([]features.Entity, len(subjects))
	for i, subject := range subjects {
		entities[i] = features.Entity{Kind: features.UserEntity, ID: subject}
	}
	return s.states(ctx, s.space(), entities)
}

// states reads some entities in one round trip; nil where nothing is stored.
func (s *Store) states(ctx context.Context, sp space, entities []features.Entity) ([]*features.State, error) {
	keys := make([]string, len(entities))
	for i, e := range entities {
		keys[i] = entityKey(sp.tag(s.shardOf(e)), e)
	}
	parts, err := s.parts(ctx, keys)
	if err != nil {
		return nil, err
	}
	out := make([]*features.State, len(entities))
	for i := range parts {
		if out[i], err = s.schema.Unpack(parts[i]); err != nil {
			if entities[i].Kind == features.ItemEntity { // ids of users do not belong into logs
				err = fmt.Errorf("item %s: %w", entities[i].ID, err)
			}
			return nil, err
		}
	}
	return out, nil
}

// Item returns what is stored about the item, in one round trip; nil when nothing is.
func (s *Store) Item(ctx context.Context, id string) (*features.State, error) {
	states, err := s.states(ctx, s.space(), []features.Entity{{Kind: features.ItemEntity, ID: id}})
	if err != nil {
		return nil, fmt.Errorf("read an item: %w", err)
	}
	return states[0], nil
}

// ChangedItems returns the items that changed since the cursor, and the next cursor. A nil cursor
// returns all items, and so does a cursor of the namespace that was active before. An item may be
// returned again although it did not change, but a change is never missed. One round trip when
// nothing changed.
func (s *Store) ChangedItems(ctx context.Context, cursor []int64) ([]features.ItemState, []int64, error) {
	if n := len(cursor); cursor != nil && n != s.opts.Shards && n != s.opts.Shards+1 {
		return nil, nil, fmt.Errorf("read changed items: the cursor has %d shards, the store %d", n, s.opts.Shards)
	}
	sp := s.space()
	ids, next, active, err := s.changedIDs(ctx, sp, cursor)
	if err == nil && s.follow(active) {
		sp = s.space()
		ids, next, _, err = s.changedIDs(ctx, sp, nil)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read changed items: %w", err)
	}
	out := make([]features.ItemState, 0, len(ids))
	for len(ids) > 0 {
		n := min(len(ids), loadChunk)
		if out, err = s.loadItems(ctx, sp, ids[:n], out); err != nil {
			return nil, nil, fmt.Errorf("read changed items: %w", err)
		}
		ids = ids[n:]
	}
	return out, next, nil
}

// startOf returns the cursor to go on from: one number a shard, all 0 for a cursor of another namespace.
func (s *Store) startOf(sp space, cursor []int64) []int64 {
	at := make([]int64, s.opts.Shards)
	var generation int64
	if len(cursor) > s.opts.Shards {
		generation = cursor[s.opts.Shards]
	}
	if generation == sp.generation() {
		copy(at, cursor)
	}
	return at
}

// changedIDs returns the ids of changed items by shard, the next cursor, and the name of the active
// namespace.
func (s *Store) changedIDs(ctx context.Context, sp space, cursor []int64) (ids []string, next []int64, active string, err error) {
	next = s.startOf(sp, cursor)
	seqs := make([]*redis.StringCmd, len(next))
	ranges := make([]*redis.ZSliceCmd, len(next))
	var name *redis.StringCmd
	_, err = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		name = p.Get(ctx, s.opts.Prefix+activeKey)
		for v := range next {
			seqs[v] = p.Get(ctx, sp.tag(v)+"seq")
			ranges[v] = p.ZRangeByScoreWithScores(ctx, sp.tag(v)+"items", &redis.ZRangeBy{Min: "(" + strconv.FormatInt(next[v], 10), Max: "+inf"})
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, nil, "", err
	}
	if active, err = activeName(name); err != nil {
		return nil, nil, "", err
	}
	for v := range next {
		entries := ranges[v].Val()
		if seq, err := seqs[v].Int64(); next[v] > 0 && (err != nil || seq < next[v]) {
			// Redis came back with older data: start this shard again.
			entries, err = s.client.ZRangeWithScores(ctx, sp.tag(v)+"items", 0, -1).Result()
			if err != nil {
				return nil, nil, "", err
			}
			next[v] = 0
		}
		for _, z := range entries {
			id, ok := z.Member.(string)
			if !ok {
				return nil, nil, "", fmt.Errorf("shard %d: a changed item is a %T", v, z.Member)
			}
			ids = append(ids, id)
			next[v] = max(next[v], int64(z.Score))
		}
	}
	if g := sp.generation(); g != 0 {
		next = append(next, g)
	}
	return ids, next, active, nil
}

func (s *Store) loadItems(ctx context.Context, sp space, ids []string, out []features.ItemState) ([]features.ItemState, error) {
	entities := make([]features.Entity, len(ids))
	for i, id := range ids {
		entities[i] = features.Entity{Kind: features.ItemEntity, ID: id}
	}
	states, err := s.states(ctx, sp, entities)
	if err != nil {
		return nil, err
	}
	for i, st := range states {
		if st != nil {
			out = append(out, features.ItemState{ID: ids[i], State: st})
		}
	}
	return out, nil
}
