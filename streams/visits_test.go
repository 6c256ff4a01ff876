package streams

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

func touch(user, session, item string, typ Type, minute float64) Event {
	e := Event{Type: typ, UserID: user, SessionID: session, Time: time.Unix(0, int64(minute*60e9)).UTC()}
	for _, id := range strings.Fields(item) {
		e.Items = append(e.Items, Line{ItemID: id})
	}
	return e
}

func TestVisits(t *testing.T) {
	v := NewVisits(Behavior, 30*time.Minute)
	for i, step := range []struct {
		e    Event
		want string
	}{
		{touch("u", "", "a", View, 0), ""},
		{touch("u", "", "b", View, 10), "view:a"},
		{touch("u", "", "a", Click, 20), "view:b view:a"},
		{touch("u", "", "a", View, 25), "click:a view:b view:a"},
		{touch("x", "", "a", View, 25), ""}, // another user
		{touch("u", "", "c", View, 45), "view:a click:a"},
		{touch("u", "", "z", View, 1), "view:a click:a view:b"}, // late: what is within the gap of its own time
		{touch("u", "s", "d", View, 46), "view:c view:a click:a"},
		{touch("u", "s", "e f", View, 300), "view:d"}, // the session id counts more than the gap
		{touch("u", "t", "g", View, 300), ""},
		{touch("", "s", "g", View, 300), ""},
		{touch("u", "s", "", Search, 300), ""},
		{touch("u", "s", "d", UserMerge, 300), ""},
		{touch("u", "s", "h", CartAdd, 301), "view:f view:e view:d"},
	} {
		v.Add(&step.e, int64(i))
		var got []string
		for _, x := range step.e.Visit {
			got = append(got, string(x.Type)+":"+x.ItemID)
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("step %d: got %v, want %s", i, got, step.want)
		}
	}
	if NewVisits(Orders, time.Hour) != nil || NewVisits(Behavior, 0) != nil {
		t.Error("there are no visits there")
	}
	var none *Visits
	none.Add(&Event{}, 1)
}

// A reader that starts in the middle, the horizon before it, sees the same visits as one from the start,
// and the memory is bounded.
func TestVisitsOfAReaderInTheMiddle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var log []Event
	for i := range 30_000 {
		log = append(log, touch(fmt.Sprint("u", r.IntN(9)*r.IntN(900)), []string{"", "s"}[r.IntN(2)], fmt.Sprint("i", r.IntN(40)), View, float64(i)/400))
	}
	read := func(from int) (out [][]Touch) {
		v := NewVisits(Behavior, 2*time.Minute)
		for i := max(0, from-VisitHorizon); i < len(log); i++ {
			e := log[i]
			v.Add(&e, int64(2*i)) // offsets have gaps
			if i >= from {
				out = append(out, e.Visit)
			}
		}
		if len(v.queue) > 2*VisitHorizon {
			t.Errorf("%d events are remembered", len(v.queue))
		}
		return out
	}
	whole := read(0)
	for _, from := range []int{1, 5000, 17_123, 29_999} {
		if got := read(from); !reflect.DeepEqual(got, whole[from:]) {
			t.Errorf("from %d: other visits", from)
		}
	}
}
