package synth

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

func TestAgendaTellsAnHourInOrderOfTimeAndID(t *testing.T) {
	a := agenda{hours: map[int64][]streams.Event{}}
	r := rand.New(rand.NewPCG(1, 1))
	first := hourOf(start)
	var want, got []streams.Event
	for hour := first; hour < first+50; hour++ {
		a.open(hour)
		for k := range 40 { // many at the same moment, some hours later
			at := time.Unix(hour*3600, 0).UTC().Add(time.Duration(r.IntN(20)) * time.Minute * 9)
			e := streams.Event{ID: fmt.Sprint(hour, "-", k), Time: at}
			a.add(e)
			if hourOf(at) < first+50 {
				want = append(want, e)
			}
		}
		a.turn(hour)
		for e, ok := a.next(); ok; e, ok = a.next() {
			got = append(got, *e)
		}
	}
	slices.SortFunc(want, func(x, y streams.Event) int {
		if c := x.Time.Compare(y.Time); c != 0 {
			return c
		}
		return strings.Compare(x.ID, y.ID)
	})
	same := func(x, y streams.Event) bool { return x.ID == y.ID && x.Time.Equal(y.Time) }
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("%d events in another order than %d sorted ones", len(got), len(want))
	}
}

func TestHoursAreNumberedAlikeBefore1970(t *testing.T) {
	epoch := time.Unix(0, 0).UTC()
	for at, want := range map[time.Duration]int64{0: 0, time.Hour - 1: 0, time.Hour: 1, -1: -1, -time.Hour: -1, -time.Hour - 1: -2} {
		if got := hourOf(epoch.Add(at)); got != want {
			t.Errorf("%v: hour %d, want %d", at, got, want)
		}
	}
	begin := epoch.Add(-10 * 24 * time.Hour)
	s := New(Options{Seed: 1, Users: 100, Items: 100, Start: begin, Days: 20})
	before, n := begin, 0
	for e := range s.History(begin.Add(20 * 24 * time.Hour)) {
		if e.Time.Before(before) {
			t.Fatalf("%s comes after %s", e.Time, before)
		}
		before = e.Time
		n++
	}
	if n < 1000 {
		t.Errorf("only %d events", n)
	}
}
