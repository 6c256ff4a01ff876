package train

import (
	"fmt"
	"hash/maphash"
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

// duplicateWindow is the number of latest events in which a repeated one is found: producers repeat what
// they sent a moment ago, and a memory of everything would grow with the log.
const duplicateWindow = 1 << 22

// Removal is what one step took away.
type Removal struct {
	Step     Cleaning `json:"step"`
	Events   int64    `json:"events"`
	Lines    int64    `json:"lines"` // of events that stayed
	Subjects int64    `json:"subjects,omitempty"`
}

// Cleaner cleans a log in two passes over it: Observe sees every event, then Keep sees them once more, in
// the same order. Memory grows with users, items and sessions, not with events. One goroutine.
type Cleaner struct {
	limits   Limits
	steps    map[Cleaning]bool
	inspect  *Inspector // for its rules of what is impossible and who is a bot
	recent   recent
	sessions map[string][]int32 // events of each session, by user
	returns  map[uint64]*returned
	removed  map[Cleaning]*Removal
	bots     map[string]struct{}
	at       map[string]*standing // of the second pass, by user
	seed     maphash.Seed
	seen     int64
	kept     int64
	first    bool
}

// returned is what is known of the lines that were given back under one key.
type returned struct {
	open    int   // order lines that may still be cancelled
	matched int   // returns whose order line went
	latest  int64 // time of the last return
}

// standing is where a user stands in the second pass.
type standing struct {
	newest  int64
	session int
}

// recent remembers the hashes of the latest events in two halves.
type recent struct {
	size     int
	now, old map[uint64]struct{}
}

// add tells whether the hash is new.
func (r *recent) add(h uint64) bool {
	if _, ok := r.now[h]; ok {
		return false
	}
	if _, ok := r.old[h]; ok {
		return false
	}
	if r.now == nil || len(r.now) >= r.size/2 {
		r.old, r.now = r.now, make(map[uint64]struct{}, 1024)
	}
	r.now[h] = struct{}{}
	return true
}

// NewCleaner returns a cleaner of the steps.
func NewCleaner(steps []Cleaning, l Limits) *Cleaner {
	c := &Cleaner{limits: l.withDefaults(), steps: map[Cleaning]bool{}, inspect: NewInspector(l), recent: recent{size: duplicateWindow},
		sessions: map[string][]int32{}, returns: map[uint64]*returned{}, removed: map[Cleaning]*Removal{}, bots: map[string]struct{}{},
		at: map[string]*standing{}, seed: maphash.MakeSeed(), first: true}
	for _, s := range Cleanings() {
		c.steps[s] = slices.Contains(steps, s)
		c.removed[s] = &Removal{Step: s}
	}
	return c
}

// counted tells whether cleaning looks at the event: what users did. The rest passes.
func counted(e *streams.Event) bool {
	s := e.Type.Stream()
	return s == streams.Behavior || s == streams.Orders
}

// Observe sees an event in the first pass.
func (c *Cleaner) Observe(e *streams.Event) {
	if !counted(e) || c.inspect.impossible(e) != "" {
		return
	}
	c.inspect.visit(e)
	subject := e.Subject()
	if c.steps[ShortSessions] || c.steps[LongSessions] {
		p := c.stand(subject, e)
		list := c.sessions[subject]
		for len(list) <= p.session {
			list = append(list, 0)
		}
		list[p.session]++
		c.sessions[subject] = list
	}
	if c.steps[Cancelled] && e.Type == streams.Return {
		for _, line := range e.Items {
			key := c.lineKey(subject, line)
			if c.returns[key] == nil {
				c.returns[key] = &returned{}
			}
			c.returns[key].open++
			c.returns[key].latest = max(c.returns[key].latest, e.Time.UnixMilli())
		}
	}
}

// lineKey names lines that can cancel each other: those of one user with the same item and quantity.
func (c *Cleaner) lineKey(subject string, l streams.Line) uint64 {
	return maphash.String(c.seed, fmt.Sprintf("%s\x00%s\x00%d", subject, l.ItemID, l.Quantity))
}

// stand moves a user on and returns where he stands.
func (c *Cleaner) stand(subject string, e *streams.Event) *standing {
	now, p := e.Time.UnixMilli(), c.at[subject]
	if p == nil {
		p = &standing{newest: now}
		c.at[strings.Clone(subject)] = p
	}
	if now-p.newest > c.limits.SessionGap.Milliseconds() {
		p.session++
	}
	p.newest = max(p.newest, now)
	return p
}

// begin ends the first pass.
func (c *Cleaner) begin() {
	c.first = false
	clear(c.at)
	for user, v := range c.inspect.users {
		if v.bot {
			c.bots[user] = struct{}{}
		}
	}
	c.removed[Bots].Subjects = int64(len(c.bots))
}

// Keep sees an event in the second pass and tells whether it stays. Lines that go are taken out of a copy
// of the event, which is returned.
func (c *Cleaner) Keep(e *streams.Event) (kept streams.Event, ok bool) {
	if c.first {
		c.begin()
	}
	if !counted(e) {
		return *e, true
	}
	c.seen++
	kept = *e
	if step := c.reason(&kept); step != "" {
		c.removed[step].Events++
		return kept, false
	}
	c.kept++
	return kept, true
}

// reason returns the step that takes the event away, or "".
func (c *Cleaner) reason(e *streams.Event) Cleaning {
	subject := e.Subject()
	if c.steps[Duplicates] && !c.recent.add(c.inspect.hash(e)) {
		return Duplicates
	}
	wrong := c.inspect.impossible(e) != ""
	if wrong {
		if c.steps[Impossible] {
			return Impossible
		}
		return ""
	}
	if _, bot := c.bots[subject]; bot && c.steps[Bots] {
		return Bots
	}
	if c.steps[Cancelled] && c.cancel(subject, e) {
		return Cancelled
	}
	if c.steps[ShortSessions] || c.steps[LongSessions] {
		n := c.sessions[subject][c.stand(subject, e).session]
		if c.steps[ShortSessions] && n == 1 {
			return ShortSessions
		}
		if c.steps[LongSessions] && int(n) > c.limits.LongSessions {
			return LongSessions
		}
	}
	return ""
}

// cancel takes order lines out that are given back later, and the returns of those lines; true when
// nothing is left of the event.
func (c *Cleaner) cancel(subject string, e *streams.Event) bool {
	if e.Type != streams.Order && e.Type != streams.Return || len(e.Items) == 0 {
		return false
	}
	left := make([]streams.Line, 0, len(e.Items))
	for _, line := range e.Items {
		r := c.returns[c.lineKey(subject, line)]
		switch {
		case r == nil:
			left = append(left, line)
		case e.Type == streams.Order && r.open > 0 && e.Time.UnixMilli() <= r.latest:
			r.open--
			r.matched++
		case e.Type == streams.Return && r.matched > 0:
			r.matched--
		default:
			left = append(left, line)
		}
	}
	if len(left) == 0 {
		return true
	}
	c.removed[Cancelled].Lines += int64(len(e.Items) - len(left))
	e.Items = left
	return false
}

// CleanReport says what cleaning did.
type CleanReport struct {
	Events  int64     `json:"events"` // of behaviour and orders
	Kept    int64     `json:"kept"`
	Steps   []Removal `json:"steps"` // in the order in which they were applied
	Session string    `json:"session_gap"`
}

// Report returns what the second pass took away, by step.
func (c *Cleaner) Report() CleanReport {
	r := CleanReport{Events: c.seen, Kept: c.kept, Session: c.limits.SessionGap.Round(time.Second).String()}
	for _, s := range Cleanings() {
		if c.steps[s] {
			r.Steps = append(r.Steps, *c.removed[s])
		}
	}
	return r
}
