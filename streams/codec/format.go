package codec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// Format is the form in which events are written.
type Format string

// The formats. Auto, which "" stands for too, tells the others apart message by message.
const (
	Auto        Format = "auto"
	Native      Format = "native"
	Segment     Format = "segment"     // track, identify and alias calls of Segment, RudderStack and the like
	CloudEvents Format = "cloudevents" // 1.0, structured or binary, around a native event or a Segment call
)

// Formats lists all formats in a fixed order.
func Formats() []Format { return []Format{Auto, Native, Segment, CloudEvents} }

// ParseFormat returns the format of that name, Auto for "", or an error that lists the names.
func ParseFormat(name string) (Format, error) {
	if name == "" {
		return Auto, nil
	}
	if slices.Contains(Formats(), Format(name)) {
		return Format(name), nil
	}
	return "", fmt.Errorf("unknown event format %q; use auto, native, segment or cloudevents", name)
}

// ErrSkipped is what DecodeMessage returns, by errors.Is, for a message that is well-formed and none of
// our business: a foreign format carries events about other things than shopping. Such a message is
// counted and passed over; it is not an error of its producer.
var ErrSkipped = errors.New("not an event for us")

// skipError says why a message is passed over.
type skipError struct{ reason string }

func (e *skipError) Error() string        { return e.reason }
func (e *skipError) Is(target error) bool { return target == ErrSkipped }

// skipped makes the error of a message that is passed over.
func skipped(format string, args ...any) error { return &skipError{fmt.Sprintf(format, args...)} }

// Header is one header of a message.
type Header struct {
	Key   string
	Value []byte
}

// Message is one message of a log, as it was written.
type Message struct {
	Key     []byte
	Value   []byte // nil is a tombstone, which an empty value is not
	Headers []Header
	Time    time.Time // when the log received it
}

// header returns the value of a header, whose name is compared without regard to case.
func (m *Message) header(name string) (string, bool) {
	for i := range m.Headers {
		if strings.EqualFold(m.Headers[i].Key, name) {
			return string(m.Headers[i].Value), true
		}
	}
	return "", false
}

// DecodeMessage reads one message of a stream in a format: the value as Decode does, with what the log
// adds. On the compacted streams a null value (nil, not empty) deletes the item or user that the key names,
// at the message's time, and the key of any other message must name the same entity as the event, because
// compaction goes by the key. The event's type must belong to the stream; only a Segment call on the orders
// and behavior streams may be of either stream or about a user, because shops send all calls to one topic.
// The error is an *Error, or ErrSkipped by errors.Is.
func DecodeMessage(stream streams.Stream, format Format, m *Message) (streams.Event, error) {
	if stream.Compacted() && m.Value == nil {
		return tombstone(stream, m.Key, m.Time)
	}
	e, mixed, err := decodeMessage(format, m)
	if err != nil {
		return e, err
	}
	return place(stream, m.Key, e, mixed && (stream == streams.Orders || stream == streams.Behavior))
}

// DecodeAny reads one event of any stream in a format, for events that do not come from a log: there is
// neither a stream that it must belong to nor a key. The error is an *Error, or ErrSkipped by errors.Is.
func DecodeAny(format Format, m *Message) (streams.Event, error) {
	e, _, err := decodeMessage(format, m)
	return e, err
}

// decodeMessage reads the value. mixed tells that it is a Segment call.
func decodeMessage(format Format, m *Message) (e streams.Event, mixed bool, err error) {
	if format == Auto || format == "" {
		if format = detectHeaders(m); format == Auto {
			e, foreign, err := probe(m.Value) // nearly all messages are native
			if !foreign {
				return e, false, err
			}
			format = detect(m.Value)
		}
	}
	switch format {
	case Native:
		e, err = Decode(m.Value)
	case Segment:
		e, err = decodeSegment(m.Value, nil)
		mixed = true
	case CloudEvents:
		e, mixed, err = decodeCloudEvent(m)
	default:
		_, err = ParseFormat(string(format))
	}
	if err != nil {
		return streams.Event{}, false, err
	}
	return e, mixed, nil
}

// place refuses an event that must not be where it is.
func place(stream streams.Stream, key []byte, e streams.Event, mixed bool) (streams.Event, error) {
	if got := e.Type.Stream(); got != stream && !mixed {
		return streams.Event{}, &Error{[]Problem{{"type", fmt.Sprintf(
			"%s belongs on the %s stream, not on %s", e.Type, got, stream)}}}
	}
	if stream.Compacted() && string(key) != e.Key() {
		return streams.Event{}, &Error{[]Problem{{"", fmt.Sprintf(
			"the message key must be the id in the event, because the %s stream is compacted by key", stream)}}}
	}
	return e, nil
}

// detectHeaders tells the format of a message whose headers say it; Auto when they do not.
func detectHeaders(m *Message) Format {
	if len(m.Headers) == 0 {
		return Auto
	}
	if _, binary := m.header("ce_specversion"); binary {
		return CloudEvents
	}
	if content, ok := m.header("content-type"); ok && strings.HasPrefix(content, "application/cloudevents") {
		return CloudEvents
	}
	return Auto
}

// detect tells the format of an object. No valid message of one format is valid in another: native
// events have none of the fields by which the others are known. What is none of them is taken for
// native, whose decoder says what is wrong.
func detect(data []byte) Format {
	found := Native
	if len(data) > MaxBytes {
		return found
	}
	p := parser{data: data}
	if p.next() != '{' {
		return found
	}
	p.members(func(key []byte) bool {
		switch string(key) {
		case "specversion":
			found = CloudEvents
			return false
		case "type":
			if p.next() == '"' {
				s, ok := p.str()
				if ok && isCall(string(s)) {
					found = Segment
				}
				return ok
			}
		}
		return p.skip()
	})
	return found
}

// tooLong is the error of a message beyond MaxBytes, or nil.
func tooLong(data []byte) error {
	if len(data) <= MaxBytes {
		return nil
	}
	return &Error{[]Problem{{"", fmt.Sprintf("the event has %d bytes; the limit is %d", len(data), MaxBytes)}}}
}
