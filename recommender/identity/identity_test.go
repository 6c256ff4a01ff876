package identity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/recommender/identity"
)

var noon = time.Date(2026, 10, 23, 12, 0, 0, 0, time.UTC)

// signingKey is a key of the provider: its private half signs, its public half is published.
type signingKey struct {
	id      string
	alg     jose.SignatureAlgorithm
	private any
	public  any
}

func rsaKey(t testing.TB, id string) signingKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{id, jose.RS256, k, k.Public()}
}

func ecKey(t testing.TB, id string) signingKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{id, jose.ES256, k, k.Public()}
}

// provider is an OpenID Connect provider on a loopback socket.
type provider struct {
	*httptest.Server
	mu     sync.Mutex
	keys   []signingKey
	asked  int // for keys
	broken bool
}

func newProvider(t testing.TB, keys ...signingKey) *provider {
	t.Helper()
	p := &provider{keys: keys}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		if p.isBroken() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		p.write(w, map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/auth",
			"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "HS256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		p.asked++
		var set jose.JSONWebKeySet
		for _, k := range p.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.public, KeyID: k.id, Algorithm: string(k.alg), Use: "sig"})
		}
		p.mu.Unlock()
		p.write(w, set)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) isBroken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}

func (p *provider) write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client then says what it lacks
}

// rotate publishes other keys.
func (p *provider) rotate(keys ...signingKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

func (p *provider) timesAsked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// claims of a good token; changes take effect on a copy.
func (p *provider) claims(changes map[string]any) map[string]any {
	out := map[string]any{"iss": p.URL, "aud": "sartor", "sub": "ann", "iat": noon.Unix(), "exp": noon.Add(time.Hour).Unix(), "roles": []string{"editor"}}
	for k, v := range changes {
		if out[k] = v; v == nil {
			delete(out, k)
		}
	}
	return out
}

func sign(t testing.TB, k signingKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: k.alg, Key: jose.JSONWebKey{Key: k.private, KeyID: k.id}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func options(p *provider) identity.Options {
	return identity.Options{Issuer: p.URL, Audience: "sartor", Now: func() time.Time { return noon }, Client: p.Client()}
}

func TestVerify(t *testing.T) {
	key, ec, stranger := rsaKey(t, "k1"), ecKey(t, "k2"), rsaKey(t, "k1")
	p := newProvider(t, key, ec)
	other := newProvider(t, key)
	secret := signingKey{"k1", jose.HS256, []byte(strings.Repeat("s", 32)), nil}
	for name, tc := range map[string]struct {
		key    signingKey
		claims map[string]any
		ok     bool
		role   identity.Role
	}{
		"good":                    {key, nil, true, identity.Editor},
		"good-elliptic":           {ec, nil, true, identity.Editor},
		"audiences":               {key, map[string]any{"aud": []string{"other", "sartor"}}, true, identity.Editor},
		"wrong-audience":          {key, map[string]any{"aud": "shop"}, false, ""},
		"no-audience":             {key, map[string]any{"aud": nil}, false, ""},
		"wrong-issuer":            {key, map[string]any{"iss": other.URL}, false, ""},
		"expired":                 {key, map[string]any{"exp": noon.Add(-61 * time.Second).Unix()}, false, ""},
		"expired-within-the-skew": {key, map[string]any{"exp": noon.Add(-59 * time.Second).Unix()}, true, identity.Editor},
		"no-expiry":               {key, map[string]any{"exp": nil}, false, ""},
		"not-yet":                 {key, map[string]any{"nbf": noon.Add(61 * time.Second).Unix()}, false, ""},
		"not-yet-within-the-skew": {key, map[string]any{"nbf": noon.Add(59 * time.Second).Unix(), "iat": noon.Add(30 * time.Second).Unix()}, true, identity.Editor},
		"from-the-future":         {key, map[string]any{"iat": noon.Add(5 * time.Minute).Unix()}, false, ""},
		"another's-key":           {stranger, nil, false, ""},
		"shared-secret":           {secret, nil, false, ""},
		"no-roles":                {key, map[string]any{"roles": nil}, true, ""},
		"unknown-roles":           {key, map[string]any{"roles": []string{"root"}}, true, ""},
		"the-greatest-role":       {key, map[string]any{"roles": []any{"viewer", "publisher", 7, "editor"}}, true, identity.Publisher},
		"roles-as-text":           {key, map[string]any{"roles": "viewer admin"}, true, identity.Admin},
	} {
		t.Run(name, func(t *testing.T) {
			v := identity.New(options(p))
			token := sign(t, tc.key, p.claims(tc.claims))
			got, err := v.Verify(t.Context(), token)
			if (err == nil) != tc.ok || !tc.ok && !errors.Is(err, identity.ErrToken) {
				t.Fatalf("%v, want ok %v", err, tc.ok)
			}
			if err != nil && strings.Contains(err.Error(), token) {
				t.Error("the error repeats the token")
			}
			if tc.ok && (got.Role != tc.role || got.Subject != "ann") {
				t.Errorf("%+v, want the role %q", got, tc.role)
			}
		})
	}
}

// TestUnsigned: a token without a signature, and what is no token at all, prove nothing.
func TestUnsigned(t *testing.T) {
	p := newProvider(t, rsaKey(t, "k1"))
	v := identity.New(options(p))
	for _, token := range []string{"", "x", "a.b", "a.b.c", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.", strings.Repeat(".", 1000)} {
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, identity.ErrToken) {
			t.Errorf("%.20q: %v", token, err)
		}
	}
}

func TestRoleMapping(t *testing.T) {
	key := rsaKey(t, "k1")
	p := newProvider(t, key)
	for name, tc := range map[string]struct {
		claim  string
		roles  map[string]identity.Role
		claims map[string]any
		want   identity.Role
	}{
		"nested":            {"realm_access.roles", nil, map[string]any{"realm_access": map[string]any{"roles": []string{"publisher"}}}, identity.Publisher},
		"name-with-dots":    {"https://shop.example/roles", nil, map[string]any{"https://shop.example/roles": "viewer"}, identity.Viewer},
		"groups":            {"groups", map[string]identity.Role{"shop-admins": identity.Admin, "merch": identity.Editor}, map[string]any{"groups": []string{"merch", "shop-admins"}}, identity.Admin},
		"groups-only":       {"groups", map[string]identity.Role{"merch": identity.Editor}, map[string]any{"groups": []string{"admin"}}, ""},
		"nothing-there":     {"a.b.c", nil, nil, ""},
		"claim-is-a-number": {"n", nil, map[string]any{"n": 7}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(p)
			o.RolesClaim, o.Roles = tc.claim, tc.roles
			got, err := identity.New(o).Verify(t.Context(), sign(t, key, p.claims(tc.claims)))
			if err != nil || got.Role != tc.want {
				t.Errorf("%+v, %v; want %q", got, err, tc.want)
			}
		})
	}
}

