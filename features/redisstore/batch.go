package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/features"
)

// sendTries bounds how often a shard's batch is sent again because the script was missing or a user to
// be erased had changed.
const sendTries = 5

// entityOps is what a batch does to one entity, in log order.
type entityOps struct {
	entity features.Entity
	hash   uint64
	ops    [][]features.Op  // of each event
	one    [1][]features.Op // room for ops of the one event that most have
	erases bool
	part   []byte // the packed operations
	// state is, of a user who is erased, all that is to be stored, in place of read.
	state []byte
	read  []string
}

// shardBatch is what one batch does to one virtual shard.
type shardBatch struct {
	shard int
	// users, items and erased users, each in order of first appearance; their order in the script's keys.
	users, items, erased []*entityOps
	all                  []*entityOps
	at                   map[uint64]*entityOps // by hash
	cmd                  *redis.Cmd
}

func newShardBatch(shard int) *shardBatch {
	return &shardBatch{shard: shard, at: map[uint64]*entityOps{}}
}

func (b *shardBatch) add(d features.Delta, hash uint64) {
	g := b.at[hash]
	if g != nil && g.entity != d.Entity { // two of one hash
		i := slices.IndexFunc(b.all, func(g *entityOps) bool { return g.entity == d.Entity })
		if g = nil; i >= 0 {
			g = b.all[i]
		}
	}
	if g == nil {
		g = &entityOps{entity: d.Entity, hash: hash}
		g.ops = g.one[:0]
		b.at[hash] = g
		b.all = append(b.all, g)
	}
	g.ops = append(g.ops, d.Ops)
	for i := range d.Ops {
		g.erases = g.erases || d.Ops[i].Code == features.Remove && d.Ops[i].Field == ""
	}
}

// pack writes the entities' parts, once; from says where the batch comes from.
func (b *shardBatch) pack(from features.Origin) {
	buf := make([]byte, 0, 64*len(b.all))
	for _, g := range b.all {
		start := len(buf)
		if g.entity.Kind == features.ItemEntity && len(g.ops) > 1 {
			buf = features.PackOps(buf, from, features.MergeOps(g.ops...))
		} else {
			buf = features.PackOps(buf, from, g.ops...)
		}
		g.part = buf[start:len(buf):len(buf)]
		switch {
		case g.erases:
			b.erased = append(b.erased, g)
		case g.entity.Kind == features.ItemEntity:
			b.items = append(b.items, g)
		default:
			b.users = append(b.users, g)
		}
	}
}

// appended returns the entity that the script calls by its place among those that gained a part.
func (b *shardBatch) appended(n int64) *entityOps {
	switch {
	case n < 1 || n > int64(len(b.users)+len(b.items)):
		return nil
	case n <= int64(len(b.users)):
		return b.users[n-1]
	}
	return b.items[n-1-int64(len(b.users))]
}

// call returns the script's keys and arguments.
func (b *shardBatch) call(p *Partition, last int64) (keys []string, args []any) {
	tag, n := p.space.tag(b.shard), len(b.users)+len(b.items)
	keys = make([]string, 0, 3+n+len(b.erased))
	keys = append(keys, tag+"fence", tag+"seq", tag+"items")
	args = make([]any, 8, 8+n+4*len(b.erased))
	limits := make([]byte, 0, n)
	for _, g := range b.users {
		limit := limitOf(usersLeast, usersParts, len(g.part))
		if p.stale(g.hash) {
			limit |= setLifetime
		}
		keys, limits, args = append(keys, entityKey(tag, g.entity)), append(limits, limit), append(args, g.part)
	}
	for _, g := range b.items {
		keys, limits, args = append(keys, entityKey(tag, g.entity)), append(limits, limitOf(itemsLeast, itemsParts, len(g.part))), append(args, g.part)
	}
	for _, g := range b.erased {
		keys = append(keys, entityKey(tag, g.entity))
		args = appendParts(args, g.read, g.state)
	}
	args[0], args[1], args[2] = p.field, strconv.FormatInt(p.fences[b.shard], 10), strconv.FormatInt(last, 10)
	args[3], args[4] = p.store.lifetime(), len(tag)+len("i:")
	args[5], args[6], args[7] = len(b.users), len(b.items), limits
	return keys, args
}

// appendParts appends what the scripts take to replace parts by one.
func appendParts(args []any, read []string, part []byte) []any {
	args = append(args, len(read))
	for _, r := range read {
		args = append(args, r)
	}
	return append(args, part)
}

