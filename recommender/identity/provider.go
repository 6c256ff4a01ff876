package identity

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/time/rate"
)

// errTooOften is a provider that was asked too often of late to be asked again.
var errTooOften = errors.New("the identity provider was asked too often of late")

// limited bounds how often the provider is asked.
type limited struct {
	next  http.RoundTripper // nil = the default
	limit *rate.Limiter
}

// RoundTrip makes the request, or refuses to.
func (l *limited) RoundTrip(r *http.Request) (*http.Response, error) {
	if !l.limit.Allow() {
		return nil, errTooOften
	}
	if l.next == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	return l.next.RoundTrip(r)
}

// isTransport tells whether an error comes from the way to the provider.
func isTransport(err error) bool {
	var u *url.Error
	var n net.Error
	return errors.As(err, &u) || errors.As(err, &n)
}

// checkIssuer refuses a provider whose keys anybody on the way could exchange.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is not a URL: write https://login.example.com/realm", issuer)
	}
	ip := net.ParseIP(u.Hostname())
	here := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !here) {
		return fmt.Errorf("%q must be https: its keys say whom to trust", issuer)
	}
	return nil
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
