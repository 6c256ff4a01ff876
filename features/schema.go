package features

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sartorhq/sartor/streams"
)

//go:embed schema.yaml
var defaultSchema []byte

// The stored lists that a schema declares beside the fields: everything a user did, and what
// recommendations showed the user.
const (
	historyList = "history"
	shownList   = "shown"
)

// Schema says which features exist, how they are typed and how they follow from events. It is
// immutable and safe for concurrent use.
type Schema struct {
	version  string
	source   string
	currency string
	history  history
	shown    shown
	user     []*field
	item     []*field
	context  []*field
	lists    []List // of users
	itemList []List // of items
	folds    map[EntityKind]map[streams.Type]foldPlan
	keep     Retention
	joined   []string // item fields that fields of users are made of
}

// history is the stored list that models read.
type history struct {
	Max    int            `json:"max"`
	Events []streams.Type `json:"events"`
}

// shown is the stored list of what was shown to a user; a Max of 0 keeps none.
type shown struct {
	Max    int           `json:"max"`
	Window time.Duration `json:"window"` // older entries are not read
}

// List is a stored list of a user and the most entries it keeps.
type List struct {
	Name string
	Max  int
	// Events are the types that enter the list.
	Events []streams.Type
	// log is set for lists in which every occurrence counts, as in the history.
	log bool
}

// kind says how a field gets its value.
type kind string

// The kinds. A field without one of the others is an attribute of the document.
const (
	kindAttribute kind = "attribute"
	kindCount     kind = "count"
	kindSum       kind = "sum"
	kindAvg       kind = "avg"
	kindRatio     kind = "ratio"
	kindFirst     kind = "first"
	kindLast      kind = "last"
	kindList      kind = "list"
	kindTop       kind = "top"
	kindAgeBelow  kind = "age_below"
	kindTrend     kind = "trend"
	kindMargin    kind = "margin"
	kindMin       kind = "min"
	kindMax       kind = "max"
	kindDistinct  kind = "distinct"
	kindRate      kind = "rate"
	kindDecay     kind = "decay"
	kindAge       kind = "age"
	kindSession   kind = "session"
	kindTogether  kind = "together"
	kindTally     kind = "tally"
)

// field is a Field with the way to its value. Which members count depends on Kind.
type field struct {
	Field
	Kind      kind                     `json:"kind"`
	Attribute string                   `json:"attribute,omitempty"` // document key
	Rest      bool                     `json:"rest,omitempty"`
	Measure   measure                  `json:"measure,omitempty"`
	Of        string                   `json:"of,omitempty"`
	By        string                   `json:"by,omitempty"`
	From      string                   `json:"from,omitempty"`
	Events    []streams.Type           `json:"events,omitempty"`
	Minus     []streams.Type           `json:"minus,omitempty"` // also "unless" of a list, "per" of a rate
	Where     filter                   `json:"where,omitempty"`
	Window    time.Duration            `json:"window,omitempty"`
	Past      time.Duration            `json:"past,omitempty"`
	Weights   map[streams.Type]float64 `json:"weights,omitempty"`
	Prior     float64                  `json:"prior,omitempty"`
	Weight    float64                  `json:"weight,omitempty"`
	HalfLife  time.Duration            `json:"half_life,omitempty"`
	Remember  int                      `json:"remember,omitempty"`
	Within    string                   `json:"within,omitempty"` // of together: "" = one event, or a session
	suffix    string                   // of Where
	join      int                      // place of Of among Schema.joined
	user      bool                     // a field of users, for whom an exposure is no deed
}

// Default returns the schema that is built into the binary.
func Default() *Schema {
	s, err := Parse("schema.yaml", defaultSchema)
	if err != nil {
		panic(fmt.Sprintf("the embedded schema is broken: %v", err)) // a test parses it
	}
	return s
}

// Version returns a short hash of the schema's meaning: two files that differ only in layout or
// comments have the same version.
func (s *Schema) Version() string { return s.version }

// Source returns the text of the file that the schema was parsed from.
func (s *Schema) Source() string { return s.source }

// Currency returns the ISO 4217 code of the aggregates, or "" for a shop with one currency.
func (s *Schema) Currency() string { return s.currency }

// UserFields returns the user fields in the order of the file. The caller owns the slice, but not
// the values behind it.
func (s *Schema) UserFields() []Field { return fieldsOf(s.user) }

// ItemFields returns the item fields in the order of the file.
func (s *Schema) ItemFields() []Field { return fieldsOf(s.item) }

// ContextFields returns the context fields in the order of the file.
func (s *Schema) ContextFields() []Field { return fieldsOf(s.context) }

// Lists returns the stored lists of a user in a fixed order; the first is the history.
func (s *Schema) Lists() []List { return slices.Clone(s.lists) }

// ItemLists returns the stored lists of an item in a fixed order; the default schema has none.
func (s *Schema) ItemLists() []List { return slices.Clone(s.itemList) }

// ListMax returns how many entries the stored list keeps, 0 for an unknown list.
func (s *Schema) ListMax(list string) int {
	if l := s.listByName(list); l != nil {
		return l.Max
	}
	return 0
}

func (s *Schema) listByName(name string) *List {
	for i := range s.lists {
		if s.lists[i].Name == name {
			return &s.lists[i]
		}
	}
	for i := range s.itemList {
		if s.itemList[i].Name == name {
			return &s.itemList[i]
		}
	}
	return nil
}

// VisitGap returns the gap that ends a visit for items that are counted together within one; 0 when
// none are, and Event.Visit is not needed.
func (s *Schema) VisitGap() time.Duration {
	for _, f := range s.item {
		if f.Within == withinSession {
			return f.Window
		}
	}
	return 0
}

// Retention returns how long buckets are kept.
func (s *Schema) Retention() Retention { return s.keep }

func fieldsOf(in []*field) []Field {
	out := make([]Field, len(in))
	for i, f := range in {
		out[i] = f.Field
	}
	return out
}

// hash returns the version: the SHA-256 of the parsed schema in canonical JSON, shortened.
func (s *Schema) hash() (string, error) {
	data, err := json.Marshal(map[string]any{
		"format": 2, "currency": s.currency, "history": s.history, "shown": s.shown,
		"user": s.user, "item": s.item, "context": s.context,
	})
	if err != nil {
		return "", fmt.Errorf("encode the schema: %w", err)
	}
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:6]), nil
}

// find returns the field of that name, or nil.
func find(in []*field, name string) *field {
	for _, f := range in {
		if f.Name == name {
			return f
		}
	}
	return nil
}
