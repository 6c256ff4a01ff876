package ruleredis_test

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

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/rules/ruleredis"
	"github.com/sartorhq/sartor/rules/rulestore"
)

// shared is one Redis and the means to make clones of the archive in it.
type shared struct {
	t      *testing.T
	server *miniredis.Miniredis
	client redis.UniversalClient
	store  *ruleredis.Store
}

func newShared(t *testing.T) *shared {
	t.Helper()
	server := miniredis.RunT(t)
	client := redisstore.Connect(redisstore.Options{Addrs: []string{server.Addr()}})
	t.Cleanup(func() { client.Close() })
	return &shared{t: t, server: server, client: client, store: ruleredis.New(client, "shop:")}
}

func (s *shared) clone() *rulestore.Clone {
	return rulestore.NewClone(rulestore.NewArchive(filepath.Join(s.t.TempDir(), "rules"), features.Default(), rulestore.ArchiveOptions{}), s.store)
}

func ruleFile(id string) rulestore.Tree {
	return rulestore.Tree{"home.yaml": "apiVersion: rules/v1\nkind: RuleSet\nname: home\nscope: {scenarios: [home]}\ndescription: d\nowner: o\nrules:\n  - id: " + id +
		"\n    match: item.stock == 0\n    then: [exclude: {reason: none left}]\n"}
}

// publish hands a rule in and makes it live.
func publish(ctx context.Context, c *rulestore.Clone, id, author string) error {
	return c.Change(ctx, func(a *rulestore.Archive) error {
		r, err := a.Submit(ctx, rulestore.Draft{Files: ruleFile(id), Author: author, Message: "rule " + id})
		if err != nil {
			return err
		}
		_, err = a.Publish(ctx, r.ID, author, true)
		return err
	})
}

func (s *shared) mustPublish(c *rulestore.Clone, id string) {
	s.t.Helper()
	if err := publish(s.t.Context(), c, id, "jane"); err != nil {
		s.t.Fatal(err)
	}
}

// follow brings a replica up to date and returns the rule that it serves.
func (s *shared) follow(replica *rulestore.Clone) string {
	s.t.Helper()
	if _, err := replica.Sync(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return serves(s.t, replica)
}

func serves(t *testing.T, replica *rulestore.Clone) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(replica.Local().Live(), "home.yaml"))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := replica.Local().Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "id: ")
	id, _, _ := strings.Cut(rest, "\n")
	return id
}

