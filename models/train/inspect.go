package train

import (
	"fmt"
	"slices"
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
// of users and items, not with the events; a repeated event is found among the latest two to four million.
// One goroutine.
type Inspector struct {
	limits   Limits
	hasher   hasher
	recent   recent
	users    byHash[visitor]
	items    byHash[struct{}]
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
	events  int32
	session int32
	hour    int32 // of newest
	inHour  int32
	bot     bool
}

// NewInspector returns an inspector.
func NewInspector(l Limits) *Inspector {
	return &Inspector{limits: l.withDefaults(), hasher: newHasher(), recent: recent{size: duplicateWindow},
		types: map[streams.Type]int64{}, bad: map[string]int64{}}
}

// Add looks at one event on the behavior or orders stream; others are passed over. The events of a
// user come in the order of their times; one that comes late counts to the current session.
func (x *Inspector) Add(e *streams.Event) {
	if s := e.Type.Stream(); s != streams.Behavior && s != streams.Orders {
		return
	}
	x.events++
	x.types[e.Type]++
	subject := x.hasher.subject(e)
	if !x.recent.add(x.hasher.event(e, subject)) {
		x.repeated++
		return
	}
	if what := x.limits.impossible(e); what != "" {
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
		x.items.at(x.hasher.text(line.ItemID))
	}
	x.visit(subject, e.Time.UnixMilli())
}

// impossible names what cannot be true of the event, or returns "".
func (l *Limits) impossible(e *streams.Event) string {
	switch {
	case e.Time.Before(l.Oldest):
		return "time too old"
	case !l.Newest.IsZero() && e.Time.After(l.Newest):
		return "time in the future"
	case e.UserID == "" && e.AnonymousID == "":
		return "no user"
	}
	for i := range e.Items {
		line := &e.Items[i]
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

func (x *Inspector) visit(subject uint64, now int64) {
	v, _ := x.users.at(subject)
	if v.events == 0 || now-v.newest > x.limits.SessionGap.Milliseconds() {
		x.close(v)
		v.session = 0
	}
	if hour := int32(now / time.Hour.Milliseconds()); v.events == 0 || hour != v.hour {
		v.hour, v.inHour = hour, 0
	}
	v.events++
	v.session++
	v.inHour++
	v.newest = max(v.newest, now)
	v.bot = v.bot || int(v.inHour) > x.limits.PerHour
}

// close counts the session that ends.
func (x *Inspector) close(v *visitor) {
	switch {
	case v.session == 0:
		return
	case v.session == 1:
		x.short++
	case int(v.session) > x.limits.LongSessions:
		x.long++
		x.inLong += int64(v.session)
	}
	x.sessions++
}

// Report ends the inspection.
func (x *Inspector) Report() Findings {
	var bots, botEvents, once int64
	for _, v := range x.users.all() {
		x.close(v)
		v.session = 0
		if v.bot {
			bots++
			botEvents += int64(v.events)
		}
		if v.events == 1 {
			once++
		}
	}
	f := Findings{Events: x.events, Users: int64(x.users.n), Items: int64(x.items.n), Sessions: x.sessions, First: x.first, Last: x.last}
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
