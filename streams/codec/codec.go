// Package codec turns bytes into events and events into bytes: the native JSON form of streams.Event, and,
// for reading, Segment calls and CloudEvents. Of the native form it rejects what it does not understand and
// never guesses, repairs or fills in what a producer may have meant; of the foreign ones it ignores what is
// not about shopping. What becomes of each field is in ../EVENTS.md. It does no I/O and keeps no state; all
// functions are safe for concurrent use.
package codec

import (
	"errors"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// The limits of one event. They bound what a hostile or broken producer can make a consumer do.
const (
	MaxBytes     = 256 << 10 // of the encoded event
	MaxDepth     = 16        // of nested objects and arrays, the event itself being the first
	MaxIDBytes   = 128       // of every id, of scenario and of an attribute's name
	MaxTextBytes = 1024      // of query; country has 64
	MaxLines     = 2000      // items of one event
	MaxQuantity  = 1_000_000
	MaxPrice     = 1_000_000_000_000     // minor units of one unit
	MaxAmount    = 1_000_000_000_000_000 // minor units of a whole event
	MaxPosition  = 1_000_000
)

// ErrMalformed is what every error of Decode and Encode is, and of DecodeMessage but for ErrSkipped, by
// errors.Is.
var ErrMalformed = errors.New("malformed event")

// Problem is one thing that is wrong with an event.
type Problem struct {
	// Field is the path of the JSON field, like "items[2].price"; "" for the event as a whole.
	Field string
	// Message says what is wrong and what to do. It never repeats ids or free text.
	Message string
}

// String returns "field: message".
func (p Problem) String() string {
	if p.Field == "" {
		return p.Message
	}
	return p.Field + ": " + p.Message
}

// Error holds all problems of one event, in the order of the bytes, then of the rules.
type Error struct{ Problems []Problem }

// Error returns the problems on one line, separated by semicolons.
func (e *Error) Error() string {
	parts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		parts[i] = p.String()
	}
	return strings.Join(parts, "; ")
}

// Is reports that every Error is ErrMalformed.
func (e *Error) Is(target error) bool { return target == ErrMalformed }

// Decode reads one event in native JSON. The error is an *Error with all problems at once. The event
// shares no memory with data. Time is kept in UTC and cut to whole milliseconds; an empty attributes
// object is kept as nil.
func Decode(data []byte) (streams.Event, error) {
	return decode(data, nil)
}

// decode reads one native event; given is what an envelope says about it, or nil. The envelope's type
// and time stand in for those that the event leaves out, its id comes before the event's own.
func decode(data []byte, given *streams.Event) (streams.Event, error) {
	if err := tooLong(data); err != nil {
		return streams.Event{}, err
	}
	d := decoder{parser: parser{data: data}}
	if given != nil {
		d.event.Type, d.event.Time = given.Type, given.Time
	}
	d.decode()
	if given != nil {
		if !d.broken && d.event.Type != given.Type {
			d.problem("type", "is %s in the data and %s in the envelope", d.event.Type, given.Type)
		}
		d.event.ID = given.ID
	}
	return d.result()
}

// probe reads one native event, and stops at the first sign that it is something else: foreign.
func probe(data []byte) (e streams.Event, foreign bool, err error) {
	if err := tooLong(data); err != nil {
		return e, false, err
	}
	d := decoder{parser: parser{data: data}, probing: true}
	if d.decode(); d.foreign {
		return e, true, nil
	}
	e, err = d.result()
	return e, false, err
}

// result checks what was decoded.
func (d *decoder) result() (streams.Event, error) {
	if len(d.problems) == 0 {
		d.problems = Validate(&d.event)
	} else if !d.broken {
		d.problems = merge(d.problems, Validate(&d.event))
	}
	if len(d.problems) == 0 {
		return d.event, nil
	}
	return streams.Event{}, d.error()
}

// tombstone makes the delete event of a null value.
func tombstone(stream streams.Stream, key []byte, ts time.Time) (streams.Event, error) {
	e := streams.Event{Time: time.UnixMilli(ts.UnixMilli()).UTC()}
	if stream == streams.Catalog {
		e.Type = streams.ItemDelete
		e.Items = []streams.Line{{ItemID: string(key)}}
	} else {
		e.Type = streams.UserDelete
		id := string(key)
		if streams.IsAnonymous(id) {
			e.AnonymousID = strings.TrimPrefix(id, streams.AnonymousSubject(""))
		} else {
			e.UserID = id
		}
	}
	if problems := Validate(&e); len(problems) > 0 {
		return streams.Event{}, &Error{append([]Problem{{"",
			"a message without a value deletes what its key names"}}, problems...)}
	}
	return e, nil
}

// merge appends the rule problems of fields that the decoder has not already complained about.
func merge(decoded, rules []Problem) []Problem {
	known := make(map[string]bool, len(decoded))
	for _, p := range decoded {
		known[root(p.Field)] = true
	}
	for _, p := range rules {
		if !known[root(p.Field)] {
			decoded = append(decoded, p)
		}
	}
	return decoded
}

// root returns the top-level field of a path; fields of which one stands for the other share a root.
func root(field string) string {
	if i := strings.IndexAny(field, ".["); i >= 0 {
		field = field[:i]
	}
	switch field {
	case "item_id":
		return "items"
	case "anonymous_id":
		return "user_id"
	}
	return field
}