// snapshot returns what puts the archive's keys back to what they are now.
func (s *shared) snapshot() (restore func()) {
	ctx := s.t.Context()
	var texts [2]map[string]string
	hashes := []string{"revisions", "files"}
	for i, h := range hashes {
		texts[i] = s.client.HGetAll(ctx, "shop:rules:{rules}:"+h).Val()
	}
	head, lines := s.client.Get(ctx, "shop:rules:{rules}:head").Val(), s.client.XRange(ctx, "shop:rules:{rules}:audit", "-", "+").Val()
	return func() {
		s.server.FlushAll()
		for i, h := range hashes {
			s.client.HSet(ctx, "shop:rules:{rules}:"+h, texts[i])
		}
		s.client.Set(ctx, "shop:rules:{rules}:head", head, 0)
		for _, m := range lines {
			if err := s.client.XAdd(ctx, &redis.XAddArgs{Stream: "shop:rules:{rules}:audit", ID: m.ID, Values: m.Values}).Err(); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

func TestReplicasFollow(t *testing.T) {
	s := newShared(t)
	editor, replica, late := s.clone(), s.clone(), s.clone()
	if got := s.follow(replica); got != "" {
		t.Fatalf("serves %q of nothing", got)
	}
	s.mustPublish(editor, "one")
	if got := s.follow(replica); got != "one" {
		t.Fatalf("serves %q", got)
	}
	if changed, err := replica.Sync(t.Context()); changed || err != nil {
		t.Fatalf("nothing new: %v %v", changed, err)
	}
	if a, err := editor.Latest(t.Context()); err != nil { // after a change of its own
		t.Fatal(err)
	} else if id, err := a.Current(); err != nil || !strings.HasPrefix(id, "000001-") {
		t.Fatalf("the editor sees %q live, %v", id, err)
	}
	s.mustPublish(editor, "two")
	err := editor.Change(t.Context(), func(a *rulestore.Archive) error {
		_, err := a.Rollback(t.Context(), "1", "joe", "two sells nothing")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*rulestore.Clone{replica, late} {
		if got := s.follow(c); got != "one" {
			t.Errorf("serves %q", got)
		}
		all, err := c.Local().History()
		if err != nil || len(all) != 3 || all[0].State != rulestore.StatePublished || all[1].State != rulestore.StateSuperseded || all[2].State != rulestore.StateSuperseded {
			t.Errorf("history %+v, %v", all, err)
		}
	}
}

// What is refused is history as well: the next editor sees why.
func TestRefusedIsShared(t *testing.T) {
	s := newShared(t)
	editor, replica := s.clone(), s.clone()
	err := editor.Change(t.Context(), func(a *rulestore.Archive) error {
		r, err := a.Submit(t.Context(), rulestore.Draft{Files: rulestore.Tree{"home.yaml": "nonsense"}, Author: "jane", Message: "m"})
		if err != nil {
			return err
		}
		_, err = a.Publish(t.Context(), r.ID, "jane", false)
		return err
	})
	if !errors.Is(err, rulestore.ErrRefused) {
		t.Fatal(err)
	}
	if got := s.follow(replica); got != "" {
		t.Errorf("serves %q", got)
	}
	if all, err := replica.Local().History(); err != nil || len(all) != 1 || all[0].State != rulestore.StateDraft || len(all[0].Checks) == 0 {
		t.Errorf("history %+v %v", all, err)
	}
}

func TestManyEditors(t *testing.T) {
	s := newShared(t)
	const editors, each = 4, 5
	var wg sync.WaitGroup
	errs := make(chan error, editors*each)
	for e := range editors {
		c := s.clone()
		wg.Go(func() {
			for i := range each {
				var err error
				for range 20 { // an editor who is always slower tries again
					if err = publish(t.Context(), c, fmt.Sprintf("r-%d-%d", e, i), fmt.Sprint("editor", e)); !errors.Is(err, rulestore.ErrMoved) {
						break
					}
				}
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	replica := s.clone()
	s.follow(replica)
	all, err := replica.Local().History()
	if err != nil || len(all) != editors*each {
		t.Fatalf("%d revisions, %v", len(all), err)
	}
	entries, err := replica.Local().Verify(t.Context())
	if err != nil || len(entries) != 3*editors*each {
		t.Errorf("%d audit lines, %v", len(entries), err)
	}
}

// TestRedisWentBack loses the newest publications, and everything: a replica that knows them gives them
// back, and no other revision takes their place.
func TestRedisWentBack(t *testing.T) {
	s := newShared(t)
	editor, replica, other := s.clone(), s.clone(), s.clone()
	s.mustPublish(editor, "one")
	s.follow(other)
	restore := s.snapshot()
	s.mustPublish(editor, "two")
	if got := s.follow(replica); got != "two" {
		t.Fatal(got)
	}
	restore()
	if got := s.follow(s.clone()); got != "one" {
		t.Fatalf("the older snapshot serves %q", got)
	}
	if got := s.follow(replica); got != "two" {
		t.Errorf("after an older snapshot the replica serves %q", got)
	}
	if got := s.follow(s.clone()); got != "two" {
		t.Errorf("the replica did not give back what was lost: %q", got)
	}

	s.server.FlushAll()
	if got := s.follow(replica); got != "two" {
		t.Errorf("after a flush the replica serves %q", got)
	}
	if got := s.follow(other); got != "two" {
		t.Errorf("the other replica serves %q", got)
	}
	s.mustPublish(editor, "three")
	if got := s.follow(replica); got != "three" {
		t.Errorf("serves %q", got)
	}
}

// A Redis that cannot be trusted changes nothing.
func TestTampering(t *testing.T) {
	for _, c := range []struct {
		name, want string
		do         func(s *shared)
	}{
		{"files", "files of revision 000002", func(s *shared) {
			for _, id := range s.client.HKeys(t.Context(), "shop:rules:{rules}:files").Val() {
				s.client.HSet(t.Context(), "shop:rules:{rules}:files", id, `{"home.yaml":"evil"}`)
			}
		}},
		{"files missing", "files of revision 000002", func(s *shared) { s.client.Del(t.Context(), "shop:rules:{rules}:files") }},
		{"record missing", "record of revision 000002", func(s *shared) { s.client.Del(t.Context(), "shop:rules:{rules}:revisions") }},
		{"line", "", func(s *shared) {
			s.client.XAdd(t.Context(), &redis.XAddArgs{Stream: "shop:rules:{rules}:audit", ID: "7-0", Values: []string{"l", `{"seq":7,"action":"published","revision":"000001-x","hash":"x"}`}})
			s.client.Set(t.Context(), "shop:rules:{rules}:head", "x", 0)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShared(t)
			editor, replica := s.clone(), s.clone()
			s.mustPublish(editor, "one")
			s.follow(replica)
			s.mustPublish(editor, "two")
			c.do(s)
			if _, err := replica.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("tampering went through: %v", err)
			}
			if got := serves(t, replica); got != "one" {
				t.Errorf("serves %q", got)
			}
		})
	}
}

// A change that could not be shared is not live later by accident.
func TestUnsharedIsDropped(t *testing.T) {
	s := newShared(t)
	editor := s.clone()
	s.mustPublish(editor, "one")
	err := editor.Change(t.Context(), func(a *rulestore.Archive) error {
		r, err := a.Submit(t.Context(), rulestore.Draft{Files: ruleFile("lost"), Author: "jane", Message: "m"})
		if err != nil {
			return err
		}
		s.server.SetError("gone") // between the change and its sharing
		_, err = a.Publish(t.Context(), r.ID, "jane", true)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "share the change") {
		t.Fatalf("shared without Redis: %v", err)
	}
	s.server.SetError("")
	s.mustPublish(editor, "two")
	replica := s.clone()
	if got := s.follow(replica); got != "two" {
		t.Errorf("serves %q", got)
	}
	if all, err := replica.Local().History(); err != nil || len(all) != 2 {
		t.Errorf("%d revisions, %v", len(all), err)
	}
}

func TestRedisAway(t *testing.T) {
	s := newShared(t)
	editor, replica := s.clone(), s.clone()
	s.mustPublish(editor, "one")
	s.follow(replica)
	s.server.SetError("gone")
	if _, err := replica.Sync(t.Context()); err == nil {
		t.Error("no error without Redis")
	}
	if got := serves(t, replica); got != "one" {
		t.Errorf("serves %q", got)
	}
}

func TestReplicasReport(t *testing.T) {
	s := newShared(t)
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for i, name := range []string{"b", "a", "gone"} {
		if err := s.store.Report(t.Context(), ruleredis.Replica{Name: name, Revision: "000001-x", At: at.Add(-time.Duration(i) * time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		got, err := s.store.Replicas(t.Context(), at.Add(-time.Minute))
		if err != nil || len(got) != 2 || got[0].Name != "a" || got[1].Name != "b" {
			t.Errorf("replicas %+v, %v", got, err)
		}
	}
}

func TestChangesAreHeard(t *testing.T) {
	s := newShared(t)
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan struct{}, 100)
	done := make(chan error, 1)
	go func() { done <- s.store.Changes(ctx, func() { heard <- struct{}{} }) }()
	editor := s.clone()
	for i := 0; ; i++ { // the subscription takes a moment: publish until one is heard
		s.mustPublish(editor, fmt.Sprint("r-", i))
		select {
		case <-heard:
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			return
		default:
		}
	}
}
