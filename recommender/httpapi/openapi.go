package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// document is the OpenAPI 3.1 document, which is also what bad bodies are judged by.
type document struct {
	api       *huma.OpenAPI
	recommend *huma.Schema // of recommendBody
	rank      *huma.Schema // of rankBody
	batch     *huma.Schema // of batchBody
	envelope  *huma.Schema // of batchBody, whatever its requests are: each is judged by itself
	problem   *huma.Schema
	json      []byte
}

// keyScheme names API keys in the document.
const keyScheme = "key"

// apiVersion is the version of the interface, not of the program: GET /version tells that one. The
// document is the same wherever it is made, and so are the clients made from it.
const apiVersion = "1.0.0"

func newDocument() document {
	api := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Sartor", Version: apiVersion,
			Description: "Tailored recommendations from your Kafka streams. Every answer says what served it and what it lacks; every error is problem+json (RFC 9457). A field that is null is taken for absent; one that is unknown, or stands twice, is refused.",
			License:     &huma.License{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		Servers: []*huma.Server{{URL: "/"}},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
			SecuritySchemes: map[string]*huma.SecurityScheme{keyScheme: {
				Type: "http", Scheme: "bearer",
				Description: "An API key, rk_<id>_<secret>, where the operator has set keys. X-Api-Key takes it too.",
			}},
		},
	}
	d := document{api: api}
	d.recommend = d.schema(recommendBody{})
	d.rank = d.schema(rankBody{})
	d.batch = d.schema(batchBody{})
	d.envelope = &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"requests"},
		Properties: map[string]*huma.Schema{"requests": {Type: huma.TypeArray, Items: &huma.Schema{}}}}
	d.envelope.PrecomputeMessages()
	d.problem = d.schema(problem{})
	return d
}

// schemaName names a component after its Go type: recommendBody is RecommendBody, rules.Trace is
// RulesTrace, rulestore.Check is RulesCheck.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if strings.HasSuffix(t.PkgPath(), "/rules") || strings.HasSuffix(t.PkgPath(), "/rulestore") {
		return "Rules" + name
	}
	if name == "" {
		return name
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

func (d *document) registry() huma.Registry { return d.api.Components.Schemas }

// schema returns the schema of a Go value's type, as a reference into the document.
func (d *document) schema(of any) *huma.Schema {
	return d.registry().Schema(reflect.TypeOf(of), true, "")
}

// add puts a route's operation into the document. Every operation may also answer with a problem.
func (d *document) add(rt route) {
	op := rt.operation
	op.Method, op.Path = rt.method, rt.path
	for status, about := range rt.refusals() {
		if op.Responses[status] == nil {
			op.Responses[status] = &huma.Response{Description: about, Content: map[string]*huma.MediaType{problemType: {Schema: d.problem}}}
		}
	}
	if rt.scope == "" && op.Security == nil {
		op.Security = []map[string][]string{{}}
	}
	d.api.AddOperation(op)
}

// refusals are the statuses of problems that a route's requests may get, with what they mean.
func (rt *route) refusals() map[string]string {
	out := map[string]string{"400": "The request cannot be read: broken HTTP, or a body that is not JSON.", "default": "An error."}
	if rt.scope != "" {
		out["401"] = "A key is needed, or the one sent is unknown, expired or taken away."
		out["403"] = "The key lacks the scope, or without keys a page of another site sent the request."
		out["429"] = "The key has used up its rate: Retry-After says for how many seconds."
		out["503"] = "Too many requests are being answered, or what it takes cannot be reached: Retry-After says when to try again."
	}
	if rt.operation.RequestBody != nil {
		out["413"] = "The body is too large."
		out["415"] = "The body is compressed, or of a form that is not taken."
	}
	if rt.operation.RequestBody != nil || len(rt.operation.Parameters) > 0 {
		out["422"] = "Something in the request cannot be used as it is: errors names every field."
	}
	return out
}

// freeze renders the document once. It panics on a document that cannot be rendered, which is a
// programmer's error that every test meets.
func (d *document) freeze() {
	data, err := json.Marshal(d.api)
	if err != nil {
		panic(fmt.Sprintf("render the OpenAPI document: %v", err))
	}
	d.json = data
}

// jsonBody describes a JSON request body with an example that a test sends.
func jsonBody(schema *huma.Schema, example any) *huma.RequestBody {
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: schema, Example: example},
	}}
}

// withCloudEvents adds the media types of CloudEvents to a body of events.
func withCloudEvents(body *huma.RequestBody) *huma.RequestBody {
	event := map[string]any{"specversion": "1.0", "id": "7", "source": "/shop", "type": "view", "time": "2026-10-23T11:00:00Z",
		"data": map[string]any{"user_id": "u1", "item_id": "sku-1"}}
	object := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
	body.Content[typeCloudEvent] = &huma.MediaType{Schema: object, Example: event}
	body.Content[typeCloudEvents] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeArray, Items: object}, Example: []any{event}}
	return body
}

// OpenAPI returns the document that a server without adapters serves, together with that of its listener of
// operators.
func OpenAPI() []byte { return whole().json }

// OpenAPI30 returns the same in OpenAPI 3.0, for generators that do not know 3.1.
func OpenAPI30() ([]byte, error) {
	data, err := whole().api.Downgrade()
	if err != nil {
		return nil, fmt.Errorf("write the document as OpenAPI 3.0: %w", err)
	}
	return data, nil
}

// answers describes the answer of an operation that does what it was asked to do.
func (d *document) answers(status int, description string, body any) map[string]*huma.Response {
	return map[string]*huma.Response{
		fmt.Sprint(status): {Description: description, Content: map[string]*huma.MediaType{
			"application/json": {Schema: d.schema(body)},
		}},
	}
}

// textAnswer describes an answer that is not JSON of ours.
func textAnswer(mediaType, description string, schema *huma.Schema) map[string]*huma.Response {
	return map[string]*huma.Response{
		fmt.Sprint(http.StatusOK): {Description: description, Content: map[string]*huma.MediaType{mediaType: {Schema: schema}}},
	}
}

func idParam(what string) *huma.Param {
	return &huma.Param{Name: "id", In: "path", Required: true, Example: "sku-1",
		Description: "Id of the " + what + ", percent-encoded; at most 128 bytes.",
		Schema:      textSchema(128)}
}

func queryParam(name, description string, schema *huma.Schema) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: schema}
}

func textSchema(maxLength int) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, MaxLength: &maxLength}
}

func countSchema() *huma.Schema {
	low, high := 1.0, 100.0
	return &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &low, Maximum: &high, Default: 10}
}
