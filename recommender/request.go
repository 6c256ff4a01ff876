package recommender

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sartorhq/sartor/rules"
)

// Limits of a request. They bound the work that one request can ask for.
const (
	MaxCount       = 100  // items in an answer
	MaxIDBytes     = 128  // any id
	MaxExclude     = 1000 // ids in the exclude list
	MaxFilterBytes = 2000
	MaxTextBytes   = 1000 // search text
	MaxFields      = 32   // item fields returned
	DefaultCount   = 10
)

// DefaultScenario is the scenario of a request that names none.
const DefaultScenario = "default"

// Request asks for a list. Its strings are kept beyond the call (in the decision), so the caller
// must not reuse their memory.
type Request struct {
	// UserID and AnonymousID name who asks; the user id wins. Both may be empty: the answer then
	// depends on the context only.
	UserID, AnonymousID string
	Scenario            string // "" = DefaultScenario
	Placement, Channel  string
	Query               string // what was searched for, for rules
	SourceItem          string // the item that is looked at, for rules
	Count               int    // 1 ... MaxCount; 0 = DefaultCount
	// Context holds raw context values by schema name, as encoding/json decodes them.
	Context map[string]any
	// Exclude lists item ids that must not be in the answer.
	Exclude []string
	// Filter is a condition in the language of rules that every item of the answer meets.
	Filter string
	// Explain asks for Response.Explain.
	Explain bool
	// Fields names item fields of the schema to return with each item (Item.Fields).
	Fields []string
	// Paging asks for Response.NextCursor; Cursor asks for the page after the one that gave it, of the
	// same request. No item is on two pages.
	Paging bool
	Cursor string
	// Quiet answers without a decision: the caller only looks, or records what it shows by itself.
	Quiet bool
}

// Item is one place of an answer.
type Item struct {
	ItemID string
	// Score is the final score after rules; comparable within one answer only.
	Score float64
	// Source is where the item came from: "model", "hot", "popular", "pin", ...
	Source string
	// Reasons lists the ids of the rules that helped the item to its place.
	Reasons []string
	Badges  []string
	Notes   map[string]string
	// Fields holds what Request.Fields asked for, by name; nil without. Its values are not to be changed.
	Fields map[string]any
}

// ServedBy says which strategy made the list.
type ServedBy string

// The strategies, from the fullest to the emptiest.
const (
	ServedByModel    ServedBy = "model"    // the model's candidates, ranked by rules
	ServedByRules    ServedBy = "rules"    // a rule replaced the strategy
	ServedBySimilar  ServedBy = "similar"  // item vectors
	ServedByCategory ServedBy = "category" // popular in the category of the source item
	ServedByPopular  ServedBy = "popular"  // popular by context: nothing to encode, or no model
	ServedByStatic   ServedBy = "static"   // popular, from the catalogue snapshot on disk
	ServedByGiven    ServedBy = "given"    // Rank: the order given, for want of a model or a vector
	ServedByNone     ServedBy = "none"     // there was nothing to list
)

// The entries of Response.Degraded that this package writes. Rules add their own ("rules_budget").
const (
	DegradedUserCached      = "user_features_cached"
	DegradedUserUnavailable = "user_features_unavailable"
	DegradedNoModel         = "no_model"
	DegradedNoRules         = "no_rules"
	DegradedNoCatalogue     = "no_catalogue"
	DegradedCatalogueStale  = "catalogue_stale"
	DegradedCatalogueDisk   = "catalogue_from_disk"
	DegradedFilterBudget    = "filter_budget"
	DegradedOtherModel      = "model_not_loaded" // a rule chose a model that is not at hand
)

// Versions says what computed an answer.
type Versions struct {
	Model  string // "" = none
	Rules  string
	Schema string
}

// Response is the answer to a request. It belongs to the caller.
type Response struct {
	RecommendationID string
	Items            []Item
	ServedBy         ServedBy
	// Degraded names each loss, in a fixed order; empty when nothing was lost.
	Degraded []string
	Versions Versions
	// NextCursor asks for the next page; "" when paging was not asked for or no page is to follow.
	NextCursor string
	// Explain is nil unless asked for.
	Explain *Explanation
}

// Problem is one thing wrong with a request.
type Problem struct {
	Field   string // JSON name, such as "context.country"
	Message string // never repeats the offending value: it may be a user id
}

// InvalidError says everything that is wrong with a request.
type InvalidError struct{ Problems []Problem }

// Error lists the problems in one line.
func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		parts[i] = p.Field + ": " + p.Message
	}
	return "invalid request: " + strings.Join(parts, "; ")
}

// checked is a request after validation, with defaults filled in and texts compiled.
type checked struct {
	Request
	subject string
	now     time.Time
	context map[string]any
	filter  *rules.Condition // nil = none
	exclude map[string]bool
	cursor  *cursor         // nil on the first page
	shown   map[uint64]bool // hashes of items on earlier pages
}

type problems []Problem

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, Problem{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (p *problems) id(field, value string) {
	switch {
	case len(value) > MaxIDBytes:
		p.add(field, "longer than %d bytes", MaxIDBytes)
	case !utf8.ValidString(value):
		p.add(field, "not valid UTF-8")
	case hasControl(value):
		p.add(field, "contains a control character")
	}
}

// name checks a scenario, placement or channel: short, lower case, fit for a metric or a file.
func (p *problems) name(field, value string) {
	if value != "" && !isName(value) {
		p.add(field, "must be 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit")
	}
}

func (p *problems) count(n int) {
	if n < 1 || n > MaxCount {
		p.add("count", "must be between 1 and %d", MaxCount)
	}
}

func hasControl(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0
}

func isName(s string) bool {
	if len(s) > 63 {
		return false
	}
	for i, r := range []byte(s) {
		alnum := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		if !alnum && (i == 0 || r != '-' && r != '_') {
			return false
		}
	}
	return true
}

// shape checks what can be checked without the schema and fills defaults in.
func (q *Request) shape(p *problems) {
	if q.Count == 0 {
		q.Count = DefaultCount
	}
	if q.Scenario == "" {
		q.Scenario = DefaultScenario
	}
	p.count(q.Count)
	p.id("user_id", q.UserID)
	p.id("anonymous_id", q.AnonymousID)
	p.id("source_item", q.SourceItem)
	p.name("scenario", q.Scenario)
	p.name("placement", q.Placement)
	p.name("channel", q.Channel)
	if len(q.Query) > MaxTextBytes {
		p.add("query", "longer than %d bytes", MaxTextBytes)
	}
	if len(q.Filter) > MaxFilterBytes {
		p.add("filter", "longer than %d bytes", MaxFilterBytes)
	}
	if len(q.Exclude) > MaxExclude {
		p.add("exclude", "more than %d ids", MaxExclude)
		return
	}
	for i, id := range q.Exclude {
		p.id(fmt.Sprintf("exclude[%d]", i), id)
	}
}
