package synth

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// user is one shopper with his planted taste.
type user struct {
	id      string
	anon    bool   // a visitor without account
	country int    // index of countries
	cats    [3]int // favourite categories, best first
	brands  []int
	theme   int
	level   int // price level 0..2
	tier    string
	big     bool // big spender
	silent  bool // orders without lines and nothing else
	weight  int64
	joined  time.Time
}

// Which users are special is fixed by their number, so that tests and readers can name them.
const (
	bigEvery    = 60 // u30, u90, u150 ... are big spenders
	silentEvery = 20 // one in twenty of the users that join after Start is silent
)

// user derives user i.
func (s *Shop) user(i int) user {
	u := s.shopper(s.derive(forUser, uint64(i), 0))
	u.id, u.joined = userID(i), s.opts.Start
	if i >= s.oldUsers {
		u.joined = s.opts.Start.Add(time.Duration(i-s.oldUsers+1) * s.userEvery)
		u.silent = (i-s.oldUsers)%silentEvery == silentEvery/2
	}
	u.big = !u.silent && i%bigEvery == bigEvery/2-1
	switch {
	case u.big:
		u.tier, u.weight, u.level = "platinum", u.weight*3+20, 2
	case u.silent:
		u.tier, u.weight = "bronze", 150
	}
	return u
}

// visitor derives one anonymous visitor; he comes back now and then.
func (s *Shop) visitor(i int) user {
	u := s.shopper(s.derive(forVisitor, uint64(i), 0))
	u.id, u.anon, u.joined = "visitor-"+itoa36(uint64(i)), true, s.opts.Start
	return u
}

// circles is the number of groups of like-minded shoppers; three shoppers in four belong to one and
// share its taste, the others are themselves.
const circles = 48

// shopper draws a person and his taste.
func (s *Shop) shopper(seed uint64) user {
	r := rand.New(rand.NewPCG(seed, 2))
	u := user{country: pickCountry(r.IntN(100))}
	switch p := r.IntN(100); {
	case p < 62:
		u.tier = "bronze"
	case p < 88:
		u.tier = "silver"
	default:
		u.tier = "gold"
	}
	u.weight = 4 + 120/int64(1+r.IntN(30)) // a few very active users, many quiet ones
	if r.IntN(4) != 0 {
		r = rand.New(rand.NewPCG(s.derive(forCircle, uint64(r.IntN(circles)), 0), 2))
	}
	u.like(r)
	return u
}

// like draws the taste.
func (u *user) like(r *rand.Rand) {
	for n := 0; n < len(u.cats); {
		// Popular categories have more friends.
		c := min(r.IntN(len(categories)), r.IntN(len(categories)))
		if !slices.Contains(u.cats[:n], c) {
			u.cats[n] = c
			n++
		}
	}
	for _, c := range u.cats[:2] {
		if b := brandOf(c, r.IntN(brandsPerCategory)); !slices.Contains(u.brands, b) {
			u.brands = append(u.brands, b)
		}
	}
	u.theme, u.level = r.IntN(len(themes)), r.IntN(3)
}

func pickCountry(p int) int {
	for i, c := range countries {
		if p < c.weight {
			return i
		}
		p -= c.weight
	}
	return 0
}

// userUpsert is the user's document, as an event at the moment he joins.
func (s *Shop) userUpsert(i int) streams.Event {
	u := s.user(i)
	segments := []any{}
	if u.big {
		segments = append(segments, "vip")
	}
	if u.level == 0 {
		segments = append(segments, "bargain-hunter")
	}
	if i%7 == 0 {
		segments = append(segments, "newsletter")
	}
	c := countries[u.country]
	return streams.Event{
		ID:      "user-" + u.id,
		Type:    streams.UserUpsert,
		Time:    u.joined,
		UserID:  u.id,
		Country: c.code,
		Attributes: map[string]any{
			"country":  c.code,
			"language": c.language,
			"tier":     u.tier,
			"segments": segments,
		},
	}
}
