package httpapi

import (
	"time"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
)

// recommendBody is the body of POST /v1/recommend. The limits in its tags are those that
// recommender enforces; a test keeps them equal.
type recommendBody struct {
	UserID      string         `json:"user_id,omitempty" maxLength:"128" doc:"Who asks. Without it, and without anonymous_id, the answer depends on the context only." example:"u1"`
	AnonymousID string         `json:"anonymous_id,omitempty" maxLength:"128" doc:"A visitor who is not logged in; user_id wins"`
	Scenario    string         `json:"scenario,omitempty" maxLength:"63" pattern:"^[a-z0-9][a-z0-9_-]*$" default:"default" doc:"Placement whose rules apply" example:"home"`
	Placement   string         `json:"placement,omitempty" maxLength:"63" pattern:"^[a-z0-9][a-z0-9_-]*$" doc:"Place within the scenario" example:"grid"`
	Channel     string         `json:"channel,omitempty" maxLength:"63" pattern:"^[a-z0-9][a-z0-9_-]*$" doc:"For rules: app, web, mail, ..." example:"web"`
	Query       string         `json:"query,omitempty" maxLength:"1000" doc:"For rules: what was searched for"`
	SourceItem  string         `json:"source_item,omitempty" maxLength:"128" doc:"For rules: the item that is looked at"`
	Count       *int           `json:"count,omitempty" minimum:"1" maximum:"100" default:"10" doc:"Length of the list" example:"10"`
	Context     map[string]any `json:"context,omitempty" doc:"Facts about the visit, named by the feature schema: country, language, device, ..."`
	Exclude     []string       `json:"exclude,omitempty" maxItems:"1000" nullable:"false" doc:"Items that must not be in the list"`
	Filter      string         `json:"filter,omitempty" maxLength:"2000" doc:"A condition in the language of rules that every item must meet" example:"item.price < 50"`
	Explain     bool           `json:"explain,omitempty" doc:"Tell per item and per stage how the list came to be"`

	IncludeFields []string `json:"include_fields,omitempty" maxItems:"32" nullable:"false" doc:"Item fields of the feature schema to return with each item" example:"[\"title\",\"price\"]"`
	Paging        bool     `json:"paging,omitempty" doc:"Ask for next_cursor"`
	Cursor        string   `json:"cursor,omitempty" maxLength:"11000" doc:"next_cursor of the page before; the rest of the request stays the same"`
}

func (b *recommendBody) request() recommender.Request {
	return recommender.Request{
		UserID: b.UserID, AnonymousID: b.AnonymousID, Scenario: b.Scenario, Placement: b.Placement,
		Channel: b.Channel, Query: b.Query, SourceItem: b.SourceItem, Count: given(b.Count),
		Context: b.Context, Exclude: b.Exclude, Filter: b.Filter, Explain: b.Explain,
		Fields: b.IncludeFields, Paging: b.Paging, Cursor: b.Cursor,
	}
}

// given turns a count that may be absent into what package recommender takes: 0 for absent, and less for a 0
// that is written, which is out of range.
func given(count *int) int {
	switch {
	case count == nil:
		return 0
	case *count == 0:
		return -1
	}
	return *count
}

// rankBody is the body of POST /v1/rank.
type rankBody struct {
	Items       []string       `json:"items" minItems:"1" maxItems:"1000" nullable:"false" doc:"The items to order"`
	UserID      string         `json:"user_id,omitempty" maxLength:"128" doc:"Who asks" example:"u1"`
	AnonymousID string         `json:"anonymous_id,omitempty" maxLength:"128" doc:"A visitor who is not logged in; user_id wins"`
	Scenario    string         `json:"scenario,omitempty" maxLength:"63" pattern:"^[a-z0-9][a-z0-9_-]*$" default:"default" doc:"Placement whose rules apply" example:"search"`
	Placement   string         `json:"placement,omitempty" maxLength:"63" pattern:"^[a-z0-9][a-z0-9_-]*$" doc:"Place within the scenario"`
	Channel     string         `json:"channel,omitempty" maxLength:"63" pattern:"^[a-z0-9][a-z0-9_-]*$" doc:"For rules: app, web, mail, ..."`
	Query       string         `json:"query,omitempty" maxLength:"1000" doc:"For rules: what was searched for"`
	SourceItem  string         `json:"source_item,omitempty" maxLength:"128" doc:"For rules: the item that is looked at"`
	Count       *int           `json:"count,omitempty" minimum:"1" maximum:"1000" doc:"Length of the list; all items by default"`
	Context     map[string]any `json:"context,omitempty" doc:"Facts about the visit"`
	Exclude     []string       `json:"exclude,omitempty" maxItems:"1000" nullable:"false" doc:"Items that must not be in the list"`
	Filter      string         `json:"filter,omitempty" maxLength:"2000" doc:"A condition that every item must meet"`
	Explain     bool           `json:"explain,omitempty" doc:"Tell how the order came to be"`

	IncludeFields []string `json:"include_fields,omitempty" maxItems:"32" nullable:"false" doc:"Item fields to return with each item"`
}

