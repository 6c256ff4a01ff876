package recommender_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/recommender"
)

func TestColdStartFromDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue")
	s, m := furnished()
	if err := s.open(t, s.options()).SaveCatalogue(path); err != nil {
		t.Fatal(err)
	}
	s.down = true
	r := recommender.New(s.options())
	if err := r.Refresh(t.Context(), s); !errors.Is(err, errDown) {
		t.Fatalf("refresh: %v, want the source's error", err)
	}
	if err := r.LoadCatalogue(path); err != nil {
		t.Fatal(err)
	}
	got := ask(t, r, recommender.Request{UserID: "u1", Count: 3})
	if ids(got) != "e d f" || got.ServedBy != recommender.ServedByStatic ||
		strings.Join(got.Degraded, " ") != "user_features_unavailable no_model catalogue_from_disk no_rules" {
		t.Errorf("got %q by %s, degraded %v; want e d f by static", ids(got), got.ServedBy, got.Degraded)
	}
	// A snapshot from disk never overwrites the file.
	if err := r.SaveCatalogue(filepath.Join(t.TempDir(), "other")); err != nil {
		t.Fatal(err)
	}
	// The source comes back without d: what only the file knew is gone.
	s.down = false
	s.happen(deleted("d"))
	delete(s.changed, "f")
	refresh(t, r, s)
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	got = ask(t, r, recommender.Request{Count: 10})
	if strings.Contains(ids(got), "d") || r.Status().Catalogue != "live" {
		t.Errorf("got %q from a %s catalogue, want none of d, live", ids(got), r.Status().Catalogue)
	}
	if err := r.LoadCatalogue(path); err != nil || r.Status().Catalogue != "live" {
		t.Errorf("loading a file took the live catalogue away: %v", err)
	}
}

func TestDiskKeepsServingOverAnEmptyStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue")
	s, _ := furnished()
	if err := s.open(t, s.options()).SaveCatalogue(path); err != nil {
		t.Fatal(err)
	}
	r := recommender.New(newShop().options())
	if err := r.LoadCatalogue(path); err != nil {
		t.Fatal(err)
	}
	refresh(t, r, newShop())
	if got := ids(ask(t, r, recommender.Request{Count: 1})); got != "e" {
		t.Errorf("got %q, want the file's best seller e", got)
	}
}

func TestBrokenFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "catalogue")
	s, _ := furnished()
	if err := s.open(t, s.options()).SaveCatalogue(path); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"empty":        "",
		"not-json":     "hello\n",
		"cut":          string(good[:len(good)/2]),
		"no-footer":    string(good[:len(good)-4]),
		"flipped":      strings.Replace(string(good), `"category":"shoes"`, `"category":"shoez"`, 1),
		"trailing":     string(good) + "x",
		"other-schema": strings.Replace(string(good), s.schema.Version(), "000000000000", 1),
		"other-format": strings.Replace(string(good), "sartor-catalogue/2", "sartor-catalogue/9", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if content == string(good) {
				t.Fatal("the test changes nothing")
			}
			bad := filepath.Join(dir, name)
			if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			r := recommender.New(s.options())
			if err := r.LoadCatalogue(bad); !errors.Is(err, recommender.ErrCatalogueFile) {
				t.Errorf("error %v, want ErrCatalogueFile", err)
			}
			if n := r.Status().Items; n != 0 {
				t.Errorf("%d items of a broken file serve", n)
			}
		})
	}
	if err := recommender.New(s.options()).LoadCatalogue(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
}

// TestAFileThatCannotBeWrittenKeepsTheOldOne saves where a folder stands in the way, and removes what killed writers
// left, but neither what somebody may be writing nor what is not ours.
func TestAFileThatCannotBeWrittenKeepsTheOldOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "catalogue")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-48 * time.Hour)
	for name, at := range map[string]time.Time{"catalogue.123.tmp": long, "catalogue.124.tmp": time.Now(), "catalogue.x.tmp": long, "other.123.tmp": long} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := furnished()
	if err := s.open(t, s.options()).SaveCatalogue(path); err == nil {
		t.Error("a folder was replaced by a file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "catalogue catalogue.124.tmp catalogue.x.tmp other.123.tmp" {
		t.Errorf("the folder holds %s", got)
	}
}
