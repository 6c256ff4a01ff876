package codec

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// Encode writes an event in canonical native JSON: fields in a fixed order, absent ones left out,
// names of attributes sorted, time in UTC with whole milliseconds. Equal events have equal bytes, and
// Decode returns the same event. An event that Validate refuses is an *Error and nothing is written.
func Encode(e *streams.Event) ([]byte, error) {
	if problems := Validate(e); len(problems) > 0 {
		return nil, &Error{problems}
	}
	b := appendEvent(make([]byte, 0, 256+64*len(e.Items)), e)
	if len(b) > MaxBytes {
		return nil, &Error{[]Problem{{"", "the event has " + strconv.Itoa(len(b)) +
			" bytes; the limit is " + strconv.Itoa(MaxBytes)}}}
	}
	return b, nil
}

// appendEvent writes a valid event.
func appendEvent(b []byte, e *streams.Event) []byte {
	b = append(b, '{')
	b = appendText(b, "event_id", e.ID)
	b = appendText(b, "type", string(e.Type))
	b = appendName(b, "time")
	b = append(b, '"')
	b = time.UnixMilli(e.Time.UnixMilli()).UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = appendText(b, "user_id", e.UserID)
	b = appendText(b, "anonymous_id", e.AnonymousID)
	b = appendText(b, "session_id", e.SessionID)
	b = appendItems(b, e)
	b = appendText(b, "currency", e.Currency)
	b = appendText(b, "order_id", e.OrderID)
	if e.Total != nil {
		b = strconv.AppendInt(appendName(b, "total"), *e.Total, 10)
	}
	b = appendText(b, "query", e.Query)
	if e.Type == streams.Rating {
		b = appendFloat(appendName(b, "rating"), e.Rating)
	}
	b = appendText(b, "scenario", e.Scenario)
	b = appendText(b, "recommendation_id", e.RecommendationID)
	if e.Country != "" {
		b = append(appendName(b, "context"), `{"country":`...)
		b = append(appendString(b, e.Country), '}')
	}
	if len(e.Attributes) > 0 {
		b = appendObject(appendName(b, "attributes"), e.Attributes)
	}
	return append(b, '}')
}

// appendName writes the comma and the name of a member; names need no escapes.
func appendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

// appendText writes a text member that is not empty.
func appendText(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(appendName(b, name), s)
}

// appendItems writes the lines; one line with nothing but its id is written as item_id.
func appendItems(b []byte, e *streams.Event) []byte {
	var quantity int64
	if counted(e.Type) {
		quantity = 1
	}
	switch {
	case len(e.Items) == 0:
		return b
	case len(e.Items) == 1 && e.Items[0] == streams.Line{ItemID: e.Items[0].ItemID, Quantity: quantity}:
		return appendText(b, "item_id", e.Items[0].ItemID)
	}
	b = append(appendName(b, "items"), '[')
	for i, l := range e.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, '{'), "item_id", l.ItemID)
		if l.Quantity != 0 {
			b = strconv.AppendInt(appendName(b, "quantity"), l.Quantity, 10)
		}
		if l.Price != 0 {
			b = strconv.AppendInt(appendName(b, "price"), l.Price, 10)
		}
		if l.Position != 0 {
			b = strconv.AppendInt(appendName(b, "position"), int64(l.Position), 10)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendObject writes a document with its names sorted.
func appendObject(b []byte, m map[string]any) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		b = appendValue(b, m[name])
	}
	return append(b, '}')
}

// appendValue writes one free-form value; Validate has refused all other types.
func appendValue(b []byte, value any) []byte {
	switch value := value.(type) {
	case bool:
		return strconv.AppendBool(b, value)
	case string:
		return appendString(b, value)
	case float64:
		return appendFloat(b, value)
	case map[string]any:
		return appendObject(b, value)
	case []any:
		b = append(b, '[')
		for i, element := range value {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, element)
		}
		return append(b, ']')
	}
	return append(b, "null"...)
}

// appendFloat writes the shortest number that reads back as f. Whole numbers below 2^53 have no
// exponent, larger ones have one, so that Decode does not take them for integers that lost digits.
func appendFloat(b []byte, f float64) []byte {
	if abs := math.Abs(f); abs != 0 && abs < 1e-6 || abs >= 1<<53 {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

// appendString writes a JSON string.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
