package suggest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

// crowd lets users of a segment be shown two categories; so many of them click on something of each.
func crowd(l *Log, name string, attributes map[string]any, users, coats, hats int) {
	for i := range users {
		user := fmt.Sprint(name, i)
		l.Add(&streams.Event{Type: streams.UserUpsert, UserID: user, Time: ago(50), Attributes: attributes})
		l.Add(&streams.Event{Type: streams.Exposure, UserID: user, Time: ago(3), Items: []streams.Line{{ItemID: "c1"}, {ItemID: "h1"}}})
		for _, deed := range []struct {
			item string
			of   int
		}{{"c1", coats}, {"h1", hats}} {
			if i < deed.of {
				l.Add(&streams.Event{Type: streams.Click, UserID: user, Time: ago(2), Items: []streams.Line{{ItemID: deed.item}}})
			}
			// What was done before it was shown is no answer to it.
			l.Add(&streams.Event{Type: streams.Order, UserID: user, Time: ago(9), Items: []streams.Line{{ItemID: deed.item, Quantity: 1}}})
		}
	}
}

func TestSegmentsThatConvertDifferently(t *testing.T) {
	l := NewLog()
	l.Add(goods("c1", "coats", 100, 90, 0))
	l.Add(goods("h1", "hats", 100, 90, 0))
	crowd(l, "vip-", map[string]any{"segments": []any{"vip", "vip"}}, 400, 120, 40) // 30 %, 10 %
	crowd(l, "gold-", map[string]any{"tier": "gold"}, 400, 60, 12)                  // 15 %, 3 %
	crowd(l, "rest-", nil, 400, 60, 40)                                             // 15 %, 10 %
	crowd(l, "few-", map[string]any{"segments": []any{"few"}}, 99, 15, 10)
	got := l.Suggest(nil, Options{MinUnits: 1 << 40, Owner: "jane"})
	if len(got) != 2 || got[0].Kind != "segment-conversion" || got[0].Name != "for-segment-vip-coats" || got[1].Name != "for-tier-gold-hats" {
		for _, s := range got {
			t.Logf("%s: %v", s.Name, s.Evidence)
		}
		t.Fatalf("%d suggestions", len(got))
	}
	for _, s := range got {
		verify(t, s)
		switch s.Name {
		case "for-segment-vip-coats":
			// Others: gold 60 + rest 60 + few 15 of 899.
			if !strings.Contains(s.Evidence[0], `of 400 users of segment vip who were shown "coats", 30.0% clicked or ordered; of 899 others 15.0%: times 2.00`) || !strings.Contains(s.Rules, "boost: {multiply: 1.41}") {
				t.Errorf("%v\n%s", s.Evidence, s.Rules)
			}
		case "for-tier-gold-hats":
			if !strings.Contains(s.Rules, "bury: {multiply: 0.67}") || !strings.Contains(s.Rules, `when: 'user.tier == "gold"'`) || !strings.Contains(s.Rules, "holdout: 10%") {
				t.Errorf("%v\n%s", s.Evidence, s.Rules)
			}
		}
	}
}

// Where nothing differs, nothing is found: a hundred segments by chance.
func TestSegmentsByChance(t *testing.T) {
	l := NewLog()
	l.Add(goods("c1", "coats", 100, 90, 0))
	l.Add(goods("h1", "hats", 100, 90, 0))
	for i := range 100 {
		crowd(l, fmt.Sprint("s", i, "-"), map[string]any{"segments": []any{fmt.Sprint("s", i)}}, 100, 15+i%7, 8+i%5) // within two standard deviations
	}
	if got := l.Suggest(nil, Options{MinUnits: 1 << 40}); len(got) != 0 {
		t.Errorf("%+v", got[0])
	}
}
