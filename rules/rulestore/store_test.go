package rulestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
)

// ruleFile is a correct file whose only rule is called id.
func ruleFile(name, id string) string {
	return fmt.Sprintf(`apiVersion: rules/v1
kind: RuleSet
name: %s
description: d
owner: me@example.com
rules:
  - id: %s
    description: d
    match: item.stock < 1
    then: [exclude: {}]
`, name, id)
}

var broken = strings.Replace(ruleFile("home", "one"), "item.stock", "item.stok", 1)

// write replaces a file as an editor does: a new file under the old name.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	tmp := filepath.Join(dir, "."+name+".swp")
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func ids(d *Dir) string { return strings.Join(d.Set().RuleIDs(), " ") }

func TestValidInvalidValid(t *testing.T) {
	dir, reg := t.TempDir(), prometheus.NewRegistry()
	now := time.Unix(1000, 0)
	d := NewDir(dir, features.Default(), Options{Registerer: reg, Now: func() time.Time { return now }})
	if got := ids(d); got != "" {
		t.Fatalf("before loading: %q", got)
	}

	write(t, dir, "home.yaml", ruleFile("home", "one"))
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := d.Status()
	if ids(d) != "one" || !first.OK || first.Stale || first.Revision == "" || !first.LoadedAt.Equal(now) || first.Version != d.Set().Version() {
		t.Fatalf("after loading: %q %+v", ids(d), first)
	}

	now = time.Unix(2000, 0)
	if changed, err := d.Reload(t.Context()); changed || err != nil || !d.Status().LastAttempt.Equal(time.Unix(1000, 0)) {
		t.Fatalf("an unchanged folder: %v %v %+v", changed, err, d.Status())
	}

	write(t, dir, "home.yaml", broken)
	if changed, err := d.Reload(t.Context()); changed || !errors.Is(err, ErrBroken) {
		t.Fatalf("a broken file: %v %v", changed, err)
	}
	st := d.Status()
	if ids(d) != "one" || st.OK || st.Revision != first.Revision || !st.LoadedAt.Equal(first.LoadedAt) || !st.LastAttempt.Equal(now) {
		t.Fatalf("after a broken file: %q %+v", ids(d), st)
	}
	if p := st.Problems[0]; p.Line != 9 || p.Column != 17 || !strings.HasSuffix(p.Path, "home.yaml") {
		t.Fatalf("problem at %s:%d:%d", p.Path, p.Line, p.Column)
	}
	if _, err := d.Reload(t.Context()); !errors.Is(err, ErrBroken) {
		t.Fatalf("an unchanged broken folder forgets that it is broken: %v", err)
	}
	checkMetrics(t, reg, 0, 1000, 1, 1)

	now = time.Unix(3000, 0)
	write(t, dir, "home.yaml", ruleFile("home", "two"))
	if changed, err := d.Reload(t.Context()); !changed || err != nil {
		t.Fatalf("a mended file: %v %v", changed, err)
	}
	if st := d.Status(); ids(d) != "two" || !st.OK || len(st.Problems) != 0 || st.Revision == first.Revision {
		t.Fatalf("after mending: %q %+v", ids(d), st)
	}
	checkMetrics(t, reg, 1, 3000, 2, 1)
}

