package train

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// Cleaning is one step of cleaning, by the name that people use.
type Cleaning string

// The steps, in the order in which they are applied.
const (
	Duplicates    Cleaning = "duplicates"     // events that came before, by id, or by user, type, items and time
	Impossible    Cleaning = "impossible"     // times, prices, quantities and users that cannot be
	Bots          Cleaning = "bots"           // all events of users with more than Limits.PerHour events in an hour
	Cancelled     Cleaning = "cancelled"      // order lines that were given back whole, with the return
	ShortSessions Cleaning = "short-sessions" // sessions of one event
	LongSessions  Cleaning = "long-sessions"  // sessions of more than Limits.LongSessions events
)

// Cleanings lists the steps in their order.
func Cleanings() []Cleaning {
	return []Cleaning{Duplicates, Impossible, Bots, Cancelled, ShortSessions, LongSessions}
}

// DefaultCleanings are the steps that take away only what is surely wrong.
func DefaultCleanings() []Cleaning { return []Cleaning{Duplicates, Impossible, Bots} }

// ParseCleanings reads names of steps.
func ParseCleanings(names []string) ([]Cleaning, error) {
	var out []Cleaning
	for _, name := range names {
		c := Cleaning(name)
		if !slices.Contains(Cleanings(), c) {
			var known []string
			for _, k := range Cleanings() {
				known = append(known, string(k))
			}
			return nil, fmt.Errorf("%q is no step of cleaning: it can be %s", name, strings.Join(known, ", "))
		}
		out = append(out, c)
	}
	return out, nil
}

// Removal is what one step took away.
type Removal struct {
	Step     Cleaning `json:"step"`
	Events   int64    `json:"events"`
	Lines    int64    `json:"lines"` // of events that stayed
	Subjects int64    `json:"subjects,omitempty"`
}

// Cleaner cleans a log in two passes over it: Observe sees every event, then Keep sees them once more, in
// the same order. Memory grows with users, not with events: 40 bytes and a hash table's air for each, 16
// bytes for every 32 sessions after the 31st of a user, 24 bytes for each line that was given back, and up
// to 64 MiB for the ids of the latest events (CleanReport.Memory). One goroutine.
type Cleaner struct {
	limits   Limits
	does     struct{ duplicates, impossible, bots, cancelled, sessions, short, long bool }
	hasher   hasher
	recent   recent
	users    byHash[standing]
	more     byHash[uint64] // verdicts of 32 later sessions of a user
	returns  byHash[returned]
	removed  map[Cleaning]*Removal
	seen     int64
	kept     int64
	observed bool // the first pass is over
}

// standing is where a user stands in the pass, and what the first pass found.
type standing struct {
	newest    int64 // Unix milliseconds
	hour      int32 // since 1970, of the last event
	inHour    int32
	session   int32 // counts from 0
	inSession int32 // 0 = nothing of this user has come in this pass
	verdicts  uint64
}

// The verdict on a session takes two bits; the top bits of a user's first ones say that he is a bot.
const (
	ordinary = iota
	short
	long

	firstSessions = 31
	isBot         = 1 << 62
)

// returned is what is known of the lines that were given back under one key.
type returned struct {
	latest  int64 // time of the last return
	open    int32 // order lines that may still be cancelled
	matched int32 // returns whose order line went
}

// NewCleaner returns a cleaner of the steps.
func NewCleaner(steps []Cleaning, l Limits) *Cleaner {
	c := &Cleaner{limits: l.withDefaults(), hasher: newHasher(), recent: recent{size: duplicateWindow}, removed: map[Cleaning]*Removal{}}
	for _, s := range Cleanings() {
		if slices.Contains(steps, s) {
			c.removed[s] = &Removal{Step: s}
		}
	}
	has := func(s Cleaning) bool { return c.removed[s] != nil }
	d := &c.does
	d.duplicates, d.impossible, d.bots, d.cancelled = has(Duplicates), has(Impossible), has(Bots), has(Cancelled)
	d.short, d.long = has(ShortSessions), has(LongSessions)
	d.sessions = d.short || d.long
	return c
}

