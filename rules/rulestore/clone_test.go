package rulestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/features"
)

// board is a Remote in memory that believes everybody, so that tests may write on it what an honest clone
// never would. The one in Redis has tests of its own.
type board struct {
	bundle  Bundle
	pushing error // what Push returns when it is set
	pushes  int
}

func (b *board) Pull(_ context.Context, seq int, hash string) (*Bundle, error) {
	out := b.bundle
	out.Whole = true
	if head, err := out.Head(); err != nil || head == hash {
		return nil, err
	}
	if seq > 0 && seq <= len(out.Lines) && strings.Contains(out.Lines[seq-1], `"hash":"`+hash+`"`) {
		out.Whole, out.Lines = false, out.Lines[seq:]
	}
	return &out, nil
}

func (b *board) Push(_ context.Context, before string, more *Bundle) error {
	b.pushes++
	if b.pushing != nil {
		return b.pushing
	}
	if head, err := b.bundle.Head(); err != nil || head != before {
		return errors.Join(ErrMoved, err)
	}
	b.bundle.Lines = append(slices.Clip(b.bundle.Lines), more.Lines...)
	if b.bundle.Records == nil {
		b.bundle.Records, b.bundle.Trees = map[string]string{}, map[string]Tree{}
	}
	maps.Copy(b.bundle.Records, more.Records)
	maps.Copy(b.bundle.Trees, more.Trees)
	return nil
}

func newClone(t *testing.T, remote Remote) *Clone {
	t.Helper()
	return NewClone(archive(t), remote)
}

func home(id string) Tree { return Tree{"home.yaml": ruleFile("home", id)} }

