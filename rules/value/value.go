// Package value measures what rules are worth: it compares the users whom a rule reached with those who
// were held out from it. It counts events and does arithmetic; it neither reads logs nor changes rules.
package value

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// Options say what counts. The zero value works.
type Options struct {
	// Within is for how long after somebody's first list orders and clicks count, the same for everybody;
	// 0 = 14 days.
	Within time.Duration
	// Held is the share of users, in percent, that each rule is kept from, by rule id: with it a split of
	// users that cannot be chance is found. Rules that are not named are not checked.
	Held map[string]float64
}

func (o Options) withDefaults() Options {
	o.Within = cmp.Or(o.Within, 14*24*time.Hour)
	return o
}

// Log keeps what measuring needs of events, in any order. It is not safe for concurrent use; its size is
// that of the users who were in a comparison and of their orders.
type Log struct {
	people map[string]*person
}

// person is one subject.
type person struct {
	lists  []list
	clicks []int64 // moments, Unix milliseconds
	orders []bought
}

// list is one answer in which a rule with a hold-out was tried or held.
type list struct {
	at          int64
	tried, held []string
}

// bought is an order, or a return with a negative amount.
type bought struct {
	at     int64
	amount int64 // minor units
	order  bool
}

// NewLog returns an empty log.
func NewLog() *Log { return &Log{people: map[string]*person{}} }

// Add takes in one event.
func (l *Log) Add(e *streams.Event) {
	subject := e.Subject()
	if subject == "" {
		return
	}
	switch e.Type {
	case streams.Exposure:
		tried, held := names(e, "tried"), names(e, "held")
		if len(tried)+len(held) > 0 {
			p := l.person(subject)
			p.lists = append(p.lists, list{e.Time.UnixMilli(), tried, held})
		}
	case streams.Click:
		if e.RecommendationID != "" {
			p := l.person(subject)
			p.clicks = append(p.clicks, e.Time.UnixMilli())
		}
	case streams.Order:
		p := l.person(subject)
		p.orders = append(p.orders, bought{e.Time.UnixMilli(), e.Amount(), true})
	case streams.Return:
		p := l.person(subject)
		p.orders = append(p.orders, bought{e.Time.UnixMilli(), -e.Amount(), false})
	}
}

func (l *Log) person(subject string) *person {
	p := l.people[subject]
	if p == nil {
		p = &person{}
		l.people[subject] = p
	}
	return p
}

