package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
)

const sharedRuleFile = `apiVersion: rules/v1
kind: RuleSet
name: home
description: d
owner: o
scope: {scenarios: [home]}
rules:
  - id: ID
    match: item.stock == 0
    then: [exclude: {reason: none left}]
`

// writeRules makes a folder with one rule of this id.
func writeRules(t *testing.T, id string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "home.yaml"), []byte(strings.ReplaceAll(sharedRuleFile, "ID", id)), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestRulesThroughRedis publishes to a Redis that two replicas share: both serve the revision and say so;
// while Redis is away a new replica starts from its copy; and the admin API publishes to the same archive.
func TestRulesThroughRedis(t *testing.T) {
	redis := miniredis.RunT(t)
	addr := redis.Addr()
	t.Setenv("SARTOR_REDIS_ADDRS", addr)
	cli := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := sartorRules(t, args...)
		if code != want {
			t.Fatalf("sartor rules %v: exit %d\n%s%s", args, code, out, errs)
		}
		return out + errs
	}
	replica := func(dir string) (*serving, func()) {
		t.Helper()
		a := &app{config: defaultConfig(), logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
		a.config.Rules.Store, a.config.Rules.Dir, a.config.Redis.Addrs, a.config.Rules.Poll = ruleRedis, dir, []string{addr}, 20*time.Millisecond
		w, err := a.newWiring()
		if err != nil {
			t.Fatal(err)
		}
		w.config.HTTP.Addr = filepath.Base(dir) // tells the replicas of one machine apart
		s := newServing(w, servingParts{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go func() { done <- s.followRules(ctx) }()
		go func() { done <- s.watchRules(ctx) }()
		return s, func() {
			cancel()
			for range 2 {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
	}
	serves := func(s *serving, id string) {
		t.Helper()
		eventually(t, "the replica serves "+id, func() bool {
			return strings.Contains(fmt.Sprint(s.rules.Set().RuleIDs()), id) && s.rules.Status().Published != nil
		})
	}

	cli(0, "publish", writeRules(t, "one"), "--store", "redis", "-m", "The first", "--author", "jane")
	dirs := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")}
	a, stopA := replica(dirs[0])
	b, stopB := replica(dirs[1])
	serves(a, "one")
	serves(b, "one")
	cli(0, "publish", writeRules(t, "two"), "--store", "redis", "-m", "The second", "--author", "jane")
	serves(a, "two")
	serves(b, "two")
	eventually(t, "both replicas have reported", func() bool {
		for _, s := range []*serving{a, b} { // as the next tick would
			if err := s.reportRules(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return strings.Contains(cli(0, "history", "--store", "redis"), "2 of 2 replicas on 000002-")
	})

	// By API, on the same archive.
	admin := httptest.NewServer(a.server.AdminHandler())
	defer admin.Close()
	body := fmt.Sprintf(`{"message":"by API","files":{"home.yaml":%q}}`, strings.ReplaceAll(sharedRuleFile, "ID", "three"))
	if code, text := get(t, "POST", admin.URL+"/v1/rules/revisions", body); code != 201 {
		t.Fatalf("%d %s", code, text)
	}
	if code, text := get(t, "POST", admin.URL+"/v1/rules/revisions/3/publish", `{"allow_warnings":true}`); code != 200 {
		t.Fatalf("%d %s", code, text)
	}
	serves(b, "three")
	if code, text := get(t, "GET", admin.URL+"/v1/rules/replicas", ""); code != 200 || !strings.Contains(text, `"name":`) {
		t.Errorf("%d %s", code, text)
	}
	if out := cli(0, "audit", "verify", "--store", "redis"); !strings.Contains(out, "9 lines, all in order") {
		t.Errorf("audit: %s", out)
	}

	// Redis is gone: what runs goes on, what starts has its copy, and nobody can publish.
	stopA()
	redis.Close()
	again, stop := replica(dirs[0])
	serves(again, "three")
	serves(b, "three")
	if out := cli(1, "publish", writeRules(t, "four"), "--store", "redis", "-m", "m", "--author", "jane"); !strings.Contains(out, "read the shared archive") {
		t.Errorf("published without Redis: %s", out)
	}
	stop()
	stopB()
}
