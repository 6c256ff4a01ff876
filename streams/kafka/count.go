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
