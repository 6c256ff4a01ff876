// Package rules compiles the rules that business users write against the typed feature schema,
// applies a set of them to candidates, and says why. It does no I/O and reads no clock; it is the
// only importer of expr.
package rules

import (
	"time"

	"github.com/sartorhq/sartor/features"
)

// Env is everything a rule may look at in one request besides the candidate itself. The engine
// never changes it.
type Env struct {
	// Now is read once per request, rounded to the millisecond, and is the same for every rule.
	Now     time.Time
	User    *features.User
	Request Request
	// Context holds the request's context fields by schema name (country, language, device, ...).
	Context map[string]any
	// Source is the item that Request.SourceItem names, nil when there is none or it is unknown.
	Source *features.Item
	// Model says which model scored the candidates; the zero value when none did.
	Model ModelInfo
	// Shown is what recommendations showed the user lately, for did("exposure", ...) and
	// times("exposure", ...); the rest of what they look at is User.History. The order is free.
	Shown []features.Entry
	// Taste is the user's vector in the model, nil when there is none: similarity(item, user) compares
	// it with Candidate.Vector. Shared, never changed.
	Taste []float32
	// Off names rules that the caller has switched off because they fail too often. Guards stay on:
	// they fail closed.
	Off map[string]bool
	// Expired, when not nil, tells that the wall time for rules is used up; the caller owns the
	// clock. It is asked about every 256 evaluations, and then score rules are skipped.
	Expired func() bool
	// MaxTicks bounds the work of score rules, in evaluations and loop steps; 0 means 2,000,000.
	MaxTicks int
}

// Request is the part of a recommendation request that rules may name as request.*.
type Request struct {
	Scenario   string
	Placement  string
	Channel    string
	Query      string
	SourceItem string
	Count      int
}

// ModelInfo is what rules may name as model.*.
type ModelInfo struct {
	Name, Version string
	TrainedAt     time.Time
}

// Source names where a candidate came from. The engine knows the names; the caller fetches.
type Source string

// BoughtWith is the item field that SourceBought reads: the items that came in one order with this one,
// most frequent first.
const BoughtWith = "bought_with"

// The sources that rules can name. A list of the set itself is "list:NAME".
const (
	SourceModel    Source = "model"
	SourceHot      Source = "hot"       // units sold in a window, optionally by a context field
	SourceTrending Source = "trending"  // rising against its own past
	SourceNew      Source = "new"       // newest created_at first
	SourcePopular  Source = "popular"   // all-time units and views
	SourceSimilar  Source = "similar"   // near the source item, else near what the user did last
	SourceBought   Source = "co-bought" // bought together with the source item, else with the cart
	SourceSegment  Source = "segment"   // a part of the catalogue that a condition cuts out, in a stated order
)

// Fetch asks the caller for candidates of one source.
type Fetch struct {
	Source Source
	Window string // "1h", "24h", "7d", ...; "" = the source's own default
	By     string // context field name ("country"), "" = everywhere
	Value  string // value of that field in this request
	Count  int
	// Match, when not nil, is the condition the items must meet.
	Match *Condition
	// Score is the base score given to the items: "source" (the source's own, the default), a
	// fixed number in [0, 1], or a percentile such as "p90" of the model's candidates.
	Score string
	Rule  string // id of the rule that asked
	// Items lists the ids of a "list:NAME" source, in the author's order; nil for other sources.
	Items []string
	// Seek finds and orders the items of SourceSegment; nil for other sources.
	Seek *Seek
}

// Plan is the outcome of the stages that run before retrieval: route and inject.
type Plan struct {
	// Replace, when not nil, is the strategy that takes the model's place; KeepModel is the share
	// (0 to 1) of the list that stays the model's.
	Replace   *Fetch
	KeepModel float64
	// Model is the model name or version that a rule chose, "" = the default.
	Model string
	// Inject lists what to fetch beside the model's candidates, in rule priority order.
	Inject []Fetch
	// Items lists item ids that rules pin by id and that must therefore be among the candidates.
	Items []string
	// Seek lists the conditions that rules pin by: the caller adds the best items of each to the
	// candidates, up to its Count, with the score that the model gives them.
	Seek []*Seek
	// Fill lists the strategies that complete a short list, in order; never empty.
	Fill []Fetch
	// Fired lists the rules that acted so far.
	Fired []Fired
	// Tried lists the rules with a hold-out that are on for this request, Held those that would be on
	// if this user were not held out: comparing both kinds of requests measures what a rule is worth.
	Tried, Held []string
	state       any // what Apply needs to know of Plan's evaluation
}

