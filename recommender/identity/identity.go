// Package identity says who a person is and what role they hold, by a token of the company's OpenID
// Connect provider. It verifies tokens and issues none, keeps no session and knows no route.
package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

// Role is what a person may do. Each role includes the ones before it.
type Role string

// The roles, from the least to the most.
const (
	Viewer    Role = "viewer"    // sees status, figures, rules and models
	Editor    Role = "editor"    // writes drafts
	Publisher Role = "publisher" // makes drafts live and takes them back
	Admin     Role = "admin"     // profiles, keys, and everything else
)

// Roles lists the roles from the least to the most.
func Roles() []Role { return []Role{Viewer, Editor, Publisher, Admin} }

// Includes tells whether a person of role r may do what needs the role other. A role that is none
// includes nothing and is included by nothing.
func (r Role) Includes(other Role) bool {
	have, need := slices.Index(Roles(), r), slices.Index(Roles(), other)
	return need >= 0 && have >= need
}

// Person is who sent a token.
type Person struct {
	Subject string // the provider's id of the person; personal data
	Role    Role   // "" = none here
}

// Errors of Verify, by errors.Is.
var (
	// ErrToken is a token that proves nothing: broken, expired, for somebody else, by somebody else.
	ErrToken = errors.New("the token is not valid")
	// ErrProvider is a provider that cannot be asked for its keys at the moment.
	ErrProvider = errors.New("the identity provider cannot be reached")
)

// Options name the provider and say how its claims become roles. Issuer and Audience are required.
type Options struct {
	// Issuer is the provider's URL as its tokens name it; https, except on this machine.
	Issuer string
	// Audience is what tokens must be for: the client id of ID tokens, the API's name of access tokens.
	Audience string
	// RolesClaim is where the roles or groups are, a path such as "realm_access.roles"; "" = "roles". The
	// claim is a text or a list of texts.
	RolesClaim string
	// Roles turns values of the claim into roles; nil takes the names of the roles themselves.
	Roles map[string]Role
	// Skew is by how much the provider's clock may differ from ours; 0 = 1 min.
	Skew time.Duration
	// Now is the clock; nil = time.Now. Client makes the requests to the provider; nil = one of its own
	// with a timeout of 5 s.
	Now    func() time.Time
	Client *http.Client
}

// Check returns everything that is wrong with the options.
func (o Options) Check() []string {
	var wrong []string
	if err := checkIssuer(o.Issuer); err != nil {
		wrong = append(wrong, "issuer: "+err.Error())
	}
	if o.Audience == "" {
		wrong = append(wrong, "audience: must name what the tokens are for: the client id, or the API's name")
	}
	for _, value := range sortedKeys(o.Roles) {
		if role := o.Roles[value]; !slices.Contains(Roles(), role) {
			wrong = append(wrong, fmt.Sprintf("roles: %s: %q is not one of %v", value, role, Roles()))
		}
	}
	if o.Skew < 0 {
		wrong = append(wrong, "skew: must not be negative")
	}
	return wrong
}

// Verifier verifies tokens of one provider. It asks the provider for its keys at the first token, and again
// when a token is signed by a key that it does not know. It is safe for concurrent use.
type Verifier struct {
	opts   Options
	client *http.Client

	mu       sync.Mutex // guards what follows; held while the provider is asked the first time
	verifier *oidc.IDTokenVerifier
	failed   time.Time // when the provider could last not be asked
}

// How often the provider is asked at most. A token that nobody signed makes us look for a new key, and
// anybody can send such tokens.
const (
	keyFetchEvery = 10 * time.Second
	keyFetchBurst = 3
	retryEvery    = 2 * time.Second
)

// New returns a verifier. It connects to nothing.
func New(opts Options) *Verifier {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Skew == 0 {
		opts.Skew = time.Minute
	}
	if opts.RolesClaim == "" {
		opts.RolesClaim = "roles"
	}
	v := &Verifier{opts: opts, client: opts.Client}
	if v.client == nil {
		v.client = &http.Client{Timeout: 5 * time.Second}
	}
	calm := *v.client
	calm.Transport = &limited{next: v.client.Transport, limit: rate.NewLimiter(rate.Every(keyFetchEvery), keyFetchBurst)}
	v.client = &calm
	return v
}