func checkMetrics(t *testing.T, reg *prometheus.Registry, success, stamp float64, ok, failed int) {
	t.Helper()
	want := fmt.Sprintf(`
# HELP sartor_rules_last_reload_success_timestamp_seconds When rules last went live.
# TYPE sartor_rules_last_reload_success_timestamp_seconds gauge
sartor_rules_last_reload_success_timestamp_seconds %v
# HELP sartor_rules_reload_success 1 when the content of the rule folder is live, 0 when the last attempt to load it failed.
# TYPE sartor_rules_reload_success gauge
sartor_rules_reload_success %v
# HELP sartor_rules_reloads_total Attempts to load changed rules, by result.
# TYPE sartor_rules_reloads_total counter
sartor_rules_reloads_total{result="failure"} %d
sartor_rules_reloads_total{result="success"} %d
`, stamp, success, failed, ok)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	d := NewDir(dir, features.Default(), Options{})
	if err := d.Load(t.Context()); err != nil || len(d.Set().RuleIDs()) != 0 {
		t.Fatalf("an empty folder is an empty set: %v", err)
	}
	write(t, dir, "b.yaml", ruleFile("b", "b1"))
	write(t, dir, "a.yml", ruleFile("a", "a1"))
	write(t, dir, "a.test.yaml", "not: a rule file")
	write(t, dir, "notes.txt", "nothing")
	write(t, dir, ".hidden.yaml", "not: a rule file")
	if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if changed, err := d.Reload(t.Context()); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if st := d.Status(); strings.Join(st.Files, " ") != "a.yml b.yaml" || strings.Join(st.Sets, " ") != "a b" || ids(d) != "a1 b1" {
		t.Fatalf("%q %+v", ids(d), st)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Reload(t.Context()); err == nil || ids(d) != "a1 b1" || d.Status().Error == "" {
		t.Fatalf("a folder that is gone: %v %q", err, ids(d))
	}
}

// TestConfigMap walks through what Kubernetes does: files are links through ..data, and ..data is
// replaced by one rename.
func TestConfigMap(t *testing.T) {
	dir := t.TempDir()
	revision := func(name, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), "home.yaml", text)
		if err := os.Symlink(name, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	revision("..2026_1", ruleFile("home", "one"))
	if err := os.Symlink("..data/home.yaml", filepath.Join(dir, "home.yaml")); err != nil {
		t.Fatal(err)
	}
	d := NewDir(dir, features.Default(), Options{})
	if err := d.Load(t.Context()); err != nil || ids(d) != "one" {
		t.Fatal(err, ids(d))
	}
	revision("..2026_2", ruleFile("home", "two"))
	if changed, err := d.Reload(t.Context()); !changed || err != nil || ids(d) != "two" {
		t.Fatal(changed, err, ids(d))
	}
}

func TestListFiles(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(ruleFile("home", "one"), "rules:\n", "lists:\n  recalled: {file: recalled.txt}\nrules:\n", 1)
	text = strings.Replace(text, "item.stock < 1", "item.id in lists.recalled", 1)
	write(t, dir, "home.yaml", text)
	write(t, dir, "recalled.txt", "# recalls\nsku-1\n")
	d := NewDir(dir, features.Default(), Options{})
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err, d.Status().Problems)
	}
	excluded := func(id string) bool {
		_, out := d.Set().StaticExcludes("", features.Default().Item(id, nil, time.Unix(0, 0)))
		return out
	}
	if !excluded("sku-1") || excluded("sku-2") {
		t.Fatal("the list file was not read")
	}
	write(t, dir, "recalled.txt", "sku-2\n")
	if changed, err := d.Reload(t.Context()); !changed || err != nil {
		t.Fatalf("a changed list file: %v %v", changed, err)
	}
	if excluded("sku-1") || !excluded("sku-2") {
		t.Fatal("the changed list file is not live")
	}
	if err := os.Remove(filepath.Join(dir, "recalled.txt")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Reload(t.Context()); !errors.Is(err, ErrBroken) || !excluded("sku-2") {
		t.Fatalf("a missing list file: %v", err)
	}
}

