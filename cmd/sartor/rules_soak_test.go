package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulestore"
	"github.com/sartorhq/sartor/streams"
)

// soakEnv asks for the long form of the tests that wear something out.
const soakEnv = "SARTOR_SOAK"

// shelfTime is when everything on a shelf happened.
var shelfTime = time.Unix(1_790_000_000, 0)

// shelf is an item source with n items, of which the last sells best.
type shelf struct {
	schema *features.Schema
	n      int
}

// ChangedItems returns all items once.
func (s shelf) ChangedItems(_ context.Context, cursor []int64) ([]features.ItemState, []int64, error) {
	if cursor != nil {
		return nil, cursor, nil
	}
	var out []features.ItemState
	for i := range s.n {
		e := streams.Event{ID: fmt.Sprint("e", i), Type: streams.ItemUpsert, Time: shelfTime, Items: []streams.Line{{ItemID: fmt.Sprintf("i%03d", i)}},
			Attributes: map[string]any{"category": "c"}}
		sold := streams.Event{ID: fmt.Sprint("o", i), Type: streams.Order, Time: shelfTime, UserID: "buyer",
			Items: []streams.Line{{ItemID: e.Items[0].ItemID, Quantity: int64(i + 1), Price: 100}}}
		st := &features.State{}
		for _, d := range append(s.schema.Fold(&e), s.schema.Fold(&sold)...) {
			if d.Entity.Kind == features.ItemEntity {
				st.Apply(s.schema, d.Ops)
			}
		}
		out = append(out, features.ItemState{ID: e.Items[0].ItemID, State: st})
	}
	return out, []int64{1}, nil
}

// soakRules is one of the two files of version i: it marks every item with its name and i.
func soakRules(name string, i int, broken bool) string {
	match := "item.stock > 0"
	if broken {
		match = "item.stok > 0"
	}
	return fmt.Sprintf("apiVersion: rules/v1\nkind: RuleSet\nname: %s\ndescription: d\nowner: o\nrules:\n  - id: %s-mark\n    match: %s\n    then: [badge: {text: %s %d}]\n",
		name, name, match, name, i)
}

// reloader makes versions of a rule folder live as Kubernetes does: a new folder, then one rename.
type reloader struct {
	t    *testing.T
	root string
	dir  *rulestore.Dir
	rec  *recommender.Recommender
	good sync.Map // version number -> version of the compiled set; stored before it can be seen
	sets []weak.Pointer[rules.Set]
}

func (r *reloader) reload(i int, broken bool) {
	r.t.Helper()
	folder := filepath.Join(r.root, fmt.Sprint("v", i))
	if err := os.Mkdir(folder, 0o755); err != nil {
		r.t.Fatal(err)
	}
	for _, name := range []string{"first", "second"} {
		// Only the second file of a broken version is wrong: half of it would be usable.
		if err := os.WriteFile(filepath.Join(folder, name+".yaml"), []byte(soakRules(name, i, broken && name == "second")), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Base(folder), filepath.Join(r.root, "next")); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(r.root, "next"), filepath.Join(r.root, "live")); err != nil {
		r.t.Fatal(err)
	}
	changed, err := r.dir.Reload(r.t.Context())
	if changed == broken || (err != nil) != broken {
		r.t.Fatalf("version %d, broken %v: changed %v, %v", i, broken, changed, err)
	}
	if changed {
		r.good.Store(i, r.dir.Set().Version())
		r.rec.SetRules(r.dir.Set())
		r.sets = append(r.sets, weak.Make(r.dir.Set()))
	}
	if err := os.RemoveAll(filepath.Join(r.root, fmt.Sprint("v", i-1))); err != nil {
		r.t.Fatal(err)
	}
}

// judge tells what is wrong with one answer: it must come from exactly one published version.
func (r *reloader) judge(resp *recommender.Response, err error, want int) error {
	if err != nil || len(resp.Items) != want {
		return fmt.Errorf("a request failed: %v, %d items", err, len(resp.Items))
	}
	version := 0
	for _, it := range resp.Items {
		var first, second int
		if _, err := fmt.Sscanf(strings.Join(it.Badges, " "), "first %d second %d", &first, &second); err != nil {
			return fmt.Errorf("badges %q: %w", it.Badges, err)
		}
		if version == 0 {
			version = first
		}
		if first != version || second != version {
			return fmt.Errorf("a mixed answer: versions %d, %d and %d", version, first, second)
		}
	}
	set, published := r.good.Load(version)
	if !published || set != resp.Versions.Rules {
		return fmt.Errorf("version %d was never published as %s", version, resp.Versions.Rules)
	}
	return nil
}

// TestReloadsUnderLoad reloads rules while requests are answered; three in ten versions are broken. No
// request fails, no answer comes from a broken or a mixed version, and replaced versions leave the memory.
func TestReloadsUnderLoad(t *testing.T) {
	const readers, count = 4, 10
	reloads := 60
	if os.Getenv(soakEnv) != "" {
		reloads = 1000
	}
	schema := features.Default()
	r := &reloader{t: t, root: t.TempDir(), rec: recommender.New(recommender.Options{Schema: schema})}
	r.dir = rulestore.NewDir(filepath.Join(r.root, "live"), schema, rulestore.Options{})
	if err := r.rec.Refresh(t.Context(), shelf{schema, 200}); err != nil {
		t.Fatal(err)
	}
	r.reload(1, false)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var load sync.WaitGroup
	var answers atomic.Int64
	for range readers {
		load.Go(func() {
			for ctx.Err() == nil {
				resp, err := r.rec.Recommend(context.Background(), recommender.Request{UserID: "u", Count: count})
				if err := r.judge(resp, err, count); err != nil {
					t.Error(err)
					return
				}
				answers.Add(1)
			}
		})
	}
	broken := 0
	for i := 2; i <= reloads; i++ {
		bad := i%10 < 3
		if bad {
			broken++
		}
		r.reload(i, bad)
	}
	cancel()
	load.Wait()
	kept := r.kept()
	t.Logf("%d reloads, %d of them broken, under %d answers: 0 failed, 0 mixed; %d of %d versions still in memory",
		reloads, broken, answers.Load(), kept, len(r.sets))
	// A worker may still hold what its last answer was made with.
	if kept > 1+readers {
		t.Errorf("%d versions are in memory, want the last and at most one for each of %d readers", kept, readers)
	}
	runtime.KeepAlive(r)
	if answers.Load() == 0 {
		t.Error("there was no load")
	}
}

// kept counts the published versions that are still in memory once nothing is asked any more.
func (r *reloader) kept() int {
	// What a pool holds outlives one collection.
	for range 4 {
		runtime.GC()
	}
	n := 0
	for _, set := range r.sets {
		if set.Value() != nil {
			n++
		}
	}
	return n
}
