package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/models"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A registry whose folder is something else says so in every method, and changes nothing.
func TestAFileIsNoRegistry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "models")
	write(t, path, "a file")
	r := New(path)
	version := publish(t, New(t.TempDir()), 1)
	calls := map[string]func() error{
		"Publish":    func() error { _, err := r.Publish(context.Background(), model(t, 1)); return err },
		"Add":        func() error { _, err := r.Add(context.Background(), model(t, 1)); return err },
		"Current":    func() error { _, err := r.Current(); return err },
		"SetCurrent": func() error { return r.SetCurrent(version) },
		"Load":       func() error { _, err := r.Load(version); return err },
		"List":       func() error { _, err := r.List(); return err },
		"Prune":      func() error { _, err := r.Prune(1); return err },
		"Scenarios":  func() error { _, err := r.Scenarios(); return err },
	}
	for name, call := range calls {
		if err := call(); err == nil || errors.Is(err, ErrEmpty) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "a file" {
		t.Errorf("the file is %q now, %v", text, err)
	}
}

// What is missing is empty, which is no error but for who needs a model.
func TestAMissingRegistryIsEmpty(t *testing.T) {
	r := New(filepath.Join(t.TempDir(), "nothing"))
	list, err := r.List()
	removed, pruned := r.Prune(0)
	scenarios, named := r.Scenarios()
	if len(list)+len(removed)+len(scenarios) != 0 || errors.Join(err, pruned, named) != nil {
		t.Errorf("%v %v %v: %v", list, removed, scenarios, errors.Join(err, pruned, named))
	}
	if _, err := r.Current(); !errors.Is(err, ErrEmpty) {
		t.Errorf("Current: %v", err)
	}
	if err := r.SetCurrent("als-0123"); !errors.Is(err, ErrNotFound) {
		t.Errorf("SetCurrent: %v", err)
	}
}

func TestScenariosAreNamedInOrder(t *testing.T) {
	r := New(t.TempDir())
	if _, err := r.Scenario("home").Publish(t.Context(), model(t, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Scenario("cart").Add(t.Context(), model(t, 2)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.Dir(), "scenarios", "notes.txt"), "no scenario")
	if names, err := r.Scenarios(); err != nil || !slices.Equal(names, []string{"cart", "home"}) {
		t.Errorf("%v, %v", names, err)
	}
}

// CURRENT is written by programs, but a disk can be full and a person can edit it.
func TestADamagedCurrentIsNoVersion(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "path": "../../etc/passwd\n", "spaces": " als-1\n", "two lines": "als-1\nals-2\n", "zeros": "\x00\x00\x00\x00",
		"long": strings.Repeat("a", maxVersion+1), "flag": "-rf\n"} {
		r := New(t.TempDir())
		version := publish(t, r, 1)
		write(t, filepath.Join(r.Dir(), currentFile), text)
		if got, err := r.Current(); err == nil || errors.Is(err, ErrEmpty) || !strings.Contains(err.Error(), "set a version again") {
			t.Errorf("%s: current is %q, %v", name, got, err)
		}
		if _, err := r.Prune(0); err == nil {
			t.Errorf("%s: pruned without knowing which version serves", name)
		}
		if _, err := r.Load(version); err != nil {
			t.Errorf("%s: the version itself is sound: %v", name, err)
		}
		if err := r.SetCurrent(version); err != nil {
			t.Errorf("%s: what the message advises fails: %v", name, err)
		}
		if got, err := r.Current(); got != version || err != nil {
			t.Errorf("%s: after that current is %q, %v", name, got, err)
		}
	}
	r := New(t.TempDir())
	version := publish(t, r, 1)
	if err := errors.Join(os.Remove(filepath.Join(r.Dir(), currentFile)), os.Mkdir(filepath.Join(r.Dir(), currentFile), 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Current(); err == nil || !strings.Contains(err.Error(), "read current model") {
		t.Errorf("a folder in place of CURRENT: %v", err)
	}
	if err := r.SetCurrent(version); err == nil {
		t.Error("a folder was replaced")
	}
}

// Whoever can write into the folder can do much, but a link does not lead readers out of it.
func TestLinksLeadNowhere(t *testing.T) {
	outside, r := New(t.TempDir()), New(t.TempDir())
	publish(t, r, 1)
	version := publish(t, outside, 2)
	if err := os.Symlink(filepath.Join(outside.Dir(), version), filepath.Join(r.Dir(), version)); err != nil {
		t.Skip(err) // no links here
	}
	if _, err := r.Load(version); !errors.Is(err, ErrNotFound) {
		t.Errorf("Load: %v", err)
	}
	if err := r.SetCurrent(version); !errors.Is(err, ErrNotFound) {
		t.Errorf("SetCurrent: %v", err)
	}
	if list, err := r.List(); len(list) != 1 || err != nil {
		t.Errorf("List: %v, %v", list, err)
	}
	current := filepath.Join(r.Dir(), currentFile)
	if err := errors.Join(os.Remove(current), os.Symlink(filepath.Join(outside.Dir(), currentFile), current)); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Current(); err == nil {
		t.Errorf("Current follows a link to %q", got)
	}
}

// Every file of a version, cut short or with one bit turned, is refused as damaged.
func TestEveryDamagedFileIsRefused(t *testing.T) {
	whole := New(t.TempDir())
	version := publish(t, whole, 1)
	entries, err := os.ReadDir(filepath.Join(whole.Dir(), version))
	if err != nil || len(entries) < 2 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		good, err := os.ReadFile(filepath.Join(whole.Dir(), version, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		turned := slices.Clone(good)
		turned[len(turned)/2] ^= 4
		for what, data := range map[string][]byte{"empty": {}, "half": good[:len(good)/2], "longer": append(slices.Clone(good), 'x'), "turned": turned} {
			r := New(t.TempDir())
			publish(t, r, 1)
			write(t, filepath.Join(r.Dir(), version, e.Name()), string(data))
			if _, err := r.Load(version); !errors.Is(err, models.ErrDamaged) {
				t.Errorf("%s, %s: %v", e.Name(), what, err)
			}
		}
	}
}
