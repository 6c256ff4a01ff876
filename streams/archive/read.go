package archive

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/streams"
)

// Read calls fn with every record of the topics, topic by topic, partition by partition, in the order
// of the offsets, up to what was archived when it came to the partition. It returns, for each partition,
// the offset behind the last: where the log goes on. Ranges that are being written are left out. It
// holds one range in memory, and fails rather than leave anything out when a file is missing or is not
// what its claim says. An error of fn ends the reading and is returned.
func (a *Archive) Read(ctx context.Context, topics []string, fn func(*streams.Record) error) ([]streams.Position, error) {
	var ends []streams.Position
	for _, topic := range topics {
		keys, err := a.keys(ctx, claimFolder+"/"+topic+"/")
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
		for len(keys) > 0 {
			number, ok := partitionOf(topic, keys[0])
			if !ok {
				return nil, fmt.Errorf("archive: %s is no claim: somebody else writes into %s", keys[0], claimFolder)
			}
			n := slices.IndexFunc(keys, func(k string) bool { return !strings.HasPrefix(k, claimPrefix(topic, number)) })
			if n < 0 {
				n = len(keys)
			}
			end, err := a.readPartition(ctx, keys[:max(n, 1)], fn)
			if err != nil {
				return nil, err
			}
			ends = append(ends, streams.Position{Topic: topic, Partition: number, Offset: end})
			keys = keys[max(n, 1):]
		}
	}
	return ends, nil
}

// readPartition reads a chain of claims and returns the offset behind it.
func (a *Archive) readPartition(ctx context.Context, keys []string, fn func(*streams.Record) error) (int64, error) {
	var next int64
	for i, key := range keys {
		c, err := a.readClaim(ctx, key)
		if err != nil {
			return 0, fmt.Errorf("archive: %w", err)
		}
		if i == 0 && c.First > 0 {
			a.options.Logger.Warn("the archive does not begin with the log: what was before has been deleted", "topic", c.Topic, "partition", c.Partition, "first", c.First)
			next = c.First
		}
		if !c.Done {
			return next, nil
		}
		if c.First != next {
			return 0, fmt.Errorf("archive: %s begins at offset %d, and what is before it ends at %d: a claim is missing", key, c.First, next)
		}
		records, err := a.readRange(ctx, c)
		if err != nil {
			return 0, fmt.Errorf("archive: %w", err)
		}
		for i := range records {
			if err := fn(&records[i]); err != nil {
				return 0, err
			}
		}
		next = c.Last + 1
	}
	return next, nil
}

// readRange reads the records of a claim, in order.
func (a *Archive) readRange(ctx context.Context, c *claim) ([]streams.Record, error) {
	records := make([]streams.Record, 0, min(c.Events, 1<<20))
	for _, f := range c.Files {
		data, err := a.bucket.ReadAll(ctx, f.Key)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Key, err)
		}
		before := len(records)
		if records, err = decode(c.Topic, data, records); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Key, err)
		}
		if n := len(records) - before; n != f.Events {
			return nil, fmt.Errorf("%s holds %d events, and its claim says %d: it was edited", f.Key, n, f.Events)
		}
	}
	slices.SortFunc(records, func(x, y streams.Record) int { return cmp.Compare(x.Offset, y.Offset) })
	for i, r := range records {
		if r.Offset < c.First || r.Offset > c.Last || r.Partition != c.Partition || i > 0 && records[i-1].Offset == r.Offset {
			return nil, fmt.Errorf("%s: offset %d of partition %d is twice or does not belong there", c.key(), r.Offset, r.Partition)
		}
	}
	return records, nil
}

// Extent is what the archive holds of one partition.
type Extent struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Next      int64  `json:"next"` // the offset behind the last finished range
	Events    int64  `json:"events"`
	Files     int    `json:"files"`
	Ranges    int    `json:"ranges"`
	Open      int    `json:"open"` // ranges that are not finished, not counted above
}

// Extents returns what the archive holds of the topics, from its claims alone.
func (a *Archive) Extents(ctx context.Context, topics []string) ([]Extent, error) {
	var out []Extent
	for _, topic := range topics {
		keys, err := a.keys(ctx, claimFolder+"/"+topic+"/")
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
		for _, key := range keys {
			c, err := a.readClaim(ctx, key)
			if err != nil {
				return nil, fmt.Errorf("archive: %w", err)
			}
			if n := len(out); n == 0 || out[n-1].Topic != topic || out[n-1].Partition != c.Partition {
				out = append(out, Extent{Topic: topic, Partition: c.Partition})
			}
			e := &out[len(out)-1]
			if !c.Done {
				e.Open++
				continue
			}
			e.Next, e.Events, e.Files, e.Ranges = c.Last+1, e.Events+int64(c.Events), e.Files+len(c.Files), e.Ranges+1
		}
	}
	return out, nil
}
