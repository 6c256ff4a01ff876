package httpapi_test

import (
	"strings"
	"testing"

	"github.com/sartorhq/sartor/recommender/httpapi"
)

// TestStrictBodies: what a body says is what the document allows it to say, to the letter, and each once.
func TestStrictBodies(t *testing.T) {
	const between, twice = `"message":"must be between 1 and 100"}]`, `"message":"stands twice in its object"}]`
	s := serve(t, nil)
	for _, sc := range []scenario{
		{name: "number-of-no-float", body: `{"count":1e400}`, status: 422, want: []string{`"errors":[{"field":"count",` + between}},
		{name: "number-of-no-float-below", body: `{"count":-1e400}`, status: 422, want: []string{`"errors":[{"field":"count",` + between}},
		{name: "number-of-no-int", body: `{"count":99999999999999999999}`, status: 422, want: []string{`"errors":[{"field":"count",` + between}},
		{name: "billion", body: `{"count":1e9}`, status: 422, want: []string{`"errors":[{"field":"count",` + between}},
		{name: "in-a-place-for-anything", body: `{"context":{"country":"DE","attrs":{"n":[1,1e400]}}}`, status: 422,
			want: []string{`"errors":[{"field":"context.attrs.n[1]","message":"must be a number between -1.79`}},
		{name: "rank-counts-to-a-thousand", path: "/v1/rank", body: `{"items":["sku-1"],"count":1e400}`, status: 422, want: []string{`"field":"count","message":"must be between 1 and 1000"`}},
		{name: "long-id-and-a-wrong-type", body: `{"user_id":"` + strings.Repeat("u", 129) + `","count":"x"}`, status: 422,
			want: []string{`{"field":"user_id","message":"longer than 128 characters"}`, `"field":"count"`}},
		{name: "scenario-and-a-wrong-type", body: `{"scenario":"A B","count":"x"}`, status: 422, want: []string{`"must be 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit"`}},
		{name: "no-number", body: `{"count":NaN}`, status: 400, want: []string{"not JSON: invalid character 'N'", "at byte 10"}},

		{name: "null", body: `null`, status: 422, want: []string{`"errors":[{"message":"must be an object: {...}"}]`}},
		{name: "null-and-white-space", path: "/v1/rank", body: " null\n", status: 422, want: []string{`"errors":[{"message":"must be an object: {...}"}]`}},
		{name: "null-is-absent", body: `{"user_id":null,"count":null,"context":null,"exclude":null}`, status: 200},

		{name: "twice", body: `{"count":1,"count":2}`, status: 422, want: []string{`"errors":[{"field":"count",` + twice}},
		{name: "twice-and-empty-first", body: `{"user_id":"","user_id":"u2"}`, status: 422, want: []string{`"errors":[{"field":"user_id",` + twice}},
		{name: "twice-with-an-escape", body: `{"user_id":"u1","user\u005fid":"u2"}`, status: 422, want: []string{`"errors":[{"field":"user_id",` + twice}},
		{name: "twice-within", body: `{"explain":true,"context":{"country":"DE","country":"FR"}}`, status: 422, want: []string{`"errors":[{"field":"context.country",` + twice}},
		{name: "twice-in-a-batch", path: "/v1/recommend:batch", body: `{"requests":[{},{"a":{"b":1,"b":2}}]}`, status: 422, want: []string{`"errors":[{"field":"requests[1].a.b",` + twice}},
		{name: "once-in-each", path: "/v1/recommend:batch", body: `{"requests":[{"count":1},{"count":1}]}`, status: 200},
		{name: "another-case", body: `{"User_ID":"u1"}`, status: 422, want: []string{`"errors":[{"field":"User_ID","message":"unknown field; did you mean user_id?"}]`}},
		{name: "text-like-a-name", body: `{"query":"{\"count\":1,\"count\":1}","exclude":["count","count"]}`, status: 200},

		{name: "a-bad-request-spoils-no-other", path: "/v1/recommend:batch", body: `{"requests":[{"count":1},{"user_id":5},7,{"count":1e400},{"USER_ID":"u"},{"count":0}]}`, status: 200,
			want: []string{`{"results":[{"status":200,"recommendation":{`, `"field":"user_id","message":"must be a text in quotes"`, `"errors":[{"message":"must be an object: {...}"}]`,
				`"field":"count",` + between, `"field":"USER_ID"`}},
		{name: "country-of-no-event", body: `{"context":{"country":"` + strings.Repeat("x", 65) + `","device":"` + strings.Repeat("x", 1001) + `"}}`, status: 422,
			want: []string{`{"field":"context.country","message":"longer than 64 bytes"}`, `{"field":"context.device","message":"longer than 1000 bytes"}`}},
		{name: "control-in-a-fact", body: `{"context":{"country":"D\u0000"}}`, status: 422, want: []string{`{"field":"context.country","message":"contains a control character"}`}},
		{name: "beside-the-requests", path: "/v1/recommend:batch", body: `{"user_id":"u1","requests":[{"user_id":5},7]}`, status: 422,
			want: []string{`"errors":[{"field":"user_id","message":"unknown field; there are requests"}]`}},
		{name: "no-list-of-requests", path: "/v1/recommend:batch", body: `{"requests":{"count":1}}`, status: 422, want: []string{`{"field":"requests","message":"must be a list: [...]"}`}},
	} {
		t.Run(sc.name, func(t *testing.T) {
			if sc.method = "POST"; sc.path == "" {
				sc.path = "/v1/recommend"
			}
			sc.run(t, s)
		})
	}
}

