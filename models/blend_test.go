package models

import (
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/kernel"
)

// testBlend puts an autoencoder of the items a..e in front of an ALS model and an encoder, which know others.
func testBlend(t testing.TB) *Blend {
	t.Helper()
	p := testParams()
	p.Kappa = 0
	table := randomTable(testEncoderParams(), []string{"e", "b", "z"}, 3, 0.4)
	encoder, err := NewEncoder(Meta{Schema: "s1"}, testEncoderParams(), table)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewBlend(Meta{Schema: "s1", Seed: 7, CreatedAt: noon, TrainedThrough: noon},
		BlendPart{Model: testLAE(t, testLAEParams()), Weight: 0.5}, BlendPart{Model: testALS(t, p), Weight: 2}, BlendPart{Model: encoder, Weight: 1})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func visitorOf(items ...string) *features.User {
	u := &features.User{ID: "u"}
	for i, id := range items {
		u.History = append(u.History, entry("view", id, time.Duration(i)*time.Hour))
	}
	return u
}

// The score of every item is the weighted sum of what the parts say, an ALS part's divided by the length of the
// user's vector; an item or a user that a part does not know has no score there.
func TestBlendScoresAreTheSumOfItsParts(t *testing.T) {
	m := testBlend(t)
	for _, u := range []*features.User{visitorOf("a", "b"), visitorOf("b", "e", "z"), visitorOf("z"), visitorOf("c")} {
		vec, ok := m.Encode(u, noon)
		if !ok || len(vec) != m.Items().Dim {
			t.Fatalf("%v: %d numbers, %v", u.History, len(vec), ok)
		}
		for j, id := range m.Items().IDs {
			want := 0.0
			for _, p := range m.Parts() {
				part, encoded := p.Model.Encode(u, noon)
				items := p.Model.Items()
				row := slices.Index(items.IDs, id)
				if !encoded || row < 0 {
					continue
				}
				score := float64(kernel.Dot(part, items.Vectors[row*items.Dim:(row+1)*items.Dim]))
				if p.Model.Meta().Kind == KindALS {
					score /= math.Sqrt(float64(kernel.Dot(part[:items.Taste], part[:items.Taste])))
				}
				want += p.Weight * score
			}
			if got := float64(kernel.Dot(vec, m.row(int32(j)))); math.Abs(got-want) > 1e-4*(1+math.Abs(want)) {
				t.Errorf("%v: item %s scores %v, want %v", u.History, id, got, want)
			}
		}
	}
	if _, ok := m.Encode(visitorOf("nobody knows it"), noon); ok {
		t.Error("something was encoded of nothing")
	}
	if _, ok := m.Encode(nil, noon); ok {
		t.Error("nobody was encoded")
	}
}

// Items are compared by Items.Taste: all tastes of the parts must lie in front, and nothing else.
func TestBlendPutsTastesInFront(t *testing.T) {
	m := testBlend(t)
	taste := 0
	for _, p := range m.Parts() {
		taste += p.Model.Items().Taste
	}
	if m.Items().Taste != taste || m.Items().Dim%8 != 0 {
		t.Fatalf("taste %d of %d dimensions, want %d", m.Items().Taste, m.Items().Dim, taste)
	}
	lae := m.Parts()[0]
	items := lae.Model.Items()
	for j := range items.IDs {
		row, own := m.row(int32(j)), items.Vectors[j*items.Dim:(j+1)*items.Dim]
		for i, x := range own[:items.Taste] {
			if row[i] != float32(lae.Weight)*x {
				t.Fatalf("item %d, dimension %d: %v, want half of %v", j, i, row[i], x)
			}
		}
		if got, want := row[taste], float32(lae.Weight)*own[items.Taste]; got != want {
			t.Errorf("item %d: popularity %v stands behind the tastes, want %v", j, got, want)
		}
	}
}

func TestBlendWithOtherWeights(t *testing.T) {
	m := testBlend(t)
	u := visitorOf("b")
	score := func(m *Blend, id string) float64 {
		vec, _ := m.Encode(u, noon)
		return float64(kernel.Dot(vec, m.rowOf(id)))
	}
	strong, err := m.WithKappa(2)
	if err != nil {
		t.Fatal(err)
	}
	if got := strong.Meta().Params["kappa"]; got != 2 {
		t.Errorf("kappa is %v in the manifest, want 2", got)
	}
	// Item e is 8 times popular; the weight of the first part is no part of kappa.
	before := m.Meta().Params["kappa"]
	if got, want := score(strong, "e")-score(m, "e"), (2-before)*math.Log(9); math.Abs(got-want) > 1e-4 {
		t.Errorf("kappa from %v to 2 adds %v, want %v", before, got, want)
	}
	other, err := m.WithMix(3, 0.25)
	if err != nil {
		t.Fatal(err)
	}
	one, err := m.WithMix(3)
	if err != nil {
		t.Fatal(err)
	}
	if w := other.Parts(); w[0].Weight != 0.5 || w[1].Weight != 3 || w[2].Weight != 0.25 || one.Parts()[2].Weight != 3 || m.Parts()[1].Weight != 2 {
		t.Errorf("weights %+v and %+v", w, one.Parts())
	}
	for _, mix := range [][]float64{nil, {1, 2, 3}, {0}, {math.NaN()}} {
		if _, err := m.WithMix(mix...); err == nil {
			t.Errorf("weights %v are taken", mix)
		}
	}
	if _, err := m.WithKappa(-1); err == nil {
		t.Error("kappa -1 is taken")
	}
}

func TestBlendIsSavedAndLoaded(t *testing.T) {
	m := testBlend(t).WithMetrics(map[string]float64{"recall@20": 0.5})
	dir := filepath.Join(t.TempDir(), "m")
	meta, err := Save(dir, m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Meta(), meta) || !reflect.DeepEqual(got.Items(), m.Items()) {
		t.Errorf("loaded %+v\nwant %+v", got.Meta(), meta)
	}
	a, _ := m.Encode(visitorOf("a", "z"), noon)
	b, _ := got.Encode(visitorOf("a", "z"), noon)
	if !slices.Equal(a, b) {
		t.Error("the loaded model encodes otherwise")
	}
	if again, err := Save(dir+"2", got); err != nil || again.Version != meta.Version {
		t.Errorf("saved again as %q, %v; want %q", again.Version, err, meta.Version)
	}
}

func TestLoadRefusesADamagedBlend(t *testing.T) {
	for want, damage := range map[string]func(*Meta){
		"parts is 2.5":             func(m *Meta) { m.Params["parts"] = 2.5 },
		"parts is 9":               func(m *Meta) { m.Params["parts"] = 9 },
		"part 3: no manifest":      func(m *Meta) { m.Params["parts"] = 4 },
		"1 models":                 func(m *Meta) { m.Params["parts"] = 1 },
		"weight of part 1 is 0":    func(m *Meta) { delete(m.Params, "part.1.weight") },
		"the manifest says 6 of 9": func(m *Meta) { m.Dim = 9 },
		"no event type has a pos":  func(m *Meta) { m.Kind = KindALS },
	} {
		dir := filepath.Join(t.TempDir(), "m")
		if _, err := Save(dir, testBlend(t)); err != nil {
			t.Fatal(err)
		}
		resign(damage)(t, dir)
		if _, err := Load(dir); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), want) {
			t.Errorf("Load: %v, want ErrDamaged with %q", err, want)
		}
	}
}

