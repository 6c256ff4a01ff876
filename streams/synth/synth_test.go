package synth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

var start = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC) // a Monday

func days(n int) time.Time { return start.Add(time.Duration(n) * 24 * time.Hour) }

// digest writes every field of an event in a fixed order; JSON sorts the keys of attributes.
func digest(t *testing.T, w io.Writer, e *streams.Event) {
	t.Helper()
	attrs, err := json.Marshal(e.Attributes)
	if err != nil {
		t.Fatalf("event %s: %v", e.ID, err)
	}
	total := int64(-1)
	if e.Total != nil {
		total = *e.Total
	}
	fmt.Fprintf(w, "%s|%s|%d|%s|%s|%s|%v|%s|%s|%d|%s|%v|%s|%s|%s|%s\n", e.ID, e.Type, e.Time.UnixMilli(), e.UserID,
		e.AnonymousID, e.SessionID, e.Items, e.Currency, e.OrderID, total, e.Query, e.Rating, e.Country,
		e.Scenario, e.RecommendationID, attrs)
}

func hash(t *testing.T, seqs ...iter.Seq[streams.Event]) (sum string, n int) {
	t.Helper()
	h := sha256.New()
	for _, seq := range seqs {
		for e := range seq {
			digest(t, h, &e)
			n++
		}
	}
	return hex.EncodeToString(h.Sum(nil)), n
}

// The golden sum proves that the stream is the same on every machine and in every version: change
// it only together with a deliberate change of the shop.
func TestSameOptionsSameBytes(t *testing.T) {
	const golden = "b9bc6e604ca2873da0c22e7df15c51e94ab88cc573aefd59fe56d21eb03dec2a"
	opts := Options{Seed: 1, Users: 300, Items: 300, Start: start, Days: 20}
	all := func(s *Shop) (string, int) {
		return hash(t, s.Catalog(s.Start()), s.Users(s.Start()), s.History(days(20)), s.Catalog(days(20)))
	}
	first, n := all(New(opts))
	if second, _ := all(New(opts)); second != first {
		t.Fatalf("two shops with equal options differ: %s and %s", first, second)
	}
	if first != golden {
		t.Errorf("%d events hash to %s, want %s", n, first, golden)
	}
	opts.Seed = 2
	if other, _ := all(New(opts)); other == first {
		t.Error("another seed gives the same stream")
	}
}

func TestHistoryKeepsTheContract(t *testing.T) {
	s := New(Options{Seed: 3, Users: 500, Items: 400, Start: start, Days: 30})
	ids := map[string]bool{}
	var before time.Time
	orders := map[string]streams.Event{}
	for e := range s.History(days(30)) {
		if ids[e.ID] {
			t.Fatalf("event id %s twice", e.ID)
		}
		ids[e.ID] = true
		if e.Time.Before(before) || e.Time.Before(start) || !e.Time.Before(days(30)) {
			t.Fatalf("event %s at %s after %s: not in order or outside the history", e.ID, e.Time, before)
		}
		before = e.Time
		check(t, s, &e)
		switch e.Type {
		case streams.Order:
			orders[e.OrderID] = e
		case streams.Return:
			o, ok := orders[e.OrderID]
			if !ok || o.Subject() != e.Subject() || !slices.Contains(o.Items, e.Items[0]) {
				t.Fatalf("return %+v does not match order %+v", e, o)
			}
		}
	}
	if len(ids) < 5000 {
		t.Errorf("only %d events in 30 days of 500 users", len(ids))
	}
}

// check holds what every event must fulfil, by type.
func check(t *testing.T, s *Shop, e *streams.Event) {
	t.Helper()
	bad := func(what string) { t.Fatalf("%s: %+v", what, *e) }
	if e.ID == "" || e.Type.Stream() == "" || e.Key() == "" {
		bad("no id, unknown type or no key")
	}
	if e.Time.Location() != time.UTC || e.Time.Nanosecond()%1e6 != 0 {
		bad("time is not UTC in whole milliseconds")
	}
	if (e.UserID != "") && (e.AnonymousID != "") {
		bad("user and visitor at once")
	}
	if e.UserID != "" {
		if i, ok := number(e.UserID, userPrefix); !ok || i >= s.usersAt(e.Time) {
			bad("user has not joined yet")
		}
	}
	for _, l := range e.Items {
		if i, ok := number(l.ItemID, itemPrefix); !ok || i >= s.itemsAt(e.Time) {
			bad("item does not exist yet")
		}
	}
	switch e.Type {
	case streams.View, streams.Click, streams.Wishlist:
		if len(e.Items) != 1 || e.Items[0].Quantity != 0 {
			bad("want one line without quantity")
		}
	case streams.CartAdd, streams.CartRemove, streams.Return:
		if len(e.Items) != 1 || e.Items[0].Quantity < 1 || e.Items[0].Price < 1 || e.Currency != Currency {
			bad("want one line with quantity, price and currency")
		}
	case streams.Order:
		if (len(e.Items) == 0) == (e.Total == nil) || e.Amount() < 1 || e.OrderID == "" || e.Currency != Currency {
			bad("want lines or a total, an order id and a currency")
		}
		for i, l := range e.Items {
			if l.Quantity < 1 || l.Price < 1 || slices.ContainsFunc(e.Items[:i], func(o streams.Line) bool { return o.ItemID == l.ItemID }) {
				bad("want lines of distinct items with quantity and price")
			}
		}
	case streams.Rating:
		if len(e.Items) != 1 || e.Rating < 1 || e.Rating > 5 {
			bad("want one item with one to five stars")
		}
	case streams.Search:
		if e.Query == "" {
			bad("want a query")
		}
	case streams.ItemUpsert:
		if len(e.Items) != 1 || e.Attributes["title"] == "" || e.Attributes["price"].(float64) < 1 {
			bad("want an item with title and price")
		}
	case streams.UserUpsert:
		if e.Attributes["country"] == "" {
			bad("want a country")
		}
	default:
		bad("a type that the shop does not make")
	}
}

