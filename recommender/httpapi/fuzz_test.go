package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/recommender/httpapi"
)

// FuzzBodies posts anything to the routes that take a body: never a panic, never a 5xx.
func FuzzBodies(f *testing.F) {
	s := serve(f, func(o *httpapi.Options) {})
	paths := []struct{ method, path string }{
		{"POST", "/v1/recommend"}, {"POST", "/v1/events"}, {"PUT", "/v1/items/x"}, {"PUT", "/v1/users/x"}, {"POST", "/v1/rank"}, {"POST", "/v1/recommend:batch"},
	}
	for i := range paths {
		f.Add(byte(i), `{"user_id":"u1","count":3}`)
		f.Add(byte(i), `[{"event_id":"e","type":"view","time":"2026-10-23T11:00:00Z","user_id":"u","item_id":"i"},7]`)
		f.Add(byte(i), `{"requests":[{"count":1e400},null,7,{"a":{"b":1,"b":[]}}],"items":["sku-1",5],"requests":{}}`)
		f.Add(byte(i), strings.Repeat(`{"a":`, 500))
	}
	f.Fuzz(func(t *testing.T, which byte, body string) {
		p := paths[int(which)%len(paths)]
		resp, answer := s.do(t, p.method, p.path, body, nil)
		if resp.StatusCode >= http.StatusInternalServerError || !strings.HasPrefix(answer, "{") {
			t.Fatalf("%s %s answers %d %s to %q", p.method, p.path, resp.StatusCode, answer, body)
		}
	})
}
