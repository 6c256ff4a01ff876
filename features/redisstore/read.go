package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/features"
)

// Names of the hash fields that are no counters.
const (
	fieldDoc     = "doc"
	fieldDocTime = "doct"
	fieldGone    = "gone"
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

// userReply holds the answers about one user until the pipeline has run.
type userReply struct {
	hash    *redis.MapStringStringCmd
	history *redis.StringSliceCmd
	lists   []*redis.ZSliceCmd // from the second list on
}

// users reads the states of some subjects in one round trip; nil where nothing is stored.
func (s *Store) users(ctx context.Context, subjects []string) ([]*features.State, error) {
	replies := make([]userReply, len(subjects))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, subject := range subjects {
			e := features.Entity{Kind: features.UserEntity, ID: subject}
			tag, r := s.tag(s.shardOf(e)), &replies[n]
			r.hash = p.HGetAll(ctx, hashKey(tag, e))
			r.history = p.ZRevRange(ctx, listKey(tag, s.lists[0].Name, subject), 0, int64(s.lists[0].Max-1))
			r.lists = make([]*redis.ZSliceCmd, len(s.lists)-1)
			for i, l := range s.lists[1:] {
				r.lists[i] = p.ZRevRangeWithScores(ctx, listKey(tag, l.Name, subject), 0, int64(l.Max-1))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]*features.State, len(subjects))
	for n := range replies {
		if out[n], err = s.decodeUser(&replies[n]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// decodeUser reads the answers about one user.
func (s *Store) decodeUser(r *userReply) (*features.State, error) {
	st, err := decodeHash(r.hash.Val())
	if err != nil {
		return nil, err
	}
	for i := range s.lists {
		var entries []features.Entry
		if i == 0 {
			entries, err = decodeHistory(&s.lists[0], r.history.Val())
		} else {
			entries, err = decodeList(&s.lists[i], r.lists[i-1].Val())
		}
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			continue
		}
		if st == nil {
			st = &features.State{}
		}
		if st.Lists == nil {
			st.Lists = make(map[string][]features.Entry, len(s.lists))
		}
		st.Lists[s.lists[i].Name] = entries
	}
	return st, nil
}

// Item returns what is stored about the item, in one round trip; nil when nothing is.
func (s *Store) Item(ctx context.Context, id string) (*features.State, error) {
	var r itemReply
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		r = s.askItem(ctx, p, s.space(), id)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read item %s: %w", id, err)
	}
	st, err := s.decodeItem(r)
	if err != nil {
		return nil, fmt.Errorf("read item %s: %w", id, err)
	}
	return st, nil
}

// itemReply holds the answers about one item until the pipeline has run.
type itemReply struct {
	hash  *redis.MapStringStringCmd
	lists []*redis.StringSliceCmd
}

func (s *Store) askItem(ctx context.Context, p redis.Pipeliner, sp space, id string) itemReply {
	e := features.Entity{Kind: features.ItemEntity, ID: id}
	tag := sp.tag(s.shardOf(e))
	r := itemReply{hash: p.HGetAll(ctx, hashKey(tag, e))}
	for _, l := range s.items {
		r.lists = append(r.lists, p.ZRevRange(ctx, listKey(tag, l.Name, id), 0, int64(l.Max-1)))
	}
	return r
}

// decodeItem reads the answers about one item.
func (s *Store) decodeItem(r itemReply) (*features.State, error) {
	st, err := decodeHash(r.hash.Val())
	if err != nil || st == nil {
		return nil, err
	}
	for i := range s.items {
		entries, err := decodeHistory(&s.items[i], r.lists[i].Val())
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			continue
		}
		if st.Lists == nil {
			st.Lists = make(map[string][]features.Entry, len(s.items))
		}
		st.Lists[s.items[i].Name] = entries
	}
	return st, nil
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
	replies := make([]itemReply, len(ids))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			replies[i] = s.askItem(ctx, p, sp, id)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		st, err := s.decodeItem(replies[i])
		if err != nil {
			return nil, fmt.Errorf("item %s: %w", id, err)
		}
		if st != nil {
			out = append(out, features.ItemState{ID: id, State: st})
		}
	}
	return out, nil
}

// decodeHash reads an entity's hash; nil when it is empty.
func decodeHash(fields map[string]string) (*features.State, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	st := &features.State{Counters: make(map[string]int64, len(fields))}
	for name, text := range fields {
		if name == fieldDoc {
			st.Doc = text
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the stored field %q holds no whole number", name)
		}
		switch name {
		case fieldDocTime:
			st.DocTime = n
		case fieldGone:
			st.RemovedAt = n
		default:
			st.Counters[name] = n
		}
	}
	if len(st.Counters) == 0 {
		st.Counters = nil
	}
	return st, nil
}

// decodeHistory reads the list of everything a user did: the longest one, whose entries carry their
// time, so that no scores need to be sent and parsed.
func decodeHistory(l *features.List, in []string) ([]features.Entry, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]features.Entry, len(in))
	for i, member := range in {
		e, err := l.DecodeEntry(member, 0)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", l.Name, err)
		}
		out[i] = e
	}
	return out, nil
}

// decodeList reads a stored list with its scores, newest first.
func decodeList(l *features.List, in []redis.Z) ([]features.Entry, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]features.Entry, len(in))
	for i, z := range in {
		member, ok := z.Member.(string)
		if !ok {
			return nil, fmt.Errorf("list %s: an entry is a %T", l.Name, z.Member)
		}
		e, err := l.DecodeEntry(member, int64(z.Score))
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", l.Name, err)
		}
		out[i] = e
	}
	return out, nil
}
