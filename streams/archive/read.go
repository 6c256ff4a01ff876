package archive

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/streams"
)

// Read calls fn with every record of the topics, source by source. It returns, for each partition, the
// offset behind the last: where the log goes on.
func (a *Archive) Read(ctx context.Context, topics []string, fn func(*streams.Record) error) ([]streams.Position, error) {
	sources, err := a.Sources(ctx, topics)
	if err != nil {
		return nil, err
	}
	ends := make([]streams.Position, len(sources))
	for i, s := range sources {
		if err := s.Read(ctx, fn); err != nil {
			return nil, err
		}
		ends[i] = streams.Position{Topic: s.Topic, Partition: s.Partition, Offset: s.Next}
	}
	return ends, nil
}

// Sources returns what the archive holds of the topics now, topic by topic and partition by partition.
// Ranges that are being written are left out. A source holds the files of one range as they are and
// decodes them bit by bit. It fails rather than leave anything out when a file is missing or is not what
// its claim says.
func (a *Archive) Sources(ctx context.Context, topics []string) ([]streams.Source, error) {
	var out []streams.Source
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
			s, err := a.source(ctx, topic, number, keys[:max(n, 1)])
			if err != nil {
				return nil, err
			}
			out = append(out, s)
			keys = keys[max(n, 1):]
		}
	}
	return out, nil
}

// source returns a chain of claims as a source.
func (a *Archive) source(ctx context.Context, topic string, partition int, keys []string) (streams.Source, error) {
	s := streams.Source{Topic: topic, Partition: partition}
	last, err := a.readClaim(ctx, keys[len(keys)-1])
	if err != nil {
		return s, fmt.Errorf("archive: %w", err)
	}
	s.Next = last.Last + 1
	if !last.Done {
		s.Next, keys = last.First, keys[:len(keys)-1]
	}
	s.Read = func(ctx context.Context, fn func(*streams.Record) error) error { return a.readChain(ctx, keys, fn) }
	return s, nil
}

// readChain reads the claims of a partition one after the other.
func (a *Archive) readChain(ctx context.Context, keys []string, fn func(*streams.Record) error) error {
	var next int64
	var visits *streams.Visits
	for i, key := range keys {
		c, err := a.readClaim(ctx, key)
		if err != nil {
			return fmt.Errorf("archive: %w", err)
		}
		if i == 0 && c.First > 0 {
			a.options.Logger.Warn("the archive does not begin with the log: what was before has been deleted", "topic", c.Topic, "partition", c.Partition, "first", c.First)
			next = c.First
		}
		if c.First != next || !c.Done {
			return fmt.Errorf("archive: %s begins at offset %d, and what is before it ends at %d: a claim is missing", key, c.First, next)
		}
		if i == 0 && c.Topic == a.options.VisitTopic {
			visits = streams.NewVisits(streams.Behavior, a.options.Visits)
		}
		if err := a.readRange(ctx, c, func(r *streams.Record) error { visits.Add(&r.Event, r.Offset); return fn(r) }); err != nil {
			return err
		}
		next = c.Last + 1
	}
	return nil
}

// readRange reads the records of a claim, of all its files the one with the least offset.
func (a *Archive) readRange(ctx context.Context, c *claim, fn func(*streams.Record) error) error {
	readers := make([]*fileReader, 0, len(c.Files))
	defer func() {
		for _, r := range readers {
			r.close()
		}
	}()
	for _, f := range c.Files {
		data, err := a.bucket.ReadAll(ctx, f.Key)
		if err != nil {
			return fmt.Errorf("archive: read %s: %w", f.Key, err)
		}
		r, err := openFile(c.Topic, f, data)
		if err != nil {
			return fmt.Errorf("archive: %s: %w", f.Key, err)
		}
		readers = append(readers, r)
	}
	last := c.First - 1
	for {
		var least *fileReader
		for _, r := range readers {
			head, err := r.head()
			if err != nil {
				return fmt.Errorf("archive: %s: %w", r.file.Key, err)
			}
			if head != nil && (least == nil || head.Offset < least.records[0].Offset) {
				least = r
			}
		}
		if least == nil {
			return nil
		}
		r := least.take()
		if r.Offset <= last || r.Offset > c.Last || r.Partition != c.Partition {
			return fmt.Errorf("archive: %s: offset %d of partition %d is twice or does not belong there", c.key(), r.Offset, r.Partition)
		}
		last = r.Offset
		if err := fn(r); err != nil {
			return err
		}
	}
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
