package httpapi

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
)

// Scope is what a key may be used for.
type Scope string

// The scopes. Health, version and the OpenAPI document need none.
const (
	ScopeRecommend Scope = "recommend"
	ScopeEvents    Scope = "events:write"
	ScopeItems     Scope = "items:write"
	ScopeUsers     Scope = "users:write"
	ScopeAdmin     Scope = "admin" // metrics, status, profiles
)

// Scopes lists every scope.
func Scopes() []Scope {
	return []Scope{ScopeRecommend, ScopeEvents, ScopeItems, ScopeUsers, ScopeAdmin}
}

// Key is an API key as the server knows it: never the key itself.
type Key struct {
	// ID is the part of the key that may be shown. Client names whose key it is, ID when empty: a client
	// has at most two keys that are live at once, so that one can follow the other.
	ID, Client string
	SHA256     [sha256.Size]byte // of the whole text of the key
	Scopes     []Scope
	Expires    time.Time // zero = never
	// Rate is how many requests a second the key may make, Burst how many at once; 0 = no limit, and
	// a second's worth.
	Rate  float64
	Burst int
}

const keyPrefix = "rk_"

// NewKey returns the text of a new key, rk_<id>_<secret> with 32 random bytes of secret, and what the
// server needs to know of it. The text is not kept anywhere.
func NewKey(id string) (text string, hash [sha256.Size]byte) {
	var secret [32]byte
	rand.Read(secret[:]) // never fails since Go 1.24
	text = keyPrefix + id + "_" + base64.RawURLEncoding.EncodeToString(secret[:])
	return text, sha256.Sum256([]byte(text))
}

// CheckKeys returns everything that is wrong with a set of keys.
func CheckKeys(keys []Key, now time.Time) []string {
	var wrong []string
	ids, live := map[string]bool{}, map[string]int{}
	for i, k := range keys {
		bad := func(format string, args ...any) {
			wrong = append(wrong, fmt.Sprintf("key %d: ", i+1)+fmt.Sprintf(format, args...))
		}
		switch {
		case !fitKeyID(k.ID):
			bad("id must be 1 to 32 of a-z, 0-9 and -")
		case ids[k.ID]:
			bad("id %s is already taken", k.ID)
		}
		ids[k.ID] = true
		if k.SHA256 == [sha256.Size]byte{} {
			bad("sha256 is missing: it is the SHA-256 of the whole key in hex")
		}
		if len(k.Scopes) == 0 {
			bad("scopes are missing: some of %v", Scopes())
		}
		for _, s := range k.Scopes {
			if !slices.Contains(Scopes(), s) {
				bad("scope %q is not one of %v", s, Scopes())
			}
		}
		if k.Rate < 0 || k.Burst < 0 || math.IsNaN(k.Rate) || math.IsInf(k.Rate, 0) {
			bad("rate and burst must be numbers of 0 or more")
		}
		if k.liveAt(now) {
			if live[k.client()]++; live[k.client()] == 3 {
				bad("client %s has more than two live keys: take the oldest away", k.client())
			}
		}
	}
	return wrong
}