// Candidate is one item on its way through the rules.
type Candidate struct {
	Item *features.Item
	// Base is the model's score scaled to [0, 1] over the request's candidates, or the source's.
	Base    float64
	Sources []Source
	// Rank is the 1-based position before rules.
	Rank int
	// Facts, when not nil, is what the set knows of the item (Set.Facts), kept by the caller between
	// requests. It changes no answer; it saves evaluating what depends on the item alone.
	Facts *Facts
	// Brief and Row stand for Item and Facts in ApplyBriefs: the facts in short, and the caller's number of
	// the item. Apply does not look at them.
	Brief Brief
	Row   int32
	// Vector is the item's vector in the model, nil when it has none; needed only where Set.Vectors
	// says so. Shared, never changed.
	Vector []float32

	similarity float64 // to the user, once the engine knows it
}

// Ranked is a candidate that was kept, in its final place.
type Ranked struct {
	Candidate
	Score    float64 // base after multipliers and additions
	Position int     // 1-based
	Reasons  []string
	Badges   []string
	Notes    map[string]string
}

// Fired says that a rule acted: on how many items, and with which effect.
type Fired struct {
	Rule   string `json:"rule"`
	Action string `json:"action"`
	Items  int    `json:"items,omitempty"`
	Detail string `json:"detail,omitempty"` // a plain sentence
}

// Effect is what one rule did to one item.
type Effect struct {
	Rule     string  `json:"rule"`
	Action   string  `json:"action"`
	Multiply float64 `json:"multiply,omitempty"`
	Add      float64 `json:"add,omitempty"`
	Detail   string  `json:"detail,omitempty"`
	Error    string  `json:"error,omitempty"`
}

// ItemTrace is everything that happened to one candidate.
type ItemTrace struct {
	ItemID  string   `json:"item_id"`
	Sources []Source `json:"sources"`
	Rank    int      `json:"rank"` // before rules
	Base    float64  `json:"base"`
	Score   float64  `json:"score"`
	// Position is the final place; 0 = not in the list.
	Position int `json:"position"`
	// Fill is above 0 for an item that only completes a short list: the place of its strategy.
	Fill int `json:"fill,omitempty"`
	// Bottom items come after all others.
	Bottom  bool     `json:"bottom,omitempty"`
	Removed string   `json:"removed,omitempty"` // id of the rule that removed it
	Effects []Effect `json:"effects,omitempty"`
}

// Trace is the explanation of one application of a set.
type Trace struct {
	Fired      []Fired           `json:"fired"`
	Superseded []Fired           `json:"superseded,omitempty"`
	Strategy   string            `json:"strategy,omitempty"`
	Removed    map[string]string `json:"removed,omitempty"` // item id -> rule id
	Items      []ItemTrace       `json:"items,omitempty"`   // filled only when explaining
	Errors     []Effect          `json:"errors,omitempty"`
	Params     map[string]any    `json:"params,omitempty"`
	// Held lists the rules that were held out for this user, to measure what they are worth.
	Held []string `json:"held,omitempty"`
}

// Tally is how often one rule was evaluated for an item in one application, and how often it failed.
type Tally struct {
	Rule              string
	Evaluated, Failed int
	Kind              string // the action, or "match", that failed; "" without failures
}

// Result is what Apply returns: the list, and the story of how it came to be.
type Result struct {
	Items    []Ranked
	Trace    Trace
	Degraded []string // e.g. "rules_budget"
	// Tally counts the evaluations of the rules that were on, in their order, for whoever watches
	// over them.
	Tally []Tally
}
