package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// TestServeBlendsTheSourcesOfScenarioFiles changes a scenario file while the service runs; a wrong one
// changes nothing.
func TestServeBlendsTheSourcesOfScenarioFiles(t *testing.T) {
	redis := miniredis.RunT(t)
	a := &app{config: defaultConfig(), logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
	a.config.Redis.Addrs, a.config.Models.Dir = []string{redis.Addr()}, shopInRedis(t, redis.Addr())
	a.config.Models.Poll, a.config.Rules.Poll, a.config.Scenarios.Dir = 20*time.Millisecond, 20*time.Millisecond, t.TempDir()
	file := filepath.Join(a.config.Scenarios.Dir, "cart.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("scenario: cart\nsources:\n- {source: list, share: 1, items: [i7, i9]}\n- {source: model, share: 1}\n")
	url, _ := serveHere(t, a)
	begins := func(scenario, want string) {
		t.Helper()
		eventually(t, scenario+" begins with "+want, func() bool {
			_, body := get(t, "POST", url+"/v1/recommend", `{"user_id":"u1","scenario":"`+scenario+`"}`)
			return strings.HasPrefix(textAfter([]byte(body), `"items":[{"item_id":"`), want) && strings.Contains(body, `"model"`)
		})
	}
	begins("cart", "i7")
	write("scenario: cart\nsources:\n- {source: list, share: 1, items: [i9]}\n")
	begins("cart", "i9")
	write("scenario: cart\nsources:\n- {source: magic, share: 1}\n")
	begins("cart", "i9")
	if _, _, err := scenarioBlends(a.config.Scenarios.Dir); err != nil {
		t.Errorf("the file can be read, its source is unknown to serving only: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the model alone", func() bool {
		_, body := get(t, "POST", url+"/v1/recommend", `{"user_id":"u1","scenario":"cart"}`)
		return !strings.Contains(body, `"source":"list"`) && strings.Contains(body, `"source":"model"`)
	})
}