// counted tells whether cleaning looks at the event: what users did. The rest passes.
func counted(e *streams.Event) bool {
	s := e.Type.Stream()
	return s == streams.Behavior || s == streams.Orders
}

// Observe sees an event in the first pass. It returns false for one that the second pass takes away
// whatever follows: a duplicate, or one that cannot be.
func (c *Cleaner) Observe(e *streams.Event) bool {
	if !counted(e) {
		return true
	}
	subject := c.hasher.subject(e)
	if c.does.duplicates && !c.recent.add(c.hasher.event(e, subject)) {
		return false
	}
	if c.limits.impossible(e) != "" {
		return !c.does.impossible
	}
	if c.does.bots || c.does.sessions {
		p, _ := c.users.at(subject)
		now := e.Time.UnixMilli()
		p.hurry(now, c.limits.PerHour)
		if p.opens(now, c.limits) {
			c.judge(subject, p)
			p.inSession = 0
		}
		p.step(now)
	}
	if c.does.cancelled && e.Type == streams.Return {
		for i := range e.Items {
			r, _ := c.returns.at(c.lineKey(subject, &e.Items[i]))
			r.open++
			r.latest = max(r.latest, e.Time.UnixMilli())
		}
	}
	return true
}

// lineKey names lines that can cancel each other: those of one user with the same item and quantity.
func (c *Cleaner) lineKey(subject uint64, l *streams.Line) uint64 {
	return mix(mix(subject, c.hasher.text(l.ItemID)), uint64(l.Quantity))
}

// hurry counts the events of an hour.
func (p *standing) hurry(now int64, perHour int) {
	hour := int32(now / time.Hour.Milliseconds())
	if hour != p.hour || p.inSession == 0 {
		p.hour, p.inHour = hour, 0
	}
	if p.inHour++; int(p.inHour) > perHour {
		p.verdicts |= isBot
	}
}

// opens tells whether the event at now begins a session after another one.
func (p *standing) opens(now int64, l Limits) bool {
	return p.inSession > 0 && now-p.newest > l.SessionGap.Milliseconds()
}

// step moves the user on by one event.
func (p *standing) step(now int64) {
	if p.inSession == 0 && p.session == 0 {
		p.newest = now
	}
	p.inSession++
	p.newest = max(p.newest, now)
}

// judge notes what the session that ends was, and moves on to the next one.
func (c *Cleaner) judge(subject uint64, p *standing) {
	verdict := uint64(ordinary)
	switch {
	case p.inSession == 1:
		verdict = short
	case int(p.inSession) > c.limits.LongSessions:
		verdict = long
	}
	if verdict != ordinary {
		if p.session < firstSessions {
			p.verdicts |= verdict << (2 * p.session)
		} else {
			later := p.session - firstSessions
			block, _ := c.more.at(mix(subject, uint64(later/32)))
			*block |= verdict << (2 * (later % 32))
		}
	}
	p.session++
}

// verdict returns what the first pass found of the session in which the user stands. A session that it has
// not seen, because the log has grown since, is ordinary.
func (c *Cleaner) verdict(subject uint64, p *standing) uint64 {
	if p.session < firstSessions {
		return p.verdicts >> (2 * p.session) & 3
	}
	later := p.session - firstSessions
	block := c.more.find(mix(subject, uint64(later/32)))
	if block == nil {
		return ordinary
	}
	return *block >> (2 * (later % 32)) & 3
}

// begin ends the first pass.
func (c *Cleaner) begin() {
	c.observed = true
	c.recent.clear()
	for subject, p := range c.users.all() {
		c.judge(subject, p)
		p.session, p.inSession = 0, 0
		if p.verdicts&isBot != 0 && c.does.bots {
			c.removed[Bots].Subjects++
		}
	}
}

