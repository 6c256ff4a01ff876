package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sartorhq/sartor/models"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// model returns a small model; another n is another content and a later time.
func model(t *testing.T, n int) models.Model {
	t.Helper()
	m, err := models.NewPopularity(models.Meta{CreatedAt: noon.Add(time.Duration(n) * time.Hour)}, []string{"a", "b"}, []float32{1, float32(n)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func publish(t *testing.T, r *Registry, n int) string {
	t.Helper()
	meta, err := r.Publish(context.Background(), model(t, n))
	if err != nil {
		t.Fatal(err)
	}
	return meta.Version
}

func versions(t *testing.T, r *Registry) (all []string, current string) {
	t.Helper()
	list, err := r.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		all = append(all, v.Meta.Version)
		if v.Current {
			current = v.Meta.Version
		}
	}
	return all, current
}

func TestPublishPromoteRollBack(t *testing.T) {
	r := New(filepath.Join(t.TempDir(), "made", "later"))
	if _, err := r.Current(); !errors.Is(err, ErrEmpty) {
		t.Errorf("Current of nothing: %v", err)
	}
	if list, err := r.List(); list != nil || err != nil {
		t.Errorf("List of nothing: %v, %v", list, err)
	}
	if gone, err := r.Prune(0); gone != nil || err != nil {
		t.Errorf("Prune of nothing: %v, %v", gone, err)
	}
	first, second := publish(t, r, 1), publish(t, r, 2)
	added, err := r.Add(context.Background(), model(t, 3))
	if err != nil {
		t.Fatal(err)
	}
	all, current := versions(t, r)
	if !slices.Equal(all, []string{added.Version, second, first}) || current != second {
		t.Fatalf("List = %v, current %s", all, current)
	}
	for _, v := range []string{first, added.Version} {
		if err := r.SetCurrent(v); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Current(); got != v || err != nil {
			t.Errorf("Current = %s, %v, want %s", got, err, v)
		}
	}
	m, err := r.Load(first)
	if err != nil || m.Meta().Version != first {
		t.Errorf("Load = %v, %v", m, err)
	}
	if again := publish(t, r, 1); again != first {
		t.Errorf("the same content became version %s, was %s", again, first)
	}
	if _, current := versions(t, r); current != first {
		t.Errorf("publishing the same content again left %s current", current)
	}
}

func TestPruneKeepsTheCurrentVersion(t *testing.T) {
	r := New(t.TempDir())
	var v []string
	for n := range 5 {
		v = append(v, publish(t, r, n))
	}
	if err := r.SetCurrent(v[0]); err != nil {
		t.Fatal(err)
	}
	gone, err := r.Prune(2)
	if err != nil || !slices.Equal(gone, []string{v[2], v[1]}) {
		t.Errorf("Prune removed %v, %v", gone, err)
	}
	if all, current := versions(t, r); !slices.Equal(all, []string{v[4], v[3], v[0]}) || current != v[0] {
		t.Errorf("left: %v, current %s", all, current)
	}
	entries, err := os.ReadDir(r.Dir())
	if err != nil || len(entries) != 4 { // three versions and CURRENT
		t.Errorf("left behind: %v", entries)
	}
}

func TestRefusesNamesThatAreNoVersions(t *testing.T) {
	parent := t.TempDir()
	r := New(filepath.Join(parent, "r"))
	publish(t, r, 1)
	if _, err := models.Save(filepath.Join(parent, "outside"), model(t, 2)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "../outside", "a/b", `a\b`, "-x", ".hidden", "ü", "a\n", "missing", currentFile, strings.Repeat("a", 101)} {
		if _, err := r.Load(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("Load(%q): %v", name, err)
		}
		if err := r.SetCurrent(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("SetCurrent(%q): %v", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.Dir(), currentFile), []byte("../outside\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Current(); err == nil || !strings.Contains(err.Error(), "set a version again") {
		t.Errorf("Current = %q, %v", v, err)
	}
	if _, err := r.List(); err == nil {
		t.Error("List passes over a broken CURRENT")
	}
}

func TestABrokenVersionNeverBecomesCurrent(t *testing.T) {
	r := New(t.TempDir())
	good, bad := publish(t, r, 1), publish(t, r, 2)
	if err := r.SetCurrent(good); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.Dir(), bad, models.ManifestFile)
	if err := os.WriteFile(path, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(r.Dir(), "renamed"), os.DirFS(filepath.Join(r.Dir(), good))); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{bad, "renamed"} {
		if err := r.SetCurrent(v); !errors.Is(err, models.ErrDamaged) {
			t.Errorf("SetCurrent(%s): %v", v, err)
		}
		if _, err := r.Load(v); !errors.Is(err, models.ErrDamaged) {
			t.Errorf("Load(%s): %v", v, err)
		}
	}
	if got, _ := r.Current(); got != good {
		t.Errorf("current is %s", got)
	}
	list, err := r.List()
	if len(list) != 1 || list[0].Meta.Version != good || !list[0].Current || !strings.Contains(fmt.Sprint(err), "renamed") {
		t.Errorf("List = %v, %v", list, err)
	}
	if _, err := r.Publish(context.Background(), model(t, 2)); !errors.Is(err, models.ErrDamaged) {
		t.Errorf("publishing over a damaged version: %v", err)
	}
}

func TestCancelledPublishLeavesNothing(t *testing.T) {
	r := New(t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Publish(ctx, model(t, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish: %v", err)
	}
	if entries, _ := os.ReadDir(r.Dir()); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

// Publishers race and a reader looks all the time: what it finds is always whole.
func TestConcurrentPublishers(t *testing.T) {
	r := New(t.TempDir())
	publish(t, r, 0)
	done := make(chan struct{})
	var publishers, reader sync.WaitGroup
	reader.Go(func() {
		for {
			v, err := r.Current()
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := r.Load(v); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for p := range 4 {
		publishers.Go(func() {
			for n := range 6 {
				// Two publishers at a time have the same content.
				if _, err := r.Publish(context.Background(), model(t, p/2*10+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	publishers.Wait()
	close(done)
	reader.Wait()
	all, current := versions(t, r)
	// The contents are 0..5 and 10..15.
	if len(all) != 12 || current == "" {
		t.Errorf("%d versions, current %q", len(all), current)
	}
	entries, err := os.ReadDir(r.Dir())
	if err != nil || len(entries) != 13 {
		t.Errorf("left behind: %v", entries)
	}
}
