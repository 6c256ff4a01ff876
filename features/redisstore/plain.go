package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/features"
)

// Plain writes the same features as Apply with pipelined commands and nothing else: no fence, no merge,
// so that what is delivered twice counts twice. It is the yardstick of benchmarks: what one would write
// first. It leaves out what has no plain command: retention and erasures. It is safe for concurrent use.
type Plain struct {
	store  *Store
	prefix string
}

// Plain returns a Plain whose keys start with "plain:", behind the store's prefix.
func (s *Store) Plain() *Plain { return &Plain{store: s, prefix: s.opts.Prefix + "plain:"} }

// plainEvents is how many events one pipeline of plain writes takes: the client writes all of it before
// it reads an answer, and both sides' buffers must hold what waits.
const plainEvents = 250

// Write writes what the events do.
func (w *Plain) Write(ctx context.Context, events []Folded) error {
	for len(events) > 0 {
		n := min(len(events), plainEvents)
		if err := w.write(ctx, events[:n]); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

func (w *Plain) write(ctx context.Context, events []Folded) error {
	_, err := w.store.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range events {
			for _, d := range events[i].Deltas {
				w.delta(ctx, pipe, d)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write plainly: %w", err)
	}
	return nil
}

func (w *Plain) delta(ctx context.Context, pipe redis.Pipeliner, d features.Delta) {
	key := w.prefix + string(rune(d.Entity.Kind)) + ":" + d.Entity.ID
	for _, op := range d.Ops {
		switch op.Code {
		case features.Add:
			pipe.HIncrBy(ctx, key, op.Field, op.Value)
		case features.Min:
			pipe.HSetNX(ctx, key, op.Field, op.Value)
		case features.Max:
			pipe.HSet(ctx, key, op.Field, op.Value)
		case features.Put:
			pipe.HSet(ctx, key, "doc", op.Text)
		case features.Push:
			list := w.prefix + "l:" + op.Field + ":" + d.Entity.ID
			pipe.ZAdd(ctx, list, redis.Z{Score: float64(op.Time), Member: op.Text})
			pipe.ZRemRangeByRank(ctx, list, 0, -101)
			pipe.PExpire(ctx, list, DefaultUserTTL)
		}
	}
	if d.Entity.Kind == features.UserEntity {
		pipe.PExpire(ctx, key, DefaultUserTTL)
	} else { // the change log that readers poll
		pipe.ZAdd(ctx, w.prefix+"items", redis.Z{Score: float64(d.Ops[0].Time), Member: d.Entity.ID})
	}
}

// ServerCPU returns how much CPU time the server has used so far, of a cluster one of its servers; 0
// when it does not say.
func (s *Store) ServerCPU(ctx context.Context) (time.Duration, error) {
	text, err := s.client.Info(ctx, "cpu").Result()
	if err != nil {
		return 0, fmt.Errorf("ask the server for its CPU time: %w", err)
	}
	var sum float64
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != "used_cpu_sys" && name != "used_cpu_user" {
			continue
		}
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("the server says %s: %w", name, err)
		}
		sum += seconds
	}
	return time.Duration(sum * float64(time.Second)), nil
}
