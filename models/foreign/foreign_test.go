package foreign

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/streams"
)

// want is item j of testdata, as write.py makes it.
func want(j int) []float32 {
	return []float32{float32(j), float32(j) / 2, -1, 0.25, float32(math.Pow(2, -float64(j)))}
}

func idFile(t *testing.T, ids ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ids.txt")
	if err := os.WriteFile(path, []byte(strings.Join(ids, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func check(t *testing.T, v Vectors, ids []string) {
	t.Helper()
	if !slices.Equal(v.IDs, ids) || v.Dim != 5 {
		t.Fatalf("ids %v of %d dimensions", v.IDs, v.Dim)
	}
	for j := range ids {
		if got := v.Values[j*5 : j*5+5]; !slices.Equal(got, want(j)) {
			t.Errorf("item %d: %v, want %v", j, got, want(j))
		}
	}
}

func TestReadsWhatPyTorchWrote(t *testing.T) {
	ids := []string{"a", "b", "c", "d", "e", "f"}
	path := idFile(t, ids...)
	for file, name := range map[string]string{"torch": "item.weight", "bf16": "", "f16": "item", "f64": ""} {
		v, err := Safetensors(filepath.Join("testdata", file+".safetensors"), name, path)
		if err != nil {
			t.Fatal(err)
		}
		check(t, v, ids)
	}
	for want, args := range map[string][3]string{
		"name one":           {"torch.safetensors", "", path},
		`"item.bias" is no`:  {"torch.safetensors", "item.bias", path},
		"names 1: one id":    {"f64.safetensors", "", idFile(t, "a")},
		"line 2 is empty":    {"f64.safetensors", "", idFile(t, "a", "", "c")},
		"no such file":       {"nothing.safetensors", "", path},
		"safetensors: the h": {"write.py", "", path},
	} {
		if _, err := Safetensors(filepath.Join("testdata", args[0]), args[1], args[2]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", args, err, want)
		}
	}
}

func TestReadsWhatSparkWrites(t *testing.T) {
	var ids []string
	for j := range 6 {
		ids = append(ids, strconv.Itoa(100+j))
	}
	v, err := Parquet(filepath.Join("testdata", "spark.parquet"), "id", "features")
	if err != nil {
		t.Fatal(err)
	}
	check(t, v, ids)
	if _, err := Parquet(filepath.Join("testdata", "spark.parquet"), "id", "nowhere"); err == nil || !strings.Contains(err.Error(), `no columns "id" and "nowhere"`) {
		t.Error(err)
	}
	if _, err := Parquet(t.TempDir(), "id", "features"); err == nil || !strings.Contains(err.Error(), "no *.parquet") {
		t.Error(err)
	}
}

// The users of an imported factorisation are solved from their histories, and the padding changes nothing.
func TestImportedModelsEncodeUsers(t *testing.T) {
	v, err := Parquet(filepath.Join("testdata", "spark.parquet"), "id", "features")
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(1e12)
	u := &features.User{History: []features.Entry{{Type: streams.View, ItemID: "105", Time: now.UnixMilli()}}}
	als, err := v.ALS(models.Meta{}, models.ALSParams{Unobserved: 0.1, Lambda: 0.1, Nu: 1, Signal: models.DefaultSignal()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	lae, err := v.LAE(models.Meta{}, models.LAEParams{Tau: 0.1, Signal: models.DefaultSignal()}, []float32{0, 1, 2, 3, 4, 5})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []models.Model{als, lae} {
		vec, ok := m.Encode(u, now)
		if !ok || m.Items().Dim != 8 {
			t.Fatalf("%s: %d dimensions", m.Meta().Kind, m.Items().Dim)
		}
		best, at := float32(math.Inf(-1)), -1
		for j := range v.IDs {
			score := float32(0)
			for i, x := range vec {
				score += x * m.Items().Vectors[j*8+i]
			}
			if score > best {
				best, at = score, j
			}
		}
		if at != 5 { // the longest vector for ALS, the nearest for cosines: the item itself
			t.Errorf("%s: item %d is the best for a friend of item 5", m.Meta().Kind, at)
		}
		if _, err := models.Save(filepath.Join(t.TempDir(), "m"), m); err != nil {
			t.Error(err)
		}
	}
}

func TestAWholeModelOfPyTorch(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("testdata", "lae.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	meta := models.Meta{Kind: models.KindLAE, Params: map[string]float64{"factors": 8, "tau": 0.1, "weight.view": 1}}
	m, err := models.Decode(meta, file, []string{"a", "b", "c", "d", "e", "f"})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.(*models.LAE).Table(); !slices.Equal(got.In[8:13], want(1)) || got.Popularity[5] != 5 {
		t.Errorf("table %v", got.In[8:13])
	}
	if _, err := models.Decode(meta, file, []string{"a"}); err == nil {
		t.Error("one id for six rows was accepted")
	}
}

func FuzzParquet(f *testing.F) {
	for _, name := range []string{"part-00000.snappy.parquet", "part-00001.snappy.parquet"} {
		data, err := os.ReadFile(filepath.Join("testdata", "spark.parquet", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x.parquet")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		v, err := Parquet(path, "id", "features")
		if err == nil && (len(v.Values) != len(v.IDs)*v.Dim || v.Dim == 0) {
			t.Errorf("%d numbers for %d items of %d", len(v.Values), len(v.IDs), v.Dim)
		}
	})
}
