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
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
)

// archive returns an empty archive whose tests fail for every file that says "fail".
func archive(t *testing.T) *Archive {
	t.Helper()
	at := time.Date(2026, 10, 23, 12, 0, 0, 0, time.UTC)
	return NewArchive(filepath.Join(t.TempDir(), "store"), features.Default(), ArchiveOptions{
		Now: func() time.Time { at = at.Add(time.Minute); return at },
		Test: func(_ context.Context, files []rules.File, tests Tree) (TestResult, error) {
			out := TestResult{Cases: len(tests)}
			for _, text := range tests {
				if strings.Contains(text, "fail") {
					out.Failed++
				}
			}
			return out, nil
		},
	})
}

func submit(t *testing.T, a *Archive, files Tree, message string) *Revision {
	t.Helper()
	r, err := a.Submit(t.Context(), Draft{Files: files, Author: "jane", Message: message})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// states is the history in one line, the oldest first.
func states(t *testing.T, a *Archive) string {
	t.Helper()
	all, err := a.History()
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, r := range all {
		parts = append([]string{fmt.Sprintf("%d %s", r.Number, r.State)}, parts...)
	}
	return strings.Join(parts, ", ")
}

func actions(t *testing.T, a *Archive) string {
	t.Helper()
	entries, err := a.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, e := range entries {
		parts = append(parts, e.Action)
	}
	return strings.Join(parts, " ")
}

func TestLifeOfARevision(t *testing.T) {
	a := archive(t)
	one := submit(t, a, Tree{"home.yaml": ruleFile("home", "one"), "home.test.yaml": "ok"}, "the first")
	if one.State != StateDraft || one.Number != 1 || one.Base != "" || !strings.Contains(one.Diff, "+name: home") || states(t, a) != "1 draft" {
		t.Fatalf("submitted %+v", one)
	}
	checked, err := a.Check(t.Context(), one.ID, false)
	if err != nil || states(t, a) != "1 checked" {
		t.Fatal(err, states(t, a))
	}
	var found []string
	for _, c := range checked.Revision.Checks {
		found = append(found, strings.TrimSpace(fmt.Sprint(c.Name, " ", c.OK, " ", c.Detail)))
	}
	if got := strings.Join(found, ", "); got != "decode true, types true, cost true, lint true, tests true 1 case passed" {
		t.Errorf("checks: %s", got)
	}
	if _, err := a.Publish(t.Context(), "1", "joe", false); err != nil {
		t.Fatal(err)
	}

	// A replica serves it, and says so.
	d := NewDir(a.Live(), features.Default(), Options{})
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := d.Status()
	if ids(d) != "one" || st.Revision != one.SHA256 || st.Published == nil || st.Published.ID != one.ID || st.Published.Message != "the first" {
		t.Fatalf("the replica serves %q: %+v", ids(d), st)
	}

	two := submit(t, a, Tree{"home.yaml": ruleFile("home", "two")}, "the second")
	if two.Base != one.ID || !strings.Contains(two.Diff, "-  - id: one\n+  - id: two") {
		t.Errorf("diff\n%s", two.Diff)
	}
	if _, err := a.Publish(t.Context(), two.ID, "joe", false); err != nil {
		t.Fatal(err)
	}
	if changed, err := d.Reload(t.Context()); !changed || err != nil || ids(d) != "two" || d.Status().Published.ID != two.ID {
		t.Fatalf("after the second: %v %v %q", changed, err, ids(d))
	}

	// Back to the first, as the third.
	back, err := a.Rollback(t.Context(), one.ID, "joe", "the second sells nothing")
	if err != nil || back.Revision.Number != 3 || back.Revision.RollbackOf != one.ID || back.Revision.SHA256 != one.SHA256 {
		t.Fatalf("rollback: %v %+v", err, back.Revision)
	}
	if changed, err := d.Reload(t.Context()); !changed || err != nil || ids(d) != "one" || d.Status().Published.ID != back.Revision.ID {
		t.Fatalf("after the rollback: %v %v %q %+v", changed, err, ids(d), d.Status().Published)
	}
	if got := states(t, a); got != "1 superseded, 2 superseded, 3 published" {
		t.Error(got)
	}
	if got := actions(t, a); got != "draft checked checked published draft checked published draft checked published" {
		t.Error(got)
	}
}

func TestRefused(t *testing.T) {
	warned := strings.Replace(ruleFile("home", "one"), "owner: me@example.com\n", "", 1)
	costly := strings.Replace(ruleFile("home", "one"), "item.stock < 1", "item.stock < 1"+strings.Repeat(" or item.stock < 1", 120), 1)
	for name, tc := range map[string]struct {
		files Tree
		step  string
	}{
		"decode": {Tree{"home.yaml": strings.Replace(ruleFile("home", "one"), "match", "mtach", 1)}, "decode"},
		"types":  {Tree{"home.yaml": broken}, "types"},
		"cost":   {Tree{"home.yaml": costly}, "cost"},
		"lint":   {Tree{"home.yaml": warned}, "lint"},
		"tests":  {Tree{"home.yaml": ruleFile("home", "one"), "home.test.yaml": "fail"}, "tests"},
	} {
		t.Run(name, func(t *testing.T) {
			a := archive(t)
			good := submit(t, a, Tree{"home.yaml": ruleFile("home", "zero")}, "good")
			if _, err := a.Publish(t.Context(), good.ID, "joe", false); err != nil {
				t.Fatal(err)
			}
			bad := submit(t, a, tc.files, "bad")
			out, err := a.Publish(t.Context(), bad.ID, "joe", false)
			if !errors.Is(err, ErrRefused) {
				t.Fatalf("published: %v", err)
			}
			first := ""
			for _, c := range out.Revision.Checks {
				if !c.OK && first == "" {
					first = c.Name
				}
			}
			if first != tc.step {
				t.Errorf("refused by %q, want %q: %+v", first, tc.step, out.Revision.Checks)
			}
			if current, _ := a.Current(); current != good.ID || states(t, a) != "1 published, 2 draft" {
				t.Errorf("live: %s, %s", current, states(t, a))
			}
			if name == "lint" {
				if _, err := a.Publish(t.Context(), bad.ID, "joe", true); err != nil {
					t.Errorf("with warnings allowed: %v", err)
				}
			}
			if got := actions(t, a); !strings.HasPrefix(got, "draft checked published draft refused") {
				t.Error(got)
			}
		})
	}
}

func TestSubmitRefuses(t *testing.T) {
	a := archive(t)
	files := Tree{"home.yaml": ruleFile("home", "one")}
	for want, d := range map[string]Draft{
		"needs an author and a message": {Files: files, Author: "jane"},
		"outside of the folder":         {Files: Tree{"../x.yaml": ""}, Author: "jane", Message: "m"},
	} {
		if _, err := a.Submit(t.Context(), d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	r := submit(t, a, files, "first")
	if _, err := a.Rollback(t.Context(), r.ID, "joe", "m"); err == nil || !strings.Contains(err.Error(), "was never live") {
		t.Errorf("rollback to a draft: %v", err)
	}
	if _, err := a.Publish(t.Context(), "9", "joe", false); !errors.Is(err, ErrUnknownRevision) {
		t.Errorf("unknown: %v", err)
	}
	if _, err := a.Publish(t.Context(), r.ID, "joe", false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Submit(t.Context(), Draft{Files: files, Author: "jane", Message: "again"}); !errors.Is(err, ErrUnchanged) {
		t.Errorf("unchanged: %v", err)
	}
}

func TestReadTree(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(ruleFile("home", "one"), "rules:\n", "lists:\n  recalled: {file: lists/recalled.txt}\nrules:\n", 1)
	text = strings.Replace(text, "item.stock < 1", "item.id in lists.recalled", 1)
	if err := os.Mkdir(filepath.Join(dir, "lists"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "home.yaml", text)
	write(t, dir, "home.test.yaml", "t")
	write(t, dir, "notes.txt", "n")
	write(t, filepath.Join(dir, "lists"), "recalled.txt", "sku-1\n")
	tree, err := ReadTree(dir)
	if err != nil || strings.Join(tree.names(), " ") != "home.test.yaml home.yaml lists/recalled.txt" {
		t.Fatalf("%v %v", tree.names(), err)
	}
	// What is kept and read back is the same, and a replica serves the list.
	a := archive(t)
	r := submit(t, a, tree, "with a list")
	if _, err := a.Publish(t.Context(), r.ID, "joe", false); err != nil {
		t.Fatal(err)
	}
	d := NewDir(a.Live(), features.Default(), Options{})
	if err := d.Load(t.Context()); err != nil || d.Status().Revision != r.SHA256 {
		t.Fatalf("%v: %s, want %s", err, d.Status().Revision, r.SHA256)
	}
	if _, out := d.Set().StaticExcludes("", features.Default().Item("sku-1", nil, time.Unix(0, 0))); !out {
		t.Error("the list is not served")
	}
}

// TestAuditNamesTheBrokenLine breaks a log in every way that an editor can.
func TestAuditNamesTheBrokenLine(t *testing.T) {
	full := func(t *testing.T) (*Archive, []string) {
		a := archive(t)
		for i := range 2 {
			r := submit(t, a, Tree{"home.yaml": ruleFile("home", fmt.Sprint("r", i))}, "m")
			if _, err := a.Publish(t.Context(), r.ID, "joe", false); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(a.audit().path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(strings.TrimSuffix(string(data), "\n"), "\n")
		lines[len(lines)-1] += "\n"
		return a, lines
	}
	for name, tc := range map[string]struct {
		change func(lines []string) []string
		line   int
	}{
		"an-author-is-changed":    {func(l []string) []string { l[2] = strings.Replace(l[2], "joe", "eve", 1); return l }, 3},
		"a-field-is-added":        {func(l []string) []string { l[1] = strings.Replace(l[1], "{", `{"x":1,`, 1); return l }, 2},
		"a-line-is-taken-away":    {func(l []string) []string { return append(l[:3:3], l[4:]...) }, 4},
		"two-lines-are-swapped":   {func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }, 2},
		"a-line-is-garbled":       {func(l []string) []string { l[4] = "what\n"; return l }, 5},
		"a-line-is-added":         {func(l []string) []string { return append(l, l[5]) }, 7},
		"the-last-line-is-gone":   {func(l []string) []string { return l[:5] }, 6},
		"the-last-line-is-cut":    {func(l []string) []string { l[5] = l[5][:20]; return l }, 6},
		"everything-is-gone":      {func(l []string) []string { return nil }, 1},
		"a-line-is-resealed":      {func(l []string) []string { l[0] = reseal(l[0]); return l }, 2},
		"nothing-is-wrong-at-all": {func(l []string) []string { return l }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a, lines := full(t)
			if err := os.WriteFile(a.audit().path, []byte(strings.Join(tc.change(lines), "")), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := a.Verify(t.Context())
			var broken *AuditError
			if tc.line == 0 && err != nil || tc.line > 0 && (!errors.As(err, &broken) || broken.Line != tc.line) {
				t.Errorf("%v, want line %d", err, tc.line)
			}
			if tc.line > 0 {
				if _, err := a.Submit(t.Context(), Draft{Files: Tree{"a.yaml": ruleFile("a", "x")}, Author: "j", Message: "m"}); !errors.As(err, &broken) {
					t.Errorf("a broken log was continued: %v", err)
				}
			}
		})
	}
}

// reseal changes a line and makes its own hash fit again.
func reseal(line string) string {
	entries, err := readAudit([]byte(line))
	if err != nil {
		panic(err)
	}
	e := entries[0]
	e.Author = "eve"
	e = e.seal()
	return strings.Replace(strings.Replace(line, `"jane"`, `"eve"`, 1), entries[0].Hash, e.Hash, 1)
}

func TestVerifyLooksAtFiles(t *testing.T) {
	a := archive(t)
	r := submit(t, a, Tree{"home.yaml": ruleFile("home", "one"), "home.test.yaml": "ok"}, "m")
	if _, err := a.Publish(t.Context(), r.ID, "joe", false); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(a.path(r.ID), filesName, "home.test.yaml")
	if err := os.WriteFile(path, []byte("ok!"), 0o644); err != nil {
		t.Fatal(err)
	}
	var broken *AuditError
	if _, err := a.Verify(t.Context()); !errors.As(err, &broken) || broken.Line != 1 || !strings.Contains(err.Error(), "were changed") {
		t.Errorf("a changed test: %v", err)
	}
	if _, err := a.Publish(t.Context(), r.ID, "joe", false); err == nil || !strings.Contains(err.Error(), "not those that were handed in") {
		t.Errorf("published again: %v", err)
	}
	if err := os.WriteFile(path, []byte("ok"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := a.swap("000009-other"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Verify(t.Context()); err == nil || !strings.Contains(err.Error(), "publish it again") {
		t.Errorf("another link: %v", err)
	}
}

// TestPublishersWaitForEachOther lets several hand in and publish at once.
func TestPublishersWaitForEachOther(t *testing.T) {
	a := archive(t)
	a.opts.Now = func() time.Time { return time.Unix(1000, 0) }
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			r, err := a.Submit(t.Context(), Draft{Files: Tree{"home.yaml": ruleFile("home", fmt.Sprint("r", i))}, Author: "j", Message: "m"})
			if err == nil {
				_, err = a.Publish(t.Context(), r.ID, "j", false)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if entries, err := a.Verify(t.Context()); err != nil || len(entries) != 18 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	if got := states(t, a); strings.Count(got, "superseded") != 5 || strings.Count(got, "published") != 1 {
		t.Error(got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	unlock, err := a.lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	cancel()
	if _, err := a.Submit(ctx, Draft{Files: Tree{}, Author: "j", Message: "m"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a locked archive: %v", err)
	}
}
