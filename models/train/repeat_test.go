package train

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/streams"
)

func orderOf(user, item string, at time.Time) *streams.Event {
	return &streams.Event{Type: streams.Order, UserID: user, Time: at, Items: []streams.Line{{ItemID: item, Quantity: 1}}}
}

// TestRepeatRatesByHand has four users who want milk, of whom two come back to it the next day and one an hour
// later, and four who want a table and never do. Each item is drawn to the average of both, which have as many
// users: 2 of 8.
func TestRepeatRatesByHand(t *testing.T) {
	l, start := NewLog(), time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	for _, user := range []string{"a", "b", "c", "d"} {
		l.Add(orderOf(user, "milk", start))
		l.Add(orderOf(user, "table", start))
	}
	l.Add(orderOf("a", "milk", start.Add(24*time.Hour)))
	l.Add(orderOf("b", "milk", start.Add(24*time.Hour)))
	l.Add(orderOf("c", "milk", start.Add(time.Hour))) // the same visit
	l.Add(&streams.Event{Type: streams.Return, UserID: "d", Time: start.Add(48 * time.Hour), Items: []streams.Line{{ItemID: "table", Quantity: 1}}})
	got := RepeatRates(l, []string{"table", "milk", "unknown"}, models.DefaultSignal().Weights)
	want := []float64{(0 + 10*0.25) / (4 + 10) / 0.25, (2 + 10*0.25) / (4 + 10) / 0.25, 1}
	for j := range want {
		if math.Abs(float64(got[j])-want[j]) > 1e-6 {
			t.Errorf("item %d: rate %v, want %v", j, got[j], want[j])
		}
	}
	once := NewLog()
	once.Add(orderOf("a", "milk", start))
	if got := RepeatRates(once, []string{"milk"}, models.DefaultSignal().Weights); got[0] != 1 {
		t.Errorf("nobody comes back: rate %v, want 1", got[0])
	}
}

// repeatCases are users who each had one item of ten, of which popularity puts the lowest numbers first, and
// now want either that or an item that they never had.
func repeatCases(n int, again bool) (models.Model, []RepeatCase) {
	ids, popularity := make([]string, 10), make([]float32, 10)
	for j := range ids {
		ids[j], popularity[j] = string(rune('a'+j)), float32(100-j)
	}
	m, err := models.NewPopularity(models.Meta{}, ids, popularity)
	if err != nil {
		panic(err)
	}
	var cases []RepeatCase
	for u := range n {
		had := int32(5 + u%5)
		c := RepeatCase{Now: time.UnixMilli(1e6), User: &features.User{History: []features.Entry{{Type: streams.Order, ItemID: ids[had], Time: 5}}}, Truth: []int32{had}}
		if !again {
			c.Truth = []int32{int32(u % 5)}
		}
		for j := range int32(10) {
			c.Rows, c.Scores = append(c.Rows, j), append(c.Scores, m.Items().Vectors[j])
		}
		cases = append(cases, c)
	}
	return m, cases
}

// firstIs measures 1 when what is wanted stands first.
func firstIs(ranked, truth []int32) float64 {
	if len(ranked) > 0 && slices.Contains(truth, ranked[0]) {
		return 1
	}
	return 0
}

func TestChooseRepeatWherePeopleBuyAgain(t *testing.T) {
	m, cases := repeatCases(20, true)
	c, err := ChooseRepeat(m, slices.Repeat([]float32{1}, 10), models.DefaultSignal().Weights, cases, 3, firstIs)
	if err != nil {
		t.Fatal(err)
	}
	if mean(c.Before) != 0 || mean(c.After) != 1 || c.Tried == 0 {
		t.Errorf("before %v, after %v of %d settings: want 0 and 1", mean(c.Before), mean(c.After), c.Tried)
	}
	again, err := models.WithRepeat(m, c.Params, slices.Repeat([]float32{1}, 10))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range cases {
		raised := again.(repeater).Repeats(x.User, x.Now, nil)
		if len(raised) != 1 || raised[0].Row != x.Truth[0] || m.Items().Vectors[raised[0].Row]+raised[0].Score <= m.Items().Vectors[0] {
			t.Fatalf("raised %v, want %v above all", raised, x.Truth)
		}
	}
}

func TestChooseRepeatWhereNobodyDoes(t *testing.T) {
	m, cases := repeatCases(20, false)
	c, err := ChooseRepeat(m, slices.Repeat([]float32{1}, 10), models.DefaultSignal().Weights, cases, 3, firstIs)
	if err != nil {
		t.Fatal(err)
	}
	if p := c.Params; p.Slow.Weight != 0 || p.Fast.Weight != 0 || !slices.Equal(c.Before, c.After) {
		t.Errorf("chosen %+v, measures %v and %v", p, c.Before, c.After)
	}
}
