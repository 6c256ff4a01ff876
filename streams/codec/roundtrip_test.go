package codec

import (
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
	"pgregory.net/rapid"
)

func TestRoundTripAnyEvent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := anyEvent().Draw(rt, "event")
		checkRoundTrip(rt, &e)
	})
}

// anyEvent draws valid events of all types.
func anyEvent() *rapid.Generator[streams.Event] {
	return rapid.Custom(func(t *rapid.T) streams.Event {
		id := rapid.StringOfN(rapid.RuneFrom([]rune("aZ09-_.:/é😀\"\\<&\u2028")), 1, 20, 128)
		maybe := rapid.OneOf(rapid.Just(""), id)
		e := streams.Event{
			ID: maybe.Draw(t, "id"), Type: rapid.SampledFrom(streams.Types()).Draw(t, "type"),
			Time:      time.UnixMilli(rapid.Int64Range(firstMilli, lastMilli-1).Draw(t, "time")).UTC(),
			SessionID: maybe.Draw(t, "session"), Scenario: maybe.Draw(t, "scenario"), RecommendationID: maybe.Draw(t, "rec"),
			Country: rapid.SampledFrom([]string{"", "DE", "Côte d'Ivoire"}).Draw(t, "country"),
			Query:   maybe.Draw(t, "query"), Currency: rapid.SampledFrom([]string{"", "EUR"}).Draw(t, "currency"),
			Attributes: anyDocument(2).Draw(t, "attributes"),
		}
		if rapid.Bool().Draw(t, "known") {
			e.UserID = "u" + maybe.Draw(t, "user")
		} else {
			e.AnonymousID = id.Draw(t, "anonymous")
		}
		if e.Type == streams.Search {
			e.Query = id.Draw(t, "search")
		}
		if e.Type == streams.Rating {
			e.Rating = rapid.Float64Range(-1e9, 1e9).Draw(t, "rating")
		}
		low, high := 1, 5
		switch e.Type.Stream() {
		case streams.Catalog:
			high = 1
		case streams.Users:
			low, high = 0, 0
		case streams.Behavior:
			if e.Type == streams.UserMerge {
				low, high = 0, 0
				e.UserID, e.AnonymousID = "u"+maybe.Draw(t, "merged"), id.Draw(t, "visitor")
			}
		case streams.Orders:
			e.OrderID = maybe.Draw(t, "order")
			if rapid.Bool().Draw(t, "has total") {
				low, e.Total = 0, ptr(rapid.Int64Range(0, MaxAmount).Draw(t, "total"))
			}
		}
		for range rapid.IntRange(low, high).Draw(t, "lines") {
			l := streams.Line{ItemID: id.Draw(t, "item"), Position: rapid.IntRange(0, MaxPosition).Draw(t, "position")}
			if e.Type.Stream() != streams.Catalog {
				l.Price = rapid.Int64Range(0, 100_000_000).Draw(t, "price")
			}
			if counted(e.Type) {
				l.Quantity = rapid.Int64Range(1, MaxQuantity).Draw(t, "quantity")
			}
			e.Items = append(e.Items, l)
		}
		return e
	})
}

// anyDocument draws nil or a document that is not empty.
func anyDocument(depth int) *rapid.Generator[map[string]any] {
	name := rapid.StringN(1, 5, 20)
	value := rapid.OneOf(
		rapid.Just[any](nil), rapid.Just[any](true), rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.Float64(), func(f float64) any { return f }))
	if depth > 0 {
		value = rapid.OneOf(value, rapid.Map(anyDocument(depth-1), func(m map[string]any) any {
			if m == nil {
				return []any{1.0, "x", []any{}, map[string]any{}}
			}
			return m
		}))
	}
	return rapid.Map(rapid.MapOfN(name, value, 0, 4), func(m map[string]any) map[string]any {
		if len(m) == 0 {
			return nil
		}
		return m
	})
}
