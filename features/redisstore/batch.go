package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/features"
)

// sendTries bounds how often a shard's batch is sent again because the script was missing or an
// erasure was unknown.
const sendTries = 5

// shardBatch is what one batch does to one virtual shard.
type shardBatch struct {
	shard    int
	entities []*entityOps
	at       map[features.Entity]int
	cmd      *redis.Cmd
}

func (b *shardBatch) add(d features.Delta) {
	i, ok := b.at[d.Entity]
	if !ok {
		i = len(b.entities)
		b.at[d.Entity] = i
		b.entities = append(b.entities, &entityOps{entity: d.Entity})
	}
	b.entities[i].ops = append(b.entities[i].ops, d.Ops...)
}

// args returns the script's arguments and keeps only the entities that they name.
func (b *shardBatch) args(p *Partition, last int64) []any {
	s := p.store
	payload, kept := encodeBatch(b.entities, s.all, len(s.lists), s.schema.Retention(), max(s.opts.UserTTL.Milliseconds(), 0))
	b.entities = kept
	return []any{p.field, strconv.FormatInt(p.fences[b.shard], 10), strconv.FormatInt(last, 10), p.space.tag(b.shard), payload}
}

// send runs the script for every batch in one pipeline, and again for those that ask for it.
func (p *Partition) send(ctx context.Context, todo []*shardBatch, last int64) error {
	s := p.store
	for try := 0; len(todo) > 0; try++ {
		if try == sendTries {
			return fmt.Errorf("apply %s: %d shards did not settle after %d tries", p.field, len(todo), sendTries)
		}
		_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, b := range todo {
				tag := p.space.tag(b.shard)
				b.cmd = s.script.EvalSha(ctx, pipe, []string{tag + "fence", tag + "seq", tag + "items"}, b.args(p, last)...)
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

// reply handles one shard's answer: applied, fenced, or tombstones that we did not know.
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
		for i := 0; i+1 < len(r); i += 2 {
			n, ok := r[i].(int64)
			text, ok2 := r[i+1].(string)
			at, err := strconv.ParseInt(text, 10, 64)
			if !ok || !ok2 || err != nil || n < 0 || n >= int64(len(b.entities)) {
				return false, fmt.Errorf("apply %s to shard %d: unexpected reply %v", p.field, b.shard, r)
			}
			b.entities[n].tombstone = at
		}
		return true, nil
	}
	return false, fmt.Errorf("apply %s to shard %d: unexpected reply %T", p.field, b.shard, reply)
}