// send runs the script for every batch in one pipeline, and again for those that ask for it.
func (p *Partition) send(ctx context.Context, todo []*shardBatch, last int64) error {
	s := p.store
	for try := 0; len(todo) > 0; try++ {
		if try == sendTries {
			return fmt.Errorf("apply %s: %d shards did not settle after %d tries", p.field, len(todo), sendTries)
		}
		if err := p.readErased(ctx, todo); err != nil {
			return fmt.Errorf("apply %s: %w", p.field, err)
		}
		_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, b := range todo {
				keys, args := b.call(p, last)
				b.cmd = s.script.EvalSha(ctx, pipe, keys, args...)
			}
			return nil
		})
		s.metrics.scripts.Add(float64(len(todo)))
		if todo, err = p.settle(ctx, todo, last, err); err != nil {
			return err
		}
	}
	return nil
}

// readErased reads the users that the batches erase, and packs what remains of them: it goes into the
// store together with the fence, so that nothing of an erased user is left even for a moment.
func (p *Partition) readErased(ctx context.Context, todo []*shardBatch) error {
	var users []*entityOps
	var keys []string
	for _, b := range todo {
		for _, g := range b.erased {
			users, keys = append(users, g), append(keys, entityKey(p.space.tag(b.shard), g.entity))
		}
	}
	if len(users) == 0 {
		return nil
	}
	parts, err := p.store.parts(ctx, keys)
	if err != nil {
		return fmt.Errorf("read users to be erased: %w", err)
	}
	for i, g := range users {
		g.read = parts[i]
		if g.state, err = p.store.erase(parts[i], g.part); err != nil {
			return fmt.Errorf("read a user to be erased: %w", err)
		}
	}
	return nil
}

// settle reads the replies. It returns the batches to be sent again. Fences that moved are
// remembered even when another shard failed, so that a repeated Apply skips what is done.
func (p *Partition) settle(ctx context.Context, sent []*shardBatch, last int64, pipeErr error) ([]*shardBatch, error) {
	var again []*shardBatch
	var missing bool
	var failed, fenced error
	for _, b := range sent {
		reply, err := b.cmd.Result()
		switch {
		case err != nil && redis.HasErrorPrefix(err, "NOSCRIPT"):
			missing = true
			again = append(again, b)
		case err != nil:
			if failed == nil {
				failed = fmt.Errorf("apply %s to shard %d: %w", p.field, b.shard, err)
			}
		default:
			more, err := p.reply(b, reply, last)
			if errors.Is(err, ErrFenced) {
				fenced = err
			} else if err != nil && failed == nil {
				failed = err
			}
			if more {
				again = append(again, b)
			}
		}
	}
	switch {
	case fenced != nil:
		return nil, fenced
	case failed != nil:
		return nil, failed
	case pipeErr != nil && len(again) == 0:
		return nil, fmt.Errorf("apply %s: %w", p.field, pipeErr)
	case missing:
		p.store.metrics.reloads.Inc()
		if err := p.store.script.Load(ctx, p.store.client).Err(); err != nil {
			return nil, fmt.Errorf("load the apply script: %w", err)
		}
	}
	return again, nil
}

// reply handles one shard's answer: applied, fenced, or a user to be erased who has changed.
func (p *Partition) reply(b *shardBatch, reply any, last int64) (again bool, err error) {
	switch r := reply.(type) {
	case string:
		stored, err := parseFence(r)
		if err != nil {
			return false, fmt.Errorf("apply %s to shard %d: %w", p.field, b.shard, err)
		}
		if stored != last { // the new fence: applied now, or by our own try whose answer was lost
			return false, p.fence(b.shard, stored)
		}
		p.fences[b.shard] = last
		return false, nil
	case []any:
		if len(r) > 0 && r[0] == "moved" {
			p.store.metrics.moved.Inc()
			return true, nil
		}
		if len(r) == 0 || r[0] != "ok" {
			break
		}
		p.fences[b.shard] = last
		for _, v := range r[1:] {
			n, _ := v.(int64)
			if g := b.appended(n); g != nil {
				p.long = append(p.long, g.entity)
			}
		}
		return false, nil
	}
	return false, fmt.Errorf("apply %s to shard %d: unexpected reply %v", p.field, b.shard, reply)
}
