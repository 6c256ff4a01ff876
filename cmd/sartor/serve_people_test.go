package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/recommender/httpapi"
)

// issuer is the company's identity provider: one key, real tokens.
func issuer(t *testing.T) (url string, token func(roles ...string) string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	answer := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(v); err != nil {
				t.Error(err)
			}
		}
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", answer(map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/keys"}))
	mux.HandleFunc("GET /keys", answer(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}}}))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s.URL, func(roles ...string) string {
		text, err := jwt.Signed(signer).Claims(map[string]any{"iss": s.URL, "aud": "sartor", "sub": "ann",
			"exp": time.Now().Add(time.Hour).Unix(), "groups": roles}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// TestPeopleAndKeys signs people in at the admin address beside a key, as the configuration says, and
// exchanges the keys by writing the file.
func TestPeopleAndKeys(t *testing.T) {
	url, token := issuer(t)
	file := filepath.Join(t.TempDir(), "keys.yaml")
	texts := map[string]string{}
	entry := func(id string) string {
		text, hash := httpapi.NewKey(id)
		texts[id] = text
		return fmt.Sprintf("- {id: %s, client: ops, sha256: %s, scopes: [admin, recommend]}\n", id, hex.EncodeToString(hash[:]))
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	one, two := entry("one"), entry("two")
	write("keys:\n" + one)
	a := &app{logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry(), settings: []string{
		"http.keys_file=" + file, "http.admin_addr=127.0.0.1:0", "http.oidc.issuer=" + url, "http.oidc.audience=sartor",
		"http.oidc.roles_claim=groups", "http.oidc.roles.shop-admins=admin", "http.oidc.roles.merch=editor"}}
	var err error
	if a.config, a.origins, err = a.loadConfig(); err != nil {
		t.Fatal(err)
	}
	w, err := a.newWiring()
	if err != nil {
		t.Fatal(err)
	}
	public, admin := listenHere(t), listenHere(t)
	s := newServing(w, servingParts{admin: admin})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, public) }()
	defer func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := <-done; err != nil {
			t.Errorf("stopped with %v", err)
		}
	}()
	status := func(path, credential string) int {
		return send(t, "GET", "http://"+admin.Addr().String()+path, "", map[string]string{"Authorization": "Bearer " + credential})
	}
	for _, tc := range []struct {
		name, path, credential string
		want                   int
	}{
		{"editor-sees-status", "/v1/status", token("merch"), 200},
		{"editor-sees-no-profiles", "/debug/pprof/", token("merch"), 403},
		{"admin-sees-profiles", "/debug/pprof/", token("other", "shop-admins"), 200},
		{"a-role's-name-is-no-group", "/v1/status", token("admin"), 403},
		{"no-group", "/v1/status", token(), 403},
		{"half-a-token", "/v1/status", strings.TrimSuffix(token("merch"), "A") + "x", 401},
		{"key", "/debug/pprof/", texts["one"], 200},
		{"other-key", "/v1/status", texts["two"], 401},
		{"nobody", "/v1/status", "", 401},
	} {
		if got := status(tc.path, tc.credential); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
	good := func() string {
		families, err := a.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "sartor_keys_reload_success" {
				return fmt.Sprint(f.GetMetric()[0].GetGauge().GetValue())
			}
		}
		return "none"
	}
	eventually(t, "the second key opens beside the first", func() bool { write("keys:\n" + one + two); return status("/v1/status", texts["two"]) == 200 })
	if got := status("/v1/status", texts["one"]); got != 200 {
		t.Errorf("the first of two live keys: %d", got)
	}
	write("keys: [")
	eventually(t, "the broken file is told", func() bool { return good() == "0" })
	if got := status("/v1/status", texts["two"]); got != 200 {
		t.Errorf("with a broken file the keys before it: %d", got)
	}
	write("keys:\n" + two)
	eventually(t, "the first key is taken away", func() bool { return status("/v1/status", texts["one"]) == 401 && good() == "1" })
}
