// Package train turns a log of events into a model: it keeps interactions in memory, weighs them and
// solves for item factors. It does no I/O, and the same log, options and seed give the same model, bit
// for bit, on the same kind of processor with any number of workers.
package train

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// interaction is one event on one item: 16 bytes. The time is in Unix milliseconds, shifted left to
// make room for the event type.
type interaction struct {
	user, item int32
	stamp      int64
}

const typeBits = 8

func (x interaction) time() int64 { return x.stamp >> typeBits }
func (x interaction) kind() int   { return int(x.stamp & (1<<typeBits - 1)) }

// names numbers strings in the order of their first appearance.
type names struct {
	list []string
	rows map[string]int32
}

func (n *names) row(s string) int32 {
	if i, ok := n.rows[s]; ok {
		return i
	}
	i := int32(len(n.list))
	s = strings.Clone(s) // the event may be a piece of a large buffer
	n.list = append(n.list, s)
	n.rows[s] = i
	return i
}

// Log is the interactions of users with items, in the order in which they were added. Adding is for
// one goroutine; a log that is no longer added to may be read by many.
type Log struct {
	users, items *names
	types        []streams.Type // by number
	events       chunked[interaction]
	// profile holds what was known just before each event, in the rows, one for each interaction; nil = none.
	profile *Profile
	rows    chunked[int32]
}

// NewProfiledLog returns an empty log that also keeps, in the profile, what was known of the user before
// each event: it must see the events of all streams in the order in which they were applied online.
func NewProfiledLog(p *Profile) *Log {
	l := NewLog()
	l.profile = p
	return l
}

// Profiled tells whether the log keeps what was known before each event.
func (l *Log) Profiled() bool { return l.profile != nil }

// NewLog returns an empty log.
func NewLog() *Log {
	return &Log{types: streams.Types(),
		users: &names{rows: map[string]int32{}}, items: &names{rows: map[string]int32{}}}
}

// Add keeps one interaction per line of an event on the behavior or orders stream. Events without a
// subject or an item, such as a search or an order without details, and events of other streams are
// passed over.
func (l *Log) Add(e *streams.Event) {
	row := int32(-1)
	if l.profile != nil {
		row = l.profile.add(e)
	}
	if s := e.Type.Stream(); s != streams.Behavior && s != streams.Orders {
		return
	}
	subject := e.Subject()
	if subject == "" || len(e.Items) == 0 {
		return
	}
	stamp := e.Time.UnixMilli()<<typeBits | int64(slices.Index(l.types, e.Type))
	user := l.users.row(subject)
	for _, line := range e.Items {
		if line.ItemID == "" || l.events.len() == math.MaxInt32 {
			continue
		}
		l.events.add(interaction{user: user, item: l.items.row(line.ItemID), stamp: stamp})
		if l.profile != nil {
			l.rows.add(row)
		}
	}
}

// Len returns the number of interactions.
func (l *Log) Len() int { return l.events.len() }

// Interaction is one element of a Log, as its readers see it.
type Interaction struct {
	User, Item int32 // numbers for UserID and ItemID
	Type       streams.Type
	Time       int64 // Unix milliseconds
}

// At returns interaction i.
func (l *Log) At(i int) Interaction {
	x := l.events.at(i)
	return Interaction{User: x.user, Item: x.item, Type: l.types[x.kind()], Time: x.time()}
}

// UserID returns the subject with the given number.
func (l *Log) UserID(user int32) string { return l.users.list[user] }

// ItemID returns the item with the given number.
func (l *Log) ItemID(item int32) string { return l.items.list[item] }

// UserNumber returns the number of a subject; ok is false for one that the log does not know.
func (l *Log) UserNumber(id string) (user int32, ok bool) {
	user, ok = l.users.rows[id]
	return user, ok
}

// ItemNumber returns the number of an item; ok is false for one that the log does not know.
func (l *Log) ItemNumber(id string) (item int32, ok bool) {
	item, ok = l.items.rows[id]
	return item, ok
}

// Numbers returns how many users and items are numbered, in this log and those split from it.
func (l *Log) Numbers() (users, items int) { return len(l.users.list), len(l.items.list) }

// Distinct returns how many users and items have an interaction in this log.
func (l *Log) Distinct() (users, items int) {
	return distinct(l, len(l.users.list), func(x interaction) int32 { return x.user }),
		distinct(l, len(l.items.list), func(x interaction) int32 { return x.item })
}

func distinct(l *Log, n int, of func(interaction) int32) int {
	seen, count := make([]bool, n), 0
	for _, x := range l.events.all() {
		if i := of(x); !seen[i] {
			seen[i] = true
			count++
		}
	}
	return count
}

// Newest returns the time of the newest interaction, or the zero time of an empty log: the "now" of
// training.
func (l *Log) Newest() time.Time {
	if l.events.len() == 0 {
		return time.Time{}
	}
	newest := int64(math.MinInt64)
	for _, x := range l.events.all() {
		newest = max(newest, x.time())
	}
	return time.UnixMilli(newest).UTC()
}

// Split parts the log in two that share its numbers: interaction i goes to held when hold[i] is true,
// else to rest.
func (l *Log) Split(hold []bool) (rest, held *Log) {
	rest = &Log{users: l.users, items: l.items, types: l.types, profile: l.profile}
	held = &Log{users: l.users, items: l.items, types: l.types, profile: l.profile}
	for i, x := range l.events.all() {
		to := rest
		if hold[i] {
			to = held
		}
		to.events.add(x)
		if l.profile != nil {
			to.rows.add(l.rows.at(i))
		}
	}
	return rest, held
}

// Event returns interaction i as the event that the feature fold understands.
func (l *Log) Event(i int) streams.Event {
	x := l.events.at(i)
	e := streams.Event{Type: l.types[x.kind()], Time: time.UnixMilli(x.time()).UTC(),
		Items: []streams.Line{{ItemID: l.items.list[x.item], Quantity: 1}}}
	subject := l.users.list[x.user]
	if streams.IsAnonymous(subject) {
		e.AnonymousID = strings.TrimPrefix(subject, streams.AnonymousSubject(""))
	} else {
		e.UserID = subject
	}
	return e
}

// String says in one line what the log holds.
func (l *Log) String() string {
	users, items := l.Distinct()
	return fmt.Sprintf("%d events of %d users on %d items", l.Len(), users, items)
}
