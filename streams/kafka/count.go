package kafka

import (
	"context"

	"github.com/sartorhq/sartor/streams"
)

// Volume is how much a log holds.
type Volume struct {
	Messages int64
	Bytes    int64 // of keys and values
}

// Count reads the streams as ReadAll does and only counts: the limit of whatever reads and does more.
func Count(ctx context.Context, options Options, which []streams.Stream) (Volume, error) {
	var v Volume
	err := readRaw(ctx, options, which, func(_ *part, m *message) error {
		v.Messages++
		v.Bytes += int64(len(m.key) + len(m.value))
		return nil
	})
	return v, err
}

// Ends returns the offset behind the last message of each partition that may be read now, by topic.
func Ends(ctx context.Context, options Options, which []streams.Stream) (map[string][]int64, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	p, err := newPool(&options)
	if err != nil {
		return nil, err
	}
	defer p.close()
	parts, err := p.parts(ctx, which)
	if err != nil {
		return nil, err
	}
	ends := map[string][]int64{}
	for _, part := range parts {
		ends[part.topic] = append(ends[part.topic], part.end)
	}
	return ends, nil
}
