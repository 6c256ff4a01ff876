package codec

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sartorhq/sartor/streams"
)

// The years that an event may be in: milliseconds since 1970 must stay positive and readable.
const (
	firstMilli = 1             // 1970-01-01
	lastMilli  = 7258118400000 // 2200-01-01
)

// counted tells whether the lines of a type have a quantity.
func counted(t streams.Type) bool {
	switch t {
	case streams.Order, streams.Return, streams.CartAdd, streams.CartRemove:
		return true
	}
	return false
}

// Validate returns everything that is wrong with an event, in the order of the fields, or nil. An
// event without problems can be encoded and will be accepted by Decode.
func Validate(e *streams.Event) []Problem {
	var v validator // without e in it, which would move every event to the heap
	v.head(e)
	v.subject(e)
	v.lines(e)
	v.money(e)
	v.rest(e)
	before := len(v.problems)
	v.document("attributes", e.Attributes, 2)
	slices.SortFunc(v.problems[before:], func(a, b Problem) int { // the map has no order
		return cmp.Or(strings.Compare(a.Field, b.Field), strings.Compare(a.Message, b.Message))
	})
	return v.problems
}

// validator collects the problems of one event.
type validator struct{ problems []Problem }

// add notes a problem.
func (v *validator) add(field, format string, args ...any) {
	v.problems = append(v.problems, Problem{field, fmt.Sprintf(format, args...)})
}

// head checks the fields that every event has.
func (v *validator) head(e *streams.Event) {
	v.id("event_id", e.ID)
	if e.Type == "" {
		v.add("type", "is required")
	} else if e.Type.Stream() == "" {
		v.add("type", "%s", unknownType(string(e.Type)))
	}
	if e.Time.IsZero() {
		v.add("time", "is required: when it happened, RFC 3339 with a zone, like 2026-11-23T14:05:00Z")
	} else if ms := e.Time.UnixMilli(); ms < firstMilli || ms >= lastMilli {
		v.add("time", "must be in the years 1970 to 2199")
	}
}

// subject checks who it was.
func (v *validator) subject(e *streams.Event) {
	v.id("user_id", e.UserID)
	if streams.IsAnonymous(e.UserID) {
		v.add("user_id", "must not start with %q; send the rest as anonymous_id", streams.AnonymousSubject(""))
	}
	v.id("anonymous_id", e.AnonymousID)
	v.id("session_id", e.SessionID)
	if e.Type == streams.UserMerge && (e.UserID == "" || e.AnonymousID == "") {
		v.add("user_id", "user-merge needs both: the anonymous_id of the visitor and the user_id that the visitor turned out to be")
		return
	}
	if e.Subject() == "" && e.Type != "" && e.Type.Stream() != "" && e.Type.Stream() != streams.Catalog {
		v.add("user_id", "one of user_id and anonymous_id is required for %s", e.Type)
	}
}

// lines checks the items.
func (v *validator) lines(e *streams.Event) {
	if len(e.Items) > MaxLines {
		v.add("items", "more than %d items; split the event", MaxLines)
		return
	}
	switch {
	case e.Type == streams.ItemUpsert || e.Type == streams.ItemDelete:
		if len(e.Items) != 1 {
			v.add("items", "%s is about exactly one item; use item_id", e.Type)
		}
	case len(e.Items) > 0:
		if e.Type.Stream() == streams.Users || e.Type == streams.UserMerge {
			v.add("items", "%s is about a user; leave the items out", e.Type)
		}
	case e.Type == streams.Order || e.Type == streams.Return:
		if e.Total == nil {
			v.add("items", "%s needs items, or a total when the details are not known", e.Type)
		}
	case e.Type == streams.Search, e.Type == streams.UserMerge:
	case e.Type.Stream() == streams.Behavior, e.Type == streams.Exposure:
		v.add("items", "%s needs item_id or items", e.Type)
	}
	for i := range e.Items {
		v.line(e, i)
	}
}

// line checks one item.
func (v *validator) line(e *streams.Event, i int) {
	l := &e.Items[i]
	if l.ItemID == "" {
		v.add(lineField(i, "item_id"), "is required")
	} else {
		v.idAt(i, l.ItemID)
	}
	if counted(e.Type) {
		if l.Quantity < 1 || l.Quantity > MaxQuantity {
			v.add(lineField(i, "quantity"), "must be from 1 to %d; got %d", MaxQuantity, l.Quantity)
		}
	} else if l.Quantity != 0 && e.Type != "" {
		v.add(lineField(i, "quantity"), "only order, return, cart-add and cart-remove have quantities; leave it out")
	}
	switch {
	case l.Price < 0 || l.Price > MaxPrice:
		v.add(lineField(i, "price"), "must be from 0 to %d minor units; got %d", int64(MaxPrice), l.Price)
	case l.Price != 0 && e.Type.Stream() == streams.Catalog:
		v.add(lineField(i, "price"), "the price of a catalog item belongs into attributes")
	}
	if l.Position < 0 || l.Position > MaxPosition {
		v.add(lineField(i, "position"), "must be from 1 to %d; got %d", MaxPosition, l.Position)
	}
}

