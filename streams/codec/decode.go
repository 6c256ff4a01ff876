package codec

import (
	"strconv"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// decoder fills an event from JSON.
type decoder struct {
	parser
	event     streams.Event
	seen      uint32 // bit i: the i-th name of fieldNames was there
	shorthand string // item_id
	rated     bool   // there is a rating
	listed    bool   // there are items
	probing   bool   // stop where an event is not native
	foreign   bool   // it stopped there
}

// The top-level fields, in the order in which Encode writes them.
var fieldNames = []string{
	"event_id", "type", "time", "user_id", "anonymous_id", "session_id", "item_id", "items", "currency",
	"order_id", "total", "query", "rating", "scenario", "recommendation_id", "context", "attributes",
}

// The fields of one item.
var lineNames = []string{"item_id", "quantity", "price", "position"}

// decode reads the whole of data.
func (d *decoder) decode() {
	if d.next() != '{' {
		d.fail("an event is one JSON object, found %s", d.found())
		return
	}
	ok := d.enter('{')
	for first := true; ok && d.more(first, '}'); first = false {
		var key []byte
		if key, ok = d.key(); ok {
			ok = d.field(key)
		}
	}
	if d.broken || d.foreign {
		return
	}
	if d.next(); d.pos < len(d.data) {
		d.fail("more data after the event; one message holds one event")
		return
	}
	d.finish()
}

// finish applies what depends on several fields.
func (d *decoder) finish() {
	e := &d.event
	if d.shorthand != "" && d.listed {
		d.problem("item_id", "use either item_id or items, not both")
	} else if d.shorthand != "" {
		e.Items = []streams.Line{{ItemID: d.shorthand, Quantity: absent}}
	}
	var quantity int64
	if counted(e.Type) {
		quantity = 1
	}
	for i := range e.Items {
		if e.Items[i].Quantity == absent {
			e.Items[i].Quantity = quantity
		}
	}
	switch {
	case e.Type == streams.Rating && !d.rated:
		d.problem("rating", "a rating event needs the rating, a number")
	case e.Type != streams.Rating && e.Type != "" && d.rated && e.Rating == 0:
		d.problem("rating", "only rating events have one; leave it out")
	}
}

// absent marks a quantity that was not given, until the type is known: it may come after the items.
const absent = -1 << 62

// given tells whether a value follows that must be read: the i-th field is there for the first time
// and is not null. Otherwise the value has been taken.
func (d *decoder) given(i int) bool {
	if d.seen&(1<<i) != 0 {
		d.problem(fieldNames[i], "the field is there twice")
		d.skip()
		return false
	}
	d.seen |= 1 << i
	return !d.null()
}

// field reads the value of one top-level field; false ends the reading.
func (d *decoder) field(key []byte) bool {
	e := &d.event
	switch string(key) {
	case "event_id":
		return d.text(0, &e.ID)
	case "type":
		return d.eventType()
	case "time":
		return d.time()
	case "user_id":
		return d.text(3, &e.UserID)
	case "anonymous_id":
		return d.text(4, &e.AnonymousID)
	case "session_id":
		return d.text(5, &e.SessionID)
	case "item_id":
		return d.text(6, &d.shorthand)
	case "items":
		return d.items()
	case "currency":
		return d.text(8, &e.Currency)
	case "order_id":
		return d.text(9, &e.OrderID)
	case "total":
		return d.total()
	case "query":
		return d.text(11, &e.Query)
	case "rating":
		return d.rating()
	case "scenario":
		return d.text(13, &e.Scenario)
	case "recommendation_id":
		return d.text(14, &e.RecommendationID)
	case "context":
		return d.context()
	case "attributes":
		return d.attributes()
	}
	if d.probing {
		d.foreign = true
		return false
	}
	if d.full() { // and spare the search for a similar name
		d.unnoted++
	} else {
		d.problem(printable(key), "%s", unknownField(string(key)))
	}
	return d.skip()
}

// text reads a string into dst.
func (d *decoder) text(i int, dst *string) bool {
	if !d.given(i) {
		return !d.broken
	}
	if d.next() != '"' {
		d.problem(fieldNames[i], "must be a string in double quotes")
		return d.skip()
	}
	s, ok := d.str()
	if !ok {
		return false
	}
	if len(s) == 0 {
		d.problem(fieldNames[i], "is empty; leave the field out")
	}
	*dst = string(s)
	return true
}

// eventType reads the type without allocating for the known ones.
func (d *decoder) eventType() bool {
	if !d.given(1) {
		return !d.broken
	}
	if d.next() != '"' {
		d.problem("type", "must be a string in double quotes")
		return d.skip()
	}
	s, ok := d.str()
	if !ok {
		return false
	}
	for _, t := range types {
		if string(s) == string(t) {
			d.event.Type = t
			return true
		}
	}
	if d.probing {
		d.foreign = true
		return false
	}
	d.problem("type", "%s", unknownType(string(s)))
	return true
}

// types are all event types.
var types = streams.Types()

// time reads the event time.
func (d *decoder) time() bool {
	if !d.given(2) {
		return !d.broken
	}
	if d.next() != '"' {
		d.problem("time", "must be a string: %s", timeHelp)
		return d.skip()
	}
	s, ok := d.str()
	if !ok {
		return false
	}
	var t time.Time
	if err := t.UnmarshalText(s); err != nil {
		d.problem("time", "%s; got %s", timeHelp, quote(s))
		return true
	}
	d.event.Time = time.UnixMilli(t.UnixMilli()).UTC()
	return true
}

const timeHelp = "must be RFC 3339 with a zone, like 2026-11-23T14:05:00Z"

// integer reads a whole number in [low, high], of the n-th item or, when n is negative, of the event.
// It returns false after a syntax error; a number that is refused leaves dst alone.
func (d *decoder) integer(name string, n int, low, high int64, dst *int64) bool {
	c := d.next()
	if c != '-' && (c < '0' || c > '9') {
		message := "must be a number"
		if c == '"' {
			message = "must be a number, without quotes"
		}
		d.problem(path(name, n), "%s", message)
		return d.skip()
	}
	text, whole, ok := d.number()
	if !ok {
		return false
	}
	if !whole {
		message := "must be a whole number"
		if name == "price" || name == "total" {
			message += " of minor units (12.99 EUR is 1299)"
		}
		d.problem(path(name, n), "%s; got %s", message, quote(text))
		return true
	}
	v, ok := parseInt(text)
	if !ok || v < low || v > high {
		d.problem(path(name, n), "must be from %d to %d; got %s", low, high, quote(text))
		return true
	}
	*dst = v
	return true
}

// path returns the path of a field of the n-th item or, when n is negative, of the event.
func path(name string, n int) string {
	if n < 0 {
		return name
	}
	return lineField(n, name)
}

// parseInt reads a JSON integer of at most 18 digits; longer ones are beyond every limit.
func parseInt(text []byte) (v int64, ok bool) {
	digits := text
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		v = v*10 + int64(c-'0')
	}
	if len(digits) < len(text) {
		v = -v
	}
	return v, true
}

