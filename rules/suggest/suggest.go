// Package suggest proposes rules with the numbers that speak for them, from what happened in a shop. It
// counts events and writes rule files; it neither reads logs nor publishes anything.
package suggest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// Options are the thresholds. The zero value works.
type Options struct {
	// MinUnits is how many units a rising category must have sold in the last week; 0 = 20.
	MinUnits int64
	// MinRise is the least ratio of the last week's units to those of the week before; 0 = 1.5.
	MinRise float64
	// MinStock and MinMargin tell which items are worth showing; 0 = 10 units and 0.3.
	MinStock  int64
	MinMargin float64
	// HiddenDays is how long an item must not have been shown; 0 = 30.
	HiddenDays int
	// MinShown is how many places must have been recorded before "never shown" and "never acts" mean
	// anything; 0 = 1,000.
	MinShown int64
	// MinUsers is how many users a segment, and everybody else, must have been shown a category to be
	// compared; 0 = 100.
	MinUsers int
	// Most bounds the suggestions of each kind, and the items of one list; 0 = 5 and 20.
	Most, MostItems int
	// Owner is whom the files name as owner.
	Owner string
}

func (o Options) withDefaults() Options {
	o.MinUnits, o.MinRise = cmp.Or(o.MinUnits, 20), cmp.Or(o.MinRise, 1.5)
	o.MinStock, o.MinMargin = cmp.Or(o.MinStock, 10), cmp.Or(o.MinMargin, 0.3)
	o.HiddenDays, o.MinShown = cmp.Or(o.HiddenDays, 30), cmp.Or(o.MinShown, 1000)
	o.MinUsers = cmp.Or(o.MinUsers, 100)
	o.Most, o.MostItems, o.Owner = cmp.Or(o.Most, 5), cmp.Or(o.MostItems, 20), cmp.Or(o.Owner, "nobody yet")
	return o
}

// significance is the least number of standard deviations by which a rise must exceed chance.
const significance = 3

// week is how many days are compared with as many before.
const week = 7

// Log counts what suggestions need. It is not safe for concurrent use.
type Log struct {
	items  map[string]*good
	latest time.Time
	shown  int64 // places in lists
	lists  int64
	acted  map[string]int64 // rule -> lists in which it acted

	shoppers map[string]*shopper
}

// good is what is counted of one item.
type good struct {
	category   string
	price      float64 // minor units
	cost       float64
	stock      int64
	priced     bool
	stocked    bool
	deleted    bool
	described  time.Time
	units      map[int]int64 // by day
	lastShown  int           // day
	wasVisible bool
}

// NewLog returns an empty log.
func NewLog() *Log {
	return &Log{items: map[string]*good{}, acted: map[string]int64{}, shoppers: map[string]*shopper{}}
}

func day(t time.Time) int { return int(t.Unix() / 86400) }

func (l *Log) item(id string) *good {
	g := l.items[id]
	if g == nil {
		g = &good{units: map[int]int64{}}
		l.items[id] = g
	}
	return g
}

// Add counts one event; events may come in any order.
func (l *Log) Add(e *streams.Event) {
	if e.Time.After(l.latest) {
		l.latest = e.Time
	}
	l.behave(e)
	switch e.Type {
	case streams.Order, streams.Return:
		for _, line := range e.Items {
			n := max(line.Quantity, 1)
			if e.Type == streams.Return {
				n = -n
			}
			l.item(line.ItemID).units[day(e.Time)] += n
		}
	case streams.Exposure:
		l.exposure(e)
	case streams.ItemUpsert, streams.ItemDelete:
		for _, line := range e.Items {
			l.item(line.ItemID).describe(e)
		}
	}
}

func (l *Log) exposure(e *streams.Event) {
	l.lists++
	l.shown += int64(len(e.Items))
	for _, line := range e.Items {
		g := l.item(line.ItemID)
		g.lastShown, g.wasVisible = max(g.lastShown, day(e.Time)), true
	}
	rules, _ := e.Attributes["rules"].([]any)
	for _, r := range rules {
		if id, ok := r.(string); ok {
			l.acted[id]++
		}
	}
}

// describe takes the newest document.
func (g *good) describe(e *streams.Event) {
	if e.Time.Before(g.described) {
		return
	}
	g.described, g.deleted = e.Time, e.Type == streams.ItemDelete
	g.category, _ = e.Attributes["category"].(string)
	price, hasPrice := e.Attributes["price"].(float64)
	cost, hasCost := e.Attributes["cost"].(float64)
	stock, hasStock := e.Attributes["stock"].(float64)
	g.price, g.cost, g.priced = price, cost, hasPrice && hasCost && price > 0
	g.stock, g.stocked = int64(stock), hasStock
}

func (g *good) margin() float64 { return (g.price - g.cost) / g.price }

// Suggestion is one proposal: files that are ready to be checked, tested and published, or, for a rule
// that does nothing or costs money, its name.
type Suggestion struct {
	Kind     string   `json:"kind"` // rising-category, hidden-items, segment-conversion, idle-rule, costly-rule
	Name     string   `json:"name"` // of the rule set; of the rule for an idle or costly one
	Title    string   `json:"title"`
	Evidence []string `json:"evidence"`
	// Rules and Test are YAML; empty for an idle or costly rule.
	Rules string `json:"rules,omitempty"`
	Test  string `json:"test,omitempty"`
}

