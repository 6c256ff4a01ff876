package rules

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

// words makes random expressions of one kind from the language that closures cover.
type words struct{ t *rapid.T }

func (w words) pick(options ...string) string { return rapid.SampledFrom(options).Draw(w.t, "pick") }

func (w words) depth(d int) int { return rapid.IntRange(0, d).Draw(w.t, "depth") }

func (w words) int(d int) string {
	if w.depth(d) == 0 {
		return w.pick("item.sales_7d", "item.stock", "user.orders_90d", "position", "request.count", "local.hour", "3", "0", "-7", "params.n", `times("view", days(1))`, `times("exposure", hours(30))`, `bucket("s", 4)`)
	}
	switch w.depth(3) {
	case 0:
		return "(" + w.int(d-1) + w.pick(" + ", " - ", " * ", " % ") + w.int(d-1) + ")"
	case 1:
		return "-" + w.int(d-1)
	case 2:
		return "(" + w.bool(d-1) + " ? " + w.int(d-1) + " : " + w.int(d-1) + ")"
	}
	return "(" + w.int(d-1) + " ?? " + w.int(d-1) + ")"
}

func (w words) number(d int) string {
	if w.depth(d) == 0 {
		return w.pick("item.price", "item.margin", "score", "similarity(item, user)", `fatigue("exposure", 0.7, hours(12))`, "user.spend_90d", "0.5", "params.x", "1e3")
	}
	switch w.depth(5) {
	case 0:
		return "(" + w.number(d-1) + w.pick(" + ", " - ", " * ", " / ") + w.int(d-1) + ")"
	case 1:
		return "(" + w.int(d-1) + " / " + w.number(d-1) + ")"
	case 2:
		return "clamp(" + w.number(d-1) + ", 0, " + w.int(d-1) + ")"
	case 3:
		return "ratio(" + w.int(d-1) + ", " + w.number(d-1) + ", 0.5)"
	case 4:
		return "log1p(" + w.int(d-1) + ")"
	}
	return "(" + w.bool(d-1) + " ? " + w.number(d-1) + " : " + w.int(d-1) + ")"
}

func (w words) text(d int) string {
	if w.depth(d) == 0 {
		return w.pick("item.brand", "item.category", "user.tier", "context.country", `"coats"`, `"x"`, `""`, "params.t", "local.weekday", "item.attrs.color", `item.attrs["size"]`, "request.scenario", "request.source_item.brand", "model.name")
	}
	return "(" + w.bool(d-1) + " ? " + w.text(d-1) + " : " + w.text(d-1) + ")"
}

func (w words) span(d int) string {
	return w.pick("age(item.created_at)", "days("+w.int(0)+")", "hours(1.5)", "params.d", "(now - user.last_order_at)", "model.age", "(days(2) - hours("+w.int(d)+"))")
}

func (w words) bool(d int) string {
	if w.depth(d) == 0 {
		return w.pick("user.is_new", "true", "false", `has("item.price")`, `has("user.tier")`, `has("item.attrs.color")`, `segment("vip")`, "context.is_bot",
			"item.brand in user.top_brands", `item.brand in ["x", "y"]`, "item.id in lists.l", "item.category not in lists.l", "item.sales_7d in [1, 2.5, 10]", `"sale" in item.tags`, `item.brand in [user.tier, "x"]`, `did("view", hours(12))`, `"x" in request.source_item.tags`)
	}
	order := w.pick(" == ", " != ", " < ", " <= ", " > ", " >= ")
	switch w.depth(9) {
	case 0:
		return "(" + w.bool(d-1) + w.pick(" and ", " or ", " && ", " || ") + w.bool(d-1) + ")"
	case 1:
		return w.pick("not ", "!") + "(" + w.bool(d-1) + ")"
	case 2:
		return "(" + w.int(d-1) + order + w.number(d-1) + ")"
	case 3:
		return "(" + w.number(d-1) + order + w.int(d-1) + ")"
	case 4:
		return "(" + w.text(d-1) + order + w.text(d-1) + ")"
	case 5:
		return "(" + w.text(d-1) + w.pick(" contains ", " startsWith ", " endsWith ") + w.text(d-1) + ")"
	case 6:
		return "(" + w.span(d-1) + order + w.span(d-1) + ")"
	case 7:
		return "between(" + w.number(d-1) + ", " + w.int(d-1) + ", " + w.number(d-1) + ")"
	case 8:
		return "(item.created_at " + w.pick("<", ">=", "==") + " (now - " + w.span(d-1) + "))"
	}
	return "(" + w.bool(d-1) + w.pick(" == ", " != ") + w.bool(d-1) + ")"
}

