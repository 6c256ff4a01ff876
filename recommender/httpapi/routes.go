package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sartorhq/sartor/recommender"
)

// routes lists every operation of the API.
func (s *Server) routes() []route {
	return append(append(append(s.recommendRoutes(), s.eventRoutes()...), s.adapterRoutes()...), s.operatorRoutes()...)
}

// scoped gives routes their scope and says so in the document.
func scoped(scope Scope, routes ...route) []route {
	for i := range routes {
		routes[i].scope = scope
		routes[i].operation.Security = []map[string][]string{{}, {keyScheme: {string(scope)}}}
	}
	return routes
}

func (s *Server) recommendRoutes() []route {
	d := &s.document
	return scoped(ScopeRecommend, []route{
		{method: http.MethodPost, path: "/v1/recommend", maxBody: maxBody, handler: s.recommend, operation: &huma.Operation{
			OperationID: "recommend", Tags: []string{"recommendations"}, Summary: "Recommend items to a user",
			Description: "Answers with a list whenever there is anything to list, and says in served_by and degraded how it was made.",
			RequestBody: jsonBody(d.recommend, map[string]any{
				"user_id": "u1", "scenario": "home", "count": 10, "context": map[string]any{"country": "DE"},
				"exclude": []string{"sku-9"}, "filter": "item.price < 50", "explain": true,
				"include_fields": []string{"title", "price"}, "paging": true,
			}),
			Responses: d.answers(http.StatusOK, "The list.", recommendation{}),
		}},
		{method: http.MethodPost, path: "/v1/recommend:batch", maxBody: maxEventBody, handler: s.recommendBatch, operation: &huma.Operation{
			OperationID: "recommendBatch", Tags: []string{"recommendations"}, Summary: "Recommend items to many users",
			Description: "For mailings. Each request is answered on its own; a bad one has a problem in its result and spoils no other.",
			RequestBody: jsonBody(d.batch, map[string]any{"requests": []any{
				map[string]any{"user_id": "u1", "scenario": "email", "count": 5}, map[string]any{"user_id": "u2", "scenario": "email", "count": 5},
			}}),
			Responses: d.answers(http.StatusOK, "One result per request.", batchAnswer{}),
		}},
		{method: http.MethodPost, path: "/v1/rank", maxBody: maxBody, handler: s.rank, operation: &huma.Operation{
			OperationID: "rank", Tags: []string{"recommendations"}, Summary: "Order given items for a user",
			Description: "By the model, under the rules of the scenario: for search results and lists that come from elsewhere. What is unknown, excluded or given twice is left out; nothing is added.",
			RequestBody: jsonBody(d.rank, map[string]any{
				"user_id": "u1", "scenario": "search", "items": []string{"sku-2", "sku-1"}, "include_fields": []string{"price"},
			}),
			Responses: d.answers(http.StatusOK, "The items, best first.", recommendation{}),
		}},
		{method: http.MethodGet, path: "/v1/items/{id}/similar", handler: s.similar, operation: &huma.Operation{
			OperationID: "similarItems", Tags: []string{"recommendations"}, Summary: "Items like this one",
			Description: "By item vectors; for an item without one, what is popular in its category.",
			Parameters: []*huma.Param{
				idParam("item"),
				queryParam("count", "Length of the list.", countSchema()),
				queryParam("scenario", "Placement whose rules apply; product-page by default.", textSchema(63)),
				queryParam("filter", "A condition that every item must meet.", textSchema(2000)),
				queryParam("exclude", "An item that must not be in the list; may be repeated.", &huma.Schema{Type: huma.TypeArray, Items: textSchema(128)}),
				queryParam("include_fields", "An item field of the feature schema to return with each item; may be repeated.", &huma.Schema{Type: huma.TypeArray, Items: textSchema(128)}),
				queryParam("country", "Country of the visit.", textSchema(recommender.MaxCountryBytes)),
				queryParam("explain", "Tell how the list came to be.", &huma.Schema{Type: huma.TypeBoolean}),
			},
			Responses: d.answers(http.StatusOK, "The list.", recommendation{}),
		}},
	}...)
}

