package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sartorhq/sartor/recommender/identity"
	"github.com/sartorhq/sartor/rules/rulestore"
)

// adminRoute is one route of operators and the least role that a person needs for it. A key needs the
// scope admin for all of them.
type adminRoute struct {
	pattern   string // of http.ServeMux: a method and a path
	role      identity.Role
	handler   http.HandlerFunc
	operation *huma.Operation // nil: not in the document
}

// addAdmin puts the routes that have an operation into the document.
func (d *document) addAdmin(routes []adminRoute) {
	for _, rt := range routes {
		if rt.operation == nil {
			continue
		}
		method, path, _ := strings.Cut(rt.pattern, " ")
		rt.operation.Security = []map[string][]string{{}, {keyScheme: {string(ScopeAdmin)}}}
		rt.operation.Description = strings.TrimSpace(rt.operation.Description + " A person needs the role " + string(rt.role) + ".")
		d.add(route{method: method, path: path, operation: rt.operation, scope: ScopeAdmin})
	}
}

// exampleRules is a rule file that passes its checks, for the document.
const exampleRules = `apiVersion: rules/v1
kind: RuleSet
name: home
description: What is sold out is not shown
owner: shop team
scope: {scenarios: [home]}
rules:
  - id: sold-out
    match: item.stock == 0
    then: [exclude: {reason: none left}]
`

// ruleRoutes are the routes of the rule archive, as the document has them. They are there when there is an
// archive.
func (s *Server) ruleRoutes(d *document) []adminRoute {
	id := &huma.Param{Name: "id", In: "path", Required: true, Example: "7", Schema: textSchema(128),
		Description: "Number or id of a revision; to show one, also current."}
	op := func(name, summary string, status int, answer any) *huma.Operation {
		return &huma.Operation{OperationID: name, Tags: []string{"rules"}, Summary: summary, Responses: d.answers(status, "Done.", answer)}
	}
	one := func(o *huma.Operation, about string) *huma.Operation {
		o.Description, o.Parameters = about, []*huma.Param{id}
		return o
	}
	body := func(o *huma.Operation, in, example any) *huma.Operation {
		o.RequestBody = jsonBody(d.schema(in), example)
		return o
	}
	judged := func(o *huma.Operation) *huma.Operation {
		o.Responses["422"] = &huma.Response{Description: "The revision did not pass its checks: the report says why, and nothing has changed. Or the request cannot be used.",
			Content: map[string]*huma.MediaType{problemType: {Schema: d.schema(refusalBody{})}}}
		o.RequestBody = jsonBody(d.schema(judgeBody{}), map[string]any{"allow_warnings": false})
		o.RequestBody.Required = false
		return o
	}
	revision := op("approveRevision", "Agree to a revision", http.StatusOK, rulestore.Revision{})
	submit := body(op("submitRevision", "Hand in a draft of all rule files", http.StatusCreated, rulestore.Revision{}), draftBody{},
		map[string]any{"files": map[string]any{"home.yaml": exampleRules}, "message": "Hide what is sold out"})
	return []adminRoute{
		{"GET /v1/rules/revisions", identity.Viewer, s.answered(s.listRevisions), op("listRevisions", "The revisions of the rules", http.StatusOK, revisionList{})},
		{"GET /v1/rules/revisions/{id}", identity.Viewer, s.answered(s.showRevision), one(op("showRevision", "One revision with its files", http.StatusOK, revisionBody{}), "")},
		{"GET /v1/rules/audit", identity.Viewer, s.answered(s.showAudit), op("showAudit", "Who did what, verified by its chain of hashes", http.StatusOK, auditBody{})},
		{"GET /v1/rules/replicas", identity.Viewer, s.answered(s.showReplicas), op("showReplicas", "Which revision each replica serves", http.StatusOK, replicaList{})},
		{"POST /v1/rules/revisions", identity.Editor, s.answered(s.submitRevision), submit},
		{"POST /v1/rules/revisions/{id}/check", identity.Editor, s.answered(s.checkRevision),
			one(judged(op("checkRevision", "Check a revision and run its tests", http.StatusOK, checkBody{})), "Nobody is served anything else by it.")},
		{"POST /v1/rules/revisions/{id}/approve", identity.Publisher, s.answered(s.approveRevision),
			one(body(revision, approveBody{}, map[string]any{"comment": "Prices checked"}), "Needed as often as the policy says, by others than the author.")},
		{"POST /v1/rules/revisions/{id}/publish", identity.Publisher, s.answered(s.publishRevision),
			one(judged(op("publishRevision", "Make a revision the one that is served", http.StatusOK, checkBody{})), "It is checked again; one that does not pass changes nothing.")},
		{"POST /v1/rules/revisions/{id}/rollback", identity.Publisher, s.answered(s.rollbackRevision),
			one(body(op("rollbackRevision", "Serve a revision again that was live before", http.StatusOK, checkBody{}), rollbackBody{}, map[string]any{"message": "Sales fell"}), "As a new revision.")},
		{"PUT /v1/rules/policy", identity.Admin, s.answered(s.setPolicy),
			body(op("setPolicy", "Say how many others must agree to a revision", http.StatusOK, policyAnswer{}), policyBody{}, map[string]any{"approvals": 1, "message": "Four eyes"})},
	}
}

// adminServer says where the routes of operators are: not where the document's other routes are.
func adminServer() []*huma.Server {
	return []*huma.Server{{URL: "{admin}", Description: "The listener of operators, http.admin_addr, of a service with an archive of rules",
		Variables: map[string]*huma.ServerVariable{"admin": {Default: "http://127.0.0.1:8081"}}}}
}

// whole is the document of a server without adapters, together with the routes of operators: what clients
// are made from.
func whole() document {
	s := New(Options{})
	d := &s.document
	routes := s.ruleRoutes(d)
	d.addAdmin(routes)
	for _, rt := range routes {
		_, path, _ := strings.Cut(rt.pattern, " ")
		d.api.Paths[path].Servers = adminServer()
	}
	d.freeze()
	return *d
}

// openAPIOfAdmin answers with the document of the operators' listener.
func (s *Server) openAPIOfAdmin(d *document) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		s.adminJSON(w, http.StatusOK, json.RawMessage(d.json))
	}
}
