package main

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/recommender/identity"
)

// validateAccess judges who may ask, and in whose language.
func (c *Config) validateAccess(bad report, oneOf func(key, value string, allowed ...string)) {
	var known []string
	for _, a := range httpapi.Adapters() {
		known = append(known, string(a))
	}
	for _, name := range c.HTTP.Adapters {
		oneOf("http.adapters", name, known...)
	}
	o := c.HTTP.OIDC
	if o.Issuer == "" {
		if o.Audience != "" || len(o.Roles) > 0 {
			bad("http.oidc.issuer", "is empty, yet the other keys are set: name the provider")
		}
		return
	}
	if c.HTTP.AdminAddr == "" {
		bad("http.oidc.issuer", "people sign in at the admin address: set http.admin_addr")
	}
	for _, wrong := range o.options().Check() {
		key, message, _ := strings.Cut(wrong, ": ")
		bad("http.oidc."+key, "%s", message)
	}
}

// options are the provider as package identity wants it.
func (o OIDCConfig) options() identity.Options {
	out := identity.Options{Issuer: o.Issuer, Audience: o.Audience, RolesClaim: o.RolesClaim, Skew: o.Skew}
	if len(o.Roles) > 0 {
		out.Roles = map[string]identity.Role{}
		for _, group := range slices.Sorted(maps.Keys(o.Roles)) {
			out.Roles[group] = identity.Role(o.Roles[group])
		}
	}
	return out
}

func (c *Config) validateTrace(bad report) {
	t := &c.Trace
	if !(t.Sample >= 0 && t.Sample <= 1) {
		bad("trace.sample", "must be between 0 and 1")
	}
	if t.Endpoint != "" {
		if u, err := url.Parse(t.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			bad("trace.endpoint", "%q is not a URL such as http://127.0.0.1:4318", t.Endpoint)
		}
	}
	secret, err := readSecret(t.Headers, t.HeadersFile)
	if err != nil {
		bad("trace.headers", "%v", err)
		return
	}
	if t.Headers = secret; secret != "" {
		if _, err := parseHeaders(secret); err != nil {
			bad("trace.headers", "%v", err)
		}
	}
}
