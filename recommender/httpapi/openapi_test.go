package httpapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/rules"
)

func brokenRule() []rules.Problem {
	return []rules.Problem{{Code: "R001", Severity: rules.SeverityError, Path: "home.yaml", Line: 12, Column: 5, Message: "unknown field"}}
}

// TestContract sends the example of every operation in the document to a real server and checks
// request and answer against the document.
func TestContract(t *testing.T) {
	t.Run("plain", func(t *testing.T) { contract(t, serve(t, nil), 15) })
	t.Run("admin", func(t *testing.T) { contract(t, serve(t, func(o *httpapi.Options) { o.Admin = true }), 13) })
	t.Run("adapters", func(t *testing.T) { contract(t, adapted(t), 51) })
}

func contract(t *testing.T, s *service, want int) {
	t.Helper()
	_, body := s.do(t, "GET", "/openapi.json", "", nil)
	doc, err := openapi3.NewLoader().LoadFromData([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("the document is not valid: %v", err)
	}
	operations := 0
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			operations++
			route := &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
			t.Run(op.OperationID, func(t *testing.T) { exercise(t, s, route) })
		}
	}
	if operations != want {
		t.Errorf("%d operations are documented, want %d", operations, want)
	}
}

// exercise sends an operation's example, in every media type that it has, and judges both directions by
// the document.
func exercise(t *testing.T, s *service, route *routers.Route) {
	t.Helper()
	body := route.Operation.RequestBody
	if body == nil {
		exchange(t, s, route, "application/json", nil)
		return
	}
	for kind, media := range body.Value.Content {
		if media.Example == nil {
			t.Fatalf("the request body has no example as %s", kind)
		}
		example, err := json.Marshal(media.Example)
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, s, route, kind, example)
	}
}

func exchange(t *testing.T, s *service, route *routers.Route, kind string, example []byte) {
	t.Helper()
	judge(t, route, "sku-1", kind, example, func(req *http.Request) *http.Response {
		req.URL.Scheme, req.URL.Host = "http", strings.TrimPrefix(s.url, "http://")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	})
}

// judge sends an example and holds it and its answer, which must be a success, to the document. It returns the
// answer's body.
func judge(t *testing.T, route *routers.Route, id, kind string, example []byte, send func(*http.Request) *http.Response) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), route.Method, strings.NewReplacer("{id}", id, "{name}", "like", "{category}", "coats").Replace(route.Path), bytes.NewReader(example))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: map[string]string{"id": id, "name": "like", "category": "coats"}, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
		t.Errorf("the example does not fit the document: %v", err)
	}
	req.Body = io.NopCloser(bytes.NewReader(example))
	resp := send(req)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode >= 300 {
		t.Fatalf("the example got %d: %s", resp.StatusCode, got)
	}
	kind, _, _ = strings.Cut(resp.Header.Get("Content-Type"), ";")
	if documented := route.Operation.Responses.Status(resp.StatusCode); documented == nil || documented.Value.Content.Get(kind) == nil {
		t.Fatalf("an answer %d of type %s is not documented", resp.StatusCode, kind)
	}
	if !strings.HasSuffix(kind, "json") || route.Path == "/openapi.json" {
		return got
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header}
	out.SetBodyBytes(got)
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
		t.Errorf("the answer does not fit the document: %v\n%s", err, got)
	}
	return got
}

// TestEveryRouteIsDocumented asks for the paths of all routes that Fiber knows with every method: what is
// not in the document is not there.
func TestEveryRouteIsDocumented(t *testing.T) {
	s := adapted(t)
	var doc struct{ Paths map[string]map[string]any }
	_, body := s.do(t, "GET", "/openapi.json", "", nil)
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			_, documented := item[strings.ToLower(method)]
			resp, _ := s.do(t, method, strings.NewReplacer("{id}", "sku-1", "{name}", "like", "{category}", "coats").Replace(path), "", nil)
			if there := resp.StatusCode != http.StatusMethodNotAllowed && resp.StatusCode != http.StatusNotFound; there != documented {
				t.Errorf("%s %s: documented %v, answers %d", method, path, documented, resp.StatusCode)
			}
		}
	}
	for _, path := range []string{"/", "/docs", "/debug/pprof/", "/debug/vars", "/swagger", "/apidocs.json", "/v1", "/v1/", "/v1/recommend/", "/console", "/api", "/api/purge", "/api/dashboard/config"} {
		for _, method := range []string{"GET", "POST"} {
			if resp, _ := s.do(t, method, path, "", nil); resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s %s answers %d", method, path, resp.StatusCode)
			}
		}
	}
}

// TestRefusalsAreDocumented: every operation names the problems that its requests may get, as problem+json; those
// that need a key say so, and the others that they need none.
func TestRefusalsAreDocumented(t *testing.T) {
	for _, data := range [][]byte{httpapi.OpenAPI(), []byte(second(adapted(t).do(t, "GET", "/openapi.json", "", nil)))} {
		doc, err := openapi3.NewLoader().LoadFromData(data)
		if err != nil {
			t.Fatal(err)
		}
		if len(doc.Servers) == 0 || doc.Info.License == nil {
			t.Error("the document says neither where the API is nor under which licence")
		}
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				want := []string{"400", "default"}
				if op.Security == nil {
					t.Fatalf("%s %s does not say whether it needs a key", method, path)
				}
				if len(*op.Security) > 1 {
					want = append(want, "401", "403", "429", "503")
				}
				if op.RequestBody != nil {
					want = append(want, "413", "415", "422")
				}
				for _, status := range want {
					if r := op.Responses.Value(status); r == nil || r.Value.Content.Get("application/problem+json") == nil {
						t.Errorf("%s %s does not document %s", method, path, status)
					}
				}
			}
		}
	}
}

func second[A, B any](_ A, b B) B { return b }
