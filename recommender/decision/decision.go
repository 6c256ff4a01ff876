// Package decision is the versioned record of what was shown to whom and why, and a bounded log that
// writes it out as exposure events. It drops and counts rather than blocks, and decides nothing.
package decision

import (
	"time"

	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/streams"
)

// Format is the version of the record's layout. It grows when a field changes its meaning.
const Format = 1

// TraceAttribute and StateAttribute are the attributes of an exposure that hold Decision.Traceparent and
// Decision.Tracestate: the names that the CloudEvents extension for traces has. An exposure that waits in the
// spill file keeps its trace there.
const (
	TraceAttribute = "traceparent"
	StateAttribute = "tracestate"
)

// Decision is one answer that was given. It is immutable once made.
type Decision struct {
	Format int
	// ID is the recommendation id that clicks and orders are attributed to.
	ID   string
	Time time.Time

	UserID, AnonymousID string
	Scenario, Placement string
	Country             string

	Items    []Shown // in the order shown
	ServedBy string
	Degraded []string
	// Model, Rules and Schema are the versions that made the list.
	Model, Rules, Schema string
	Fired                []rules.Fired
	// Tried lists the rules with a hold-out that were on, Held those that this user was held out from:
	// the two sides of the comparison that tells what a rule is worth.
	Tried, Held []string
	Took        time.Duration
	// Traceparent is the place of the request in a trace and Tracestate what the systems on the way there have
	// to say of it, as W3C writes them; "" for none.
	Traceparent, Tracestate string
}

// Shown is one place of the list.
type Shown struct {
	ItemID  string
	Score   float64
	Source  string
	Reasons []string // ids of rules
}

// Subject returns the entity that a user id and an anonymous id stand for, "" for neither.
func Subject(userID, anonymousID string) string {
	e := streams.Event{UserID: userID, AnonymousID: anonymousID}
	return e.Subject()
}

// Exposure returns the event that records the decision in the log. ok is false when there is nobody
// or nothing to record: an exposure belongs to a subject and shows an item.
func (d *Decision) Exposure() (e streams.Event, ok bool) {
	if len(d.Items) == 0 || Subject(d.UserID, d.AnonymousID) == "" {
		return streams.Event{}, false
	}
	e = streams.Event{
		ID: d.ID + "-exposure", Type: streams.Exposure, Time: d.Time.UTC().Truncate(time.Millisecond),
		UserID: d.UserID, AnonymousID: d.AnonymousID,
		Country: d.Country, Scenario: d.Scenario, RecommendationID: d.ID,
		Items: make([]streams.Line, len(d.Items)),
		Attributes: map[string]any{
			"format":         float64(d.Format),
			"served_by":      d.ServedBy,
			"schema_version": d.Schema,
			"rules_version":  d.Rules,
			"sources":        d.sources(),
		},
	}
	for i, it := range d.Items {
		e.Items[i] = streams.Line{ItemID: it.ItemID, Position: i + 1}
	}
	d.optional(e.Attributes)
	return e, true
}

// optional adds the attributes that many decisions do not have.
func (d *Decision) optional(attributes map[string]any) {
	if d.Model != "" {
		attributes["model_version"] = d.Model
	}
	if d.Placement != "" {
		attributes["placement"] = d.Placement
	}
	if len(d.Degraded) > 0 {
		attributes["degraded"] = texts(d.Degraded)
	}
	if rules := d.ruleIDs(); len(rules) > 0 {
		attributes["rules"] = texts(rules)
	}
	if len(d.Tried) > 0 {
		attributes["tried"] = texts(d.Tried)
	}
	if len(d.Held) > 0 {
		attributes["held"] = texts(d.Held)
	}
	if d.Traceparent != "" {
		attributes[TraceAttribute] = d.Traceparent
		if d.Tracestate != "" {
			attributes[StateAttribute] = d.Tracestate
		}
	}
}

// sources lists the source of each item, in the order shown.
func (d *Decision) sources() []any {
	out := make([]any, len(d.Items))
	for i, it := range d.Items {
		out[i] = it.Source
	}
	return out
}

// ruleIDs lists the rules that acted, each once, in the order in which they acted.
func (d *Decision) ruleIDs() []string {
	var out []string
	seen := make(map[string]bool, len(d.Fired))
	for _, f := range d.Fired {
		if !seen[f.Rule] {
			seen[f.Rule] = true
			out = append(out, f.Rule)
		}
	}
	return out
}

func texts(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}
