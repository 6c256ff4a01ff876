package httpapi_test

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/httpapi"
)

// ring is a set of keys with their texts by id.
func ring(keys ...httpapi.Key) (held []httpapi.Key, text map[string]string) {
	text = map[string]string{}
	for _, k := range keys {
		text[k.ID], k.SHA256 = httpapi.NewKey(k.ID)
		held = append(held, k)
	}
	return held, text
}

func TestKeys(t *testing.T) {
	keys, text := ring(
		httpapi.Key{ID: "shop-1", Client: "shop", Scopes: []httpapi.Scope{httpapi.ScopeRecommend}},
		httpapi.Key{ID: "shop-2", Client: "shop", Scopes: []httpapi.Scope{httpapi.ScopeRecommend}},
		httpapi.Key{ID: "old", Scopes: httpapi.Scopes(), Expires: noon},
		httpapi.Key{ID: "feed", Scopes: []httpapi.Scope{httpapi.ScopeEvents, httpapi.ScopeItems, httpapi.ScopeUsers}},
		httpapi.Key{ID: "ops", Scopes: []httpapi.Scope{httpapi.ScopeAdmin}},
	)
	var logged strings.Builder
	s := serve(t, func(o *httpapi.Options) {
		o.Keys, o.Logger = keys, slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	event := `{"event_id":"e","type":"view","time":"2026-10-23T11:00:00Z","user_id":"u1","item_id":"sku-1"}`
	for _, tc := range []struct {
		name, key, method, path, body string
		status                        int
	}{
		{"none", "", "POST", "/v1/recommend", `{}`, 401},
		{"right", text["shop-1"], "POST", "/v1/recommend", `{}`, 200},
		{"the-other-live-one", text["shop-2"], "POST", "/v1/recommend", `{}`, 200},
		{"rank", text["shop-1"], "POST", "/v1/rank", `{"items":["sku-1"]}`, 200},
		{"similar", text["shop-1"], "GET", "/v1/items/sku-1/similar", "", 200},
		{"expired", text["old"], "POST", "/v1/recommend", `{}`, 401},
		{"one-letter-more", text["shop-1"] + "x", "POST", "/v1/recommend", `{}`, 401},
		{"another-key's-secret", strings.Replace(text["shop-1"], "shop-1", "shop-2", 1), "POST", "/v1/recommend", `{}`, 401},
		{"unknown-id", "rk_nobody_AAAA", "POST", "/v1/recommend", `{}`, 401},
		{"not-a-key", "secret", "POST", "/v1/recommend", `{}`, 401},
		{"scope-recommend-writes-nothing", text["shop-1"], "POST", "/v1/events", event, 403},
		{"events", text["feed"], "POST", "/v1/events", event, 202},
		{"items", text["feed"], "PUT", "/v1/items/x", `{}`, 202},
		{"users", text["feed"], "DELETE", "/v1/users/x", "", 202},
		{"scope-events-reads-nothing", text["feed"], "POST", "/v1/recommend", `{}`, 403},
		{"metrics-closed", text["shop-1"], "GET", "/metrics", "", 403},
		{"metrics", text["ops"], "GET", "/metrics", "", 200},
		{"status", text["ops"], "GET", "/v1/status", "", 200},
		{"status-closed", "", "GET", "/v1/status", "", 401},
		{"health-is-open", "", "GET", "/readyz", "", 200},
		{"document-is-open", "", "GET", "/openapi.json", "", 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for header, value := range map[string]string{"Authorization": "Bearer " + tc.key, "X-Api-Key": tc.key} {
				headers := map[string]string{header: value}
				if tc.key == "" {
					headers = nil
				}
				resp, body := s.do(t, tc.method, tc.path, tc.body, headers)
				if resp.StatusCode != tc.status {
					t.Errorf("%s: status %d, want %d: %s", header, resp.StatusCode, tc.status, body)
				}
				if got := resp.Header.Get("WWW-Authenticate"); (got != "") != (tc.status == 401) {
					t.Errorf("WWW-Authenticate is %q", got)
				}
				if tc.key != "" && strings.Contains(body, tc.key) {
					t.Error("the answer repeats the key")
				}
			}
		})
	}
	for id, key := range text {
		if strings.Contains(logged.String(), key) {
			t.Errorf("the log has the key %s", id)
		}
	}
}

func TestRateOfAKey(t *testing.T) {
	keys, text := ring(
		httpapi.Key{ID: "slow", Scopes: []httpapi.Scope{httpapi.ScopeRecommend}, Rate: 0.5, Burst: 3},
		httpapi.Key{ID: "free", Scopes: []httpapi.Scope{httpapi.ScopeRecommend}},
	)
	var mu sync.Mutex
	now := noon
	s := serve(t, func(o *httpapi.Options) {
		o.Keys, o.Now = keys, func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	status := func(id string) (int, string) {
		resp, _ := s.do(t, "POST", "/v1/recommend", `{}`, map[string]string{"X-Api-Key": text[id]})
		return resp.StatusCode, resp.Header.Get("Retry-After")
	}
	for i := range 3 {
		if got, _ := status("slow"); got != 200 {
			t.Fatalf("request %d of the burst: %d", i, got)
		}
	}
	if got, retry := status("slow"); got != 429 || retry != "2" {
		t.Errorf("beyond the burst: %d, Retry-After %s; want 429 and 2", got, retry)
	}
	if got, _ := status("free"); got != 200 {
		t.Errorf("another key: %d", got)
	}
	mu.Lock()
	now = now.Add(2 * time.Second)
	mu.Unlock()
	if got, _ := status("slow"); got != 200 {
		t.Errorf("two seconds later: %d", got)
	}
	if got, _ := status("slow"); got != 429 {
		t.Errorf("and once more: %d", got)
	}
}

func TestCheckKeys(t *testing.T) {
	good, _ := ring(httpapi.Key{ID: "a", Scopes: []httpapi.Scope{"recommend"}}, httpapi.Key{ID: "b", Client: "a", Scopes: []httpapi.Scope{"admin"}})
	if wrong := httpapi.CheckKeys(good, noon); len(wrong) > 0 {
		t.Errorf("good keys: %q", wrong)
	}
	third, _ := ring(httpapi.Key{ID: "c", Client: "a", Scopes: []httpapi.Scope{"admin"}})
	if wrong := httpapi.CheckKeys(append(third, good...), noon); len(wrong) != 1 || !strings.Contains(wrong[0], "more than two live keys") {
		t.Errorf("three live keys: %q", wrong)
	}
	third[0].Expires = noon
	if wrong := httpapi.CheckKeys(append(third, good...), noon); len(wrong) > 0 {
		t.Errorf("one of three has expired: %q", wrong)
	}
	bad := []httpapi.Key{{ID: "A_b", Rate: -1}, {ID: "a", SHA256: [32]byte{1}, Scopes: []httpapi.Scope{"all"}}, {ID: "a", SHA256: [32]byte{1}, Scopes: []httpapi.Scope{"admin"}}}
	got := strings.Join(httpapi.CheckKeys(bad, noon), "\n")
	for _, want := range []string{"key 1: id must be", "key 1: sha256 is missing", "key 1: scopes are missing", "key 1: rate", `key 2: scope "all"`, "key 3: id a is already taken"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not said in:\n%s", want, got)
		}
	}
}

func TestNewKeysDiffer(t *testing.T) {
	a, hash := httpapi.NewKey("x")
	b, _ := httpapi.NewKey("x")
	if a == b || !strings.HasPrefix(a, "rk_x_") || len(a) != len("rk_x_")+43 || hash != sha256.Sum256([]byte(a)) {
		t.Errorf("keys %d and %d bytes long", len(a), len(b))
	}
}

func TestAdminListener(t *testing.T) {
	keys, text := ring(httpapi.Key{ID: "ops", Scopes: []httpapi.Scope{"admin"}}, httpapi.Key{ID: "shop", Scopes: []httpapi.Scope{"recommend"}})
	for _, keyed := range []bool{false, true} {
		s := serve(t, func(o *httpapi.Options) {
			if o.Admin = true; keyed {
				o.Keys = keys
			}
		})
		for _, path := range []string{"/metrics", "/v1/status", "/debug/pprof/"} {
			if resp, _ := s.do(t, "GET", path, "", map[string]string{"X-Api-Key": text["ops"]}); resp.StatusCode != http.StatusNotFound {
				t.Errorf("the public listener answers %s with %d", path, resp.StatusCode)
			}
			for id, want := range map[string]int{"": 401, "shop": 403, "ops": 200} {
				if !keyed {
					want = 200
				}
				req := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
				req.Header.Set("Authorization", "Bearer "+text[id])
				w := httptest.NewRecorder()
				s.http.AdminHandler().ServeHTTP(w, req)
				if w.Code != want {
					t.Errorf("keyed %v, %s with key %q: %d, want %d: %s", keyed, path, id, w.Code, want, w.Body)
				}
			}
		}
		w := httptest.NewRecorder()
		s.http.AdminHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/livez", nil))
		if w.Code != 200 {
			t.Errorf("livez: %d", w.Code)
		}
	}
}

func TestNoCORS(t *testing.T) {
	s := serve(t, nil)
	for _, method := range []string{"OPTIONS", "POST"} {
		resp, _ := s.do(t, method, "/v1/recommend", `{}`, map[string]string{"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"})
		for name := range resp.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: the answer has %s", method, name)
			}
		}
	}
}

