package models

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/features"
)

func TestSaveAndLoadGiveTheSameModel(t *testing.T) {
	p := testParams()
	p.Kappa = 0.2
	als := testALS(t, p).WithMetrics(map[string]float64{"recall@20": 0.25})
	pop, err := NewPopularity(Meta{Schema: "s1"}, []string{"x", "ü\n\x00"}, []float32{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	lae := testLAE(t, testLAEParams()).WithMetrics(map[string]float64{"recall@20": 0.5})
	for _, m := range []Model{als, lae, pop.WithMetrics(map[string]float64{"recall@20": 0.1})} {
		dir := filepath.Join(t.TempDir(), "m")
		meta, err := Save(dir, m)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(meta.Version, m.Meta().Kind+"-") || len(meta.SHA256[TensorFile]) != 64 {
			t.Errorf("version %q, checksums %v", meta.Version, meta.SHA256)
		}
		got, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Meta(), meta) || !reflect.DeepEqual(got.Items(), m.Items()) {
			t.Errorf("loaded %+v\nwant %+v", got.Meta(), meta)
		}
		u := &features.User{History: []features.Entry{entry("view", "b", 0)}}
		a, _ := m.Encode(u, noon)
		b, _ := got.Encode(u, noon)
		if !slices.Equal(a, b) {
			t.Error("the loaded model encodes otherwise")
		}
		again, err := Save(dir+"2", got)
		if err != nil || again.Version != meta.Version {
			t.Errorf("saved again as %q, %v; want %q", again.Version, err, meta.Version)
		}
		if only, err := LoadMeta(dir); err != nil || !reflect.DeepEqual(only, meta) {
			t.Errorf("LoadMeta = %+v, %v", only, err)
		}
	}
}

func TestSaveLeavesNothingBehind(t *testing.T) {
	parent := t.TempDir()
	m := testALS(t, testParams())
	if _, err := Save(filepath.Join(parent, "m"), m); err != nil {
		t.Fatal(err)
	}
	if _, err := Save(filepath.Join(parent, "m"), m); !errors.Is(err, fs.ErrExist) {
		t.Errorf("saving over a model: %v", err)
	}
	if _, err := Save(filepath.Join(parent, "no", "m"), m); err == nil {
		t.Error("saved into a folder without parent")
	}
	if _, err := Save(filepath.Join(parent, "n"), foreign{m}); err == nil || !strings.Contains(err.Error(), "cannot be saved") {
		t.Errorf("a foreign model: %v", err)
	}
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

type foreign struct{ Model }

func TestLoadRefusesDamage(t *testing.T) {
	change := func(name string, f func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		damage func(*testing.T, string)
		want   string
	}{
		{"bit-flip", change(TensorFile, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), "copy it again or roll back"},
		{"cut-short", change(TensorFile, func(b []byte) []byte { return b[:len(b)-4] }), "checksum"},
		{"metric-edited", change(ManifestFile, func(b []byte) []byte { return bytes.Replace(b, []byte(`"seed": 7`), []byte(`"seed": 8`), 1) }), "changed after it was saved"},
		{"unknown-key", change(ManifestFile, func(b []byte) []byte { return bytes.Replace(b, []byte(`"kind"`), []byte(`"kynd"`), 1) }), "newer sartor?"},
		{"not-json", change(ManifestFile, func([]byte) []byte { return []byte("no") }), "manifest.json"},
		{"huge", change(ManifestFile, func([]byte) []byte { return make([]byte, maxManifest+1) }), "more than"},
		{"kind", resign(func(m *Meta) { m.Kind = "tree" }), `kind "tree" is not understood`},
		{"items", resign(func(m *Meta) { m.Items = 4 }), "the manifest says 4 of 8"},
		{"params", resign(func(m *Meta) { m.Params["factors"] = 16 }), "need [5 16]"},
		{"huge-params", resign(func(m *Meta) { m.Params["factors"] = 1e300 }), "need [5 0]"},
		{"half-life", resign(func(m *Meta) { m.Params["half_life_seconds"] = -1 }), "half_life_seconds is -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "m")
			if _, err := Save(dir, testALS(t, testParams())); err != nil {
				t.Fatal(err)
			}
			c.damage(t, dir)
			_, err := Load(dir)
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Load: %v, want ErrDamaged with %q", err, c.want)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
	if _, err := LoadMeta(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
}

// resign changes the manifest and gives it the version that fits, as a forger would.
func resign(f func(*Meta)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		meta, err := LoadMeta(dir)
		if err != nil {
			t.Fatal(err)
		}
		f(&meta)
		if meta.Version, err = version(meta); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(meta)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ManifestFile), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// safetensors puts a file together by hand, as another program would.
func safetensors(header, data string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header+data...)
}

func TestReadTensorsOfAnotherProgram(t *testing.T) {
	set, err := readTensors(safetensors(
		`{"__metadata__":{"format":"pt"},"b":{"dtype":"U8","shape":[2],"data_offsets":[8,10]},`+
			`"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"z":{"dtype":"F32","shape":[0,4],"data_offsets":[10,10]}}   `,
		"\x00\x00\x80\x3f\x00\x00\x00\xc0hi"))
	if err != nil {
		t.Fatal(err)
	}
	if a, err := set.floats("a", 1, 2); err != nil || !slices.Equal(a, []float32{1, -2}) {
		t.Errorf("a = %v, %v", a, err)
	}
	if string(set["b"].data) != "hi" {
		t.Errorf("b = %q", set["b"].data)
	}
}

func TestReadTensorsRefuses(t *testing.T) {
	const one = `{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}`
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":         {nil, "too few"},
		"long-header":   {safetensors(`{`, "")[:8], "more than the file"},
		"huge-header":   {bytes.Repeat([]byte{0xff}, 16), "more than the file"},
		"no-brace":      {safetensors(` {}`, ""), "does not begin with {"},
		"not-json":      {safetensors(`{"a":}`, ""), "header"},
		"cut-json":      {safetensors(one, "xy"), "header"},
		"after-brace":   {safetensors(one+`}x`, "xy"), "goes on after"},
		"twice":         {safetensors(one+`,"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, "xy"), "twice"},
		"unknown-field": {safetensors(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}}`, ""), "unknown field"},
		"metadata":      {safetensors(`{"__metadata__":{"a":1}}`, ""), "metadata"},
		"type":          {safetensors(`{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,2]}}`, "xy"), "not understood"},
		"outside":       {safetensors(one+`}`, "x"), "outside"},
		"backwards":     {safetensors(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[2,0]}}`, "xy"), "outside"},
		"negative":      {safetensors(`{"a":{"dtype":"U8","shape":[-2],"data_offsets":[0,2]}}`, "xy"), "does not fit"},
		"overflow":      {safetensors(`{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, "xy"), "does not fit"},
		"shape":         {safetensors(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,2]}}`, "xy"), "takes 1 bytes"},
		"gap":           {safetensors(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, "xy"), "gap or overlap"},
		"overlap":       {safetensors(one+`,"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, "xy"), "gap or overlap"},
		"rest":          {safetensors(one+`}`, "xyz"), "after the last tensor"},
	} {
		if _, err := readTensors(c.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestTensorsAreTyped(t *testing.T) {
	set := tensorSet{
		"nan":    {dtype: "F32", shape: []int{1}, data: []byte{0, 0, 0xc0, 0x7f}},
		"s.ends": {dtype: "I64", shape: []int{1}, data: []byte{9, 0, 0, 0, 0, 0, 0, 0}}, "s.bytes": {dtype: "U8", shape: []int{1}, data: []byte{1}},
		"r.ends": {dtype: "I64", shape: []int{0}}, "r.bytes": {dtype: "U8", shape: []int{1}, data: []byte{1}},
		"q.ends": {dtype: "I64", shape: []int{0, 1}},
		"p.ends": {dtype: "I64", shape: []int{0}},
	}
	for name, want := range map[string]string{"nan": "element 0 is NaN", "none": "missing", "s.ends": "type I64, need F32"} {
		if _, err := set.floats(name, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("floats(%s): %v, want %q", name, err, want)
		}
	}
	for name, want := range map[string]string{"s": "text 0 ends at byte 9", "r": "1 bytes after the last text",
		"q": "one dimension", "p": `"p.bytes" is missing`, "o": "missing"} {
		if _, err := set.texts(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("texts(%s): %v, want %q", name, err, want)
		}
	}
}

// FuzzReadTensors: whatever the bytes, no panic; what is accepted is written and read back alike.
func FuzzReadTensors(f *testing.F) {
	var whole bytes.Buffer
	if err := writeTensors(&whole, testALS(f, testParams()).tensors()); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes())
	f.Add(safetensors(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"F32","shape":[],"data_offsets":[2,6]}}`, "xyabcd"))
	f.Add(safetensors(`{"__metadata__":{}}`, ""))
	f.Fuzz(func(t *testing.T, file []byte) {
		set, err := readTensors(file)
		if err != nil {
			return
		}
		var list []tensor
		for name, x := range set {
			x.name = name
			list = append(list, x)
			_, _ = set.floats(name, x.shape...)
			_, _ = set.texts(strings.TrimSuffix(name, ".ends"))
		}
		var out bytes.Buffer
		if err := writeTensors(&out, list); err != nil {
			t.Fatal(err)
		}
		again, err := readTensors(out.Bytes())
		if err != nil || len(again) != len(set) {
			t.Fatalf("not read back: %v", err)
		}
		for name, x := range set {
			if !bytes.Equal(again[name].data, x.data) {
				t.Fatalf("tensor %q changed", name)
			}
		}
	})
}

// TestFloatsAtOddPlaces reads the same numbers where they cannot be used in place: in files of others.
func TestFloatsAtOddPlaces(t *testing.T) {
	want := []float32{1, -2.5, 0, 3e-20}
	var file bytes.Buffer
	if err := writeTensors(&file, []tensor{floatTensor("x", want, 2, 2)}); err != nil {
		t.Fatal(err)
	}
	for offset := range 9 {
		room := append(make([]byte, offset, offset+file.Len()), file.Bytes()...)
		set, err := readTensors(room[offset:])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := set.floats("x", 2, 2); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d bytes on: %v %v, want %v", offset, got, err, want)
		}
	}
}

// TestWeightOfPopularityComesAndGoes wants the factors as they were, however the vectors were laid out before.
func TestWeightOfPopularityComesAndGoes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	table := ItemTable{}
	for i := range 5 {
		table.IDs, table.Popularity = append(table.IDs, string(rune('a'+i))), append(table.Popularity, float32(i))
		for range 8 {
			table.Factors = append(table.Factors, float32(rng.NormFloat64()))
		}
	}
	m, err := NewALS(Meta{}, ALSParams{Factors: 8, Unobserved: 0.1, Lambda: 0.01, Nu: 1, Signal: DefaultSignal()}, table)
	if err != nil {
		t.Fatal(err)
	}
	for _, kappa := range []float64{0, 0.5, 0.2, 0, 0} {
		if m, err = m.WithKappa(kappa); err != nil {
			t.Fatal(err)
		}
		items := m.Items()
		for j := range table.IDs {
			row := items.Vectors[j*items.Dim:][:items.Dim]
			if !slices.Equal(row[:8], table.Factors[j*8:][:8]) {
				t.Fatalf("kappa %v, item %d: %v, want %v", kappa, j, row[:8], table.Factors[j*8:][:8])
			}
			if kappa > 0 && row[8] != float32(kappa*math.Log1p(float64(table.Popularity[j]))) || (kappa > 0) != (items.Dim == 16) {
				t.Fatalf("kappa %v, item %d: %v of %d", kappa, j, row, items.Dim)
			}
		}
	}
}