func fitKeyID(id string) bool {
	if len(id) < 1 || len(id) > 32 {
		return false
	}
	return strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func (k *Key) client() string {
	if k.Client != "" {
		return k.Client
	}
	return k.ID
}

func (k *Key) liveAt(now time.Time) bool { return k.Expires.IsZero() || now.Before(k.Expires) }

// keyring judges requests by their keys. A nil keyring lets everybody do everything.
type keyring struct {
	now  func() time.Time
	keys map[string]*heldKey
	// none is compared with when the id is unknown, so that the time tells nothing.
	none heldKey
}

type heldKey struct {
	Key
	bucket *bucket
}

// newKeyring makes a keyring that takes over from old: a key whose rate stays goes on with what it has
// used, so that a reload refills nothing.
func newKeyring(keys []Key, old *keyring, now func() time.Time) *keyring {
	if len(keys) == 0 {
		return nil
	}
	r := &keyring{now: now, keys: make(map[string]*heldKey, len(keys))}
	for _, k := range keys {
		burst := float64(k.Burst)
		if burst == 0 {
			burst = max(1, k.Rate)
		}
		h := &heldKey{Key: k, bucket: &bucket{rate: k.Rate, burst: burst}}
		if old != nil {
			if before := old.keys[k.ID]; before != nil && before.bucket.rate == k.Rate && before.bucket.burst == burst {
				h.bucket = before.bucket
			}
		}
		r.keys[k.ID] = h
	}
	return r
}

// SetKeys puts other API keys in place of those at hand, for requests that come from now on. They must
// pass CheckKeys. A server that asks for keys cannot be made one that does not: no keys are refused.
func (s *Server) SetKeys(keys []Key) error {
	if len(keys) == 0 {
		return errors.New("no keys: a server that asks for keys goes on asking")
	}
	s.keysMu.Lock()
	defer s.keysMu.Unlock()
	s.keys.Store(newKeyring(keys, s.keys.Load(), s.opts.Now))
	return nil
}

// allow returns nil when the request's key may be used for the scope now. left tells what the key has left
// of its rate; zero for a key without one.
func (r *keyring) allow(text string, scope Scope) (left allowance, err error) {
	if r == nil || scope == "" {
		return left, nil
	}
	if text == "" {
		return left, unauthorized("an API key is needed: Authorization: Bearer rk_...")
	}
	k := r.find(text)
	now := r.now()
	switch {
	case k == nil || !k.liveAt(now):
		return left, unauthorized("the API key is not valid: unknown, expired or taken away")
	case !slices.Contains(k.Scopes, scope):
		return left, &httpError{status: http.StatusForbidden, kind: "forbidden", detail: "the API key lacks the scope " + string(scope)}
	}
	left, ok := k.bucket.take(now)
	if !ok {
		return left, &httpError{status: http.StatusTooManyRequests, kind: "rate-limited",
			detail: "the API key has used up its rate", retryAfter: left.wait}
	}
	return left, nil
}

// credential returns the key or token of a request, "" for none.
func credential(authorization, apiKey string) string {
	if apiKey != "" {
		return apiKey
	}
	kind, rest, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(kind, "Bearer") {
		return ""
	}
	return strings.TrimSpace(rest)
}

func (r *keyring) find(text string) *heldKey {
	hash := sha256.Sum256([]byte(text))
	id, _, _ := strings.Cut(strings.TrimPrefix(text, keyPrefix), "_")
	k, ok := r.keys[id]
	if !ok {
		k = &r.none
	}
	if subtle.ConstantTimeCompare(hash[:], k.SHA256[:]) != 1 || !ok {
		return nil
	}
	return k
}

func unauthorized(detail string) *httpError {
	return &httpError{status: http.StatusUnauthorized, kind: "unauthorized", detail: detail}
}

// bucket is a token bucket: it fills at rate up to burst, and a request takes one.
type bucket struct {
	mu          sync.Mutex
	rate, burst float64
	tokens      float64
	at          time.Time
}

// allowance is what a key has left of its rate: quota requests in window seconds, of which remaining may be
// made at once and the next after wait seconds.
type allowance struct{ quota, window, remaining, wait int }

// headers tells a client its rate, as the IETF's draft on RateLimit headers has it.
func (a allowance) headers(set func(key, value string)) {
	if a.quota == 0 {
		return
	}
	set("RateLimit-Policy", fmt.Sprintf(`"key";q=%d;w=%d`, a.quota, a.window))
	set("RateLimit", fmt.Sprintf(`"key";r=%d;t=%d`, a.remaining, a.wait))
}

// take takes a token, if there is one.
func (b *bucket) take(now time.Time) (left allowance, ok bool) {
	if b.rate <= 0 {
		return left, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() {
		b.tokens = b.burst
	} else if gone := now.Sub(b.at); gone > 0 {
		b.tokens = min(b.burst, b.tokens+gone.Seconds()*b.rate)
	}
	b.at = now
	if ok = b.tokens >= 1; ok {
		b.tokens--
	}
	return b.left(), ok
}

// spend takes n more requests from the rate of a request's key, which was let in already: a batch of a hundred
// lists counts as a hundred. What the key does not have left is waited for by its next requests.
func (s *Server) spend(c *fiber.Ctx, n int) {
	keys := s.keys.Load()
	if keys == nil || n <= 0 {
		return
	}
	if k := keys.find(credential(c.Get(fiber.HeaderAuthorization), c.Get("X-Api-Key"))); k != nil {
		k.bucket.owe(n).headers(c.Set)
	}
}

// owe takes n tokens although fewer may be there.
func (b *bucket) owe(n int) allowance {
	if b.rate <= 0 {
		return allowance{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens -= float64(n)
	return b.left()
}

// left tells what the bucket holds; the caller has its lock.
func (b *bucket) left() allowance {
	left := allowance{quota: int(b.burst), window: max(1, int(math.Ceil(b.burst/b.rate))), remaining: max(0, int(b.tokens))}
	if b.tokens < 1 {
		left.wait = max(1, int(math.Ceil((1-b.tokens)/b.rate)))
	}
	return left
}

// authorize judges a request to a route.
func (s *Server) authorize(c *fiber.Ctx, scope Scope) error {
	keys := s.keys.Load()
	if scope == "" {
		return nil
	}
	if keys == nil {
		return sameSite(string(c.Request().Header.Peek(fetchSite)))
	}
	left, err := keys.allow(credential(c.Get(fiber.HeaderAuthorization), c.Get("X-Api-Key")), scope)
	left.headers(c.Set)
	if e, ok := err.(*httpError); ok && e.status == http.StatusUnauthorized { //nolint:errorlint // made above
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="sartor"`)
	}
	return err
}

// fetchSite is the header in which browsers say where the page stands that has them send a request.
const fetchSite = "Sec-Fetch-Site"

// sameSite refuses what the page of another site has a browser send. Without keys nothing else keeps any page
// that somebody on this machine looks at from posting events here: a form needs no permission by CORS.
func sameSite(site string) error {
	if site != "cross-site" {
		return nil
	}
	return &httpError{status: http.StatusForbidden, kind: "forbidden", detail: "pages of other sites may not send requests here: let your own server ask"}
}
