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

// Folded is what one event of the log does, with its place in the partition.
type Folded struct {
	Offset int64
	Deltas []features.Delta
}

// Partition is one topic partition's way into the store. It remembers per virtual shard how far the
// partition has been applied. It is not safe for concurrent use: the one goroutine that owns the
// partition calls it.
type Partition struct {
	store  *Store
	space  space // the namespace in which the fences hold
	field  string
	source uint64            // the field's hash, which parts name
	fences []int64           // last applied offset by shard; -1 = none
	last   int64             // everything up to here has been applied to every shard
	verify int               // next shard whose fence Flush looks at
	broken error             // why the partition must be opened again
	long   []features.Entity // have gained so many parts that they are to be packed
	// lives are the users, by hash, whose lifetime was set since livesSince.
	lives      map[uint64]struct{}
	livesSince time.Time
}

// flushVerify is how many fences a Flush compares with Redis beside those that it writes.
const flushVerify = 16

// Partition reads how far the partition has been applied to the namespace in use. It fails with
// ErrSchema when that became active after Open and was built with another schema, with ErrLayout when
// another version of this program built it.
func (s *Store) Partition(ctx context.Context, topic string, partition int) (*Partition, error) {
	sp := s.space()
	if err := s.sameSchema(ctx, sp); err != nil {
		return nil, err
	}
	p := &Partition{store: s, space: sp, field: topic + ":" + strconv.Itoa(partition), fences: make([]int64, s.opts.Shards)}
	p.source = hashOf(features.Entity{Kind: 'p', ID: p.field})
	cmds := make([]*redis.StringCmd, s.opts.Shards)
	_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for v := range cmds {
			cmds[v] = pipe.HGet(ctx, sp.tag(v)+"fence", p.field)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read the position of %s: %w", p.field, err)
	}
	for v, c := range cmds {
		p.fences[v], err = fenceOf(c)
		if err != nil {
			return nil, fmt.Errorf("read the position of %s in shard %d: %w", p.field, v, err)
		}
	}
	p.last = p.Next() - 1 // shards may be ahead; what all of them have is the least
	return p, nil
}

// sameSchema checks a namespace that became active after Open.
func (s *Store) sameSchema(ctx context.Context, sp space) error {
	if opened := s.opened.Load(); opened == nil || opened.name == sp.name {
		return nil
	}
	meta, err := s.client.HGetAll(ctx, sp.prefix+"meta").Result()
	if err != nil {
		return fmt.Errorf("read the schema of namespace %q: %w", sp.name, err)
	}
	if meta["layout"] != layout {
		return fmt.Errorf("namespace %q: %w", sp.name, layoutError(meta["layout"]))
	}
	version := meta["schema"]
	if version != s.schema.Version() {
		return fmt.Errorf("%w (%s; this process has %s): start it again with the new schema file", ErrSchema, version, s.schema.Version())
	}
	return nil
}

func fenceOf(c *redis.StringCmd) (int64, error) {
	text, err := c.Result()
	if errors.Is(err, redis.Nil) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	return parseFence(text)
}

func parseFence(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < -1 {
		return 0, fmt.Errorf("the fence reads %q, not an offset", text)
	}
	return n, nil
}

// Next returns the offset from which the log must be read so that no event is missed. Events that
// some shards have applied already are skipped for those shards.
func (p *Partition) Next() int64 {
	low := p.fences[0]
	for _, f := range p.fences {
		low = min(low, f)
	}
	return low + 1
}

// Apply applies the events, in ascending order of offset, once in effect, and records that the
// partition has been applied up to last (>= every offset; larger when the tail had no effect).
// After an error other than ErrFenced the same call may be repeated: what had been applied is not
// applied again. After ErrFenced the partition must be opened again.
func (p *Partition) Apply(ctx context.Context, events []Folded, last int64) error {
	if p.broken != nil {
		return p.broken
	}
	groups, err := p.group(events, last)
	if err != nil {
		return err
	}
	err = p.send(ctx, groups, last)
	p.pack(ctx)
	if err != nil {
		return err
	}
	p.last = max(p.last, last)
	p.store.metrics.applied.Add(float64(len(events)))
	return nil
}