// stuck is a user reader that waits until it is told to go on.
type stuck struct{ in, out chan struct{} }

func (u stuck) User(ctx context.Context, _ string) (*features.State, error) {
	u.in <- struct{}{}
	select {
	case <-u.out:
	case <-ctx.Done():
	}
	return nil, nil
}

func TestLoadIsShed(t *testing.T) {
	u := stuck{in: make(chan struct{}), out: make(chan struct{})}
	s := serve(t, func(o *httpapi.Options) {
		o.MaxReads = 2
		o.Recommender = recommender.New(recommender.Options{Schema: features.Default(), Users: u, Budget: time.Minute, UserTimeout: time.Minute})
	})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if resp, body := s.do(t, "POST", "/v1/recommend", `{"user_id":"u1"}`, nil); resp.StatusCode != 200 {
				t.Errorf("an accepted request got %d: %s", resp.StatusCode, body)
			}
		})
		<-u.in
	}
	resp, body := s.do(t, "POST", "/v1/recommend", `{"user_id":"u1"}`, nil)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "1" || !strings.Contains(body, "problem:overloaded") {
		t.Errorf("beyond the limit: %d %s", resp.StatusCode, body)
	}
	if resp.Header.Get("X-Request-Id") == "" || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("the header of a refusal is %v", resp.Header)
	}
	// Not refused, but told what is wrong: another method, a path that is none, a request with two ends.
	for path, want := range map[string]int{"/v1/recommend": http.StatusMethodNotAllowed, "/v1/recommend/": http.StatusNotFound, "/livez": http.StatusOK} {
		if resp, _ := s.do(t, "GET", path, "", nil); resp.StatusCode != want {
			t.Errorf("GET %s beside the crowd: %d, want %d", path, resp.StatusCode, want)
		}
	}
	if got := s.raw(t, "POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"); !strings.Contains(got, " 400 ") {
		t.Errorf("a request with two ends beside the crowd: %s", got)
	}
	close(u.out)
	wg.Wait()
	go func() { <-u.in }()
	if resp, body := s.do(t, "POST", "/v1/recommend", `{"user_id":"u1"}`, nil); resp.StatusCode != 200 {
		t.Errorf("after the crowd: %d %s", resp.StatusCode, body)
	}
	if _, metrics := s.do(t, "GET", "/metrics", "", nil); !strings.Contains(metrics, "sartor_http_shed_total 1") {
		t.Error("the refusal is not counted")
	}
}
