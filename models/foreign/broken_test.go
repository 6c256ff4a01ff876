package foreign

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/sartorhq/sartor/models"
)

// written is a Parquet file with these rows.
func written[T any](t *testing.T, rows ...T) string {
	t.Helper()
	var b bytes.Buffer
	if err := parquet.Write(&b, rows); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.parquet")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

type doubles struct {
	ID       string    `parquet:"id"`
	Features []float64 `parquet:"features,list"`
}

func TestReadsTextIDsAndDoubles(t *testing.T) {
	v, err := Parquet(written(t, doubles{"a", []float64{1, 2.5}}, doubles{"ü", []float64{-1, 0}}), "id", "features")
	if err != nil || !slices.Equal(v.IDs, []string{"a", "ü"}) || !slices.Equal(v.Values, []float32{1, 2.5, -1, 0}) || v.Dim != 2 {
		t.Errorf("%+v, %v", v, err)
	}
	type long struct {
		ID       int64     `parquet:"id"`
		Features []float32 `parquet:"features"`
	}
	v, err = Parquet(written(t, long{math.MaxInt64, []float32{1}}), "id", "features")
	if err != nil || !slices.Equal(v.IDs, []string{"9223372036854775807"}) {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestRefusesRowsThatAreNoVectors(t *testing.T) {
	type optional struct {
		ID       *string    `parquet:"id,optional"`
		Features []*float32 `parquet:"features,list"`
	}
	type flags struct {
		ID       bool      `parquet:"id"`
		Features []float32 `parquet:"features"`
	}
	type whole struct {
		ID       string  `parquet:"id"`
		Features []int64 `parquet:"features"`
	}
	id, one := "a", float32(1)
	for want, path := range map[string]string{
		"item 1: 1 numbers, the first item has 2": written(t, doubles{"a", []float64{1, 2}}, doubles{"b", []float64{1}}),
		"item 0: the id is missing":               written(t, optional{nil, []*float32{&one}}),
		"a number of the vector is missing":       written(t, optional{&id, []*float32{&one, nil}}),
		"the vector holds a DOUBLE that is no":    written(t, doubles{"a", []float64{math.NaN()}}),
		"that is no finite number":                written(t, doubles{"a", []float64{1e300}}),
		"the vector holds a INT64":                written(t, whole{"a", []int64{1}}),
		"id is missing":                           written(t, flags{true, []float32{1}}),
		"holds no item":                           written[doubles](t),
		fmt.Sprintf("more than %d", maxDim):       written(t, doubles{"a", make([]float64, maxDim+1)}),
	} {
		if v, err := Parquet(path, "id", "features"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d items, %v; want %s", len(v.IDs), err, want)
		}
	}
	if _, err := Parquet(filepath.Join(t.TempDir(), "nothing"), "id", "features"); err == nil {
		t.Error("a missing file was read")
	}
	mixed := t.TempDir()
	good, err := os.ReadFile(written(t, doubles{"a", []float64{1}}))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"a.parquet": good, "b.parquet": good[:len(good)-6]} {
		if err := os.WriteFile(filepath.Join(mixed, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Parquet(mixed, "id", "features"); err == nil || !strings.Contains(err.Error(), "b.parquet") {
		t.Errorf("a part that was cut off: %v", err)
	}
}

// Every cut and every turned byte gives an error or a table that fits itself, never a panic.
func TestDamagedFilesOfSpark(t *testing.T) {
	good, err := os.ReadFile(filepath.Join("testdata", "spark.parquet", "part-00000.snappy.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.parquet")
	try := func(what string, data []byte) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		v, err := Parquet(path, "id", "features")
		if err == nil && (v.Dim == 0 || len(v.Values) != len(v.IDs)*v.Dim) {
			t.Errorf("%s: %d numbers for %d items of %d", what, len(v.Values), len(v.IDs), v.Dim)
		}
		if err == nil && len(data) < len(good) {
			t.Errorf("%s was read", what)
		}
	}
	for n := 0; n < len(good); n += 13 {
		try(fmt.Sprintf("cut after %d bytes", n), good[:n])
		turned := slices.Clone(good)
		turned[n] ^= 0xFF
		try(fmt.Sprintf("byte %d turned", n), turned)
	}
}

// safetensors is a file with a header of the caller's making and so many bytes of data.
func safetensors(t *testing.T, header any, data int) string {
	t.Helper()
	text, ok := header.(string)
	if !ok {
		b, err := json.Marshal(header)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := os.WriteFile(path, append(append(file, text...), make([]byte, data)...), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRefusesSafetensorsThatLie(t *testing.T) {
	tensor := func(dtype string, from, to int, shape ...int) map[string]any {
		return map[string]any{"w": map[string]any{"dtype": dtype, "shape": shape, "data_offsets": []int{from, to}}}
	}
	ids := idFile(t, "a", "b")
	if v, err := Safetensors(safetensors(t, tensor("F32", 0, 16, 2, 2), 16), "", ids); err != nil || v.Dim != 2 {
		t.Fatalf("%+v, %v", v, err)
	}
	for what, path := range map[string]string{
		"beyond the end":        safetensors(t, tensor("F32", 0, 16, 2, 2), 8),
		"backwards":             safetensors(t, tensor("F32", 16, 0, 2, 2), 16),
		"negative":              safetensors(t, tensor("F32", -16, 0, 2, 2), 16),
		"shape that overflows":  safetensors(t, tensor("F32", 0, 16, math.MaxInt64/2, 16), 16),
		"negative shape":        safetensors(t, tensor("F32", 0, 16, -2, -2), 16),
		"no columns":            safetensors(t, tensor("F32", 0, 0, 2, 0), 0),
		"one dimension":         safetensors(t, tensor("F32", 0, 8, 2), 8),
		"type that is no float": safetensors(t, tensor("I32", 0, 16, 2, 2), 16),
		"unknown type":          safetensors(t, tensor("F31", 0, 16, 2, 2), 16),
		"no JSON":               safetensors(t, "{", 0),
		"deep JSON":             safetensors(t, strings.Repeat("[", 100_000), 0),
	} {
		if _, err := Safetensors(path, "", ids); err == nil {
			t.Errorf("%s: read", what)
		}
	}
	huge := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(huge, binary.LittleEndian.AppendUint64(nil, math.MaxUint64), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Safetensors(huge, "", ids); err == nil {
		t.Error("a header of 16 EiB was read")
	}
	if err := os.Truncate(huge, maxFile+1); err != nil { // takes no room on the disk
		t.Skip(err)
	}
	if _, err := Safetensors(huge, "", ids); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a file of %d bytes: %v", int64(maxFile)+1, err)
	}
}

func TestIDsAreLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ids")
	for text, want := range map[string]string{"a\nb\n": "a b", "a\r\nb": "a b", " a \n": " a "} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if ids, err := IDs(path); err != nil || strings.Join(ids, " ") != want {
			t.Errorf("%q: %q, %v", text, ids, err)
		}
	}
	if _, err := IDs(filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("a missing file was read")
	}
	good := filepath.Join("testdata", "f64.safetensors")
	if _, err := Safetensors(good, "", filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("ids of a missing file")
	}
}

// Two rows of one item cannot both be served.
func TestRefusesAnItemTwice(t *testing.T) {
	v := Vectors{IDs: []string{"a", "a"}, Dim: 1, Values: []float32{1, 2}}
	p := models.ALSParams{Unobserved: 0.1, Lambda: 0.1, Nu: 1, Signal: models.DefaultSignal()}
	if _, err := v.ALS(models.Meta{}, p, nil); err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("ALS: %v", err)
	}
	if _, err := v.LAE(models.Meta{}, models.LAEParams{Tau: 0.1, Signal: models.DefaultSignal()}, nil); err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("LAE: %v", err)
	}
}
