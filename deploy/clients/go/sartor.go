// Package sartor is the Go client of a Sartor server. All but this file is generated from the server's OpenAPI
// document: 'make clients' in the server's repository renews it.
package sartor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// New returns a client of the server at a URL such as https://sartor.example.com. The key may be empty where
// the server asks for none. Options come after the defaults: a client with a timeout of 3 s.
func New(server, key string, opts ...ClientOption) (*ClientWithResponses, error) {
	defaults := []ClientOption{WithHTTPClient(&http.Client{Timeout: 3 * time.Second})}
	if key != "" {
		defaults = append(defaults, WithRequestEditorFn(func(_ context.Context, req *http.Request) error {
			req.Header.Set("Authorization", "Bearer "+key)
			return nil
		}))
	}
	return NewClientWithResponses(server, append(defaults, opts...)...)
}

// Error says in one line what is wrong with a request: Problem is what the server answers instead of what was
// asked for.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", p.Status, p.Title)
	if p.Detail != nil {
		fmt.Fprintf(&b, ": %s", *p.Detail)
	}
	if p.Errors != nil {
		for _, e := range *p.Errors {
			field := ""
			if e.Field != nil {
				field = *e.Field + ": "
			}
			fmt.Fprintf(&b, "; %s%s", field, e.Message)
		}
	}
	return b.String()
}

// ErrorOf returns the *Problem of an answer, or nil when the answer is what was asked for. It takes the
// HTTPResponse and the Body of any answer.
func ErrorOf(resp *http.Response, body []byte) error {
	if resp.StatusCode < 300 {
		return nil
	}
	var p Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Status == 0 {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	return &p
}
