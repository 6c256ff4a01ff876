package features

import "github.com/sartorhq/sartor/streams"

// EntityKind says whose features a delta changes.
type EntityKind byte

// The entity kinds. Their values are part of the stored key names: 'u' and 'i'.
const (
	UserEntity EntityKind = 'u'
	ItemEntity EntityKind = 'i'
)

// Entity names one user or one item.
type Entity struct {
	Kind EntityKind
	ID   string
}

// OpCode is what an Op does to a stored field.
type OpCode byte

// The operations. All but Put and Remove commute; Put and Remove carry the event's time and the
// larger (time, Remove before Put) wins, so that replays and reordering end in the same state.
// Every Op carries the event's time: an erasure covers what happened up to its own time.
const (
	Add    OpCode = iota // counter[Field] += Value
	Min                  // counter[Field] = min(counter[Field], Value), absent counts as +inf
	Max                  // counter[Field] = max(counter[Field], Value), absent counts as -inf
	Push                 // list[Field] gains the entry Text with score Time; bounded by the schema
	Put                  // document = Text (JSON object) if Time >= document time
	Remove               // everything stored goes, a tombstone with Time stays; with Field = DocumentField only the document goes
)

// Op is one change of one entity.
type Op struct {
	Code  OpCode
	Field string
	Value int64
	Text  string
	Time  int64 // Unix milliseconds, event time
}

// Delta is what one event does to one entity.
type Delta struct {
	Entity Entity
	Ops    []Op
}

// Entry is one remembered interaction of a user.
type Entry struct {
	Type   streams.Type
	ItemID string
	Time   int64 // Unix milliseconds, event time
}