func (b *rankBody) request() recommender.RankRequest {
	return recommender.RankRequest{Items: b.Items, Request: recommender.Request{
		UserID: b.UserID, AnonymousID: b.AnonymousID, Scenario: b.Scenario, Placement: b.Placement,
		Channel: b.Channel, Query: b.Query, SourceItem: b.SourceItem, Count: given(b.Count),
		Context: b.Context, Exclude: b.Exclude, Filter: b.Filter, Explain: b.Explain, Fields: b.IncludeFields,
	}}
}

// batchBody is the body of POST /v1/recommend:batch.
type batchBody struct {
	Requests []recommendBody `json:"requests" minItems:"1" maxItems:"100" nullable:"false" doc:"Requests as POST /v1/recommend takes them"`
}

// batchAnswer holds one result per request, in the order of the requests.
type batchAnswer struct {
	Results []batchResult `json:"results" nullable:"false" doc:"One per request, in their order"`
}

// batchResult is a recommendation or a problem.
type batchResult struct {
	Status         int             `json:"status" doc:"HTTP status that the request alone would have got" example:"200"`
	Recommendation *recommendation `json:"recommendation,omitempty"`
	Problem        *problem        `json:"problem,omitempty"`
}

// recommendation is the answer of POST /v1/recommend and GET /v1/items/{id}/similar.
type recommendation struct {
	RecommendationID string           `json:"recommendation_id" doc:"Send it with clicks and orders to attribute them"`
	Items            []recommended    `json:"items" nullable:"false" doc:"The list, best first"`
	ServedBy         string           `json:"served_by" doc:"The strategy that made the list" enum:"model,rules,similar,category,popular,static,given,none"`
	Degraded         []string         `json:"degraded" nullable:"false" doc:"What the answer had to do without; empty when nothing"`
	Versions         versions         `json:"versions" doc:"What computed the answer"`
	NextCursor       string           `json:"next_cursor,omitempty" doc:"Send it as cursor for the next page; absent on the last one, and when 1000 items or more have been shown"`
	Explain          *explanationBody `json:"explain,omitempty" doc:"The story of the answer, when asked for"`
}

type recommended struct {
	ItemID  string            `json:"item_id"`
	Score   float64           `json:"score" doc:"Comparable within one answer only"`
	Source  string            `json:"source" doc:"Where the item came from" example:"model"`
	Reasons []string          `json:"reasons" nullable:"false" doc:"Ids of the rules that brought the item here"`
	Badges  []string          `json:"badges,omitempty" doc:"Texts to show with the item"`
	Notes   map[string]string `json:"notes,omitempty"`
	Fields  map[string]any    `json:"fields,omitempty" doc:"What include_fields asked for, by name"`
}

type versions struct {
	Model  string `json:"model" doc:"Empty without a model"`
	Rules  string `json:"rules"`
	Schema string `json:"schema"`
}

type explanationBody struct {
	Summary []string       `json:"summary" nullable:"false" doc:"The story in plain sentences"`
	Stages  []stageBody    `json:"stages" nullable:"false"`
	Items   []itemStory    `json:"items" nullable:"false" doc:"Each candidate that rules touched or listed"`
	Static  map[string]int `json:"static" doc:"Items kept out of the search altogether, by rule"`
	Rules   rules.Trace    `json:"rules" doc:"The full trace of the rules"`
}

type stageBody struct {
	Name   string   `json:"name"`
	Micros int64    `json:"micros" doc:"Time in microseconds"`
	Detail []string `json:"detail" nullable:"false"`
}

type itemStory struct {
	ItemID   string   `json:"item_id"`
	Position int      `json:"position" doc:"Place in the list, 0 = not in it"`
	Story    []string `json:"story" nullable:"false"`
}

