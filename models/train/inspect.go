package train

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// Limits say what an Inspector finds suspicious. The zero value of a field means its default.
type Limits struct {
	PerHour      int           // events of one subject in an hour before it is taken for a bot; default 600
	SessionGap   time.Duration // silence that ends a session; default 30 minutes
	LongSessions int           // events of a session before it is long; default 500
	Oldest       time.Time     // events before are impossible; default 1995
	Newest       time.Time     // events after are impossible; zero = no bound
}

func (l Limits) withDefaults() Limits {
	if l.PerHour == 0 {
		l.PerHour = 600
	}
	if l.SessionGap == 0 {
		l.SessionGap = 30 * time.Minute
	}
	if l.LongSessions == 0 {
		l.LongSessions = 500
	}
	if l.Oldest.IsZero() {
		l.Oldest = time.Date(1995, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return l
}

// Finding is one thing that an Inspector counts.
type Finding struct {
	Name     string
	Events   int64  // that it concerns
	Subjects int64  // users or sessions that it concerns, where that says something
	Removed  bool   // cleaning leaves these events out
	About    string // the rule, with its limit
}

// Findings is the report of an Inspector.
type Findings struct {
	Events, Kept           int64
	Users, Items, Sessions int64
	First, Last            time.Time
	Types                  []TypeCount // by descending count
	Findings               []Finding
}

// TypeCount counts the events of one type.
type TypeCount struct {
	Type   streams.Type
	Events int64
}

// Inspector reads a log of events once and counts what is wrong with it. Memory grows with the number
// of users, items and event ids (8 bytes each), not with the events themselves. One goroutine.
type Inspector struct {
	limits   Limits
	seed     maphash.Seed
	seen     map[uint64]struct{} // hashes of event ids
	users    map[string]*visitor
	items    map[string]struct{}
	types    map[streams.Type]int64
	first    time.Time
	last     time.Time
	events   int64
	repeated int64
	bad      map[string]int64
	returns  int64
	sessions int64
	short    int64
	long     int64
	inLong   int64
}

// visitor is what is remembered of one user.
type visitor struct {
	newest  int64
	events  int64
	session int64
	hour    int64 // of newest
	inHour  int64
	bot     bool
}

// NewInspector returns an inspector.
func NewInspector(l Limits) *Inspector {
	return &Inspector{limits: l.withDefaults(), seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}, users: map[string]*visitor{},
		items: map[string]struct{}{}, types: map[streams.Type]int64{}, bad: map[string]int64{}}
}

// Add looks at one event on the behavior or orders stream; others are passed over. The events of a
// user come in the order of their times; one that comes late counts to the current session.
func (x *Inspector) Add(e *streams.Event) {
	if s := e.Type.Stream(); s != streams.Behavior && s != streams.Orders {
		return
	}
	x.events++
	x.types[e.Type]++
	if x.repeats(e) {
		x.repeated++
		return
	}
	if what := x.impossible(e); what != "" {
		x.bad[what]++
		return
	}
	if x.first.IsZero() || e.Time.Before(x.first) {
		x.first = e.Time
	}
	if e.Time.After(x.last) {
		x.last = e.Time
	}
	if e.Type == streams.Return {
		x.returns++
	}
	for _, line := range e.Items {
		if _, ok := x.items[line.ItemID]; !ok {
			x.items[line.ItemID] = struct{}{}
		}
	}
	x.visit(e)
}

// repeats tells whether the event was there before: by its id, or by what it says when it has none.
func (x *Inspector) repeats(e *streams.Event) bool {
	hash := x.hash(e)
	if _, ok := x.seen[hash]; ok {
		return true
	}
	x.seen[hash] = struct{}{}
	return false
}

// hash names what an event says.
func (x *Inspector) hash(e *streams.Event) uint64 {
	text := e.ID
	if text == "" {
		item := ""
		for _, line := range e.Items {
			item += line.ItemID + "\x00"
		}
		text = fmt.Sprintf("%s\x00%s\x00%d\x00%s\x00%s", e.Subject(), e.Type, e.Time.UnixMilli(), item, e.Query)
	}
	return maphash.String(x.seed, text)
}

// impossible names what cannot be true of the event, or returns "".
func (x *Inspector) impossible(e *streams.Event) string {
	switch {
	case e.Time.Before(x.limits.Oldest):
		return "time too old"
	case !x.limits.Newest.IsZero() && e.Time.After(x.limits.Newest):
		return "time in the future"
	case e.Subject() == "":
		return "no user"
	}
	for _, line := range e.Items {
		switch {
		case line.ItemID == "":
			return "line without item"
		case line.Price < 0:
			return "negative price"
		case line.Quantity < 0:
			return "negative quantity"
		}
	}
	return ""
}

func (x *Inspector) visit(e *streams.Event) {
	subject := e.Subject()
	v := x.users[subject]
	if v == nil {
		v = &visitor{}
		x.users[strings.Clone(subject)] = v
	}
	now := e.Time.UnixMilli()
	if v.events == 0 || now-v.newest > x.limits.SessionGap.Milliseconds() {
		x.close(v)
		v.session = 0
	}
	if hour := now / time.Hour.Milliseconds(); v.events == 0 || hour != v.hour {
		v.hour, v.inHour = hour, 0
	}
	v.events++
	v.session++
	v.inHour++
	v.newest = max(v.newest, now)
	v.bot = v.bot || v.inHour > int64(x.limits.PerHour)
}

// close counts the session that ends.
func (x *Inspector) close(v *visitor) {
	switch {
	case v.session == 0:
		return
	case v.session == 1:
		x.short++
	case v.session > int64(x.limits.LongSessions):
		x.long++
		x.inLong += v.session
	}
	x.sessions++
}

// Report ends the inspection.
func (x *Inspector) Report() Findings {
	var bots, botEvents, once int64
	for _, v := range x.users {
		x.close(v)
		v.session = 0
		if v.bot {
			bots++
			botEvents += v.events
		}
		if v.events == 1 {
			once++
		}
	}
	f := Findings{Events: x.events, Users: int64(len(x.users)), Items: int64(len(x.items)), Sessions: x.sessions, First: x.first, Last: x.last}
	f.add("duplicates", x.repeated, 0, true, "same event id, or without one the same user, type, items and time")
	for _, what := range []string{"time too old", "time in the future", "no user", "line without item", "negative price", "negative quantity"} {
		f.add(what, x.bad[what], 0, true, "impossible value")
	}
	f.add("bots", botEvents, bots, true, fmt.Sprintf("users with more than %d events in an hour", x.limits.PerHour))
	f.add("returns", x.returns, x.returns, false, "take away what the order added")
	f.add("long sessions", x.inLong, x.long, false, fmt.Sprintf("more than %d events without a silence of %v", x.limits.LongSessions, x.limits.SessionGap))
	f.add("short sessions", x.short, x.short, false, "one event")
	f.add("one-event users", once, once, false, "cannot be judged and teach nothing to the linear autoencoder")
	f.Kept = f.Events
	for _, finding := range f.Findings {
		if finding.Removed {
			f.Kept -= finding.Events
		}
	}
	for t, n := range x.types {
		f.Types = append(f.Types, TypeCount{Type: t, Events: n})
	}
	slices.SortFunc(f.Types, func(a, b TypeCount) int {
		if a.Events != b.Events {
			return int(b.Events - a.Events)
		}
		return slices.Index(streams.Types(), a.Type) - slices.Index(streams.Types(), b.Type)
	})
	return f
}

func (f *Findings) add(name string, events, subjects int64, removed bool, about string) {
	f.Findings = append(f.Findings, Finding{Name: name, Events: events, Subjects: subjects, Removed: removed, About: about})
}
