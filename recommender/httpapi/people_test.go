package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/recommender/identity"
)

// people are tokens and what they stand for; package identity has the tests with real ones.
type people map[string]identity.Role

func (p people) Verify(_ context.Context, token string) (identity.Person, error) {
	if token == "provider.is.down" {
		return identity.Person{}, fmt.Errorf("%w: dial", identity.ErrProvider)
	}
	role, ok := p[token]
	if !ok {
		return identity.Person{}, identity.ErrToken
	}
	return identity.Person{Subject: "ann", Role: role}, nil
}

// TestPeopleAtTheAdminListener: each role sees what it may, keys work beside tokens, and tokens open nothing
// on the public listener.
func TestPeopleAtTheAdminListener(t *testing.T) {
	keys, text := ring(httpapi.Key{ID: "ops", Scopes: []httpapi.Scope{"admin"}}, httpapi.Key{ID: "shop", Scopes: []httpapi.Scope{"recommend"}})
	tokens := people{"t.no.role": ""}
	for _, role := range identity.Roles() {
		tokens["t."+string(role)+".x"] = role
	}
	for _, keyed := range []bool{true, false} {
		s := serve(t, func(o *httpapi.Options) {
			if o.Admin, o.People = true, tokens; keyed {
				o.Keys = keys
			}
		})
		admin := s.http.AdminHandler()
		for credential, want := range map[string][3]int{ // /metrics, /v1/status, /debug/pprof/
			"":                 {401, 401, 401},
			"t.forged.x":       {401, 401, 401},
			"t.no.role":        {403, 403, 403},
			"t.viewer.x":       {200, 200, 403},
			"t.editor.x":       {200, 200, 403},
			"t.publisher.x":    {200, 200, 403},
			"t.admin.x":        {200, 200, 200},
			"provider.is.down": {503, 503, 503},
			text["ops"]:        {200, 200, 200},
			text["shop"]:       {403, 403, 403},
		} {
			if !keyed && strings.HasPrefix(credential, "rk_") {
				want = [3]int{401, 401, 401}
			}
			for i, path := range []string{"/metrics", "/v1/status", "/debug/pprof/"} {
				w := ask(t, admin, path, credential)
				if w.Code != want[i] {
					t.Errorf("keyed %v, %s with %q: %d, want %d: %s", keyed, path, credential, w.Code, want[i], w.Body)
				}
				if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") || (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
					t.Errorf("%s with %q: headers %v", path, credential, w.Header())
				}
				if credential != "" && strings.Contains(w.Body.String(), credential) {
					t.Errorf("the answer repeats %q", credential)
				}
			}
		}
		if w := ask(t, admin, "/nowhere", ""); w.Code != 401 {
			t.Errorf("a stranger learns that a path is not there: %d", w.Code)
		}
		if w := ask(t, admin, "/nowhere", "t.viewer.x"); w.Code != 404 || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("a viewer asks for what is not there: %d", w.Code)
		}
		if w := ask(t, admin, "/livez", ""); w.Code != 200 {
			t.Errorf("livez: %d", w.Code)
		}
		if keyed {
			if resp, _ := s.do(t, "POST", "/v1/recommend", `{}`, map[string]string{"Authorization": "Bearer t.admin.x"}); resp.StatusCode != 401 {
				t.Errorf("a person's token at the public listener: %d", resp.StatusCode)
			}
		}
	}
}

func ask(t *testing.T, h http.Handler, path, credential string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestKeysAreExchanged: a new key opens at once, the one before does not any more, and a client's used-up
// rate stays used up.
func TestKeysAreExchanged(t *testing.T) {
	scopes := []httpapi.Scope{httpapi.ScopeRecommend}
	keys, text := ring(httpapi.Key{ID: "one", Client: "shop", Scopes: scopes}, httpapi.Key{ID: "two", Client: "shop", Scopes: scopes},
		httpapi.Key{ID: "slow", Scopes: scopes, Rate: 0.001, Burst: 1}, httpapi.Key{ID: "ops", Scopes: []httpapi.Scope{"admin"}})
	one, two, slow, ops := keys[0], keys[1], keys[2], keys[3]
	s := serve(t, func(o *httpapi.Options) { o.Keys = []httpapi.Key{one, slow, ops} })
	status := func(id string) int {
		resp, _ := s.do(t, "POST", "/v1/recommend", `{}`, map[string]string{"X-Api-Key": text[id]})
		return resp.StatusCode
	}
	step := func(when string, want map[string]int) {
		t.Helper()
		for id, code := range want {
			if got := status(id); got != code {
				t.Errorf("%s: %s gets %d, want %d", when, id, got, code)
			}
		}
	}
	exchange := func(keys ...httpapi.Key) {
		t.Helper()
		if err := s.http.SetKeys(keys); err != nil {
			t.Fatal(err)
		}
	}
	step("at first", map[string]int{"one": 200, "two": 401, "slow": 200})
	exchange(one, two, slow, ops)
	step("both live", map[string]int{"one": 200, "two": 200, "slow": 429})
	exchange(two, slow, ops)
	step("the old one is gone", map[string]int{"one": 401, "two": 200, "slow": 429})
	two.Expires = noon
	exchange(two, ops)
	step("expired", map[string]int{"two": 401, "slow": 401})
	if err := s.http.SetKeys(nil); err == nil {
		t.Error("no keys would open everything")
	}
	step("after a refusal", map[string]int{"two": 401})
}

// TestKeysAreExchangedUnderLoad: no request meets half a change.
func TestKeysAreExchangedUnderLoad(t *testing.T) {
	keys, text := ring(httpapi.Key{ID: "stays", Scopes: []httpapi.Scope{httpapi.ScopeRecommend}, Rate: 1e6},
		httpapi.Key{ID: "comes", Scopes: []httpapi.Scope{httpapi.ScopeRecommend}})
	s := serve(t, func(o *httpapi.Options) { o.Keys = keys[:1] })
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(50 * time.Microsecond) // a loop without a pause starves a machine of one core
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			if err := s.http.SetKeys(keys[:1+i%2]); err != nil {
				t.Error(err)
			}
			<-tick.C
		}
	})
	for range 200 {
		if resp, body := s.do(t, "POST", "/v1/recommend", `{}`, map[string]string{"X-Api-Key": text["stays"]}); resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
	}
	stop()
	wg.Wait()
}

// TestRateHeaders: whoever has a rate is told how much of it is left.
func TestRateHeaders(t *testing.T) {
	keys, text := ring(httpapi.Key{ID: "slow", Scopes: []httpapi.Scope{httpapi.ScopeRecommend}, Rate: 0.5, Burst: 2},
		httpapi.Key{ID: "free", Scopes: []httpapi.Scope{httpapi.ScopeRecommend}})
	s := serve(t, func(o *httpapi.Options) { o.Keys, o.Now = keys, func() time.Time { return noon } })
	for i, want := range []string{`"key";r=1;t=0`, `"key";r=0;t=2`, `"key";r=0;t=2`} {
		resp, _ := s.do(t, "POST", "/v1/recommend", `{}`, map[string]string{"X-Api-Key": text["slow"]})
		if got, policy := resp.Header.Get("RateLimit"), resp.Header.Get("RateLimit-Policy"); got != want || policy != `"key";q=2;w=4` {
			t.Errorf("request %d: RateLimit %s, RateLimit-Policy %s; want %s", i, got, policy, want)
		}
	}
	if resp, _ := s.do(t, "POST", "/v1/recommend", `{}`, map[string]string{"X-Api-Key": text["free"]}); resp.Header.Get("RateLimit") != "" {
		t.Error("a key without a rate is told one")
	}
}