// Verify returns who sent a token. The error is ErrToken or ErrProvider by errors.Is; it never holds the
// token.
func (v *Verifier) Verify(ctx context.Context, token string) (Person, error) {
	if strings.Count(token, ".") != 2 { // what is no JWT at all is not worth asking the provider
		return Person{}, ErrToken
	}
	verifier, err := v.provider(ctx)
	if err != nil {
		return Person{}, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	id, err := verifier.Verify(oidc.ClientContext(ctx, v.client), token)
	if err != nil {
		if errors.Is(err, errTooOften) || isTransport(err) {
			return Person{}, fmt.Errorf("%w: %w", ErrProvider, err)
		}
		return Person{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return Person{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	if err := v.inTime(id, claims); err != nil {
		return Person{}, err
	}
	return Person{Subject: id.Subject, Role: v.role(claims)}, nil
}

// inTime judges the times of a token, whose clock may be off by the skew.
func (v *Verifier) inTime(id *oidc.IDToken, claims map[string]any) error {
	now := v.opts.Now()
	if id.Expiry.IsZero() || !now.Before(id.Expiry.Add(v.opts.Skew)) {
		return fmt.Errorf("%w: it has expired", ErrToken)
	}
	for _, name := range []string{"nbf", "iat"} {
		at, ok := claims[name].(float64)
		if ok && time.Unix(int64(at), 0).After(now.Add(v.opts.Skew)) {
			return fmt.Errorf("%w: its time is yet to come", ErrToken)
		}
	}
	return nil
}

// role returns the greatest role that the claims give.
func (v *Verifier) role(claims map[string]any) Role {
	var at any = claims
	if whole, ok := claims[v.opts.RolesClaim]; ok { // a name with dots, as "https://shop.example/roles"
		at = whole
	} else {
		for name := range strings.SplitSeq(v.opts.RolesClaim, ".") {
			object, _ := at.(map[string]any)
			at = object[name]
		}
	}
	var best Role
	for _, value := range texts(at) {
		role := Role(value)
		if v.opts.Roles != nil {
			role = v.opts.Roles[value]
		}
		if slices.Index(Roles(), role) > slices.Index(Roles(), best) {
			best = role
		}
	}
	return best
}

func texts(claim any) []string {
	switch claim := claim.(type) {
	case string:
		return strings.Fields(claim)
	case []any:
		var out []string
		for _, x := range claim {
			if text, ok := x.(string); ok {
				out = append(out, text)
			}
		}
		return out
	}
	return nil
}

// provider returns the verifier of the provider's tokens, after asking the provider where its keys are.
func (v *Verifier) provider(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.verifier != nil {
		return v.verifier, nil
	}
	if !v.failed.IsZero() && time.Since(v.failed) < retryEvery {
		return nil, errTooOften
	}
	// The client travels in the context, which later outlives this request.
	p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), v.client), v.opts.Issuer)
	if err != nil {
		v.failed = time.Now()
		return nil, err
	}
	var about struct {
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := p.Claims(&about); err != nil {
		return nil, err
	}
	// Expiry is judged by inTime, with the skew.
	v.verifier = p.VerifierContext(oidc.ClientContext(context.Background(), v.client), &oidc.Config{
		ClientID: v.opts.Audience, SkipExpiryCheck: true, Now: v.opts.Now, SupportedSigningAlgs: asymmetric(about.Algorithms)})
	return v.verifier, nil
}

// asymmetric keeps the algorithms of public keys: with a shared secret whoever verifies could sign.
func asymmetric(algorithms []string) []string {
	var out []string
	for _, a := range algorithms {
		if strings.HasPrefix(a, "RS") || strings.HasPrefix(a, "PS") || strings.HasPrefix(a, "ES") || a == "EdDSA" {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return []string{oidc.RS256}
	}
	return out
}