// Keep sees an event in the second pass and tells whether it stays. Lines that go are taken out of a copy
// of the event, which is returned.
func (c *Cleaner) Keep(e *streams.Event) (kept *streams.Event, ok bool) {
	if !c.observed {
		c.begin()
	}
	if !counted(e) {
		return e, true
	}
	c.seen++
	kept, step := c.reason(e)
	if step != "" {
		c.removed[step].Events++
		return nil, false
	}
	c.kept++
	return kept, true
}

// reason returns what is left of the event, or the step that takes it away.
func (c *Cleaner) reason(e *streams.Event) (kept *streams.Event, step Cleaning) {
	subject := c.hasher.subject(e)
	if c.does.duplicates && !c.recent.add(c.hasher.event(e, subject)) {
		return nil, Duplicates
	}
	if c.limits.impossible(e) != "" {
		if c.does.impossible {
			return nil, Impossible
		}
		return e, ""
	}
	verdict := uint64(ordinary)
	if c.does.bots || c.does.sessions {
		// The user moves on before anything is taken away: the first pass counted this event.
		p, _ := c.users.at(subject)
		now := e.Time.UnixMilli()
		if p.opens(now, c.limits) {
			p.session++
		}
		p.step(now)
		if c.does.bots && p.verdicts&isBot != 0 {
			return nil, Bots
		}
		verdict = c.verdict(subject, p)
	}
	if c.does.cancelled {
		if e = c.cancel(subject, e); e == nil {
			return nil, Cancelled
		}
	}
	switch {
	case c.does.short && verdict == short:
		return nil, ShortSessions
	case c.does.long && verdict == long:
		return nil, LongSessions
	}
	return e, ""
}

// cancel takes order lines out that are given back later, and the returns of those lines; nil when
// nothing is left of the event.
func (c *Cleaner) cancel(subject uint64, e *streams.Event) *streams.Event {
	if e.Type != streams.Order && e.Type != streams.Return || len(e.Items) == 0 {
		return e
	}
	var left []streams.Line
	for i, line := range e.Items {
		if !c.takes(subject, e, &line) {
			if left != nil {
				left = append(left, line)
			}
		} else if left == nil {
			left = slices.Grow(left, len(e.Items))[:0]
			left = append(left, e.Items[:i]...)
		}
	}
	switch {
	case left == nil:
		return e
	case len(left) == 0:
		return nil
	}
	c.removed[Cancelled].Lines += int64(len(e.Items) - len(left))
	kept := *e
	kept.Items = left
	return &kept
}

// takes tells whether a line of an order or a return goes.
func (c *Cleaner) takes(subject uint64, e *streams.Event, line *streams.Line) bool {
	r := c.returns.find(c.lineKey(subject, line))
	switch {
	case r == nil:
		return false
	case e.Type == streams.Order && r.open > 0 && e.Time.UnixMilli() <= r.latest:
		r.open--
		r.matched++
		return true
	case e.Type == streams.Return && r.matched > 0:
		r.matched--
		return true
	}
	return false
}

// CleanReport says what cleaning did.
type CleanReport struct {
	Events  int64     `json:"events"` // of behaviour and orders
	Kept    int64     `json:"kept"`
	Steps   []Removal `json:"steps"` // in the order in which they were applied
	Session string    `json:"session_gap"`
	Memory  int64     `json:"table_bytes"` // of what is remembered of users, sessions, returns and latest events
}

// Report returns what the second pass took away, by step.
func (c *Cleaner) Report() CleanReport {
	r := CleanReport{Events: c.seen, Kept: c.kept, Session: c.limits.SessionGap.Round(time.Second).String(),
		Memory: c.users.bytes() + c.more.bytes() + c.returns.bytes() + c.recent.now.bytes() + c.recent.old.bytes()}
	for _, s := range Cleanings() {
		if removed := c.removed[s]; removed != nil {
			r.Steps = append(r.Steps, *removed)
		}
	}
	return r
}
