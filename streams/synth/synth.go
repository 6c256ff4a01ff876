// Package synth is a seeded synthetic shop: items, users with planted tastes, and the stream of what
// they do. It invents everything from a seed with integer arithmetic only, so that it behaves alike
// on every machine, and it knows no wire format, no broker and no wall clock.
//
// The stream is one infinite sequence that depends on the options alone. History(until) is its part
// before until, Live(from) is its part from then on; a program that is restarted and calls Live with
// a later moment never sees an event id again that it has seen before with another content.
package synth

import (
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// Options sizes the shop. The zero value of each field means its default.
type Options struct {
	// Seed decides everything. Two shops with equal options are equal.
	Seed uint64
	// Users and Items are the numbers of users and items at Start+Days. One fifth of the users and
	// one tenth of the items arrive between Start and then, at an even pace that goes on for ever.
	// Defaults 2,000 and 2,000.
	Users, Items int
	// Start is the first moment of the history, cut to the hour, UTC. Default 2026-01-01.
	Start time.Time
	// Days is the length of the history for which Users and Items hold. Default 60.
	Days int
	// LiveFactor multiplies the traffic that Live returns: a demonstration wants to see something
	// happen. Default 1: the same traffic as in the history, about a session per user in four days.
	LiveFactor int
}

func (o Options) withDefaults() Options {
	if o.Users <= 0 {
		o.Users = 2000
	}
	if o.Items <= 0 {
		o.Items = 2000
	}
	if o.Days <= 0 {
		o.Days = 60
	}
	if o.LiveFactor <= 0 {
		o.LiveFactor = 1
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	o.Start = o.Start.UTC().Truncate(time.Hour)
	return o
}

// Currency is the only currency of the shop.
const Currency = "EUR"

// Shop is the synthetic shop. It is immutable and safe for concurrent use; each iterator that it
// returns belongs to one goroutine.
type Shop struct {
	opts      Options
	oldUsers  int           // users that exist at Start
	oldItems  int           // items that exist at Start
	userEvery time.Duration // between two users that join
	itemEvery time.Duration // between two items that arrive
}

// New returns the shop of the options. It computes nothing yet.
func New(opts Options) *Shop {
	o := opts.withDefaults()
	s := &Shop{opts: o, oldUsers: max(1, o.Users-o.Users/5), oldItems: max(1, o.Items-o.Items/10)}
	span := time.Duration(o.Days) * 24 * time.Hour
	s.userEvery = (span / time.Duration(max(1, o.Users-s.oldUsers))).Truncate(time.Millisecond)
	s.itemEvery = (span / time.Duration(max(1, o.Items-s.oldItems))).Truncate(time.Millisecond)
	return s
}

// Start returns the first moment of the history.
func (s *Shop) Start() time.Time { return s.opts.Start }

// Catalog returns the catalogue as it stands at the moment at: for every item that exists, the last
// item-upsert of the stream at or before it (the first one for the items that were there before
// Start), in order of item number. Publishing it before the history is harmless: the same event, or
// a later one, comes again in History.
func (s *Shop) Catalog(at time.Time) iter.Seq[streams.Event] {
	return func(yield func(streams.Event) bool) {
		for i := range s.itemsAt(at) {
			it := s.item(i)
			if !yield(s.itemUpsert(&it, it.version(at))) {
				return
			}
		}
	}
}

// Users returns a user-upsert for every user that has joined at the moment at, in order of user
// number. Users without account (anonymous visitors) have none.
func (s *Shop) Users(at time.Time) iter.Seq[streams.Event] {
	return func(yield func(streams.Event) bool) {
		for i := range s.usersAt(at) {
			if !yield(s.userUpsert(i)) {
				return
			}
		}
	}
}

// History returns everything that happens from Start on and before until, in order of time: what
// users do, users that join, items that arrive and item documents that change. Catalog(Start) and
// Users(Start) are the state before it.
func (s *Shop) History(until time.Time) iter.Seq[streams.Event] {
	return func(yield func(streams.Event) bool) {
		if until.Before(s.opts.Start) {
			return
		}
		w := s.walkFrom(s.opts.Start, until)
		for {
			e := w.next()
			if !e.Time.Before(until) || !yield(e) {
				return
			}
		}
	}
}

// Live returns a function that returns the next event at or after from each time it is called; times
// ascend and there is no end. Waiting for the moment of the event is the caller's.
func (s *Shop) Live(from time.Time) func() streams.Event {
	begin := from.Add(-longestMemory)
	if begin.Before(s.opts.Start) {
		begin = s.opts.Start
	}
	w := s.walkFrom(begin, from)
	return func() streams.Event {
		for {
			if e := w.next(); !e.Time.Before(from) {
				return e
			}
		}
	}
}

// Taste is the truth that was planted in one user: what a perfect recommender would find out.
type Taste struct {
	Categories []string // favourites, best first
	Brands     []string // favourites
	Theme      string   // the style that he prefers in every category
	PriceLevel int      // 0 cheap, 1 middle, 2 expensive
	BigSpender bool     // buys often and much
	// Silent customers place many orders that carry a total and no lines, and do nothing else.
	Silent bool
}

// Taste returns the planted taste of a user by id; ok is false if no such user can exist.
func (s *Shop) Taste(userID string) (t Taste, ok bool) {
	i, ok := number(userID, userPrefix)
	if !ok {
		return Taste{}, false
	}
	u := s.user(i)
	for _, c := range u.cats {
		t.Categories = append(t.Categories, categories[c].name)
	}
	for _, b := range u.brands {
		t.Brands = append(t.Brands, brands[b])
	}
	t.Theme, t.PriceLevel = themes[u.theme], u.level
	t.BigSpender, t.Silent = u.big, u.silent
	return t, true
}

// ItemTruth is what tastes look at in an item.
type ItemTruth struct {
	Category, Brand, Theme string
	PriceLevel             int
}

// ItemTruth returns the planted properties of an item by id; ok is false if no such item can exist.
func (s *Shop) ItemTruth(itemID string) (t ItemTruth, ok bool) {
	i, ok := number(itemID, itemPrefix)
	if !ok {
		return ItemTruth{}, false
	}
	it := s.item(i)
	return ItemTruth{Category: categories[it.cat].name, Brand: brands[it.brand],
		Theme: themes[it.theme], PriceLevel: it.level}, true
}

const (
	userPrefix = "u"
	itemPrefix = "sku-"
)

// userID and itemID count from 1.
func userID(i int) string { return userPrefix + strconv.Itoa(i+1) }
func itemID(i int) string { return itemPrefix + strconv.Itoa(i+1) }

func number(id, prefix string) (int, bool) {
	digits, found := strings.CutPrefix(id, prefix)
	n, err := strconv.Atoi(digits)
	if !found || err != nil || n < 1 || prefix+strconv.Itoa(n) != id {
		return 0, false
	}
	return n - 1, true
}

// usersAt is the number of users that have joined at t: users 0..n-1.
func (s *Shop) usersAt(t time.Time) int { return arrived(s.oldUsers, t.Sub(s.opts.Start), s.userEvery) }

// itemsAt is the number of items that exist at t: items 0..n-1.
func (s *Shop) itemsAt(t time.Time) int { return arrived(s.oldItems, t.Sub(s.opts.Start), s.itemEvery) }

// arrived counts the old ones plus one for each whole interval that has passed.
func arrived(old int, since, every time.Duration) int {
	if since < 0 {
		return old
	}
	return old + int(since/every)
}

// The purposes of derived random numbers; each entity and purpose has its own stream, so that
// changing one property does not shift another.
const (
	forItem uint64 = iota + 1
	forGroup
	forVersion
	forUser
	forHour
	forSession
	forHot
	forVisitor
	forCircle
)

// derive mixes the seed with a purpose and two numbers (splitmix64 finaliser).
func (s *Shop) derive(purpose, a, b uint64) uint64 {
	return mix(mix(mix(s.opts.Seed^0x9e3779b97f4a7c15*purpose)+a) + b)
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