// TestSimilarQuery: similar items bring their fields as other lists do, and a parameter that has one value stands once.
func TestSimilarQuery(t *testing.T) {
	s := serve(t, nil)
	for _, sc := range []scenario{
		{name: "fields", path: "?count=1&include_fields=price&include_fields=category", status: 200, want: []string{`"fields":{"category":"coats","price":90}`}},
		{name: "no-such-field", path: "?include_fields=prize", status: 422, want: []string{`{"field":"include_fields[0]","message":"is not an item field of the schema; did you mean price?"}`}},
		{name: "twice", path: "?count=1&count=2", status: 422, want: []string{`"errors":[{"field":"count","message":"stands twice in the query"}]`}},
		{name: "unknown-twice", path: "?foo=1&foo=2", status: 422, want: []string{`1 of the request's fields`}},
		{name: "excluded-twice", path: "?exclude=a&exclude=sku-2", status: 200, not: []string{"sku-2"}},
	} {
		sc.method, sc.path = "GET", "/v1/items/sku-1/similar"+sc.path
		t.Run(sc.name, func(t *testing.T) { sc.run(t, s) })
	}
}

// TestPagesOfOtherSites: without keys, a page of another site that somebody on this machine looks at could else have
// the browser post events, as a form. Servers and one's own pages are not concerned, nor is a server with keys, which
// no page of another site has.
func TestPagesOfOtherSites(t *testing.T) {
	const event = `{"event_id":"e","type":"view","time":"2026-10-23T11:00:00Z","user_id":"u1","item_id":"sku-1"}`
	s := serve(t, nil)
	for site, status := range map[string]int{"cross-site": 403, "same-site": 202, "same-origin": 202, "none": 202, "": 202} {
		sc := scenario{method: "POST", path: "/v1/events", body: event, status: status, headers: map[string]string{"Content-Type": "text/plain"}}
		if site != "" {
			sc.headers["Sec-Fetch-Site"] = site
		}
		t.Run(site, func(t *testing.T) { sc.run(t, s) })
	}
	if n := len(s.log.written()); n != 4 {
		t.Errorf("%d events were written, want the 4 that were let in", n)
	}
	keys, text := ring(httpapi.Key{ID: "shop", Scopes: httpapi.Scopes()})
	s = serve(t, func(o *httpapi.Options) { o.Keys = keys })
	scenario{method: "POST", path: "/v1/events", body: event, status: 202,
		headers: map[string]string{"Sec-Fetch-Site": "cross-site", "X-Api-Key": text["shop"]}}.run(t, s)
}

// TestUnknownMethods: Fiber answers methods that it does not know by itself, as plain text.
func TestUnknownMethods(t *testing.T) {
	s := serve(t, nil)
	for _, method := range []string{"FOO", "PROPFIND", "get", "POSTS"} {
		sc := scenario{method: method, path: "/v1/recommend", body: `{}`, status: 405, want: []string{`"type":"urn:sartor:problem:method-not-allowed"`, `"detail":"this path takes GET, HEAD, POST, PUT, DELETE"`}}
		t.Run(method, func(t *testing.T) { sc.run(t, s) })
	}
	_, metrics := s.do(t, "GET", "/metrics", "", nil)
	if want := `sartor_http_requests_total{code="405",method="other",route="unmatched"} 4`; !strings.Contains(metrics, want) {
		t.Errorf("the metrics lack %s", want)
	}
}

// TestRateOfABatch: a batch takes as much of a key's rate as the requests in it.
func TestRateOfABatch(t *testing.T) {
	keys, text := ring(httpapi.Key{ID: "mail", Scopes: httpapi.Scopes(), Rate: 1, Burst: 10})
	s := serve(t, func(o *httpapi.Options) { o.Keys = keys })
	ask := func(path, body string) (int, string) {
		resp, _ := s.do(t, "POST", path, body, map[string]string{"X-Api-Key": text["mail"]})
		return resp.StatusCode, resp.Header.Get("RateLimit") + resp.Header.Get("Retry-After")
	}
	batch := func(n int) string { return `{"requests":[` + strings.Repeat(`{"count":1},`, n-1) + `{"count":1}]}` }
	for _, step := range []struct {
		path, body, header string
		status             int
	}{
		{"/v1/recommend:batch", batch(4), `"key";r=6;t=0`, 200},
		{"/v1/recommend", `{}`, `"key";r=5;t=0`, 200},
		{"/v1/recommend:batch", batch(20), `"key";r=0;t=16`, 200}, // 15 more than are left
		{"/v1/recommend", `{}`, `"key";r=0;t=1616`, 429},
	} {
		if status, header := ask(step.path, step.body); status != step.status || header != step.header {
			t.Errorf("%s: %d %s, want %d %s", step.path, status, header, step.status, step.header)
		}
	}
}
