package file

import (
	"cmp"
	"slices"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// heldEvents holds many events until they can be put into order, each as its text: a tenth of what events with their texts and
// slices take.
type heldEvents struct {
	list []heldEvent
	text []byte // the chunk that is being filled
	next int
}

// heldEvent is one event.
type heldEvent struct {
	ms   int64
	rank int8 // at one moment, what something is comes before what happens to it
	text []byte
}

// heldChunk is how many bytes are asked for at once.
const heldChunk = 1 << 20

// add holds an event, which must be valid.
func (h *heldEvents) add(e *streams.Event) error {
	text, err := codec.Encode(e)
	if err != nil {
		return err
	}
	if len(text) > cap(h.text)-len(h.text) {
		h.text = make([]byte, 0, max(heldChunk, len(text)))
	}
	h.text = append(h.text, text...)
	held := heldEvent{ms: e.Time.UnixMilli(), rank: 1, text: h.text[len(h.text)-len(text):]}
	if s := e.Type.Stream(); s == streams.Catalog || s == streams.Users {
		held.rank = 0
	}
	h.list = append(h.list, held)
	return nil
}

// sort puts the events into order of time; those of one moment stay as they came.
func (h *heldEvents) sort() {
	slices.SortStableFunc(h.list, func(a, b heldEvent) int { return cmp.Or(cmp.Compare(a.ms, b.ms), cmp.Compare(a.rank, b.rank)) })
}

// left is how many events are still to be taken.
func (h *heldEvents) left() int { return len(h.list) - h.next }

// take returns the next event.
func (h *heldEvents) take() (streams.Event, error) {
	held := &h.list[h.next]
	h.next++
	e, err := codec.Decode(held.text)
	held.text = nil
	return e, err
}
