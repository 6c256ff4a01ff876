package train

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/streams"
)

func TestLogKeepsWhatUsersDoWithItems(t *testing.T) {
	l := NewLog()
	anonymous := event(streams.View, "", "a", time.Hour)
	anonymous.AnonymousID = "x"
	order := event(streams.Order, "u", "a", 0)
	order.Items = append(order.Items, streams.Line{ItemID: "b"}, streams.Line{})
	nobody := event(streams.View, "", "a", 0)
	noItem := event(streams.Search, "u", "", 0)
	noItem.Items = nil
	for _, e := range []*streams.Event{anonymous, order, nobody, noItem, event(streams.ItemUpsert, "", "c", 0),
		event(streams.UserUpsert, "u", "", 0), event(streams.Exposure, "u", "a", 0)} {
		l.Add(e)
	}
	if l.Len() != 3 || l.String() != "3 events of 2 users on 2 items" || l.Newest() != noon {
		t.Fatalf("log holds %s, newest %v", l, l.Newest())
	}
	for i, want := range []struct {
		subject, item string
		kind          streams.Type
		at            time.Time
	}{{"anon:x", "a", streams.View, noon.Add(-time.Hour)}, {"u", "a", streams.Order, noon}, {"u", "b", streams.Order, noon}} {
		x, e := l.At(i), l.Event(i)
		if l.UserID(x.User) != want.subject || l.ItemID(x.Item) != want.item || x.Type != want.kind || x.Time != want.at.UnixMilli() {
			t.Errorf("interaction %d is %+v, want %+v", i, x, want)
		}
		if e.Subject() != want.subject || e.Items[0].ItemID != want.item || e.Type != want.kind || !e.Time.Equal(want.at) || e.Items[0].Quantity != 1 {
			t.Errorf("event %d is %+v, want %+v", i, e, want)
		}
	}
	if _, ok := l.UserNumber("nobody"); ok {
		t.Error("an unknown user has a number")
	}
	if n, ok := l.UserNumber("u"); !ok || l.UserID(n) != "u" {
		t.Error("a known user has no number")
	}
	if n, ok := l.ItemNumber("b"); !ok || l.ItemID(n) != "b" {
		t.Error("a known item has no number")
	}
}

func TestInteractionIsSmallAndKeepsEveryTypeAndTime(t *testing.T) {
	if size := unsafe.Sizeof(interaction{}); size != 16 {
		t.Errorf("an interaction takes %d bytes", size)
	}
	for _, kind := range []streams.Type{streams.View, streams.Order, streams.Return, streams.Rating} {
		for _, at := range []time.Time{time.UnixMilli(-12345), time.UnixMilli(0), time.Date(2500, 1, 1, 0, 0, 0, 999e6, time.UTC)} {
			l := NewLog()
			e := event(kind, "u", "i", 0)
			e.Time = at
			l.Add(e)
			if x := l.At(0); x.Type != kind || x.Time != at.UnixMilli() {
				t.Errorf("%s at %d came back as %+v", kind, at.UnixMilli(), x)
			}
		}
	}
	if !NewLog().Newest().IsZero() {
		t.Error("an empty log has a newest event")
	}
}

func TestSplitSharesNumbers(t *testing.T) {
	l := checkerboard(4, 4)
	hold := make([]bool, l.Len())
	hold[0], hold[2] = true, true
	rest, held := l.Split(hold)
	if rest.Len() != l.Len()-2 || held.Len() != 2 || !reflect.DeepEqual(held.At(1), l.At(2)) || rest.At(0) != l.At(1) {
		t.Errorf("split into %d and %d", rest.Len(), held.Len())
	}
	a, b := rest.Numbers()
	c, d := l.Numbers()
	if a != c || b != d {
		t.Error("the parts number otherwise")
	}
}

func TestPairsAddUpAndTakeAway(t *testing.T) {
	l := NewLog()
	for _, e := range []*streams.Event{
		event(streams.View, "u", "b", 0), event(streams.View, "u", "a", 10*time.Hour), event(streams.Order, "u", "a", 0),
		event(streams.CartAdd, "u", "c", 10*time.Hour), event(streams.CartRemove, "u", "c", 0), // 2/2 - 2 < 0: gone
		event(streams.CartRemove, "v", "a", 0), // nothing positive: the user has no row
		event(streams.View, "w", "a", 500*time.Hour),
		event(streams.Search, "w", "b", 0), // no weight: does not age the view
	} {
		l.Add(e)
	}
	s := models.Signal{Weights: map[string]float64{"view": 1, "order": 4, "cart-add": 2, "cart-remove": -2}, HalfLife: 10 * time.Hour}
	p := newProblem(l, s, models.Signal{})
	if !slices.Equal(p.ids, []string{"b", "a"}) || p.byUser.rows() != 2 || p.events != 7 {
		t.Fatalf("items %v, %d users, %d events", p.ids, p.byUser.rows(), p.events)
	}
	for r, want := range []map[string]float32{
		{"b": s.Confidence(1), "a": s.Confidence(4.5)},
		{"a": s.Confidence(1)},
	} {
		got := map[string]float32{}
		cols, values := p.byUser.row(r)
		for k, c := range cols {
			got[p.ids[c]] = values[k]
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("row %d is %v, want %v", r, got, want)
		}
	}
	if !slices.Equal(p.popularity, []float32{1, 3}) {
		t.Errorf("popularity %v", p.popularity)
	}
}

func TestTransposeTwiceIsTheSame(t *testing.T) {
	p := newProblem(random(9, 50, 30, 800), small().Signal, models.Signal{})
	p.turn()
	again := p.byItem.transpose(p.byUser.rows())
	if !reflect.DeepEqual(again, p.byUser) {
		t.Error("transposed twice is another matrix")
	}
	for i := range p.byItem.rows() {
		if cols, _ := p.byItem.row(i); !slices.IsSorted(cols) || len(cols) == 0 {
			t.Fatal(fmt.Sprint("item row ", i, " is not ascending or empty"))
		}
	}
}
