package httpapi_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/sartorhq/sartor/recommender/httpapi"
)

// TestLogsNameNobody fails everything that can fail, at the finest level of the log, and looks for the user.
func TestLogsNameNobody(t *testing.T) {
	var mu sync.Mutex
	var logged bytes.Buffer
	s := serve(t, func(o *httpapi.Options) {
		o.Adapters = httpapi.Adapters()
		o.Logger = slog.New(slog.NewTextHandler(writerOf(func(b []byte) { mu.Lock(); defer mu.Unlock(); logged.Write(b) }), &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	event := `{"event_id":"e","type":"view","time":"2026-10-23T11:00:00Z","user_id":"secret-77","item_id":"sku-1"}`
	for _, break_ := range []func(){func() {}, func() { s.users.err = errors.New("store is gone") }, func() { s.log.err = errors.New("log is gone") }, func() { s.users.panic = true }} {
		s.users.mu.Lock()
		break_()
		s.users.mu.Unlock()
		for _, sc := range []scenario{
			{method: "POST", path: "/v1/recommend", body: `{"user_id":"secret-77"}`},
			{method: "POST", path: "/v1/recommend", body: `{"user_id":"secret-77","count":1000,"filter":"user.id == \"secret-77\" and"}`},
			{method: "POST", path: "/v1/recommend:batch", body: `{"requests":[{"user_id":"secret-77"}]}`},
			{method: "POST", path: "/v1/rank", body: `{"user_id":"secret-77","items":["sku-1"]}`},
			{method: "POST", path: "/v1/events", body: event},
			{method: "POST", path: "/v1/events", body: `[` + event + `,{"user_id":"secret-77"}]`},
			{method: "PUT", path: "/v1/users/secret-77", body: `{"mail":"secret-77"}`},
			{method: "DELETE", path: "/v1/users/secret-77"},
			{method: "GET", path: "/nowhere/secret-77"},
			{method: "GET", path: "/api/recommend/secret-77"},
			{method: "POST", path: "/rank/x", body: `{"user":"secret-77","items":["sku-1"]}`},
			{method: "POST", path: "/feedback", body: `{"event":"interaction","id":"x","timestamp":"1599391467000","user":"secret-77","type":"click","item":"i"}`},
		} {
			resp, body := s.do(t, sc.method, sc.path, sc.body, map[string]string{"X-Request-Id": "secret 77"})
			if resp.StatusCode >= 400 && strings.Contains(body, "secret-77") {
				t.Errorf("%s %s: the problem repeats the user: %s", sc.method, sc.path, body)
			}
		}
	}
	if _, figures := s.do(t, "GET", "/metrics", "", nil); strings.Contains(figures, "secret") {
		t.Error("a metric names the user")
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(logged.String(), "request failed") {
		t.Error("nothing was logged, so nothing is shown")
	}
	for line := range strings.Lines(logged.String()) {
		if strings.Contains(line, "secret-77") {
			t.Errorf("the log names the user: %.300s", line)
		}
	}
}

type writerOf func([]byte)

func (w writerOf) Write(b []byte) (int, error) { w(b); return len(b), nil }