func TestLastGood(t *testing.T) {
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "rules.json")
	write(t, dir, "home.yaml", ruleFile("home", "one"))
	first := NewDir(dir, features.Default(), Options{LastGood: backup})
	if err := first.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "home.yaml", broken)

	second := NewDir(dir, features.Default(), Options{LastGood: backup})
	if err := second.Load(t.Context()); !errors.Is(err, ErrBroken) {
		t.Fatalf("the broken folder must be reported: %v", err)
	}
	st := second.Status()
	if ids(second) != "one" || !st.Stale || st.OK || st.Revision != first.Status().Revision || len(st.Problems) == 0 {
		t.Fatalf("started from the last good file: %q %+v", ids(second), st)
	}
	write(t, dir, "home.yaml", ruleFile("home", "two"))
	if changed, err := second.Reload(t.Context()); !changed || err != nil || second.Status().Stale || ids(second) != "two" {
		t.Fatalf("after mending: %v %v %q", changed, err, ids(second))
	}

	third := NewDir(filepath.Join(dir, "gone"), features.Default(), Options{LastGood: backup})
	if err := third.Load(t.Context()); err == nil || ids(third) != "two" || !third.Status().Stale {
		t.Fatalf("a missing folder: %v %q", err, ids(third))
	}
	if err := os.WriteFile(backup, []byte(`{"format":1,"hash":"00","content":{"files":{}}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	fourth := NewDir(filepath.Join(dir, "gone"), features.Default(), Options{LastGood: backup})
	if err := fourth.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "damaged") || fourth.Status().Revision != "" {
		t.Fatalf("a damaged backup: %v", err)
	}
}

func TestParams(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(ruleFile("home", "one"), "rules:\n", "params:\n  low: {type: int, default: 1, min: 0, max: 9}\nrules:\n", 1)
	write(t, dir, "home.yaml", strings.Replace(text, "item.stock < 1", "item.stock < params.low", 1))
	good := NewDir(dir, features.Default(), Options{Params: map[string]map[string]any{"home": {"low": 5}}})
	plain := NewDir(dir, features.Default(), Options{})
	for _, d := range []*Dir{good, plain} {
		if err := d.Load(t.Context()); err != nil {
			t.Fatal(err, d.Status().Problems)
		}
	}
	if good.Status().Version == plain.Status().Version || good.Status().Revision != plain.Status().Revision {
		t.Fatal("parameters belong to the version, not to the revision of the files")
	}
	bad := NewDir(dir, features.Default(), Options{Params: map[string]map[string]any{"home": {"low": 50}}})
	if err := bad.Load(t.Context()); !errors.Is(err, ErrBroken) {
		t.Fatalf("a parameter outside its bounds: %v", err)
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "home.yaml", ruleFile("home", "one"))
	synctest.Test(t, func(t *testing.T) {
		d := NewDir(dir, features.Default(), Options{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var seen []string
		done := make(chan error)
		go func() {
			done <- d.Watch(ctx, time.Second, func(s *rules.Set) { seen = append(seen, strings.Join(s.RuleIDs(), " ")) })
		}()
		step := func(text string) {
			write(t, dir, "home.yaml", text)
			<-time.After(1500 * time.Millisecond) // synctest's clock, no waiting
			synctest.Wait()
		}
		step(ruleFile("home", "one"))
		step(broken)
		step(ruleFile("home", "one"))
		step(ruleFile("home", "two"))
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if got := strings.Join(seen, ","); got != "one,two" {
			t.Errorf("changes seen: %q, want one,two", got)
		}
	})
}

// TestReadersNeverSeeAMixture reloads many times, every third time with a broken file, while readers
// check that set and status are always one of the published pairs.
func TestReadersNeverSeeAMixture(t *testing.T) {
	dir := t.TempDir()
	d := NewDir(dir, features.Default(), Options{})
	write(t, dir, "a.yaml", ruleFile("a", "v0"))
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				now := d.current.Load()
				if n := len(now.set.RuleIDs()); n != 1 {
					t.Errorf("a set with %d rules was never published", n)
					return
				}
				if st := now.status; st.Revision == "" || st.Version != now.set.Version() {
					t.Errorf("the set of version %s with the status of %q was never published", now.set.Version(), st.Version)
					return
				}
			}
		})
	}
	reloads := 300
	if testing.Short() {
		reloads = 50
	}
	for i := 1; i <= reloads; i++ {
		text := ruleFile("a", fmt.Sprintf("v%d", i))
		if i%3 == 0 {
			text = broken
		}
		write(t, dir, "a.yaml", text)
		changed, err := d.Reload(ctx)
		if changed != (i%3 != 0) || (err == nil) != changed {
			t.Fatalf("reload %d: %v %v", i, changed, err)
		}
	}
	cancel()
	readers.Wait()
}