// money checks currency, order id and amounts.
func (v *validator) money(e *streams.Event) {
	if c := e.Currency; c != "" && (len(c) != 3 || strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		v.add("currency", "must be three capital letters (ISO 4217), like EUR; got %s", quote([]byte(c)))
	}
	v.id("order_id", e.OrderID)
	ordered := e.Type.Stream() == streams.Orders
	if !ordered && e.OrderID != "" {
		v.add("order_id", "only order and return have one; leave it out")
	}
	if e.Total == nil {
		// One line within its limits is at most 10^18, so that the sum cannot overflow before it stops.
		var sum int64
		for _, l := range e.Items {
			if sum += l.Quantity * l.Price; sum > MaxAmount {
				v.add("items", "quantity times price adds up to more than %d", int64(MaxAmount))
				return
			}
		}
		return
	}
	if !ordered {
		v.add("total", "only order and return have one; leave it out")
	}
	if *e.Total < 0 || *e.Total > MaxAmount {
		v.add("total", "must be from 0 to %d minor units; got %d", int64(MaxAmount), *e.Total)
	}
}

// rest checks what belongs to single types, and the attribution.
func (v *validator) rest(e *streams.Event) {
	if e.Type == streams.Search && e.Query == "" {
		v.add("query", "search needs the text that was searched for")
	}
	v.text("query", e.Query, MaxTextBytes)
	if math.IsNaN(e.Rating) || math.IsInf(e.Rating, 0) {
		v.add("rating", "must be a finite number")
	} else if e.Rating != 0 && e.Type != streams.Rating {
		v.add("rating", "only rating events have one; leave it out")
	}
	v.id("scenario", e.Scenario)
	v.id("recommendation_id", e.RecommendationID)
	v.text("context.country", e.Country, 64)
}

// id checks an identifier that may be absent.
func (v *validator) id(field, id string) {
	if problem := badText(id, MaxIDBytes); problem != "" {
		v.add(field, "%s", problem)
	}
}

// idAt checks the id of the i-th item without building its path when it is fine.
func (v *validator) idAt(i int, id string) {
	if problem := badText(id, MaxIDBytes); problem != "" {
		v.add(lineField(i, "item_id"), "%s", problem)
	}
}

// text checks a text that may be absent.
func (v *validator) text(field, s string, most int) {
	if problem := badText(s, most); problem != "" {
		v.add(field, "%s", problem)
	}
}

// badText says what is wrong with a text, or "".
func badText(s string, most int) string {
	if len(s) > most {
		return fmt.Sprintf("has %d bytes; the limit is %d", len(s), most)
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return badRunes(s)
		}
	}
	return ""
}

// badRunes is badText's slow path, for texts that are not plain ASCII.
func badRunes(s string) string {
	if !utf8.ValidString(s) {
		return "is not valid UTF-8"
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "has control characters; remove them"
	}
	return ""
}

// document checks the free-form values; depth is that of the object m.
func (v *validator) document(path string, m map[string]any, depth int) {
	for name, value := range m {
		if len(name) == 0 || len(name) > MaxIDBytes || !utf8.ValidString(name) {
			v.add(path, "a name must have 1 to %d bytes of UTF-8", MaxIDBytes)
			continue
		}
		v.value(path, name, value, depth)
	}
}

// value checks one free-form value that is held at the given depth.
func (v *validator) value(path, name string, value any, depth int) {
	switch value := value.(type) {
	case nil, bool:
	case string:
		if !utf8.ValidString(value) {
			v.add(path+"."+name, "is not valid UTF-8")
		}
	case float64:
		if math.IsNaN(value) || math.IsInf(value, 0) {
			v.add(path+"."+name, "must be a finite number")
		}
	case []any:
		if depth == MaxDepth {
			v.add(path+"."+name, "nested deeper than %d", MaxDepth)
			return
		}
		for _, element := range value {
			v.value(path, name, element, depth+1)
		}
	case map[string]any:
		if depth == MaxDepth {
			v.add(path+"."+name, "nested deeper than %d", MaxDepth)
			return
		}
		v.document(path+"."+name, value, depth+1)
	default:
		v.add(path+"."+name, "holds a Go %T; use string, float64, bool, nil, []any or map[string]any", value)
	}
}