// History and Live are parts of one sequence.
func TestLiveContinuesTheHistory(t *testing.T) {
	s := New(Options{Seed: 4, Users: 200, Items: 200, Start: start, Days: 20})
	cut := days(17).Add(11*time.Hour + 7*time.Minute)
	var want []string
	for e := range s.History(days(20)) {
		if !e.Time.Before(cut) {
			want = append(want, e.ID)
		}
	}
	next := s.Live(cut)
	for i, id := range want {
		if e := next(); e.ID != id {
			t.Fatalf("live event %d is %s, the history has %s", i, e.ID, id)
		}
	}
	for e := range s.History(cut) {
		if slices.Contains(want, e.ID) {
			t.Fatalf("event %s is in the history before %s and after it", e.ID, cut)
		}
	}
}

// A shop that is stopped and started again must not reuse an id for something else, whatever the factor.
func TestRestartedLiveNeverReusesAnID(t *testing.T) {
	s := New(Options{Seed: 5, Users: 200, Items: 200, Start: start, Days: 20, LiveFactor: 30})
	seen := map[string]string{}
	for e := range s.History(days(20)) {
		seen[e.ID] = fmt.Sprintf("%+v", text(e))
	}
	reused := 0
	for _, from := range []time.Time{days(20), days(20).Add(30 * time.Minute), days(22).Add(time.Minute), days(20).Add(time.Second)} {
		next := s.Live(from)
		before := from
		for range 1500 {
			e := next()
			if e.Time.Before(before) {
				t.Fatalf("live times descend: %s after %s", e.Time, before)
			}
			before = e.Time
			if old, ok := seen[e.ID]; ok {
				if reused++; old != text(e) {
					t.Fatalf("id %s stands for\n%s\nand for\n%s", e.ID, old, text(e))
				}
			}
			seen[e.ID] = text(e)
		}
	}
	if reused == 0 {
		t.Error("the starts do not overlap: the test shows nothing")
	}
}

func text(e streams.Event) string {
	total := e.Amount()
	e.Total = nil
	return fmt.Sprintf("%+v %d", e, total)
}

func TestLiveFactorBringsMoreTraffic(t *testing.T) {
	hours := func(factor int) time.Duration {
		next := New(Options{Seed: 6, Users: 300, Items: 200, Start: start, Days: 20, LiveFactor: factor}).Live(days(20))
		var e streams.Event
		for range 3000 {
			e = next()
		}
		return e.Time.Sub(days(20))
	}
	if slow, fast := hours(1), hours(50); fast*8 > slow {
		t.Errorf("3,000 events take %s, with fifty times the traffic %s", slow, fast)
	}
}

func TestCatalogIsTheStateOfTheStream(t *testing.T) {
	s := New(Options{Seed: 7, Users: 100, Items: 300, Start: start, Days: 30})
	at := days(25).Add(5 * time.Hour)
	state := map[string]string{}
	for e := range s.Catalog(s.Start()) {
		state[e.Key()] = text(e)
	}
	for e := range s.History(at.Add(time.Millisecond)) {
		if e.Type == streams.ItemUpsert {
			state[e.Key()] = text(e)
		}
	}
	n := 0
	for e := range s.Catalog(at) {
		if n++; state[e.Key()] != text(e) {
			t.Fatalf("catalogue has\n%s\nthe stream left\n%s", text(e), state[e.Key()])
		}
	}
	if n != len(state) || n < 290 || n > 300 {
		t.Errorf("catalogue has %d items, the stream %d, want about 297", n, len(state))
	}
	users := 0
	for range s.Users(days(30)) {
		users++
	}
	if users != 100 {
		t.Errorf("%d users at the end of the days, want 100", users)
	}
}

func TestDegenerateSizes(t *testing.T) {
	for _, o := range []Options{{Users: 1, Items: 1, Days: 1, Start: start}, {Users: 3, Items: 40, Days: 2, Start: start}} {
		s := New(o)
		for range s.History(days(40)) {
		}
		if e := s.Live(days(40))(); e.Time.Before(days(40)) {
			t.Errorf("%+v: live event at %s", o, e.Time)
		}
	}
	empty := 0
	for range New(Options{Start: start}).History(start.Add(-time.Hour)) {
		empty++
	}
	if empty != 0 {
		t.Errorf("%d events before the start", empty)
	}
}