func TestDecodePartRefuses(t *testing.T) {
	part := func(text string) tensorSet {
		return tensorSet{partManifest: {name: partManifest, dtype: "U8", shape: []int{len(text)}, data: []byte(text)}}
	}
	nested, err := json.Marshal(Meta{Kind: KindBlend})
	if err != nil {
		t.Fatal(err)
	}
	for want, set := range map[string]tensorSet{
		"no manifest":                    {},
		"unexpected EOF":                 part(`{"kind":`),
		"unknown field":                  part(`{"sort": "lae"}`),
		"goes on after its end":          part(`{"kind": "lae"} {}`),
		`kind "blend" cannot be a part`:  part(string(nested)),
		`kind "random" cannot be a part`: part(`{"kind": "random"}`),
		"no event type has a positive":   part(`{"kind": "lae"}`),
	} {
		if _, err := decodePart(set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestNewBlendRefuses(t *testing.T) {
	lae := testLAE(t, testLAEParams())
	popularity, err := NewPopularity(Meta{}, []string{"a"}, []float32{1})
	if err != nil {
		t.Fatal(err)
	}
	nested := testBlend(t)
	for want, parts := range map[string][]BlendPart{
		"1 models":                      {{Model: lae, Weight: 1}},
		"9 models":                      slices.Repeat([]BlendPart{{Model: lae, Weight: 1}}, 9),
		"weight of part 1 is -1":        {{Model: lae, Weight: 1}, {Model: lae, Weight: -1}},
		"weight of part 0 is NaN":       {{Model: lae, Weight: math.NaN()}, {Model: lae, Weight: 1}},
		"weight of part 1 is 1001":      {{Model: lae, Weight: 1}, {Model: lae, Weight: 1001}},
		`kind "popularity" cannot be a`: {{Model: lae, Weight: 1}, {Model: popularity, Weight: 1}},
		`kind "blend" cannot be a part`: {{Model: nested, Weight: 1}, {Model: lae, Weight: 1}},
	} {
		if _, err := NewBlend(Meta{}, parts...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// An item that only one part knows is found by that part; what nobody knows has a vector only if a part reads
// documents.
func TestBlendEncodesItems(t *testing.T) {
	m := testBlend(t)
	z, ok := m.EncodeItem(&features.Item{ID: "z"})
	if !ok || !slices.Equal(z, m.rowOf("z")) {
		t.Errorf("item z: %v, %v", z, ok)
	}
	if _, ok := m.EncodeItem(&features.Item{ID: "new"}); ok {
		t.Error("a vector was made of nothing")
	}
	if _, ok := m.EncodeItem(nil); ok {
		t.Error("a vector was made of no item")
	}
	rich := mustRich(t)
	reading, err := NewBlend(Meta{}, BlendPart{Model: testLAE(t, testLAEParams()), Weight: 1}, BlendPart{Model: rich, Weight: 3})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := reading.UserFields(), slices.Sorted(slices.Values(rich.UserFields())); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("reads %v of users, want %v", got, want)
	}
}

// The repeat term is the blend's: it stays with other weights and another kappa, and is saved.
func TestBlendWithARepeatTerm(t *testing.T) {
	m := testBlend(t)
	params := RepeatParams{Weights: map[string]float64{"view": 1}, Slow: RepeatScale{Weight: 2, HalfLife: time.Hour}, Power: 1}
	rate := slices.Repeat([]float32{1}, len(m.Items().IDs))
	repeating, err := WithRepeat(m, params, rate)
	if err != nil {
		t.Fatal(err)
	}
	u := visitorOf("a", "z")
	want := repeating.(*Blend).Repeats(u, noon, nil)
	if len(want) != 2 {
		t.Fatalf("repeats %v of two items", want)
	}
	mixed, err := repeating.(*Blend).WithMix(3)
	if err != nil {
		t.Fatal(err)
	}
	kappa, err := mixed.WithKappa(2)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "m")
	if _, err := Save(dir, kappa); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]Model{"other weights": mixed, "another kappa": kappa, "loaded": loaded} {
		if got := got.(*Blend).Repeats(u, noon, nil); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	part, err := WithRepeat(testLAE(t, testLAEParams()), params, slices.Repeat([]float32{1}, 5))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewBlend(Meta{}, BlendPart{Model: part, Weight: 1}, BlendPart{Model: part, Weight: 1}); err == nil || !strings.Contains(err.Error(), "part 0 has a repeat term") {
		t.Errorf("a part with a repeat term: %v", err)
	}
}

func TestBlendWithAnotherSignal(t *testing.T) {
	p := testParams()
	m, err := NewBlend(Meta{}, BlendPart{Model: testLAE(t, testLAEParams()), Weight: 1}, BlendPart{Model: testALS(t, p), Weight: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := Signal{Weights: map[string]float64{"order": 1}}
	other, err := WithSignal(m, s)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := other.Encode(visitorOf("a"), noon); ok {
		t.Error("a view still counts")
	}
	if _, ok := m.Encode(visitorOf("a"), noon); !ok {
		t.Error("the first model was changed")
	}
	if _, err := WithSignal(testBlend(t), s); err == nil {
		t.Error("an encoder took other weights")
	}
}
