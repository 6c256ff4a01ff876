package suggest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// A segment converts when its users, shown goods of a category, click or order one of them afterwards.
// Users are counted, not clicks: one user who clicks a hundred times proves nothing about others.

// shopper is what is counted of one user.
type shopper struct {
	described time.Time
	segments  []string         // "segment vip", "tier gold"
	shown     map[string]int64 // item -> first shown, Unix milliseconds
	acted     map[string]int64 // item -> last click or order
}

func (l *Log) shopper(subject string) *shopper {
	s := l.shoppers[subject]
	if s == nil {
		s = &shopper{shown: map[string]int64{}, acted: map[string]int64{}}
		l.shoppers[subject] = s
	}
	return s
}

// behave counts what one user was shown and did.
func (l *Log) behave(e *streams.Event) {
	subject := e.Subject()
	if subject == "" {
		return
	}
	switch e.Type {
	case streams.UserUpsert:
		l.shopper(subject).describe(e)
	case streams.Exposure:
		s := l.shopper(subject)
		for _, line := range e.Items {
			if at, seen := s.shown[line.ItemID]; !seen || e.Time.UnixMilli() < at {
				s.shown[line.ItemID] = e.Time.UnixMilli()
			}
		}
	case streams.Click, streams.Order:
		s := l.shopper(subject)
		for _, line := range e.Items {
			s.acted[line.ItemID] = max(s.acted[line.ItemID], e.Time.UnixMilli())
		}
	}
}

// describe takes the newest document.
func (s *shopper) describe(e *streams.Event) {
	if e.Time.Before(s.described) {
		return
	}
	s.described, s.segments = e.Time, nil
	list, _ := e.Attributes["segments"].([]any)
	for _, v := range list {
		if name, ok := v.(string); ok && name != "" && !slices.Contains(s.segments, "segment "+name) {
			s.segments = append(s.segments, "segment "+name)
		}
	}
	if tier, _ := e.Attributes["tier"].(string); tier != "" {
		s.segments = append(s.segments, "tier "+tier)
	}
}

// share is how many of so many users converted.
type share struct{ users, converted float64 }

func (s share) rate() float64 { return s.converted / s.users }

// contrast is one segment's conversion in one category beside that of everybody else.
type contrast struct {
	segment, category string
	in, out           share
	z                 float64
}

// contrasts compares every segment with everybody else, category by category; those beyond chance come
// first, the strongest first. The bar is raised for the number of comparisons (Bonferroni).
func (l *Log) contrasts(o Options) []contrast {
	type key struct{ segment, category string }
	all, in := map[string]*share{}, map[key]*share{}
	for _, s := range l.shoppers {
		for category, converted := range l.categoriesOf(s) {
			count(all, category, converted)
			for _, segment := range s.segments {
				count(in, key{segment, category}, converted)
			}
		}
	}
	var found []contrast
	compared := 0
	for k, s := range in {
		rest := share{all[k.category].users - s.users, all[k.category].converted - s.converted}
		if s.users < float64(o.MinUsers) || rest.users < float64(o.MinUsers) {
			continue
		}
		compared++
		pooled := (s.converted + rest.converted) / (s.users + rest.users)
		sd := math.Sqrt(pooled * (1 - pooled) * (1/s.users + 1/rest.users))
		if sd > 0 && rest.converted > 0 && s.converted > 0 {
			found = append(found, contrast{k.segment, k.category, *s, rest, (s.rate() - rest.rate()) / sd})
		}
	}
	found = slices.DeleteFunc(found, func(c contrast) bool {
		p := math.Erfc(math.Abs(c.z)/math.Sqrt2) * float64(compared)
		ratio := c.in.rate() / c.out.rate()
		return p > maxChance || ratio < minContrast && ratio > 1/minContrast
	})
	slices.SortFunc(found, func(a, b contrast) int {
		return cmp.Or(cmp.Compare(math.Abs(b.z), math.Abs(a.z)), cmp.Compare(a.segment, b.segment), cmp.Compare(a.category, b.category))
	})
	return found[:min(len(found), o.Most)]
}

