package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/sartorhq/sartor/recommender/httpapi"
)

// TestAdminContract sends the examples of the operators' document in the order of a rule's life, by people with
// the roles that it names, and judges requests and answers by the document. No operation is left out.
func TestAdminContract(t *testing.T) {
	d := newDeskOverFolder(t)
	doc := d.document()
	routes := map[string]*routers.Route{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			routes[op.OperationID] = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
		}
	}
	asked := map[string]bool{}
	for _, step := range []struct{ operation, who, id string }{
		{"openapi", "vera", ""}, {"status", "vera", ""}, {"metrics", "vera", ""},
		{"listRevisions", "vera", ""}, {"setPolicy", "ada", ""}, {"submitRevision", "ed", ""}, {"checkRevision", "ed", "1"},
		{"approveRevision", "pat", "1"}, {"publishRevision", "pat", "1"}, {"showRevision", "vera", "current"}, {"showReplicas", "vera", ""},
		{"listRevisions", "vera", ""}, {"showAudit", "vera", ""}, {"rollbackRevision", "paul", "1"},
	} {
		route := routes[step.operation]
		if route == nil {
			t.Fatalf("%s is not in the document", step.operation)
		}
		if step.operation == "rollbackRevision" { // another one has to be live to come back from
			d.want(200, "ada", "PUT", "/v1/rules/policy", `{"approvals":0,"message":"alone"}`)
			d.want(201, "ed", "POST", "/v1/rules/revisions", draftBody("two", "the second"))
			d.want(200, "pat", "POST", "/v1/rules/revisions/2/publish", "")
		}
		var example []byte
		if body := route.Operation.RequestBody; body != nil {
			example, _ = json.Marshal(body.Value.Content["application/json"].Example)
		}
		t.Run(step.operation, func(t *testing.T) {
			asked[step.operation] = true
			judge(t, route, step.id, "application/json", example, func(req *http.Request) *http.Response { return d.answer(step.who, req) })
		})
	}
	for name := range routes {
		if !asked[name] {
			t.Errorf("%s was not asked", name)
		}
	}
	if _, there := routes["pprof"]; there || len(routes) != 13 {
		t.Errorf("%d operations are documented, want 13", len(routes))
	}
}

// TestAdminRefusalIsDocumented: a revision that does not pass its checks is told in the documented shape.
func TestAdminRefusalIsDocumented(t *testing.T) {
	d := newDeskOverFolder(t)
	d.want(201, "ed", "POST", "/v1/rules/revisions", strings.Replace(draftBody("one", "m"), "item.stock", "item.stok", 1))
	doc := d.document()
	path := "/v1/rules/revisions/{id}/publish"
	item := doc.Paths.Find(path)
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/rules/revisions/1/publish", strings.NewReader("{}"))
	resp := d.answer("pat", req)
	defer resp.Body.Close()
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: map[string]string{"id": "1"},
		Route: &routers.Route{Spec: doc, Path: path, PathItem: item, Method: "POST", Operation: item.Post}}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Body: resp.Body}
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil || resp.StatusCode != 422 {
		t.Errorf("%d: %v", resp.StatusCode, err)
	}
}

// TestAdminRoutesAreDocumented: no method on a documented path answers that the document lacks, and the document
// of clients has all of them, with a note on where they are.
func TestAdminRoutesAreDocumented(t *testing.T) {
	d := newDeskOverFolder(t)
	doc := d.document()
	for path, item := range doc.Paths.Map() {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			resp := d.answer("ada", httptest.NewRequestWithContext(t.Context(), method, strings.ReplaceAll(path, "{id}", "1"), strings.NewReader("{}")))
			var problem struct{ Detail string }
			_ = json.NewDecoder(resp.Body).Decode(&problem)
			resp.Body.Close()
			there := resp.StatusCode != http.StatusMethodNotAllowed && problem.Detail != "there is no such path here"
			if documented := item.GetOperation(method) != nil; there != documented {
				t.Errorf("%s %s: documented %v, answers %d", method, path, documented, resp.StatusCode)
			}
		}
	}
	whole, err := openapi3.NewLoader().LoadFromData(httpapi.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	if err := whole.Validate(t.Context()); err != nil {
		t.Fatalf("the document of clients is not valid: %v", err)
	}
	for path := range doc.Paths.Map() {
		item := whole.Paths.Find(path)
		if item == nil || strings.HasPrefix(path, "/v1/rules") && (len(item.Servers) != 1 || !slices.Contains([]string{"{admin}"}, item.Servers[0].URL)) {
			t.Errorf("the document of clients lacks %s, or says not where it is", path)
		}
	}
}

// document reads the operators' document as one of them.
func (d desk) document() *openapi3.T {
	d.t.Helper()
	resp := d.answer("vera", httptest.NewRequestWithContext(d.t.Context(), "GET", "/openapi.json", nil))
	defer resp.Body.Close()
	doc, err := openapi3.NewLoader().LoadFromIoReader(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := doc.Validate(d.t.Context()); err != nil {
		d.t.Fatalf("the document is not valid: %v", err)
	}
	return doc
}

// answer sends a request as one of the staff.
func (d desk) answer(who string, req *http.Request) *http.Response {
	req.Header.Set("Authorization", "Bearer t."+who)
	w := httptest.NewRecorder()
	d.admin.ServeHTTP(w, req)
	return w.Result()
}
