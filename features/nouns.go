// Package features is the typed schema of what is known about users and items, the nouns User and
// Item, and the pure fold from events to feature deltas. It does no I/O: features/redisstore keeps
// what this package computes.
package features

import (
	"time"
	"unique"
)

// ValueType is the type of a feature as rules and models see it.
type ValueType string

// The value types and the Go type that an Env holds for each.
const (
	Text     ValueType = "text"   // string
	Int      ValueType = "int"    // int
	Number   ValueType = "number" // float64
	Money    ValueType = "money"  // float64, major units; stored as integer minor units
	Bool     ValueType = "bool"   // bool
	Time     ValueType = "time"   // time.Time, UTC; the zero time when unknown
	TextList ValueType = "[]text" // []string, at most Field.Max long
	TextMap  ValueType = "map"    // map[string]string, open keys
)

// Field describes one feature: the single truth that decoding, the fold, model inputs, the rule
// type checker, completion and documentation read.
type Field struct {
	Name    string // without the "user." / "item." prefix
	Type    ValueType
	Default any // of the Go type of Type; never nil
	Max     int // longest list; 0 for scalars
	Doc     string
	Example string
	// Values lists the allowed texts when the field is an enumeration; empty otherwise.
	Values []string
}

// User is what is known about one user at one moment, ready for models and rules. It is immutable.
type User struct {
	ID string
	// Seen is false when nothing is stored: all values are defaults.
	Seen bool
	// Env holds every user field of the schema by name, defaults filled in, no nil anywhere, plus "id".
	Env map[string]any
	// Known holds the names of the fields that are known rather than defaulted: has("user.x").
	Known map[string]bool
	// History is what the user did, newest first, bounded by the schema. It is the models' input.
	History []Entry
	// Shown is what recommendations showed the user, newest first, one entry for each time an item was
	// shown; bounded in number and age by the schema, empty when the schema keeps no such list.
	Shown []Entry
	// Now is the moment the windows were computed for.
	Now time.Time
}

// Item is what is known about one item at one moment. It is immutable and shared by requests.
type Item struct {
	ID string
	// Deleted items are kept as tombstones and are never recommended.
	Deleted bool
	// Env holds every item field of the schema by name, defaults filled in, plus "id".
	Env map[string]any
	// Known holds the names of the fields that are known rather than defaulted.
	Known map[string]bool
	// SalesByCountry holds units sold in the last 7 days by country, for "hot by country".
	SalesByCountry map[string]int64
	// UnitsTotal and ViewsTotal are counts over all time: popularity when no window has data.
	UnitsTotal, ViewsTotal int64

	// joined are the texts that fields of users are made of (Schema.joined), kept where a request finds them
	// at once, and compares them without a look at the letters; only Schema.Item fills them in.
	schema *Schema // of joined
	joined [maxJoined]unique.Handle[string]
}

// ItemLookup returns the item, or nil when the catalogue does not know it. It must not block.
type ItemLookup func(id string) *Item
