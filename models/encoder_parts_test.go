package models

import (
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
)

// richEncoder is a test encoder with a tower, of which items a and b have feature 0, c has 1 and ü none,
// and a head that reads the user's tier and spend, the country of the visit and the hour.
func richEncoder(t testing.TB, change func(*EncoderTable)) (*Encoder, error) {
	t.Helper()
	p := testEncoderParams()
	items, err := NewTowerSpec([]TowerField{{Name: "category", As: AsValue}}, []string{"category=x", "category=y"})
	if err != nil {
		t.Fatal(err)
	}
	visits, err := NewTowerSpec([]TowerField{{Name: "user.tier", As: AsValue}, {Name: "user.spend", As: AsNumber, Edges: []float64{0, 10}}, {Name: "user.never", As: AsValue},
		{Name: "context.country", As: AsValue}, {Name: "now.hour", As: AsValue}}, []string{"user.tier=gold", "user.spend=2", "context.country=DE", "now.hour=12"})
	if err != nil {
		t.Fatal(err)
	}
	table := EncoderTable{IDs: []string{"a", "b", "c", "ü"}, Blocks: make([]EncoderBlock, p.Blocks), Popularity: make([]float32, 4),
		Tower: &Tower{Spec: items, Hidden: 8, Starts: []int{0, 1, 2, 3, 3}, Of: []Feature{{0, 1}, {0, 1}, {1, 1}}},
		Head:  &Head{Spec: visits, Hidden: 8}}
	rng := rand.New(rand.NewPCG(2, 4))
	for _, a := range table.Arrays(p) {
		*a.Values = make([]float32, a.Size())
		for i := range *a.Values {
			(*a.Values)[i] = float32(rng.NormFloat64() * 0.5)
		}
	}
	if change != nil {
		change(&table)
	}
	return NewEncoder(Meta{}, p, table)
}

