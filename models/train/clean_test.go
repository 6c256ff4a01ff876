package train

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// TestSessionsAreJudgedAsIfAllWereKept compares the two bits that are kept of a session with the sessions
// themselves, for users with hundreds of them.
func TestSessionsAreJudgedAsIfAllWereKept(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	type session struct{ n int }
	var events []streams.Event
	of := map[string]*session{} // by event id
	open, sessions := map[string]*session{}, map[string]int{}
	for i := range 30_000 {
		user := min(r.IntN(40), r.IntN(40), r.IntN(40))
		e := shopEvent(streams.View, fmt.Sprint("u", user), "i", time.Duration(i)*time.Second, 0)
		e.ID = fmt.Sprint(i)
		events = append(events, e)
	}
	newest := map[string]time.Time{}
	gap := 30 * time.Second
	for i := range events {
		user := events[i].UserID
		if at, ok := newest[user]; !ok || events[i].Time.Sub(at) > gap {
			open[user] = &session{}
			sessions[user]++
		}
		newest[user] = events[i].Time
		open[user].n++
		of[events[i].ID] = open[user]
	}
	kept, report := clean([]Cleaning{ShortSessions, LongSessions}, Limits{SessionGap: gap, LongSessions: 10}, events)
	var want []string
	for i := range events {
		if s := of[events[i].ID]; s.n > 1 && s.n <= 10 {
			want = append(want, events[i].ID)
		}
	}
	got := make([]string, len(kept))
	for i := range kept {
		got[i] = kept[i].ID
	}
	if !slices.Equal(got, want) || len(want) == 0 || len(want) == len(events) {
		t.Errorf("%d events stay, want %d of %d", len(got), len(want), len(events))
	}
	if most := slices.Max(slices.Collect(maps.Values(sessions))); most <= firstSessions+64 || report.Memory == 0 {
		t.Errorf("at most %d sessions of a user, %d bytes", most, report.Memory)
	}
}

// TestWhatIsTakenAwayMovesNoSession: an event that another step takes away still belongs to its session in
// the second pass, or every later session of the user would be taken for the one before.
func TestWhatIsTakenAwayMovesNoSession(t *testing.T) {
	hour := time.Hour
	events := []streams.Event{
		shopEvent(streams.Order, "u", "a", 0, 1), // given back, alone in its session
		shopEvent(streams.View, "u", "a", 2*hour, 0),
		shopEvent(streams.View, "u", "b", 2*hour+time.Second, 0),
		shopEvent(streams.View, "u", "c", 4*hour, 0),         // short
		shopEvent(streams.Return, "u", "a", 6*hour, 1),       // given back
		shopEvent(streams.View, "u", "a", 6*hour+1e9, 0),     // its session stays a session of two
		shopEvent(streams.View, "late", "a", 6*hour+2e9, 0),  // another user's, short
		shopEvent(streams.View, "late", "a", 60*hour+2e9, 0), // short
	}
	kept, r := clean([]Cleaning{Cancelled, ShortSessions}, Limits{}, events)
	var got []string
	for _, e := range kept {
		got = append(got, fmt.Sprint(e.Type, e.UserID, e.Items[0].ItemID, e.Time.Sub(noon)))
	}
	want := []string{"viewua2h0m0s", "viewub2h0m1s", "viewua6h0m1s"}
	if !slices.Equal(got, want) || r.Steps[0].Events != 2 || r.Steps[1].Events != 3 {
		t.Errorf("%v stay, want %v: %+v", got, want, r)
	}
}

// TestDuplicatesMakeNoSessionAndNoBot: what was sent twice counts once, as duplicates go first.
func TestDuplicatesMakeNoSessionAndNoBot(t *testing.T) {
	var events []streams.Event
	for i := range 6 {
		e := shopEvent(streams.View, "u", fmt.Sprint("i", i), time.Duration(i)*time.Second, 0)
		events = append(events, e, e, e)
	}
	alone := shopEvent(streams.View, "v", "i", 0, 0)
	events = append(events, alone, alone)
	kept, r := clean([]Cleaning{Duplicates, Bots, ShortSessions}, Limits{PerHour: 10}, events)
	if len(kept) != 6 || r.Steps[0].Events != 13 || r.Steps[1].Subjects != 0 || r.Steps[2].Events != 1 {
		t.Errorf("%d stay: %+v", len(kept), r)
	}
}

// TestALogThatGrowsBetweenThePassesIsTaken: Kafka has more at the second reading.
func TestALogThatGrowsBetweenThePassesIsTaken(t *testing.T) {
	c := NewCleaner(Cleanings(), Limits{})
	events := dirty()
	for i := range events[:20] {
		c.Observe(&events[i])
	}
	kept := 0
	for i := range events {
		if _, ok := c.Keep(&events[i]); ok {
			kept++
		}
	}
	if r := c.Report(); kept == 0 || r.Events <= 20 {
		t.Errorf("%d of %+v stay", kept, r)
	}
}

func TestObserveTellsWhatCannotStay(t *testing.T) {
	good, bad := shopEvent(streams.View, "u", "i", 0, 0), shopEvent(streams.View, "u", "", 0, 0)
	document := streams.Event{Type: streams.ItemUpsert}
	c := NewCleaner(DefaultCleanings(), Limits{})
	if !c.Observe(&good) || c.Observe(&good) || c.Observe(&bad) || !c.Observe(&document) {
		t.Error("all steps: an event is taken for another")
	}
	c = NewCleaner([]Cleaning{Bots}, Limits{})
	for i, e := range []*streams.Event{&good, &good, &bad} {
		if !c.Observe(e) {
			t.Errorf("bots alone: event %d goes, but duplicates and impossible events stay", i)
		}
	}
}