// total reads the order's amount.
func (d *decoder) total() bool {
	if !d.given(10) {
		return !d.broken
	}
	before := len(d.problems)
	var n int64
	ok := d.integer("total", -1, 0, MaxAmount, &n)
	if ok && len(d.problems) == before {
		d.event.Total = &n
	}
	return ok
}

// rating reads the rating.
func (d *decoder) rating() bool {
	if !d.given(12) {
		return !d.broken
	}
	d.rated = true
	if c := d.next(); c != '-' && (c < '0' || c > '9') {
		d.problem("rating", "must be a number")
		return d.skip()
	}
	text, _, ok := d.number()
	if !ok {
		return false
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		d.problem("rating", "is too large a number")
		return true
	}
	d.event.Rating = f
	return true
}

// context reads the context of the event.
func (d *decoder) context() bool {
	if !d.given(15) {
		return !d.broken
	}
	if d.next() != '{' {
		d.problem("context", "must be an object")
		return d.skip()
	}
	ok := d.enter('{')
	seen := false
	for first := true; ok && d.more(first, '}'); first = false {
		var key []byte
		if key, ok = d.key(); !ok {
			break
		}
		switch {
		case string(key) != "country":
			d.problem("context."+printable(key), "unknown; the context of an event holds country, put other facts into attributes")
			ok = d.skip()
		case seen:
			d.problem("context.country", "the field is there twice")
			ok = d.skip()
		case d.null():
		case d.next() != '"':
			d.problem("context.country", "must be a string in double quotes")
			ok = d.skip()
		default:
			seen = true
			var s []byte
			s, ok = d.str()
			d.event.Country = string(s)
		}
	}
	return ok && !d.broken
}