// testTyper is a typer with the parameters and lists of the tests.
func testTyper() *typer {
	return &typer{symbols: newSymbols(schema()), layout: newLayout(), place: placeMatch, zone: time.UTC,
		params: map[string]*param{"n": {kind: kindInt, value: 4}, "x": {kind: kindNumber, value: 1.5}, "t": {kind: kindText, value: "coats"},
			"d": {kind: kindDuration, value: 36 * time.Hour}},
		lists: map[string]*list{"l": {set: map[string]struct{}{"a": {}, "coats": {}}}}}
}

func randomWorld(t *rapid.T) (*Env, Candidate) {
	texts := rapid.SampledFrom([]string{"", "x", "y", "coats", "home"})
	env := at(map[string]any{"is_new": rapid.Bool().Draw(t, "new"), "tier": texts.Draw(t, "tier"), "orders_90d": rapid.IntRange(-1, 3).Draw(t, "orders"),
		"spend_90d": rapid.Float64Range(-1, 2).Draw(t, "spend"), "top_brands": rapid.SliceOfN(texts, 0, 3).Draw(t, "brands"),
		"segments": rapid.SliceOfN(rapid.SampledFrom([]string{"vip", "b"}), 0, 2).Draw(t, "segments"), "last_order_at": friday.Add(-time.Hour * time.Duration(rapid.IntRange(0, 99).Draw(t, "last")))},
		map[string]any{"country": texts.Draw(t, "country")})
	for range rapid.IntRange(0, 4).Draw(t, "deeds") {
		e := features.Entry{Type: rapid.SampledFrom([]streams.Type{"view", "exposure"}).Draw(t, "event"), ItemID: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "seen"),
			Time: friday.Add(-time.Hour * time.Duration(rapid.IntRange(0, 40).Draw(t, "ago"))).UnixMilli()}
		if e.Type == "exposure" {
			env.Shown = append(env.Shown, e)
		} else {
			env.User.History = append(env.User.History, e)
		}
	}
	if rapid.Bool().Draw(t, "on an item") {
		env.Source = thing("s", 0, map[string]any{"brand": texts.Draw(t, "source brand"), "tags": []string{"x"}}).Item
		env.Model = ModelInfo{Name: "coats", TrainedAt: friday.Add(-30 * time.Hour)}
	}
	attrs := map[string]string{}
	if rapid.Bool().Draw(t, "attrs") {
		attrs["color"] = texts.Draw(t, "color")
	}
	c := thing(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id"), rapid.Float64Range(0, 1).Draw(t, "base"), map[string]any{
		"sales_7d": rapid.IntRange(-2, 12).Draw(t, "sales"), "stock": rapid.IntRange(0, 5).Draw(t, "stock"), "price": rapid.Float64Range(0, 5).Draw(t, "price"),
		"brand": texts.Draw(t, "brand"), "category": texts.Draw(t, "category"), "attrs": attrs, "tags": rapid.SliceOfN(rapid.SampledFrom([]string{"sale", "x"}), 0, 2).Draw(t, "tags"),
		"created_at": friday.Add(-time.Hour * time.Duration(rapid.IntRange(-5, 99).Draw(t, "age")))})
	c.Rank, c.similarity = rapid.IntRange(1, 5).Draw(t, "rank"), float64(rapid.IntRange(0, 4).Draw(t, "similarity"))/4
	return env, c
}

// Closures and expr's machine must agree on every expression: this is what allows to run closures.
func TestClosuresAgreeWithTheMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := words{t}
		src, want := w.bool(4), kindBool
		if rapid.Bool().Draw(t, "formula") {
			src, want = w.number(4), kindNumber
		}
		ty := testTyper()
		p, faults := ty.compile(src, want)
		if p == nil {
			if strings.Contains(fmt.Sprint(faults), "the engine refuses") {
				t.Fatalf("%s: %+v", src, faults)
			}
			t.Skip("refused")
		}
		if p.yes == nil && p.num == nil {
			t.Fatalf("%s has no closure", src)
		}
		env, c := randomWorld(t)
		f := newFrame(ty.layout)
		f.begin(env)
		f.row, f.cand = f.layout.load(c.Item, nil), &c
		slow := *p
		slow.yes, slow.num = nil, nil
		if want == kindBool {
			a, errA := p.test(f)
			b, errB := slow.test(f)
			if a != b || (errA == nil) != (errB == nil) {
				t.Fatalf("%s: closure %v %v, machine %v %v", src, a, errA, b, errB)
			}
			return
		}
		a, errA := p.value(f)
		b, errB := slow.value(f)
		if (errA == nil) != (errB == nil) || math.Float64bits(a) != math.Float64bits(b) && a != b {
			t.Fatalf("%s: closure %v %v, machine %v %v", src, a, errA, b, errB)
		}
	})
}