func (s *Server) eventRoutes() []route {
	d := &s.document
	object := func() *huma.Schema { return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true} }
	change := func(rt route, id, what, summary string) route {
		rt.operation = &huma.Operation{
			OperationID: id, Tags: []string{"events"}, Summary: summary,
			Description: "Written to the log with a new event id and the current time; takes effect within about a second.",
			Parameters:  []*huma.Param{idParam(what)},
			Responses:   d.answers(http.StatusAccepted, "Written to the log.", changeAnswer{}),
		}
		return rt
	}
	const itemPath, userPath = "/v1/items/{id}", "/v1/users/{id}"
	putItem := change(route{method: http.MethodPut, path: itemPath, maxBody: maxBody, handler: s.putItem},
		"putItem", "item", "Put an item into the catalogue; the body replaces its document")
	putItem.operation.RequestBody = jsonBody(object(), map[string]any{"title": "Rain coat", "category": "coats", "brand": "acme", "price": 4990, "stock": 12})
	putUser := change(route{method: http.MethodPut, path: userPath, maxBody: maxBody, handler: s.putUser},
		"putUser", "user", "Set the attributes of a user; the body replaces all of them")
	putUser.operation.RequestBody = jsonBody(object(), map[string]any{"tier": "gold", "country": "DE"})
	deleteItem := change(route{method: http.MethodDelete, path: itemPath, handler: s.deleteItem}, "deleteItem", "item", "Take an item out of the catalogue")
	deleteUser := change(route{method: http.MethodDelete, path: userPath, handler: s.deleteUser}, "deleteUser", "user", "Forget a user")
	out := scoped(ScopeEvents, []route{
		{method: http.MethodPost, path: "/v1/events", maxBody: maxEventBody, handler: s.postEvents, operation: &huma.Operation{
			OperationID: "postEvents", Tags: []string{"events"}, Summary: "Report what happened: one event or a list",
			Description: "Valid events are written to the log although others are not. 202 tells how many were accepted and names the rest; 422 when none is valid; 503 with not_accepted when the log does not take them. Segment calls, Segment's batches and CloudEvents are told by themselves; a CloudEvent may also come in binary mode, its attributes in ce- headers. streams/EVENTS.md has the fields.",
			RequestBody: withCloudEvents(jsonBody(&huma.Schema{Description: "An event, or a list of events"}, map[string]any{
				"event_id": "e1", "type": "view", "time": "2026-10-23T11:00:00Z", "user_id": "u1", "item_id": "sku-1",
			})),
			Responses: d.answers(http.StatusAccepted, "What was accepted, and what was not.", eventsAnswer{}),
		}},
	}...)
	out = append(out, scoped(ScopeItems, putItem, deleteItem)...)
	return append(out, scoped(ScopeUsers, putUser, deleteUser)...)
}

func (s *Server) operatorRoutes() []route {
	d := &s.document
	get := func(path, id, summary string, responses map[string]*huma.Response) route {
		return route{method: http.MethodGet, path: path, operation: &huma.Operation{
			OperationID: id, Tags: []string{"operation"}, Summary: summary, Responses: responses,
		}}
	}
	livez := get("/livez", "livez", "Is the process alive?", d.answers(http.StatusOK, "It is.", health{}))
	livez.handler = s.livez
	readyz := get("/readyz", "readyz", "Should requests be sent here? Degraded counts as ready.", d.answers(http.StatusOK, "Yes.", health{}))
	readyz.operation.Parameters = []*huma.Param{queryParam("verbose", "Tell the single checks.", &huma.Schema{Type: huma.TypeString})}
	readyz.operation.Responses["503"] = &huma.Response{Description: "Not now.", Content: map[string]*huma.MediaType{
		"application/json": {Schema: d.schema(health{})}}}
	readyz.handler = s.readyz
	version := get("/version", "version", "What runs here?", d.answers(http.StatusOK, "Version of the binary.", versionBody{}))
	version.handler = s.version
	status := route{method: http.MethodGet, path: "/v1/status", operation: d.statusOperation(), handler: s.status}
	figures := route{method: http.MethodGet, path: "/metrics", operation: d.metricsOperation(), handler: s.metricsHandler()}
	doc := route{method: http.MethodGet, path: "/openapi.json", operation: openAPIOperation(), handler: s.openAPI}
	out := []route{livez, readyz, version, doc}
	if s.opts.Admin {
		return out // the admin listener has the rest
	}
	return append(out, scoped(ScopeAdmin, status, figures)...)
}

// What both listeners can answer is described once.

func (d *document) statusOperation() *huma.Operation {
	return &huma.Operation{OperationID: "status", Tags: []string{"operation"}, Summary: "What are answers made from?",
		Responses: d.answers(http.StatusOK, "Model, rules, catalogue and their state.", statusBody{})}
}

func (d *document) metricsOperation() *huma.Operation {
	return &huma.Operation{OperationID: "metrics", Tags: []string{"operation"}, Summary: "Figures for Prometheus",
		Responses: textAnswer("text/plain", "Metrics.", &huma.Schema{Type: huma.TypeString})}
}

func openAPIOperation() *huma.Operation {
	return &huma.Operation{OperationID: "openapi", Tags: []string{"operation"}, Summary: "This document",
		Responses: textAnswer("application/openapi+json", "OpenAPI 3.1.", &huma.Schema{Type: huma.TypeObject})}
}
