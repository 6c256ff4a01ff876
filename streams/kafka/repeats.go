package kafka

import (
	"hash/maphash"
	"strconv"

	"github.com/sartorhq/sartor/streams"
)

// repeats recognises the events of one partition that their producer wrote again: an event is a repeat
// when an equal one (event_id, type, subject and time) is among the messages of the last horizon
// offsets before it. That is a property of the log alone and not of who reads it or when he started:
// a reader that starts in the middle first looks at the horizon before its start, so that crashes,
// rewinds, training and verification decide alike. Events without an id are never repeats.
type repeats struct {
	horizon int64
	seeds   [2]maphash.Seed // two, for 128 bits: a collision would lose an event
	last    map[[2]uint64]int64
	queue   []remembered // ascending offsets; those before head are gone
	head    int
	scratch []byte
}

// remembered is one event within the horizon.
type remembered struct {
	key    [2]uint64
	offset int64
}

// newRepeats makes the memory of a partition; nil, which remembers nothing, for streams whose events
// may be repeated without harm because they replace documents.
func newRepeats(o *Options, s streams.Stream) *repeats {
	horizon := o.horizon(s)
	if horizon == 0 {
		return nil
	}
	return &repeats{horizon: horizon, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, last: map[[2]uint64]int64{}}
}

// defaultHorizon is Options.Horizon when zero: minutes of a busy partition, and less than a megabyte.
const defaultHorizon = 10_000

// horizon returns how many offsets are looked back for repeats on a stream.
func (o *Options) horizon(s streams.Stream) int64 {
	switch {
	case s.Compacted() || o.Horizon < 0:
		return 0
	case o.Horizon == 0:
		return defaultHorizon
	}
	return int64(o.Horizon)
}

// lookBack returns how far before its start a reader begins, to know of repeats and visits what a reader
// from the beginning knows: visits must not count what is a repeat of something further back.
func (o *Options) lookBack(s streams.Stream) int64 {
	back := o.horizon(s)
	if s == streams.Behavior && o.Visits > 0 {
		back += streams.VisitHorizon
	}
	return back
}

// seen tells whether the event at an offset is a repeat, and remembers it. Offsets ascend.
func (r *repeats) seen(e *streams.Event, offset int64) bool {
	if r == nil {
		return false
	}
	r.forget(offset - r.horizon)
	if e.ID == "" {
		return false
	}
	key := r.key(e)
	last, ok := r.last[key]
	r.last[key] = offset
	r.queue = append(r.queue, remembered{key, offset})
	return ok && offset-last <= r.horizon
}

// forget drops what is before an offset.
func (r *repeats) forget(before int64) {
	for r.head < len(r.queue) && r.queue[r.head].offset < before {
		if x := r.queue[r.head]; r.last[x.key] == x.offset {
			delete(r.last, x.key)
		}
		r.head++
	}
	if r.head > len(r.queue)/2 {
		r.queue = r.queue[:copy(r.queue, r.queue[r.head:])]
		r.head = 0
	}
}

// key returns what equal events share. No text in it has a zero byte.
func (r *repeats) key(e *streams.Event) [2]uint64 {
	b := r.scratch[:0]
	for _, text := range []string{e.ID, string(e.Type), e.UserID, e.AnonymousID} {
		b = append(append(b, text...), 0)
	}
	b = strconv.AppendInt(b, e.Time.UnixMilli(), 10)
	r.scratch = b
	return [2]uint64{maphash.Bytes(r.seeds[0], b), maphash.Bytes(r.seeds[1], b)}
}