func toRecommendation(r *recommender.Response) *recommendation {
	out := &recommendation{
		RecommendationID: r.RecommendationID,
		Items:            make([]recommended, len(r.Items)),
		ServedBy:         string(r.ServedBy),
		Degraded:         list(r.Degraded),
		Versions:         versions(r.Versions),
		NextCursor:       r.NextCursor,
	}
	for i := range r.Items {
		it := &r.Items[i]
		out.Items[i] = recommended{
			ItemID: it.ItemID, Score: shownScore(it.Score), Source: it.Source,
			Reasons: list(it.Reasons), Badges: it.Badges, Notes: it.Notes, Fields: it.Fields,
		}
	}
	if r.Explain != nil {
		out.Explain = toExplanation(r.Explain)
	}
	return out
}

func toExplanation(e *recommender.Explanation) *explanationBody {
	out := &explanationBody{
		Summary: list(e.Summary), Static: e.Static, Rules: e.Rules,
		Stages: make([]stageBody, len(e.Stages)), Items: make([]itemStory, len(e.Items)),
	}
	out.Rules.Fired = list(out.Rules.Fired)
	for i, s := range e.Stages {
		out.Stages[i] = stageBody{Name: s.Name, Micros: s.Took.Microseconds(), Detail: list(s.Detail)}
	}
	for i, it := range e.Items {
		out.Items[i] = itemStory{ItemID: it.ItemID, Position: it.Position, Story: list(it.Story)}
	}
	return out
}

// list makes an absent list an empty one: clients need not ask for null.
func list[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}

// eventsAnswer is the answer of POST /v1/events.
type eventsAnswer struct {
	Accepted int          `json:"accepted" doc:"Events that are safely in the log"`
	Rejected int          `json:"rejected" doc:"Events that are not valid and were left out"`
	Skipped  int          `json:"skipped,omitempty" doc:"Segment calls and CloudEvents that are well-formed and not about shopping"`
	Errors   []fieldError `json:"errors" nullable:"false" doc:"What is wrong with each rejected event, by index"`
}

// changeAnswer is the answer of PUT and DELETE of items and users.
type changeAnswer struct {
	EventID string `json:"event_id" doc:"The event that was written; the change takes effect when it is read from the log"`
}

// health is the answer of /livez and /readyz.
type health struct {
	Status string  `json:"status" enum:"ok,unavailable"`
	Checks []check `json:"checks,omitempty"`
}

type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

type versionBody struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	Commit  string `json:"commit,omitempty"`
}

// statusBody is the answer of GET /v1/status.
type statusBody struct {
	Versions       versions          `json:"versions"`
	Snapshot       snapshotBody      `json:"snapshot"`
	Model          *modelBody        `json:"model,omitempty"`
	Scenarios      map[string]string `json:"scenarios,omitempty" doc:"Versions of the models of single scenarios, by scenario"`
	Rules          *rulesBody        `json:"rules,omitempty"`
	UsersReachable bool              `json:"users_reachable" doc:"False while user features are not asked for after failures"`
	Degraded       []string          `json:"degraded" nullable:"false" doc:"What an answer given now would lack"`
	Draining       bool              `json:"draining"`
}

type snapshotBody struct {
	BuiltAt     time.Time  `json:"built_at"`
	RefreshedAt *time.Time `json:"refreshed_at,omitempty" doc:"When the item source last answered"`
	AgeSeconds  *float64   `json:"age_seconds,omitempty" doc:"Time since then"`
	Catalogue   string     `json:"catalogue" enum:"none,live,disk"`
	Items       int        `json:"items" doc:"Items that may be recommended"`
	Vectors     int        `json:"vectors" doc:"Items with a vector of the model"`
}

type modelBody struct {
	Version        string             `json:"version"`
	Kind           string             `json:"kind"`
	Dim            int                `json:"dim"`
	CreatedAt      time.Time          `json:"created_at"`
	TrainedThrough time.Time          `json:"trained_through"`
	Metrics        map[string]float64 `json:"metrics,omitempty"`
	Index          string             `json:"index" doc:"Kind of the index over its vectors"`
	Recall         float64            `json:"recall" doc:"Share of the best items that the index finds; 1 for an exact one"`
}

type rulesBody struct {
	Revision    string          `json:"revision"`
	OK          bool            `json:"ok" doc:"False when the newest files were refused and older ones serve"`
	LoadedAt    *time.Time      `json:"loaded_at,omitempty"`
	LastAttempt *time.Time      `json:"last_attempt,omitempty"`
	Problems    []rules.Problem `json:"problems" nullable:"false"`
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