// names reads a list of rule ids from an exposure.
func names(e *streams.Event, key string) []string {
	raw, _ := e.Attributes[key].([]any)
	var out []string
	for _, v := range raw {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// Worth is what one rule does, as far as its hold-out tells.
type Worth struct {
	Rule string `json:"rule"`
	// Tried and Held count the users on both sides, Mixed those who were on both in turn (somebody has
	// changed the share) and count on neither.
	Tried int `json:"tried_users"`
	Held  int `json:"held_users"`
	Mixed int `json:"mixed_users,omitempty"`
	// Orders, Revenue and Clicks are per user: the share of users who ordered, what they spent less what
	// they returned, and their clicks on recommendations.
	Orders  Effect `json:"ordering_users"`
	Revenue Effect `json:"revenue"`
	Clicks  Effect `json:"clicks"`
	// Unbalanced is set when the split of users is not what the rule file says: with p below 0.001 chance
	// does not explain it, and nothing above can be trusted.
	Unbalanced bool `json:"unbalanced,omitempty"`
}

// Effect compares one number per user on both sides.
type Effect struct {
	Tried float64 `json:"tried"` // mean of the users whom the rule reached
	Held  float64 `json:"held"`  // mean of those held out
	// Lift is Tried/Held - 1 with its 95 % interval; NaN where nobody held out did anything.
	Lift Number `json:"lift"`
	Low  Number `json:"low"`
	High Number `json:"high"`
}

// Known tells whether the interval leaves one direction only.
func (e Effect) Known() bool { return float64(e.Low) > 0 || float64(e.High) < 0 }

// Enough estimates how many times as many users it takes to know, if the lift is what it looks like; 0
// where nothing can be said.
func (e Effect) Enough() float64 {
	half := float64(e.High-e.Low) / 2
	if x := half / math.Abs(float64(e.Lift)); x > 0 && !math.IsInf(x, 0) {
		return x * x
	}
	return 0
}

// Measure compares the two sides of every rule that has been held out from somebody, by rule id.
func (l *Log) Measure(opts Options) []Worth {
	opts = opts.withDefaults()
	sides := map[string]*sides{}
	for _, subject := range sortedKeys(l.people) {
		l.people[subject].enter(sides, opts.Within)
	}
	var out []Worth
	for _, rule := range sortedKeys(sides) {
		out = append(out, sides[rule].worth(rule, opts.Held[rule]))
	}
	return out
}

// sides are the users of one rule.
type sides struct {
	tried, held sample
	mixed       int
}

// sample sums up one number per user for several numbers.
type sample struct {
	n                       float64
	orders, revenue, clicks moments
}

// moments are the sums of a number and of its square.
type moments struct{ sum, squares float64 }

func (m *moments) add(x float64) { m.sum, m.squares = m.sum+x, m.squares+x*x }

// enter puts a person on the side of each rule that his lists say.
func (p *person) enter(into map[string]*sides, within time.Duration) {
	type span struct {
		from        int64
		tried, held bool
	}
	seen := map[string]*span{}
	note := func(rule string, at int64, held bool) {
		s := seen[rule]
		if s == nil {
			s = &span{from: at}
			seen[rule] = s
		}
		s.from = min(s.from, at)
		s.tried, s.held = s.tried || !held, s.held || held
	}
	for _, x := range p.lists {
		for _, rule := range x.tried {
			note(rule, x.at, false)
		}
		for _, rule := range x.held {
			note(rule, x.at, true)
		}
	}
	for rule, s := range seen {
		both := into[rule]
		if both == nil {
			both = &sides{}
			into[rule] = both
		}
		switch {
		case s.tried && s.held:
			both.mixed++
		case s.tried:
			both.tried.add(p, s.from, within)
		default:
			both.held.add(p, s.from, within)
		}
	}
}

// add counts a user's deeds in the time after his first list.
func (s *sample) add(p *person, from int64, within time.Duration) {
	until := from + within.Milliseconds()
	ordered, revenue, clicks := 0.0, 0.0, 0.0
	for _, o := range p.orders {
		if o.at >= from && o.at < until {
			revenue += float64(o.amount) / 100
			if o.order {
				ordered = 1
			}
		}
	}
	for _, at := range p.clicks {
		if at >= from && at < until {
			clicks++
		}
	}
	s.n++
	s.orders.add(ordered)
	s.revenue.add(revenue)
	s.clicks.add(clicks)
}

func (s *sides) worth(rule string, percent float64) Worth {
	w := Worth{Rule: rule, Tried: int(s.tried.n), Held: int(s.held.n), Mixed: s.mixed}
	w.Orders = effect(s.tried.orders, s.tried.n, s.held.orders, s.held.n)
	w.Revenue = effect(s.tried.revenue, s.tried.n, s.held.revenue, s.held.n)
	w.Clicks = effect(s.tried.clicks, s.tried.n, s.held.clicks, s.held.n)
	if all := s.tried.n + s.held.n; percent > 0 && all > 0 {
		share := percent / 100
		z := (s.held.n - all*share) / math.Sqrt(all*share*(1-share))
		w.Unbalanced = math.Abs(z) > unlikely
	}
	return w
}

const (
	// quantile is that of the normal distribution for an interval of 95 %.
	quantile = 1.959964
	// unlikely is how many standard deviations have a probability of 0.001.
	unlikely = 3.290527
)

// effect is the ratio of two means less one. Its interval follows from the delta method: the variance of
// T/C is var(T)/C^2 + T^2 var(C)/C^4, with the variances of the means of two independent samples.
func effect(t moments, n float64, c moments, m float64) Effect {
	e := Effect{Tried: t.mean(n), Held: c.mean(m)}
	nan := Number(math.NaN())
	e.Lift, e.Low, e.High = nan, nan, nan
	if n < 2 || m < 2 || !(e.Held > 0) {
		return e
	}
	ratio := e.Tried / e.Held
	sd := math.Sqrt(t.variance(n)/n+ratio*ratio*c.variance(m)/m) / e.Held
	e.Lift, e.Low, e.High = Number(ratio-1), Number(ratio-1-quantile*sd), Number(ratio-1+quantile*sd)
	return e
}

func (m moments) mean(n float64) float64 {
	if n == 0 {
		return 0
	}
	return m.sum / n
}

// variance is that of the sample, of at least two.
func (m moments) variance(n float64) float64 {
	return max(0, (m.squares-m.sum*m.sum/n)/(n-1))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
