package ruleredis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/rules/ruleredis"
	"github.com/sartorhq/sartor/rules/rulestore"
)

const base = "shop:rules:{rules}:"

// otherType puts a value of another type under a key.
func otherType(name string) func(t *testing.T, s *shared) {
	return func(t *testing.T, s *shared) {
		s.client.Del(t.Context(), base+name)
		if name == "head" {
			s.client.LPush(t.Context(), base+name, "x")
		} else {
			s.client.Set(t.Context(), base+name, "x", 0)
		}
	}
}

// TestNonsenseInRedis: each thing that is not as Push wrote it is named, on reading and on writing.
func TestNonsenseInRedis(t *testing.T) {
	line := func(id string, values ...string) func(t *testing.T, s *shared) {
		return func(t *testing.T, s *shared) {
			if err := s.client.XAdd(t.Context(), &redis.XAddArgs{Stream: base + "audit", ID: id, Values: values}).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tc := range map[string]struct {
		do         func(t *testing.T, s *shared)
		pull, push string // the error; "" = none
	}{
		"nothing-is-wrong":        {func(*testing.T, *shared) {}, "", ""},
		"head-of-another-type":    {otherType("head"), "read the head of the rules", "write the rules"},
		"log-of-another-type":     {otherType("audit"), "read the audit log of the rules", "write the rules"},
		"records-of-another-type": {otherType("revisions"), "read the revisions of the rules", "write the rules"},
		"files-of-another-type":   {otherType("files"), "read the files of the rules", "write the rules"},
		"files-that-are-no-json": {func(t *testing.T, s *shared) {
			for id := range s.client.HGetAll(t.Context(), base+"files").Val() {
				s.client.HSet(t.Context(), base+"files", id, "{")
			}
		}, "read the files of revision 000001-", ""},
		"a-line-that-is-missing": {func(t *testing.T, s *shared) { s.client.XDel(t.Context(), base+"audit", "2-0") }, "has no line 2", ""},
		"a-line-without-text":    {line("4-0", "x", "y"), "has no line 4", "write the rules"}, // its place is taken
		"a-line-that-is-no-json": {line("4-0", "l", "{"), "read an audit line", "write the rules"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShared(t)
			s.mustPublish(s.clone(), "one")
			head := s.client.Get(t.Context(), base+"head").Val()
			tc.do(t, s)
			expect := func(what, want string, err error) {
				t.Helper()
				if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %q", what, err, want)
				}
			}
			_, err := s.store.Pull(t.Context(), 0, "")
			expect("Pull", tc.pull, err)
			next := &rulestore.Bundle{Lines: []string{`{"seq":4,"hash":"four"}`}, Records: map[string]string{"id": "{}"}, Trees: map[string]rulestore.Tree{"id": {}}}
			expect("Push", tc.push, s.store.Push(t.Context(), head, next))
		})
	}
}

// TestPushOfNothing changes nothing, and a line that cannot be read is not written.
func TestPushOfNothing(t *testing.T) {
	s := newShared(t)
	if err := s.store.Push(t.Context(), "another head", &rulestore.Bundle{}); err != nil {
		t.Error(err)
	}
	if err := s.store.Push(t.Context(), "", &rulestore.Bundle{Lines: []string{"{", `{"seq":2,"hash":"b"}`}}); err == nil || !strings.Contains(err.Error(), "read an audit line") {
		t.Errorf("a broken line: %v", err)
	}
	if err := s.store.Push(t.Context(), "", &rulestore.Bundle{Lines: []string{"{"}}); err == nil || !strings.Contains(err.Error(), "read the last audit line") {
		t.Errorf("a broken last line: %v", err)
	}
	if keys := s.server.Keys(); len(keys) != 0 {
		t.Errorf("keys %v", keys)
	}
}

// TestReplicasThatCannotBeRead: what no replica wrote is forgotten; a place that is something else is an error.
func TestReplicasThatCannotBeRead(t *testing.T) {
	s := newShared(t)
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	if err := s.store.Report(t.Context(), ruleredis.Replica{Name: "a", At: at}); err != nil {
		t.Fatal(err)
	}
	s.client.HSet(t.Context(), base+"replicas", "b", "{")
	if got, err := s.store.Replicas(t.Context(), at); err != nil || len(got) != 1 || got[0].Name != "a" {
		t.Errorf("%+v %v", got, err)
	}
	if left := s.client.HKeys(t.Context(), base+"replicas").Val(); len(left) != 1 || left[0] != "a" {
		t.Errorf("left %v", left)
	}
	otherType("replicas")(t, s)
	if _, err := s.store.Replicas(t.Context(), at); err == nil || !strings.Contains(err.Error(), "read the replicas") {
		t.Error(err)
	}
	if err := s.store.Report(t.Context(), ruleredis.Replica{Name: "a", At: at}); err == nil || !strings.Contains(err.Error(), "report the live rules") {
		t.Error(err)
	}
}