func mustRich(t testing.TB) *Encoder {
	t.Helper()
	m, err := richEncoder(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// visitor has looked at items b and c at noon.
func visitor() *features.User {
	return &features.User{History: []features.Entry{entry("view", "c", 0), entry("view", "b", 0)}}
}

func TestEncoderKnowsNewItemsByTheirDocuments(t *testing.T) {
	m := mustRich(t)
	d := m.params.Dim
	// Item c is its row and the tower; ü, without features, its row alone.
	want := byDefinition(m.table.Tower.Out, 1)
	for i, v := range m.Items().Vectors[2*m.items.Dim:][:d] {
		if w := want[i] + float64(m.table.Item[2*d+i]); math.Abs(float64(v)-w) > 1e-5 {
			t.Fatalf("dimension %d of c: %v, want %v", i, v, w)
		}
	}
	if !slices.Equal(m.Items().Vectors[3*m.items.Dim:][:d], m.table.Item[3*d:]) {
		t.Error("an item without features is not its row")
	}
	// A new item is the tower alone, without a bias.
	vec, ok := m.EncodeItem(&features.Item{ID: "new", Env: map[string]any{"category": "y"}, Known: map[string]bool{"category": true}})
	if !ok || len(vec) != m.items.Dim || vec[d] != 0 {
		t.Fatalf("vector %v, %v", vec, ok)
	}
	for i := range want {
		if math.Abs(float64(vec[i])-want[i]) > 1e-5 {
			t.Errorf("dimension %d of a new item: %v, want %v", i, vec[i], want[i])
		}
	}
	if vec, ok := m.EncodeItem(&features.Item{ID: "b"}); !ok || !slices.Equal(vec, m.Items().Vectors[m.items.Dim:2*m.items.Dim]) {
		t.Error("an item of the model has another vector")
	}
	for _, it := range []*features.Item{nil, {ID: "x"}, {ID: "x", Env: map[string]any{"category": "z"}, Known: map[string]bool{"category": true}}} {
		if _, ok := m.EncodeItem(it); ok {
			t.Errorf("%+v has a vector", it)
		}
	}
	if _, ok := testEncoder(t, testEncoderParams()).EncodeItem(&features.Item{ID: "x", Env: map[string]any{"category": "y"}, Known: map[string]bool{"category": true}}); ok {
		t.Error("an encoder without a tower has vectors for new items")
	}
}

func TestEncoderReadsUserAndVisitByItsEquations(t *testing.T) {
	m := mustRich(t)
	h, d := m.table.Head, m.params.Dim
	table := m.table
	table.Head = nil
	plain, err := NewEncoder(Meta{}, m.params, table)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env     map[string]any
		context map[string]any
		now     time.Time
		rows    []int
	}{
		"nothing known": {now: noon.Add(time.Hour)},
		"the hour":      {now: noon, rows: []int{3}},
		"all":           {map[string]any{"tier": "gold", "spend": 11.0}, map[string]any{"country": "DE"}, noon, []int{0, 1, 2, 3}},
		"strange":       {map[string]any{"tier": "lead", "spend": 5.0}, map[string]any{"country": "FR"}, noon.Add(time.Hour), nil},
	} {
		u := visitor()
		u.Env, u.Known = c.env, map[string]bool{"tier": true, "spend": true}
		if c.env == nil {
			u.Known = nil
		}
		z, ok := plain.EncodeIn(u, c.context, c.now)
		got, ok2 := m.EncodeIn(u, c.context, c.now)
		if !ok || !ok2 {
			t.Fatal(name, "not encoded")
		}
		if name == "strange" {
			c.rows = []int{} // 5.0 lies in bucket 1, of which nothing is known
		}
		wide := make([]float64, d)
		for i := range wide {
			wide[i] = float64(z[i])
		}
		q := affine(wide, h.In, h.Bias)
		for j := range q {
			for _, row := range c.rows {
				q[j] += float64(h.Embed[row*8+j])
			}
			q[j] /= 1 + math.Exp(-1.702*q[j])
		}
		for i, v := range affine(q, h.Out, h.OutputBias) {
			if want := wide[i] + v; math.Abs(float64(got[i])-want) > 1e-4 {
				t.Errorf("%s: dimension %d is %v, want %v", name, i, got[i], want)
			}
		}
		if got[d] != 1 {
			t.Errorf("%s: the bias counts %v", name, got[d])
		}
	}
	if got := m.UserFields(); !slices.Equal(got, []string{"tier", "spend"}) || plain.UserFields() != nil {
		t.Errorf("reads %v", got)
	}
}

func TestHeadFieldsLeaveListsOfItemsOut(t *testing.T) {
	got := map[string]Reading{}
	for _, f := range HeadFields(features.Default()) {
		got[f.Name] = f.As
	}
	for name, want := range map[string]Reading{"user.tier": AsValue, "user.country": AsValue, "user.segments": AsValue, "user.attrs": AsPairs, "user.is_new": AsValue,
		"user.spend_30d": AsNumber, "user.recency_days": AsNumber, "user.top_categories": AsValue, "context.country": AsValue, "context.device": AsValue,
		"now.hour": AsValue, "now.weekday": AsValue, "now.pause": AsValue, "user.last_items": "", "user.cart_items": "", "user.last_order_at": ""} {
		if got[name] != want {
			t.Errorf("%s is read as %q, want %q", name, got[name], want)
		}
	}
}

func TestHeadValueOfTheMoment(t *testing.T) {
	u := visitor()
	for name, want := range map[string]any{"now.hour": 12, "now.weekday": int(noon.Weekday()), "now.pause": GapRow(0), "user.tier": nil, "context.x": nil, "x": nil} {
		if got, ok := HeadValue(name, u, nil, noon); got != want || ok != (want != nil) {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
	if _, ok := HeadValue("now.pause", &features.User{}, nil, noon); ok {
		t.Error("a pause without history")
	}
}

func TestNumbersAreReadToThreeDigits(t *testing.T) {
	for v, want := range map[float64]float64{0: 0, 1: 1, 1234: 1230, 1235.1: 1240, -1234: -1230, 0.0012345: 0.00123, 999.9: 1000, math.Inf(1): math.Inf(1), 5e-324: 0} {
		if got := Coarse(v); math.Abs(got-want) > 1e-12*math.Abs(want) && got != want {
			t.Errorf("Coarse(%v) = %v, want %v", v, got, want)
		}
	}
	f := TowerField{Name: "n", As: AsNumber, Edges: []float64{0, 10}}
	for want, values := range map[string][]any{"n=0": {-5, 0, 0.0, math.Inf(-1)}, "n=1": {1, 10, 10.04}, "n=2": {11, 1e300, math.Inf(1)}, "": {math.NaN(), true}} {
		for _, v := range values {
			got := ""
			f.Texts(v, func(text string) { got = text })
			if v == true {
				want = "n=true"
			}
			if got != want {
				t.Errorf("%v is read as %q, want %q", v, got, want)
			}
		}
	}
}

func TestEncoderWithPartsIsSavedAndLoaded(t *testing.T) {
	m := mustRich(t)
	dir := filepath.Join(t.TempDir(), "m")
	meta, err := Save(dir, m)
	if err != nil || meta.Params["tower"] != 8 || meta.Params["head"] != 8 {
		t.Fatal(meta.Params, err)
	}
	loaded, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := loaded.(*Encoder)
	got.Table().Tower.Spec.rows, got.Table().Head.Spec.rows = m.Table().Tower.Spec.rows, m.Table().Head.Spec.rows // numbers by random hashes
	if !reflect.DeepEqual(got.Table(), m.Table()) || !reflect.DeepEqual(got.Items(), m.Items()) {
		t.Error("the loaded model differs")
	}
	u := visitor()
	a, _ := m.EncodeIn(u, map[string]any{"country": "DE"}, noon)
	b, _ := got.EncodeIn(u, map[string]any{"country": "DE"}, noon)
	c, _ := got.Encode(u, noon)
	if !slices.Equal(a, b) || slices.Equal(b, c) {
		t.Error("the loaded model encodes otherwise, or the context does not count")
	}
	// An encoder without parts has none in its manifest, as before there were any.
	for _, name := range []string{"tower", "head", "recall", "unit"} {
		if _, ok := testEncoder(t, testEncoderParams()).Meta().Params[name]; ok {
			t.Errorf("parameter %s of a plain encoder", name)
		}
	}
	for want, change := range map[string]func(*Meta){
		"need [4 16]":                func(m *Meta) { m.Params["head"] = 16 },
		"a head of 12 units":         func(m *Meta) { m.Params["head"] = 12 },
		"parameter head is 1e+09":    func(m *Meta) { m.Params["head"] = 1e9 },
		"parameter tower is 0.5":     func(m *Meta) { m.Params["tower"] = 0.5 },
		`tensor "tower.w1" has shap`: func(m *Meta) { m.Params["tower"] = 16 },
	} {
		dir := filepath.Join(t.TempDir(), "m")
		if _, err := Save(dir, m); err != nil {
			t.Fatal(err)
		}
		resign(change)(t, dir)
		if _, err := Load(dir); err == nil || !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestNewEncoderRefusesParts(t *testing.T) {
	for want, change := range map[string]func(*EncoderTable){
		"do not fit 4 items":         func(t *EncoderTable) { t.Tower.Starts = t.Tower.Starts[1:] },
		"has feature 7 of 2":         func(t *EncoderTable) { t.Tower.Of[0].Row = 7 },
		"a tower of 0 units":         func(t *EncoderTable) { t.Tower.Hidden = 0 },
		"a head of 12 units":         func(t *EncoderTable) { t.Head.Hidden = 12 },
		"head.embed has 31":          func(t *EncoderTable) { t.Head.Embed = t.Head.Embed[1:] },
		"tower.w2 is not finite":     func(t *EncoderTable) { t.Tower.Out.W2[3] = float32(math.NaN()) },
		"head.out_bias has 0":        func(t *EncoderTable) { t.Head.OutputBias = nil },
		"with share 1.5":             func(t *EncoderTable) { t.Tower.Of[1].Weight = 1.5 },
		"tower.embed has 0 numbers,": func(t *EncoderTable) { t.Tower.Out.Embed = nil },
	} {
		if _, err := richEncoder(t, change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
