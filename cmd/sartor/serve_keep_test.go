package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
)

// TestServeStartsWithoutRedis serves once with Redis, and then, in another process so to say, with Redis
// gone: the catalogue comes from its file, the model from the registry.
func TestServeStartsWithoutRedis(t *testing.T) {
	redis := miniredis.RunT(t)
	models, file := shopInRedis(t, redis.Addr()), filepath.Join(t.TempDir(), "not", "there", "catalogue")
	newApp := func(addr string) *app {
		a := &app{config: defaultConfig(), logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
		a.config.Redis.Addrs, a.config.Models.Dir, a.config.Data.CatalogueFile = []string{addr}, models, file
		a.config.Models.Poll, a.config.Redis.ReadTimeout = 20*time.Millisecond, time.Second
		return a
	}
	first := newApp(redis.Addr())
	if err := makeDataFolders(first.config.Data); err != nil { // as serve does: without the folder nothing is kept
		t.Fatal(err)
	}
	url, stop := serveHere(t, first)
	eventually(t, "an answer of the model", func() bool {
		_, body := get(t, "POST", url+"/v1/recommend", `{"user_id":"u1"}`)
		return strings.Contains(body, `"served_by":"model"`) && !strings.Contains(body, "no_catalogue")
	})
	stop()
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Fatalf("no catalogue was kept: %v", err)
	}
	url, _ = serveHere(t, newApp(deadAddr))
	eventually(t, "an answer from the file", func() bool {
		_, body := get(t, "POST", url+"/v1/recommend", `{"user_id":"u1","filter":"item.category == 'c3'"}`)
		return strings.Contains(body, `"served_by":"static"`) && strings.Contains(body, "catalogue_from_disk") && strings.Count(body, `"item_id"`) == 10
	})
	code, _ := get(t, "GET", url+"/readyz", "")
	if code != 200 {
		t.Errorf("readyz: HTTP %d, want 200: degraded is ready", code)
	}
}

// TestServeDeploysModelsOfScenarios publishes, replaces and takes away the model of one scenario while
// the service runs.
func TestServeDeploysModelsOfScenarios(t *testing.T) {
	redis := miniredis.RunT(t)
	dir := shopInRedis(t, redis.Addr())
	shared, err := registry.New(dir).Current()
	if err != nil {
		t.Fatal(err)
	}
	a := &app{config: defaultConfig(), logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
	a.config.Redis.Addrs, a.config.Models.Dir, a.config.Models.Poll = []string{redis.Addr()}, dir, 20*time.Millisecond
	url, _ := serveHere(t, a)
	serves := func(scenario, version string) {
		t.Helper()
		eventually(t, scenario+" is served by "+version, func() bool {
			_, body := get(t, "POST", url+"/v1/recommend", `{"user_id":"u1","scenario":"`+scenario+`"}`)
			return strings.Contains(body, `"model":"`+version+`"`)
		})
	}
	serves("cart", shared)
	log := train.NewLog()
	for i := range 300 {
		log.Add(&streams.Event{ID: fmt.Sprint(i), Type: streams.View, Time: time.Now(), UserID: fmt.Sprint("u", i%20), Items: []streams.Line{{ItemID: fmt.Sprint("i", i*7%50)}}})
	}
	for seed := range uint64(2) {
		own, _, err := train.ALS(t.Context(), log, train.Options{Dim: 8, Epochs: 1, Seed: seed, Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		meta, err := registry.New(dir).Scenario("cart").Publish(t.Context(), own)
		if err != nil {
			t.Fatal(err)
		}
		serves("cart", meta.Version)
		serves("home", shared)
	}
	if err := os.WriteFile(filepath.Join(dir, "scenarios", "cart", "CURRENT"), []byte("no-such-version\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, body := get(t, "POST", url+"/v1/recommend", `{"user_id":"u1","scenario":"cart"}`)
	if code != 200 || strings.Contains(body, "no_model") {
		t.Errorf("a broken version: HTTP %d: %s", code, body)
	}
	if err := os.RemoveAll(filepath.Join(dir, "scenarios", "cart")); err != nil {
		t.Fatal(err)
	}
	serves("cart", shared)
}
