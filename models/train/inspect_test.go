package train

import (
	"fmt"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

func TestInspectorCountsWhatIsWrong(t *testing.T) {
	x := NewInspector(Limits{PerHour: 5, LongSessions: 3, Newest: noon.Add(time.Hour)})
	add := func(e *streams.Event) { x.Add(e) }
	for range 2 { // the second is a duplicate
		add(event(streams.View, "u", "a", time.Minute))
	}
	same := event(streams.View, "u", "b", 0)
	same.ID = "one"
	again := event(streams.View, "v", "b", 0) // the same id, another content
	again.ID = "one"
	add(same)
	add(again)
	add(event(streams.View, "u", "a", -48*time.Hour))       // in the future
	add(event(streams.View, "u", "a", 60*365*24*time.Hour)) // too old
	add(event(streams.View, "", "a", 0))                    // of nobody
	cheap, less := event(streams.Order, "u", "c", 0), event(streams.Order, "u", "d", 0)
	cheap.Items[0].Price, less.Items[0].Quantity = -1, -1
	add(cheap)
	add(less)
	add(event(streams.Return, "once", "a", 0))
	for i := range 6 { // a bot, whose one session is long
		add(event(streams.View, "bot", fmt.Sprint("i", i), time.Duration(6-i)*time.Second))
	}
	add(event(streams.ItemUpsert, "", "z", 0)) // not behaviour
	f := x.Report()
	want := map[string][2]int64{"duplicates": {2, 0}, "time too old": {1, 0}, "time in the future": {1, 0}, "no user": {1, 0},
		"line without item": {0, 0}, "negative price": {1, 0}, "negative quantity": {1, 0}, "bots": {6, 1}, "returns": {1, 1},
		"long sessions": {6, 1}, "short sessions": {1, 1}, "one-event users": {1, 1}}
	for _, got := range f.Findings {
		if w, ok := want[got.Name]; !ok || w != [2]int64{got.Events, got.Subjects} || got.About == "" {
			t.Errorf("%+v, want %v", got, w)
		}
		delete(want, got.Name)
	}
	if len(want) > 0 {
		t.Errorf("not reported: %v", want)
	}
	if f.Events != 16 || f.Kept != 16-2-5-6 || f.Users != 3 || f.Items != 8 || f.Sessions != 3 || !f.Last.Equal(noon) || !f.First.Equal(noon.Add(-time.Minute)) {
		t.Errorf("%+v", f)
	}
	if len(f.Types) != 3 || f.Types[0] != (TypeCount{streams.View, 13}) || f.Types[1] != (TypeCount{streams.Order, 2}) {
		t.Errorf("types %v", f.Types)
	}
}

func TestInspectorEndsASessionAfterSilence(t *testing.T) {
	x := NewInspector(Limits{})
	for _, age := range []time.Duration{3 * time.Hour, 2*time.Hour + 31*time.Minute, 2 * time.Hour, 0} {
		x.Add(event(streams.View, "u", fmt.Sprint(age), age))
	}
	// 3:00 to 2:31 is 29 minutes, 2:31 to 2:00 is 31: two, one and one event.
	if f := x.Report(); f.Sessions != 3 || f.Findings[10].Name != "short sessions" || f.Findings[10].Events != 2 {
		t.Errorf("%+v", f)
	}
}
