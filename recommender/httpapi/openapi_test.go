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

	"github.com/sartorhq/sartor/rules"
)

func brokenRule() []rules.Problem {
	return []rules.Problem{{Code: "R001", Severity: rules.SeverityError, Path: "home.yaml", Line: 12, Column: 5, Message: "unknown field"}}
}

// TestContract sends the example of every operation in the document to a real server and checks
// request and answer against the document.
func TestContract(t *testing.T) {
	s := serve(t, nil)
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
	if operations != 15 {
		t.Errorf("%d operations are documented, want 15", operations)
	}
}

// exercise sends an operation's example and judges both directions by the document.
func exercise(t *testing.T, s *service, route *routers.Route) {
	t.Helper()
	var example []byte
	if body := route.Operation.RequestBody; body != nil {
		media := body.Value.Content.Get("application/json")
		if media == nil || media.Example == nil {
			t.Fatal("the request body has no example")
		}
		var err error
		if example, err = json.Marshal(media.Example); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), route.Method, s.url+strings.ReplaceAll(route.Path, "{id}", "sku-1"), bytes.NewReader(example))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: map[string]string{"id": "sku-1"}, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
		t.Errorf("the example does not fit the document: %v", err)
	}
	req.Body = io.NopCloser(bytes.NewReader(example))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode >= 300 {
		t.Fatalf("the example got %d: %s", resp.StatusCode, got)
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if documented := route.Operation.Responses.Status(resp.StatusCode); documented == nil || documented.Value.Content.Get(kind) == nil {
		t.Fatalf("an answer %d of type %s is not documented", resp.StatusCode, kind)
	}
	if !strings.HasSuffix(kind, "json") || route.Path == "/openapi.json" {
		return
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header}
	out.SetBodyBytes(got)
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
		t.Errorf("the answer does not fit the document: %v\n%s", err, got)
	}
}
