package value

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

var start = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

func shown(user string, at time.Time, tried, held []any) *streams.Event {
	return &streams.Event{Type: streams.Exposure, UserID: user, Time: at, Items: []streams.Line{{ItemID: "a"}}, Attributes: map[string]any{"tried": tried, "held": held}}
}

func spent(user string, at time.Time, cents int64) *streams.Event {
	return &streams.Event{Type: streams.Order, UserID: user, Time: at, Total: &cents}
}

func clicked(user string, at time.Time) *streams.Event {
	return &streams.Event{Type: streams.Click, UserID: user, Time: at, RecommendationID: "r", Items: []streams.Line{{ItemID: "a"}}}
}

// By hand: four users whom the rule reached spent 10, 20, 0 and 30, two held out 5 and 15.
func TestMeasureByHand(t *testing.T) {
	l := NewLog()
	up := []any{"up"}
	for i, cents := range []int64{1000, 2000, 0, 3000} {
		user := fmt.Sprint("t", i)
		l.Add(shown(user, start.Add(time.Hour), up, nil))
		l.Add(shown(user, start, up, nil)) // the first list counts, in whatever order they come
		if cents > 0 {
			l.Add(spent(user, start.Add(30*time.Minute), cents))
		}
		l.Add(clicked(user, start.Add(time.Minute)))
	}
	for i, cents := range []int64{500, 1700} {
		user := fmt.Sprint("h", i)
		l.Add(shown(user, start, nil, up))
		l.Add(spent(user, start.Add(2*time.Hour), cents))
	}
	back := int64(200)
	for _, e := range []*streams.Event{
		{Type: streams.Return, UserID: "h1", Time: start.Add(3 * time.Hour), Total: &back},
		clicked("h0", start.Add(time.Hour)),
		spent("t0", start.Add(-time.Minute), 99900), spent("t0", start.Add(15*24*time.Hour), 99900), // before, and too late
		spent("stranger", start, 99900), shown("", start, up, nil), shown("both", start, up, nil), shown("both", start, nil, up),
		shown("nothing", start, nil, nil), {Type: streams.Click, UserID: "h1", Time: start.Add(time.Hour)}, // of no recommendation
	} {
		l.Add(e)
	}
	got := l.Measure(Options{})
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	w := got[0]
	if w.Rule != "up" || w.Tried != 4 || w.Held != 2 || w.Mixed != 1 || w.Unbalanced {
		t.Errorf("%+v", w)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-6 {
			t.Errorf("%s = %v, want %v", what, got, want)
		}
	}
	near("revenue tried", w.Revenue.Tried, 15)
	near("revenue held", w.Revenue.Held, 10)
	near("lift", float64(w.Revenue.Lift), 0.5)
	// var of the means: (100+400+0+900-900)/3/4 = 41.667 and 50/2 = 25; sd = sqrt(41.667 + 1.5^2 x 25) / 10 = 0.98953.
	near("low", float64(w.Revenue.Low), 0.5-1.959964*0.989529)
	near("high", float64(w.Revenue.High), 0.5+1.959964*0.989529)
	near("ordering", w.Orders.Tried, 0.75)
	near("ordering held", w.Orders.Held, 1)
	near("clicks", w.Clicks.Tried, 1)
	near("clicks held", w.Clicks.Held, 0.5)
	if got := w.Revenue.Enough(); math.Abs(got-15.046) > 0.001 { // (1.959964 x 0.98953 / 0.5) squared
		t.Errorf("%v times as many users", got)
	}
	if w.Revenue.Known() {
		t.Error("six users are said to be enough")
	}
	data, err := json.Marshal(Worth{Revenue: effect(moments{}, 1, moments{}, 0)})
	if err != nil || !json.Valid(data) {
		t.Errorf("%s %v", data, err)
	}
}

// A thousand simulated hold-outs of a rule that does nothing: its interval holds zero in 95 of 100 of
// them. Of one that is worth a fifth more, it finds nearly all.
func TestIntervalsHoldWhatTheyPromise(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	run := func(factor float64) (covered, found int) {
		for range 1000 {
			var tried, held moments
			for range 900 {
				tried.add(factor * basket(rng))
			}
			for range 900 {
				held.add(basket(rng))
			}
			e := effect(tried, 900, held, 900)
			if float64(e.Low) <= factor-1 && factor-1 <= float64(e.High) {
				covered++
			}
			if float64(e.Low) > 0 {
				found++
			}
		}
		return covered, found
	}
	covered, wrong := run(1)
	lifted, found := run(1.4)
	t.Logf("no effect: %d of 1000 intervals hold it, %d claim a gain; +40 %%: %d hold it, %d find it", covered, wrong, lifted, found)
	if covered < 930 || covered > 970 || wrong > 40 || lifted < 930 || found < 700 {
		t.Error("the intervals are not what they claim to be")
	}
}

// basket is what a user spends: mostly nothing, else a skewed amount.
func basket(rng *rand.Rand) float64 {
	if rng.Float64() < 0.7 {
		return 0
	}
	return 20 * rng.ExpFloat64()
}

// A split that the rule file does not explain is called out.
func TestUnbalanced(t *testing.T) {
	l := NewLog()
	for i := range 1000 {
		var tried, held []any
		if i < 100 {
			held = []any{"up"}
		} else {
			tried = []any{"up"}
		}
		l.Add(shown(fmt.Sprint(i), start, tried, held))
	}
	for percent, want := range map[float64]bool{10: false, 9: false, 5: true, 20: true, 0: false} {
		if w := l.Measure(Options{Held: map[string]float64{"up": percent}})[0]; w.Unbalanced != want {
			t.Errorf("100 of 1000 held out at %v %%: unbalanced %v", percent, w.Unbalanced)
		}
	}
	if w := l.Measure(Options{})[0]; w.Revenue.Lift.Known() || w.Revenue.Known() || w.Revenue.Enough() != 0 {
		t.Errorf("nobody bought anything: %+v", w.Revenue)
	}
}