// group sorts the operations by shard and entity, without what a shard has applied before.
func (p *Partition) group(events []Folded, last int64) ([]*shardBatch, error) {
	byShard := make([]*shardBatch, p.store.opts.Shards)
	before, skipped := int64(-1), 0
	for i := range events {
		at := events[i].Offset
		if at < before || at > last {
			return nil, fmt.Errorf("apply %s: offset %d is out of order (after %d, last %d)", p.field, at, before, last)
		}
		before = at
		for _, d := range events[i].Deltas {
			hash := hashOf(d.Entity)
			v := p.store.shardOfHash(hash)
			if at <= p.fences[v] {
				skipped++
				continue
			}
			if byShard[v] == nil {
				byShard[v] = newShardBatch(v)
			}
			byShard[v].add(d, hash)
		}
	}
	p.store.metrics.skipped.Add(float64(skipped))
	var out []*shardBatch
	for _, b := range byShard {
		if b != nil {
			b.pack(features.Origin{Source: p.source, From: p.fences[b.shard], To: last})
			out = append(out, b)
		}
	}
	return out, nil
}

// pack packs what has become long. The batch is applied whatever becomes of it.
func (p *Partition) pack(ctx context.Context) {
	long := p.long
	p.long = nil
	if err := p.store.compact(ctx, p.space, long); err != nil && ctx.Err() == nil {
		p.store.metrics.unpacked.Inc()
		p.store.log.Warn("what is stored was not packed; it is tried again with the next change", "error", err)
	}
}

// Flush brings the shards that the latest batches did not touch up to date, so that Next moves on, looks at
// some other shards for lost writes, and at which namespace is active: when another became it, ErrFenced is
// returned, and the partition goes on there from that namespace's own position. Call it about once a second;
// it costs nothing when nothing moved but for a few reads.
func (p *Partition) Flush(ctx context.Context) error {
	if p.broken != nil {
		return p.broken
	}
	var behind []*shardBatch
	for v, f := range p.fences {
		if f < p.last {
			behind = append(behind, &shardBatch{shard: v})
		}
	}
	if err := p.send(ctx, behind, p.last); err != nil {
		return err
	}
	return p.look(ctx)
}

// look compares some fences with Redis. A partition without traffic notices that way that Redis
// came back with older data.
func (p *Partition) look(ctx context.Context) error {
	n := min(flushVerify, len(p.fences))
	cmds := make([]*redis.StringCmd, n)
	var active *redis.StringCmd
	_, err := p.store.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		active = pipe.Get(ctx, p.store.opts.Prefix+activeKey)
		for i := range cmds {
			cmds[i] = pipe.HGet(ctx, p.space.tag((p.verify+i)%len(p.fences))+"fence", p.field)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("look at the position of %s: %w", p.field, err)
	}
	if name, err := activeName(active); err == nil {
		p.store.follow(name)
	}
	if now := p.store.space(); now != p.space {
		p.broken = fmt.Errorf("apply %s: namespace %q is active now instead of %q: %w", p.field, now.name, p.space.name, ErrFenced)
		return p.broken
	}
	for i, c := range cmds {
		v := (p.verify + i) % len(p.fences)
		have, err := fenceOf(c)
		if err != nil {
			return fmt.Errorf("look at the position of %s in shard %d: %w", p.field, v, err)
		}
		if have != p.fences[v] {
			return p.fence(v, have)
		}
	}
	p.verify = (p.verify + n) % len(p.fences)
	return nil
}

// fence marks the partition as not usable any more.
func (p *Partition) fence(shard int, stored int64) error {
	p.store.metrics.fenced.Inc()
	why := "another owner has written"
	if stored < p.fences[shard] {
		p.store.metrics.rewinds.Inc()
		why = "redis has lost writes"
	}
	p.broken = fmt.Errorf("apply %s to shard %d: at %d, expected %d, %s: %w", p.field, shard, stored, p.fences[shard], why, ErrFenced)
	return p.broken
}
