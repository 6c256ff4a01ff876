package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestExposedWithoutKeysIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		addr    string
		cfg     HTTPConfig
		refused bool
	}{
		"loopback":      {"127.0.0.1", HTTPConfig{}, false},
		"loopback-v6":   {"::1", HTTPConfig{}, false},
		"everywhere":    {"0.0.0.0", HTTPConfig{}, true},
		"everywhere-v6": {"::", HTTPConfig{}, true},
		"one-address":   {"10.1.2.3", HTTPConfig{}, true},
		"with-keys":     {"0.0.0.0", HTTPConfig{KeysFile: "keys.yaml"}, false},
		"said-to":       {"0.0.0.0", HTTPConfig{Insecure: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkExposed("http.addr", &net.TCPAddr{IP: net.ParseIP(tc.addr), Port: 8080}, tc.cfg)
			if (err != nil) != tc.refused || err != nil && !strings.Contains(err.Error(), "--insecure") {
				t.Errorf("error %v, want one: %v", err, tc.refused)
			}
		})
	}
	code, _, errOut := runHere(t, "serve", "--addr", "0.0.0.0:0")
	if code == 0 || !strings.Contains(errOut, "no API keys are set") {
		t.Errorf("exit %d: %s", code, errOut)
	}
}

func TestParseKeys(t *testing.T) {
	hash := strings.Repeat("0f", 32)
	now := time.Date(2026, 10, 23, 12, 0, 0, 0, time.UTC)
	keys, wrong := parseKeys([]byte("keys:\n- {id: a, sha256: "+hash+", scopes: [recommend], expires: 2026-12-01T00:00:00Z, rate: 5}\n"), now)
	if len(wrong) > 0 || len(keys) != 1 || keys[0].Rate != 5 || keys[0].SHA256[0] != 0x0f || keys[0].Expires.Year() != 2026 {
		t.Errorf("keys %+v, wrong %q", keys, wrong)
	}
	keys, wrong = parseKeys([]byte("# made by sartor serve key\n- {id: a, sha256: "+hash+", scopes: [recommend]}\n- {id: b, sha256: "+hash+", scopes: [admin]}\n"), now)
	if len(wrong) > 0 || len(keys) != 2 || keys[1].ID != "b" {
		t.Errorf("a list alone: keys %+v, wrong %q", keys, wrong)
	}
	for text, want := range map[string]string{
		"- {id: a, secret: x}":                  "line 1: field secret not found",
		"":                                      "no key is listed",
		"keys: [{id: a, secret: x}]":            "secret",
		"keys: [{id: a, sha256: zz}]":           "64 hex digits",
		"keys: [{id: a, sha256: " + hash + "}]": "scopes are missing",
		"keys: {":                               "yaml",
	} {
		if _, wrong := parseKeys([]byte(text), now); !strings.Contains(strings.Join(wrong, "\n"), want) {
			t.Errorf("%q: %q, want %q", text, wrong, want)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte("keys: [{id: a, sha256: 00, scopes: [recommend]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, wrong := parseKeys(data, time.Unix(0, 0))
		if len(wrong) == 0 && len(keys) == 0 {
			t.Error("neither keys nor what is wrong")
		}
	})
}

// TestMadeKeyOpens makes a key by the command, serves with it, and finds metrics at the admin address
// only.
func TestMadeKeyOpens(t *testing.T) {
	code, entry, shown := runHere(t, "serve", "key", "--id", "ops-1", "--scope", "recommend,admin", "--expires", "1h")
	if code != 0 || strings.Contains(entry, "rk_") {
		t.Fatalf("exit %d, entry %s", code, entry)
	}
	_, key, _ := strings.Cut(shown, "once: ")
	key, _, _ = strings.Cut(key, "\n")
	if !strings.HasPrefix(key, "rk_ops-1_") {
		t.Fatal("no key is shown")
	}
	file := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(file, []byte("keys:\n"+entry), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := loadKeys(file, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a := &app{config: defaultConfig(), logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
	a.config.HTTP.KeysFile = file
	w, err := a.newWiring()
	if err != nil || len(w.keys) != len(keys) {
		t.Fatalf("%d keys are wired, %v", len(w.keys), err)
	}
	public, admin := listenHere(t), listenHere(t)
	s := newServing(w, servingParts{admin: admin})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, public) }()
	for _, tc := range []struct {
		addr, path, key string
		status          int
	}{
		{public.Addr().String(), "/v1/items/x/similar", "", http.StatusUnauthorized},
		{public.Addr().String(), "/v1/items/x/similar", key, http.StatusOK},
		{public.Addr().String(), "/metrics", key, http.StatusNotFound},
		{admin.Addr().String(), "/metrics", "", http.StatusUnauthorized},
		{admin.Addr().String(), "/metrics", key, http.StatusOK},
		{admin.Addr().String(), "/debug/pprof/", key, http.StatusOK},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+tc.addr+tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+tc.key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if resp.StatusCode != tc.status {
			t.Errorf("%s with key %v: %d, want %d", tc.path, tc.key != "", resp.StatusCode, tc.status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	if err := <-done; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func listenHere(t *testing.T) net.Listener {
	t.Helper()
	ln, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}