const (
	// maxChance is the probability that all contrasts together may have of being chance.
	maxChance = 0.01
	// minContrast is the least ratio of two conversions that is worth a rule.
	minContrast = 1.2
)

func count[K comparable](into map[K]*share, k K, converted bool) {
	s := into[k]
	if s == nil {
		s = &share{}
		into[k] = s
	}
	s.users++
	if converted {
		s.converted++
	}
}

// categoriesOf tells, for each category that a user was shown, whether he then wanted something of it.
func (l *Log) categoriesOf(s *shopper) map[string]bool {
	out := map[string]bool{}
	for id, at := range s.shown {
		g := l.items[id]
		if g == nil || g.category == "" {
			continue
		}
		out[g.category] = out[g.category] || s.acted[id] >= at
	}
	return out
}

func (l *Log) segments(o Options) []Suggestion {
	var out []Suggestion
	for _, c := range l.contrasts(o) {
		out = append(out, c.suggestion(l.latest, o))
	}
	return out
}

func (c contrast) suggestion(now time.Time, o Options) Suggestion {
	ratio := c.in.rate() / c.out.rate()
	action, multiply, more := "boost", math.Round(100*min(max(math.Sqrt(ratio), 1.1), 1.5))/100, "more"
	if ratio < 1 {
		action, multiply, more = "bury", math.Round(100*max(min(math.Sqrt(ratio), 0.9), 0.67))/100, "less"
	}
	f := file{name: "for-" + slug(c.segment+" "+c.category), owner: o.Owner, kind: "segment-conversion",
		title: fmt.Sprintf("Users of %q want goods of %q %s than others do", c.segment, c.category, more)}
	f.evidence = []string{
		fmt.Sprintf("of %.0f users of %s who were shown %q, %.1f%% clicked or ordered; of %.0f others %.1f%%: times %.2f", c.in.users, c.segment, c.category,
			100*c.in.rate(), c.out.users, 100*c.out.rate(), ratio),
		fmt.Sprintf("%.1f standard deviations from chance, with the bar raised for all that was compared", math.Abs(c.z)),
		fmt.Sprintf("the factor of %.2f is the square root of the ratio, within 0.67 and 1.5; one user in ten is held out, so that 'sartor rules value' can tell what it is worth", multiply),
	}
	f.segment(c, action, multiply, now)
	return f.suggestion()
}

// segment weighs a category for one segment.
func (f *file) segment(c contrast, action string, multiply float64, now time.Time) {
	f.begin(now)
	kind, name, _ := strings.Cut(c.segment, " ")
	when, user := "segment("+strconv.Quote(name)+")", "segments: ["+yamlText(name)+"]"
	if kind == "tier" {
		when, user = "user.tier == "+strconv.Quote(name), "tier: "+yamlText(name)
	}
	fmt.Fprintf(&f.rules, "rules:\n  - id: %s\n    description: %s\n    when: %s\n    match: %s\n    holdout: 10%%\n    then: [%s: {multiply: %g}]\n",
		f.name, quoted(oneLine(f.title)), quoted(when), quoted("item.category == "+strconv.Quote(c.category)), action, multiply)
	other, order := 0.5*(1+multiply)/2, "wanted, other"
	if action == "bury" {
		order = "other, wanted"
	}
	fmt.Fprintf(&f.test, "items: {wanted: {score: 0.5, category: %s}, other: {score: %g}}\ncases:\n", yamlText(c.category), other)
	fmt.Fprintf(&f.test, "  - name: for users of the segment\n    user: {%s}\n    candidates: [other, wanted]\n    expect: {order: [%s], fired: [%s], score: {wanted: %g}}\n", user, order, f.name, 0.5*multiply)
	fmt.Fprintf(&f.test, "  - name: not for others\n    candidates: [other, wanted]\n    expect: {not_fired: [%s], score: {wanted: 0.5}}\n", f.name)
}
