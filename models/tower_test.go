package models

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/streams"
)

func TestTowerReadsEveryKindOfField(t *testing.T) {
	spec, err := NewTowerSpec([]TowerField{{Name: "title", As: AsWords}, {Name: "path", As: AsPath}, {Name: "tags", As: AsValue}, {Name: "attrs", As: AsPairs},
		{Name: "price", As: AsBucket, Edges: []float64{10, 20}}, {Name: "sale", As: AsValue}, {Name: "brand", As: AsValue}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	it := &features.Item{Env: map[string]any{"title": "Red, RED coat-7", "path": []string{"a", "b"}, "tags": []string{"x", ""}, "attrs": map[string]string{"size": "m", "fit": "slim"},
		"price": 15.0, "sale": true, "brand": "unknown to us"}, Known: map[string]bool{"title": true, "path": true, "tags": true, "attrs": true, "price": true, "sale": true}}
	var got []string
	spec.Texts(it, func(_ int, text string) { got = append(got, text) })
	want := []string{"title=red", "title=red", "title=red red", "title=coat", "title=red coat", "title=7", "title=coat 7",
		"path=a", "path=a>b", "tags=x", "attrs=fit:slim", "attrs=size:m", "price=1", "sale=true"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for price, bucket := range map[float64]string{5: "price=0", 10: "price=0", 20.5: "price=2", 0: "", -3: ""} {
		it.Env, it.Known = map[string]any{"price": price}, map[string]bool{"price": true}
		text := ""
		spec.Texts(it, func(_ int, s string) { text = s })
		if text != bucket {
			t.Errorf("price %v: %q, want %q", price, text, bucket)
		}
	}
	fields := TowerFields(features.Default())
	names := map[string]Reading{}
	for _, f := range fields {
		names[f.Name] = f.As
	}
	if names["title"] != AsWords || names["category_path"] != AsPath || names["price"] != AsBucket || names["attrs"] != AsPairs || names["brand"] != AsValue || names["sales_7d"] != "" || names["revenue_7d"] != "" {
		t.Errorf("fields %v", names)
	}
}

// testTower is testLAE with a tower: items a and b have feature 0, c has 1, d and e have none.
func testTower(t testing.TB, change func(*Tower)) (*LAE, error) {
	t.Helper()
	base, p := testLAE(t, testLAEParams()), testLAEParams()
	spec, err := NewTowerSpec([]TowerField{{Name: "category", As: AsValue}, {Name: "price", As: AsBucket, Edges: []float64{1, 2}}}, []string{"category=x", "category=y"})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	side := func() TowerWeights {
		w := TowerWeights{Embed: make([]float32, 2*8), W1: make([]float32, 8*8), B1: make([]float32, 8), W2: make([]float32, 8*8)}
		for _, x := range [][]float32{w.Embed, w.W1, w.B1, w.W2} {
			for i := range x {
				x[i] = float32(rng.NormFloat64())
			}
		}
		return w
	}
	tower := &Tower{Spec: spec, Hidden: 8, In: side(), Out: side(), Starts: []int{0, 1, 2, 3, 3, 3}, Of: []Feature{{0, 1}, {0, 1}, {1, 1}}}
	if change != nil {
		change(tower)
	}
	table := base.Table()
	table.Tower = tower
	return NewLAE(base.Meta(), p, table)
}

// byDefinition is the tower's output in float64.
func byDefinition(w TowerWeights, row int) []float64 {
	x, y := make([]float64, 8), make([]float64, 8)
	for i := range x {
		x[i] = float64(w.Embed[row*8+i])
		y[i] = x[i]
	}
	for h := range 8 {
		sum := float64(w.B1[h])
		for i := range x {
			sum += float64(w.W1[h*8+i]) * x[i]
		}
		for i := range y {
			y[i] += float64(w.W2[i*8+h]) * max(0, sum)
		}
	}
	return y
}

func TestTowerAddsToBothTables(t *testing.T) {
	m, err := testTower(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	tower, plain := m.Table().Tower, testLAE(t, testLAEParams())
	// A new item with feature 1 is the tower alone, normalised and divided by tau.
	vec, ok := m.EncodeItem(&features.Item{ID: "new", Env: map[string]any{"category": "y"}, Known: map[string]bool{"category": true}})
	want := byDefinition(tower.Out, 1)
	norm := 0.0
	for _, v := range want {
		norm += v * v
	}
	for i, v := range want {
		if !ok || math.Abs(float64(vec[i])-v/math.Sqrt(norm)/0.1) > 1e-3 {
			t.Fatalf("dimension %d: %v, want %v", i, vec[i], v/math.Sqrt(norm)/0.1)
		}
	}
	if vec[8] != 0 {
		t.Error("a new item is popular")
	}
	// Item c is its row and the tower; d, without features, its row alone.
	row := func(m *LAE, j int) []float32 { return m.Items().Vectors[j*16 : j*16+8] }
	for i := range want {
		want[i] += float64(m.Table().Out[2*8+i])
	}
	cos, a, b := 0.0, 0.0, 0.0
	for i, v := range row(m, 2) {
		cos, a, b = cos+float64(v)*want[i], a+float64(v)*float64(v), b+want[i]*want[i]
	}
	if cos/math.Sqrt(a*b) < 0.99999 || !slices.Equal(row(m, 3), row(plain, 3)) {
		t.Errorf("cosine of c %v", cos/math.Sqrt(a*b))
	}
	// The input side: a user who saw c alone points along In_c and the tower.
	u := &features.User{History: []features.Entry{{Type: streams.View, ItemID: "c", Time: noon.UnixMilli()}}}
	got, _ := m.Encode(u, noon.Add(time.Hour))
	in := byDefinition(tower.In, 1)
	cos, b = 0, 0
	for i := range in {
		in[i] += float64(m.Table().In[2*8+i])
		cos, b = cos+float64(got[i])*in[i], b+in[i]*in[i]
	}
	if math.Abs(cos/math.Sqrt(b)-1) > 1e-5 {
		t.Errorf("the user's cosine is %v", cos/math.Sqrt(b))
	}
}

func TestLoadRefusesADamagedTower(t *testing.T) {
	for want, change := range map[string]func(*Tower){
		"do not fit 2 features": func(w *Tower) { w.Out.W2 = w.Out.W2[1:] },
		"not finite":            func(w *Tower) { w.In.Embed[3] = float32(math.NaN()) },
		"do not fit 5 items":    func(w *Tower) { w.Starts = w.Starts[1:] },
		"has feature 7 of 2":    func(w *Tower) { w.Of[0].Row = 7 },
		"with share 3":          func(w *Tower) { w.Of[0].Weight = 3 },
	} {
		if _, err := testTower(t, change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, f := range []TowerField{{As: AsValue}, {Name: "x", As: "guess"}, {Name: "x", As: AsBucket, Edges: []float64{2, 1}}, {Name: "x", As: AsBucket, Edges: []float64{math.Inf(1)}}} {
		if _, err := NewTowerSpec([]TowerField{f}, nil); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
	if _, err := NewTowerSpec(nil, []string{"a", "a"}); err == nil {
		t.Error("a feature stands twice")
	}
}

// FuzzDecodeTower changes bytes of a file with a tower: it is refused, or it is a model that works.
func FuzzDecodeTower(f *testing.F) {
	m, err := testTower(f, nil)
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := writeTensors(&b, m.tensors()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:b.Len()-8])
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := decode(m.Meta(), data)
		if err != nil {
			return
		}
		lae := x.(*LAE)
		if !kernel.Finite(lae.Table().In) {
			t.Error("a table is not finite")
		}
		lae.EncodeItem(&features.Item{ID: "new", Env: map[string]any{"category": "y"}, Known: map[string]bool{"category": true}})
	})
}

func TestTowerIsSavedAndLoaded(t *testing.T) {
	m, err := testTower(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "m")
	if _, err := Save(dir, m); err != nil {
		t.Fatal(err)
	}
	x, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := x.(*LAE).Table().Tower; !slices.Equal(got.Of, m.Table().Tower.Of) || !slices.Equal(got.Out.W2, m.Table().Tower.Out.W2) || !slices.Equal(x.Items().Vectors, m.Items().Vectors) {
		t.Error("the loaded model differs")
	}
}

func TestWithSignalChangesUsersOnly(t *testing.T) {
	u := &features.User{History: []features.Entry{{Type: streams.View, ItemID: "a", Time: noon.UnixMilli()}, {Type: streams.Order, ItemID: "b", Time: noon.UnixMilli()}}}
	one := Signal{Weights: map[string]float64{"view": 1, "order": 1}}
	for _, m := range []Model{testALS(t, testParams()), testLAE(t, testLAEParams())} {
		x, err := WithSignal(m, one)
		if err != nil {
			t.Fatal(err)
		}
		before, _ := m.Encode(u, noon)
		after, ok := x.Encode(u, noon)
		if !ok || slices.Equal(before, after) || !slices.Equal(m.Items().Vectors, x.Items().Vectors) || x.Meta().Params["weight.order"] != 1 {
			t.Errorf("%s: %v", m.Meta().Kind, x.Meta().Params)
		}
		if _, err := WithSignal(m, Signal{}); err == nil {
			t.Error("a signal without weights was accepted")
		}
	}
	p, err := NewPopularity(Meta{}, []string{"a"}, []float32{1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := WithSignal(p, one); err == nil {
		t.Error("popularity has no signal")
	}
}

func TestMatrixOfAnotherProgram(t *testing.T) {
	bits := func(values ...uint16) string {
		var b []byte
		for _, v := range values {
			b = binary.LittleEndian.AppendUint16(b, v)
		}
		return string(b)
	}
	half := func(dtype string, values ...uint16) []byte {
		return safetensors(`{"w":{"dtype":"`+dtype+`","shape":[1,4],"data_offsets":[0,8]}}`, bits(values...))
	}
	for name, c := range map[string]struct {
		file []byte
		want []float32
	}{
		"f16":     {half("F16", 0x3c00, 0xc500, 0x0001, 0x7bff), []float32{1, -5, float32(math.Pow(2, -24)), 65504}},
		"bf16":    {half("BF16", 0x3f80, 0xc0a0, 0x0000, 0x4000), []float32{1, -5, 0, 2}},
		"f16-inf": {half("F16", 0x7c00, 0, 0, 0), nil},
		"f16-nan": {half("F16", 0x7e00, 0, 0, 0), nil},
	} {
		got, dim, err := Matrix(c.file, "")
		if (err == nil) != (c.want != nil) || c.want != nil && (dim != 4 || !slices.Equal(got, c.want)) {
			t.Errorf("%s: %v of %d: %v", name, got, dim, err)
		}
	}
	for want, file := range map[string][]byte{
		"too few":     nil,
		"is no":       safetensors(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "xxxx"),
		"need F32, F": safetensors(`{"w":{"dtype":"I64","shape":[1,1],"data_offsets":[0,8]}}`, "xxxxxxxx"),
	} {
		if _, _, err := Matrix(file, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := Decode(Meta{Kind: "tree"}, safetensors(`{}`, ""), nil); err == nil {
		t.Error("a tree was decoded")
	}
	if _, err := Decode(Meta{}, nil, nil); err == nil {
		t.Error("nothing was decoded")
	}
}