// Suggest proposes what the log gives reason for, the strongest of each kind first. ruleIDs are the
// rules that are live. The moment of judgement is that of the latest event.
func (l *Log) Suggest(ruleIDs []string, opts Options) []Suggestion {
	opts = opts.withDefaults()
	out := l.rising(opts)
	if s, ok := l.hidden(opts); ok {
		out = append(out, s)
	}
	out = append(out, l.segments(opts)...)
	return append(out, l.idle(ruleIDs, opts)...)
}

// trend is a category's units in the last week and in the one before.
type trend struct {
	category  string
	now, then int64
	z         float64
}

func (l *Log) rising(o Options) []Suggestion {
	sums := map[string]*trend{}
	today := day(l.latest)
	for _, g := range l.items {
		if g.category == "" || g.deleted {
			continue
		}
		t := sums[g.category]
		if t == nil {
			t = &trend{category: g.category}
			sums[g.category] = t
		}
		for d, n := range g.units {
			switch age := today - d; {
			case age < week:
				t.now += n
			case age < 2*week:
				t.then += n
			}
		}
	}
	var found []trend
	for _, t := range sums {
		if t.now < o.MinUnits || t.then < 1 || float64(t.now) < o.MinRise*float64(t.then) {
			continue
		}
		// Two Poisson counts of equal rates differ by this many standard deviations by chance.
		if t.z = float64(t.now-t.then) / math.Sqrt(float64(t.now+t.then)); t.z >= significance {
			found = append(found, *t)
		}
	}
	slices.SortFunc(found, func(a, b trend) int { return cmp.Or(cmp.Compare(b.z, a.z), cmp.Compare(a.category, b.category)) })
	var out []Suggestion
	for _, t := range found[:min(len(found), o.Most)] {
		out = append(out, t.suggestion(l.latest, o))
	}
	return out
}

func (t trend) suggestion(now time.Time, o Options) Suggestion {
	rise := float64(t.now) / float64(t.then)
	boost := math.Round(100*min(max(math.Sqrt(rise), 1.1), 1.5)) / 100
	f := file{name: "rising-" + slug(t.category), owner: o.Owner, kind: "rising-category", title: fmt.Sprintf("Sales of %q are rising", t.category)}
	f.evidence = []string{
		fmt.Sprintf("%d units in the 7 days up to %s, %d in the 7 days before: times %.2f", t.now, now.UTC().Format(time.DateOnly), t.then, rise),
		fmt.Sprintf("%.1f standard deviations above chance", t.z),
		fmt.Sprintf("the boost of %.2f is the square root of the rise, at most 1.5, for two weeks", boost),
	}
	f.rising(t.category, boost, now)
	return f.suggestion()
}

// hidden proposes to show what is in stock, earns well and is never shown.
func (l *Log) hidden(o Options) (Suggestion, bool) {
	if l.shown < o.MinShown {
		return Suggestion{}, false
	}
	type candidate struct {
		id     string
		g      *good
		profit float64
	}
	var found []candidate
	for id, g := range l.items {
		if g.deleted || !g.stocked || g.stock < o.MinStock || !g.priced || g.margin() < o.MinMargin || g.wasVisible && day(l.latest)-g.lastShown < o.HiddenDays {
			continue
		}
		found = append(found, candidate{id, g, float64(g.stock) * (g.price - g.cost)})
	}
	if len(found) == 0 {
		return Suggestion{}, false
	}
	slices.SortFunc(found, func(a, b candidate) int { return cmp.Or(cmp.Compare(b.profit, a.profit), cmp.Compare(a.id, b.id)) })
	all := len(found)
	found = found[:min(len(found), o.MostItems)]
	f := file{name: "show-hidden-items", owner: o.Owner, kind: "hidden-items", title: fmt.Sprintf("%d items with stock and margin are never shown", all)}
	f.evidence = append(f.evidence, fmt.Sprintf("%d places were recorded; none of these items was in one in the last %d days", l.shown, o.HiddenDays))
	ids := make([]string, 0, len(found))
	for i, c := range found {
		ids = append(ids, c.id)
		if i < 5 {
			f.evidence = append(f.evidence, fmt.Sprintf("%s: %d in stock, margin %.0f%%, profit on hand %.2f", c.id, c.g.stock, 100*c.g.margin(), c.profit/100))
		}
	}
	f.hidden(ids, l.latest)
	return f.suggestion(), true
}

// idle names live rules that acted in no recorded list.
func (l *Log) idle(ruleIDs []string, o Options) []Suggestion {
	if l.shown < o.MinShown {
		return nil
	}
	var out []Suggestion
	for _, id := range ruleIDs {
		if l.acted[id] == 0 {
			out = append(out, Suggestion{Kind: "idle-rule", Name: id, Title: fmt.Sprintf("The rule %s never acts", id),
				Evidence: []string{fmt.Sprintf("it acted in none of %d recorded lists; guards that keep items out of the search leave no trace there", l.lists)}})
		}
	}
	return out
}