// TestKeyRotation: a new key is found by itself, an old one is no good any more, and tokens that nobody
// signed do not make us ask again and again.
func TestKeyRotation(t *testing.T) {
	first, second := rsaKey(t, "k1"), ecKey(t, "k2")
	p := newProvider(t, first)
	v := identity.New(options(p))
	verify := func(k signingKey) error { _, err := v.Verify(t.Context(), sign(t, k, p.claims(nil))); return err }
	for range 3 {
		if err := verify(first); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.timesAsked(); n != 1 {
		t.Errorf("three tokens asked for keys %d times", n)
	}
	p.rotate(second)
	// go-oidc tells those who wait for keys before it puts them in the place of what it had: for a moment
	// the next who asks gets what was there before.
	soon := func(what string, cond func() bool) {
		for until := time.Now().Add(time.Minute); !cond(); runtime.Gosched() {
			if time.Now().After(until) {
				t.Fatal(what)
			}
		}
	}
	soon("the new key does not open", func() bool { return verify(second) == nil })
	soon("the old key still opens", func() bool { return verify(first) != nil })
	before := p.timesAsked()
	forged := rsaKey(t, "k9")
	for range 20 {
		if err := verify(forged); err == nil {
			t.Fatal("a forged token opens")
		}
	}
	if n := p.timesAsked() - before; n > 1 {
		t.Errorf("20 forged tokens asked for keys %d times", n)
	}
	if err := verify(second); err != nil {
		t.Errorf("meanwhile a good token: %v", err)
	}
}

// TestProviderDown: a provider that cannot be asked is no fault of the token.
func TestProviderDown(t *testing.T) {
	key := rsaKey(t, "k1")
	p := newProvider(t, key)
	p.broken = true
	v := identity.New(options(p))
	token := sign(t, key, p.claims(nil))
	for range 3 {
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, identity.ErrProvider) {
			t.Fatalf("%v, want ErrProvider", err)
		}
	}
	gone := newProvider(t, key)
	o := options(gone)
	gone.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := identity.New(o).Verify(ctx, sign(t, key, gone.claims(nil))); !errors.Is(err, identity.ErrProvider) {
		t.Errorf("%v, want ErrProvider", err)
	}
}

func TestRolesInclude(t *testing.T) {
	for i, have := range identity.Roles() {
		for j, need := range identity.Roles() {
			if got := have.Includes(need); got != (i >= j) {
				t.Errorf("%s includes %s: %v", have, need, got)
			}
		}
		if have.Includes("") || have.Includes("root") || identity.Role("").Includes(have) || identity.Role("root").Includes(have) {
			t.Errorf("%s and what is no role", have)
		}
	}
}

func TestCheck(t *testing.T) {
	good := identity.Options{Issuer: "https://login.example.com/realm", Audience: "sartor", Roles: map[string]identity.Role{"a": identity.Admin}}
	if wrong := good.Check(); len(wrong) > 0 {
		t.Errorf("%q", wrong)
	}
	good.Issuer = "http://127.0.0.1:9000"
	if wrong := good.Check(); len(wrong) > 0 {
		t.Errorf("%q", wrong)
	}
	bad := identity.Options{Issuer: "http://login.example.com", Roles: map[string]identity.Role{"a": "root"}, Skew: -1}
	got := strings.Join(bad.Check(), "\n")
	for _, want := range []string{"must be https", "audience:", `roles: a: "root"`, "skew:"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not said in\n%s", want, got)
		}
	}
	if got := (identity.Options{Issuer: "login", Audience: "x"}).Check(); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// TestAnyToken: whatever is sent, the answer is an error that does not repeat it.
func TestAnyToken(t *testing.T) {
	p := newProvider(t, rsaKey(t, "k1"))
	v := identity.New(options(p))
	rapid.Check(t, func(t *rapid.T) {
		token := rapid.StringMatching(`[A-Za-z0-9_.-]{0,80}`).Draw(t, "token")
		_, err := v.Verify(context.Background(), token)
		if err == nil || len(token) > 20 && strings.Contains(err.Error(), token) {
			t.Fatalf("%q: %v", token, err)
		}
	})
}
