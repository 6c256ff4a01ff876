package synth

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// agenda holds what will happen, by the hour: a session adds to its own hour and, for ratings and returns,
// to hours of the next days. An hour is sorted once, when its time has come, so that an event is moved
// twice, not once for every level of a heap.
type agenda struct {
	hours map[int64][]streams.Event // by hour since 1970
	now   []streams.Event           // the hour that is being read
	order []place                   // of now
	spare []streams.Event           // emptied, for the next hour
}

// place is where an event stands in its hour.
type place struct {
	at int64 // Unix milliseconds
	i  int32
}

// hourOf numbers hours since 1970.
func hourOf(t time.Time) int64 {
	seconds := t.Unix()
	return (seconds - (seconds%3600+3600)%3600) / 3600
}

func (a *agenda) add(e streams.Event) {
	hour := hourOf(e.Time)
	a.hours[hour] = append(a.hours[hour], e)
}

// open tells that most of an hour is about to be added: it gets the room that another hour had.
func (a *agenda) open(hour int64) {
	a.hours[hour], a.spare = append(a.spare, a.hours[hour]...), nil
}

// turn makes an hour the one that is read: the one before was read to its end, and nothing is added to
// this one any more.
func (a *agenda) turn(hour int64) {
	clear(a.now)
	a.spare = a.now[:0]
	a.now = a.hours[hour]
	delete(a.hours, hour)
	a.order = a.order[:0]
	for i := range a.now {
		a.order = append(a.order, place{at: a.now[i].Time.UnixMilli(), i: int32(i)})
	}
	slices.SortFunc(a.order, func(x, y place) int {
		// By time, then id, so that the order does not depend on how they came in.
		if x.at != y.at {
			return cmp.Compare(x.at, y.at)
		}
		return strings.Compare(a.now[x.i].ID, a.now[y.i].ID)
	})
}

// next returns the next event of the hour; ok is false at its end.
func (a *agenda) next() (e *streams.Event, ok bool) {
	if len(a.order) == 0 {
		return nil, false
	}
	e, a.order = &a.now[a.order[0].i], a.order[1:]
	return e, true
}
