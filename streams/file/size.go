package file

import (
	"slices"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// fitting splits a valid event into as many as it takes for none to be larger than consumers accept, in the order of
// its items. The total of the whole stays with the first. One item that is too large stays as it is.
func fitting(e streams.Event) []streams.Event {
	if len(e.Items) < 2 || !tooLarge(&e) {
		return []streams.Event{e}
	}
	second := e
	half := len(e.Items) / 2
	e.Items, second.Items = slices.Clip(e.Items[:half]), e.Items[half:]
	if e.Total != nil { // without one it would be the sum of the lines
		second.Total = new(int64)
	}
	return append(fitting(e), fitting(second)...)
}

// tooLarge tells whether a valid event is larger than consumers accept.
func tooLarge(e *streams.Event) bool {
	if mostBytes(e) <= codec.MaxBytes {
		return false
	}
	_, err := codec.Encode(e)
	return err != nil
}

// The most bytes that parts of an event take when they are encoded: a byte of a text becomes six where it is escaped.
const (
	mostOfByte  = 6
	mostOfRest  = mostOfByte*(16*codec.MaxIDBytes+codec.MaxTextBytes) + 1024
	mostOfValue = 32 // a number, with its quotes, colon and comma
	mostOfLine  = 4*mostOfValue + 64
)

// mostBytes is a bound of the size of a valid event, found without encoding it.
func mostBytes(e *streams.Event) int {
	n := mostOfRest + mostOfLine*len(e.Items)
	for i := range e.Items {
		n += mostOfByte * len(e.Items[i].ItemID)
	}
	return n + mostOfAny(e.Attributes)
}

func mostOfAny(v any) int {
	n := mostOfValue
	switch v := v.(type) {
	case string:
		n += mostOfByte * len(v)
	case []any:
		for _, x := range v {
			n += mostOfAny(x)
		}
	case map[string]any:
		for k, x := range v {
			n += mostOfByte*len(k) + mostOfValue + mostOfAny(x)
		}
	default: // numbers and booleans; lists of texts are counted as what they hold
		if list, ok := v.([]string); ok {
			for _, x := range list {
				n += mostOfByte*len(x) + mostOfValue
			}
		}
	}
	return n
}
