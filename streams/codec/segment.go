package codec

import (
	"strconv"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// segmentCall is what we read of one Segment call. Numbers are kept as they are written until the
// currency is known, which may come after them.
type segmentCall struct {
	parser
	call, name          string // type, event
	messageID           string
	userID, anonymousID string
	previousID          string // alias
	timestamp, original string
	session, country    string
	flat                segmentProduct // the product that the properties themselves are
	products            []segmentProduct
	listed              bool // there is a list of products
	currency, orderID   string
	total, revenue      string
	query               string
	scenario            string
	recommendationID    string
	traits              []byte
}

// segmentProduct is one product of a call.
type segmentProduct struct{ id, sku, price, quantity, position string }

// isCall tells whether a text is the type of a Segment call.
func isCall(name string) bool {
	switch name {
	case "track", "identify", "alias", "page", "screen", "group":
		return true
	}
	return false
}

// segmentEvents are the event names of Segment's e-commerce specification that are events of ours.
// Names are compared without regard to case.
var segmentEvents = []struct {
	name string
	typ  streams.Type
}{
	{"Product Viewed", streams.View},
	{"Product Clicked", streams.Click},
	{"Product Added", streams.CartAdd},
	{"Product Removed", streams.CartRemove},
	{"Products Searched", streams.Search},
	{"Product Added to Wishlist", streams.Wishlist},
	{"Order Completed", streams.Order},
	{"Order Refunded", streams.Return},
	{"Order Cancelled", streams.Return},
}

// decodeSegment reads one Segment call; given is what an envelope says about it, or nil. Fields and
// properties that we do not know are ignored, calls and event names that we do not know are skipped.
func decodeSegment(data []byte, given *streams.Event) (streams.Event, error) {
	if err := tooLong(data); err != nil {
		return streams.Event{}, err
	}
	s := segmentCall{parser: parser{data: data}}
	if !s.whole("a Segment call", s.field) {
		return streams.Event{}, s.error()
	}
	typ, err := s.kind()
	if err != nil {
		return streams.Event{}, err
	}
	e := s.event(typ)
	if given != nil {
		e.ID = given.ID
	}
	s.when(&e, given)
	if len(s.problems) == 0 {
		s.problems = inSegment(Validate(&e), s.listed)
	}
	if len(s.problems) > 0 {
		return streams.Event{}, s.error()
	}
	return e, nil
}

// kind returns the type of our event that the call is, or why there is none.
func (s *segmentCall) kind() (streams.Type, error) {
	switch s.call {
	case "identify":
		return streams.UserUpsert, nil
	case "alias":
		return streams.UserMerge, nil
	case "track":
	case "":
		return "", &Error{[]Problem{{"type", "is required: track, identify or alias"}}}
	default:
		return "", skipped("Segment calls of type %s are skipped", quote([]byte(s.call)))
	}
	if s.name == "" {
		return "", &Error{[]Problem{{"event", "track needs the name of the event, like Product Viewed"}}}
	}
	for i := range segmentEvents {
		if strings.EqualFold(s.name, segmentEvents[i].name) {
			return segmentEvents[i].typ, nil
		}
	}
	if strings.EqualFold(s.name, "Order Updated") {
		// It tells the order as it is now and not what changed: counting it would count the order twice.
		return "", skipped("Order Updated is skipped: it does not say what changed")
	}
	return "", skipped("the Segment event %s is skipped", quote([]byte(s.name)))
}

// field reads one member of the call.
func (s *segmentCall) field(key []byte) bool {
	switch string(key) {
	case "type":
		return s.loose("type", &s.call)
	case "event":
		return s.loose("event", &s.name)
	case "messageId":
		return s.loose("messageId", &s.messageID)
	case "userId":
		return s.loose("userId", &s.userID)
	case "anonymousId":
		return s.loose("anonymousId", &s.anonymousID)
	case "previousId":
		return s.loose("previousId", &s.previousID)
	case "timestamp":
		return s.loose("timestamp", &s.timestamp)
	case "originalTimestamp":
		return s.loose("originalTimestamp", &s.original)
	case "context":
		return s.object("context", s.contextField)
	case "properties":
		return s.object("properties", s.property)
	case "traits":
		var ok bool
		s.traits, ok = s.raw()
		return ok
	}
	return s.skip()
}

// object reads an object; null is an empty one.
func (s *segmentCall) object(field string, fn func(key []byte) bool) bool {
	switch {
	case s.null():
		return true
	case s.next() != '{':
		s.problem(field, "must be an object")
		return s.skip()
	}
	return s.members(fn)
}

// contextField reads what we use of the context; what is not as expected there does not matter.
func (s *segmentCall) contextField(key []byte) bool {
	switch string(key) {
	case "sessionId":
		return s.loose("", &s.session)
	case "location":
		if s.next() == '{' {
			return s.members(func(key []byte) bool {
				if string(key) == "country" {
					return s.loose("", &s.country)
				}
				return s.skip()
			})
		}
	}
	return s.skip()
}

// property reads one property.
func (s *segmentCall) property(key []byte) bool {
	switch string(key) {
	case "products":
		return s.list()
	case "currency":
		return s.loose("properties.currency", &s.currency)
	case "order_id":
		return s.loose("properties.order_id", &s.orderID)
	case "total":
		return s.loose("properties.total", &s.total)
	case "revenue":
		return s.loose("properties.revenue", &s.revenue)
	case "query":
		return s.loose("properties.query", &s.query)
	case "scenario":
		return s.loose("properties.scenario", &s.scenario)
	case "recommendation_id":
		return s.loose("properties.recommendation_id", &s.recommendationID)
	}
	return s.productField(key, -1, &s.flat)
}

// list reads the products.
func (s *segmentCall) list() bool {
	s.products, s.listed = nil, false
	switch {
	case s.null():
		return true
	case s.next() != '[':
		s.problem("properties.products", "must be an array of objects")
		return s.skip()
	}
	s.listed = true
	ok := s.enter('[')
	for n := 0; ok && s.more(n == 0, ']'); n++ {
		switch {
		case n == MaxLines:
			s.problem("properties.products", "more than %d products; split the order", MaxLines)
			ok = s.skip()
		case n > MaxLines:
			ok = s.skip()
		case s.next() != '{':
			s.problem(productPath(n, ""), "must be an object with a product_id")
			ok = s.skip()
		default:
			var p segmentProduct
			ok = s.members(func(key []byte) bool { return s.productField(key, n, &p) })
			s.products = append(s.products, p)
		}
	}
	return ok && !s.broken
}

// productField reads one field of the n-th product or, when n is negative, of the properties.
func (s *segmentCall) productField(key []byte, n int, p *segmentProduct) bool {
	var name string
	var dst *string
	switch string(key) {
	case "product_id":
		name, dst = "product_id", &p.id
	case "sku":
		name, dst = "sku", &p.sku
	case "price":
		name, dst = "price", &p.price
	case "quantity":
		name, dst = "quantity", &p.quantity
	case "position":
		name, dst = "position", &p.position
	default:
		return s.skip()
	}
	if c := s.next(); c == '{' || c == '[' || c == 't' || c == 'f' { // a problem; only then is the path needed
		name = productPath(n, name)
	}
	return s.loose(name, dst)
}

// productPath returns the path of a field of the n-th product or, when n is negative, of the properties.
func productPath(n int, name string) string {
	path := "properties"
	if n >= 0 {
		path += ".products[" + strconv.Itoa(n) + "]"
	}
	if name == "" {
		return path
	}
	return path + "." + name
}

// when sets the time of the event: the call's timestamp, which Segment has corrected for the client's
// clock, else the original one, else the envelope's.
func (s *segmentCall) when(e *streams.Event, given *streams.Event) {
	text, field := s.timestamp, "timestamp"
	if text == "" && s.original != "" {
		text, field = s.original, "originalTimestamp"
	}
	if text == "" {
		if given != nil && !given.Time.IsZero() {
			e.Time = given.Time
			return
		}
		s.problem("timestamp", "is required: when it happened, %s", timeHelp[len("must be "):])
		return
	}
	var t time.Time
	if err := t.UnmarshalText([]byte(text)); err != nil {
		s.problem(field, "%s; got %s", timeHelp, quote([]byte(text)))
		return
	}
	e.Time = time.UnixMilli(t.UnixMilli()).UTC()
}

// inSegment renames the fields of problems to those of the call.
func inSegment(problems []Problem, listed bool) []Problem {
	for i := range problems {
		problems[i].Field = segmentName(problems[i].Field, listed)
	}
	return problems
}

// segmentName returns the name that a native field has in a call.
func segmentName(field string, listed bool) string {
	if rest, ok := strings.CutPrefix(field, "items["); ok {
		n, name, _ := strings.Cut(rest, "].")
		if name == "item_id" {
			name = "product_id"
		}
		if !listed {
			return "properties." + name
		}
		return "properties.products[" + n + "]." + name
	}
	if rest, ok := strings.CutPrefix(field, "attributes"); ok {
		return "traits" + rest
	}
	switch field {
	case "event_id":
		return "messageId"
	case "time":
		return "timestamp"
	case "user_id":
		return "userId"
	case "anonymous_id":
		return "anonymousId"
	case "session_id":
		return "context.sessionId"
	case "context.country":
		return "context.location.country"
	case "items":
		return "properties.products"
	case "currency", "order_id", "total", "query", "scenario", "recommendation_id":
		return "properties." + field
	}
	return field
}