// release hands one rule in and makes it live.
func release(t *testing.T, c *Clone, id string) {
	t.Helper()
	if err := c.Change(t.Context(), func(a *Archive) error {
		_, err := a.Publish(t.Context(), submit(t, a, home(id), id).ID, "joe", false)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// serving is the rule that a replica of the clone's folder serves, "" for none, after its own check.
func serving(t *testing.T, c *Clone) string {
	t.Helper()
	if _, err := c.Local().Verify(t.Context()); err != nil {
		t.Error(err)
	}
	d := NewDir(c.Local().Live(), features.Default(), Options{})
	if err := d.Load(t.Context()); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	return ids(d)
}

// forge writes a history whose chain is in order, whatever it says.
func forge(t *testing.T, entries ...Entry) (lines []string) {
	t.Helper()
	prev := ""
	for i, e := range entries {
		e.Seq, e.Prev = i+1, prev
		e = e.seal()
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		lines, prev = append(lines, string(line)), e.Hash
	}
	return lines
}

// forged is a shared archive of one draft, which is published or not.
func forged(t *testing.T, id string, files Tree, live bool) Bundle {
	t.Helper()
	r := Revision{ID: id, Number: 1, State: StateDraft, SHA256: files.content("").hash(), Tree: files.hash(), Author: "eve", Message: "m"}
	entries := []Entry{{Action: ActionDraft, Revision: id, SHA256: r.SHA256, Tree: r.Tree, Author: "eve", Message: "m"}}
	if live {
		r.State = StatePublished
		entries = append(entries, Entry{Action: ActionPublish, Revision: id, SHA256: r.SHA256, Tree: r.Tree, Author: "eve", Message: "m"})
	}
	record, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return Bundle{Lines: forge(t, entries...), Records: map[string]string{id: string(record)}, Trees: map[string]Tree{id: files}}
}

// TestCloneRefuses puts on the board what is not an archive, though its chain is in order. Nothing of it
// may reach the disk, and what was live stays.
func TestCloneRefuses(t *testing.T) {
	const id = "000001-evil"
	for name, tc := range map[string]struct {
		want string
		make func(t *testing.T) Bundle
	}{
		"a-revision-above-the-folder": {`"../evil" is no revision`, func(t *testing.T) Bundle { return forged(t, "../evil", home("evil"), true) }},
		"a-revision-below-another":    {`"a/b" is no revision`, func(t *testing.T) Bundle { return forged(t, "a/b", home("evil"), true) }},
		"a-revision-that-is-all":      {`"." is no revision`, func(t *testing.T) Bundle { return forged(t, ".", home("evil"), true) }},
		"a-hidden-revision":           {`".draft-1" is no revision`, func(t *testing.T) Bundle { return forged(t, ".draft-1", home("evil"), true) }},
		"a-file-above-the-folder": {`"../../../evil.yaml" is outside of the folder`, func(t *testing.T) Bundle {
			return forged(t, id, Tree{"../../../evil.yaml": "x"}, true)
		}},
		"other-files": {"the files of revision 000001-evil were changed", func(t *testing.T) Bundle {
			b := forged(t, id, home("good"), true)
			b.Trees[id] = home("evil")
			return b
		}},
		"no-record": {"the record of revision 000001-evil is missing", func(t *testing.T) Bundle {
			b := forged(t, id, home("evil"), true)
			b.Records = nil
			return b
		}},
		"a-record-that-cannot-be-read": {"read the record of revision 000001-evil", func(t *testing.T) Bundle {
			b := forged(t, id, home("evil"), true)
			b.Records[id] = "nonsense"
			return b
		}},
		"a-record-of-another": {`the record of revision 000001-evil speaks of "000002-good"`, func(t *testing.T) Bundle {
			b := forged(t, id, home("evil"), true)
			b.Records[id] = strings.ReplaceAll(b.Records[id], id, "000002-good")
			return b
		}},
		"published-and-never-handed-in": {"revision 000002-b was never handed in", func(t *testing.T) Bundle {
			b := forged(t, id, home("evil"), true)
			b.Lines = forge(t, Entry{Action: ActionDraft, Revision: id, Tree: home("evil").hash()}, Entry{Action: ActionPublish, Revision: "000002-b"})
			b.Records["000002-b"] = `{"id":"000002-b"}`
			return b
		}},
		"a-line-out-of-its-place": {"line 2 of the audit log: it does not follow line 1", func(t *testing.T) Bundle {
			b := forged(t, id, home("evil"), true)
			b.Lines[1] = forged(t, id, home("other"), true).Lines[1]
			return b
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := &board{}
			editor, replica := newClone(t, b), newClone(t, b)
			release(t, editor, "one")
			if _, err := replica.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := folder(t, filepath.Dir(replica.Local().dir))
			b.bundle = tc.make(t)
			for range 2 { // and it is not forgotten that it is wrong
				if changed, err := replica.Sync(t.Context()); changed || err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("taken over: %v, %v, want %q", changed, err, tc.want)
				}
			}
			if got := serving(t, replica); got != "one" {
				t.Errorf("serves %q", got)
			}
			after := folder(t, filepath.Dir(replica.Local().dir))
			if !maps.Equal(before, after) {
				t.Errorf("files before %q, after %q", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
			}
		})
	}
}

// folder is what a folder holds: the texts by name.
func folder(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		out[path] = string(text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCloneOfAnotherHistory: what the remote's history does not hold is gone, also when nothing of it is
// live, and a revision that is called like one of the old history has its own files.
func TestCloneOfAnotherHistory(t *testing.T) {
	b := &board{}
	c := newClone(t, b)
	release(t, c, "one")
	release(t, c, "two")
	old, err := c.Local().History()
	if err != nil {
		t.Fatal(err)
	}
	for _, live := range []bool{false, true} {
		files := home(fmt.Sprint("other-", live))
		b.bundle = forged(t, old[1].ID, files, live)
		replica := NewClone(c.Local(), b)
		if changed, err := replica.Sync(t.Context()); !changed || err != nil {
			t.Fatalf("another history: %v %v", changed, err)
		}
		want := map[bool]string{true: "other-true"}[live]
		if got := serving(t, replica); got != want {
			t.Errorf("serves %q, want %q", got, want)
		}
		if got := states(t, c.Local()); got != map[bool]string{false: "1 draft", true: "1 published"}[live] {
			t.Error(got)
		}
		if got, err := c.Local().Files(old[1].ID); err != nil || !maps.Equal(got, files) {
			t.Errorf("%v, %v", got, err)
		}
	}
	if _, err := os.Stat(c.Local().path(old[0].ID)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a revision of the old history is still there: %v", err)
	}
}

// TestCloneMendsItself: an audit log that was broken on this machine is read anew.
func TestCloneMendsItself(t *testing.T) {
	b := &board{}
	c := newClone(t, b)
	release(t, c, "one")
	path := c.Local().audit().path
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(path), filepath.Base(path), strings.Replace(string(text), "jane", "eve", 1))
	if _, err := c.Local().Verify(t.Context()); err == nil {
		t.Fatal("the broken log counts as good")
	}
	if changed, err := NewClone(c.Local(), b).Sync(t.Context()); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if got := folder(t, filepath.Dir(path))[path]; got != string(text) || serving(t, c) != "one" {
		t.Errorf("the log is\n%s\nwant\n%s", got, text)
	}
}

// TestCloneGivesBack: what the remote has lost is tried again until it is there.
func TestCloneGivesBack(t *testing.T) {
	b := &board{}
	release(t, newClone(t, b), "one")
	c := newClone(t, b)
	if changed, err := c.Sync(t.Context()); !changed || err != nil {
		t.Fatal(changed, err)
	}
	whole := b.bundle
	b.bundle, b.pushing = Bundle{}, errors.New("the disk is full")
	for range 2 {
		if _, err := c.Sync(t.Context()); !errors.Is(err, b.pushing) || !strings.Contains(err.Error(), "give the shared archive back") {
			t.Errorf("nothing could be given back: %v", err)
		}
	}
	b.pushing = ErrMoved // another replica was faster
	if changed, err := c.Sync(t.Context()); changed || err != nil {
		t.Errorf("another replica gave it back: %v %v", changed, err)
	}
	b.pushing = nil
	if changed, err := c.Sync(t.Context()); changed || err != nil || !slices.Equal(b.bundle.Lines, whole.Lines) || !maps.Equal(b.bundle.Records, whole.Records) {
		t.Errorf("changed %v, %v, the board holds %v", changed, err, b.bundle)
	}
}

// TestChangeGivesUp: somebody else is faster every time.
func TestChangeGivesUp(t *testing.T) {
	b := &board{}
	slow, fast := newClone(t, b), newClone(t, b)
	tries := 0
	err := slow.Change(t.Context(), func(a *Archive) error {
		tries++
		release(t, fast, fmt.Sprint("fast-", tries))
		submit(t, a, home("slow"), "m")
		return nil
	})
	if !errors.Is(err, ErrMoved) || tries != attempts {
		t.Errorf("after %d tries: %v", tries, err)
	}
	a, err := slow.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := a.History()
	if err != nil || len(all) != attempts || serving(t, slow) != fmt.Sprint("fast-", attempts) {
		t.Errorf("%d revisions, %v; serves %q", len(all), err, serving(t, slow))
	}
	// A change that changes nothing is not shared, and its error is the caller's.
	pushes, own := b.pushes, errors.New("on second thoughts")
	if err := slow.Change(t.Context(), func(*Archive) error { return own }); !errors.Is(err, own) || b.pushes != pushes {
		t.Errorf("%v, %d pushes", err, b.pushes-pushes)
	}
}

// TestSharingWaits: a folder that somebody else changes is left alone.
func TestSharingWaits(t *testing.T) {
	c := newClone(t, &board{})
	unlock, err := c.Local().lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, syncing := c.Sync(ctx)
	_, reading := c.Latest(ctx)
	changing := c.Change(ctx, func(*Archive) error { t.Error("changed"); return nil })
	for name, err := range map[string]error{"Sync": syncing, "Latest": reading, "Change": changing} {
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "somebody else changes") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAlone: an archive that is not shared is its own newest state.
func TestAlone(t *testing.T) {
	alone := Alone{archive(t)}
	if err := alone.Change(t.Context(), func(a *Archive) error { submit(t, a, home("one"), "m"); return nil }); err != nil {
		t.Fatal(err)
	}
	if a, err := alone.Latest(t.Context()); err != nil || a != alone.Archive || states(t, a) != "1 draft" {
		t.Errorf("%v %v", states(t, a), err)
	}
}
