package httpapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestMistakesOfNewcomers: what somebody gets wrong at first is answered with what to write instead.
func TestMistakesOfNewcomers(t *testing.T) {
	s := serve(t, nil)
	for _, sc := range []scenario{
		{name: "field", path: "/v1/recommend", body: `{"cuont":5}`, status: 422, want: []string{`{"field":"cuont","message":"unknown field; did you mean count?"}`}},
		{name: "item-field", path: "/v1/recommend", body: `{"user_id":"u","include_fields":["titel"]}`, status: 422, want: []string{`{"field":"include_fields[0]","message":"is not an item field of the schema; did you mean title?"}`}},
		{name: "camel-case", path: "/v1/recommend", body: `{"user_id":"u","includeFields":[]}`, status: 422, want: []string{`{"field":"includeFields","message":"unknown field; did you mean include_fields?"}`}},
		{name: "another-word", path: "/v1/recommend", body: `{"limit":5}`, status: 422, want: []string{`{"field":"limit","message":"unknown field; there are anonymous_id, channel, context, count, `}},
		{name: "in-a-batch", path: "/v1/recommend:batch", body: `{"requests":[{"user_id":"u","coutn":3}]}`, status: 200, want: []string{`{"results":[{"status":422,`, `{"field":"coutn","message":"unknown field; did you mean count?"}`}},
		{name: "batch-of-nothing", path: "/v1/recommend:batch", body: `{"request":[]}`, status: 422, want: []string{`{"field":"requests","message":"is missing"}`, `{"field":"request","message":"unknown field; did you mean requests?"}`}},
		{name: "quoted-number", path: "/v1/recommend", body: `{"count":"5"}`, status: 422, want: []string{`{"field":"count","message":"must be a whole number, such as 10"}`}},
		{name: "bare-text", path: "/v1/recommend", body: `{"user_id":5,"explain":"yes"}`, status: 422, want: []string{`{"field":"user_id","message":"must be a text in quotes"}`, `{"field":"explain","message":"must be true or false"}`}},
		{name: "one-for-a-list", path: "/v1/rank", body: `{"items":"a"}`, status: 422, want: []string{`{"field":"items","message":"must be a list: [...]"}`}},
		{name: "list-for-an-object", path: "/v1/recommend", body: `[]`, status: 422, want: []string{`{"message":"must be an object: {...}"}`}},
		{name: "nothing", path: "/v1/recommend", body: ``, status: 400, want: []string{"the body is empty: send a JSON object"}},
		{name: "no-item", method: "PUT", path: "/v1/items/x", body: ``, status: 400, want: []string{"the body is empty: send a JSON object"}},
		{name: "not-json", path: "/v1/recommend", body: `user_id=u`, status: 400, want: []string{"the body is not JSON", "at byte 1"}},
		{name: "parameter", method: "GET", path: "/v1/items/sku-1/similar?cuont=3", status: 422, want: []string{`{"field":"cuont","message":"unknown parameter; did you mean count?"}`}},
		{name: "another-parameter", method: "GET", path: "/v1/items/sku-1/similar?n=3", status: 422, want: []string{"there are count, scenario, filter"}},
		{name: "event-type", path: "/v1/events", body: `{"event_id":"e","type":"veiw","time":"2026-10-23T12:00:00Z","user_id":"u","item_id":"i"}`, status: 422, want: []string{"did you mean view?"}},
		{name: "event-field", path: "/v1/events", body: `{"event_id":"e","type":"view","time":"2026-10-23T12:00:00Z","userId":"u","item_id":"i"}`, status: 422, want: []string{"did you mean user_id?"}},
		{name: "event-of-tomorrow", path: "/v1/events", body: `[{"event_id":"e","type":"view","time":"2026-10-23T12:06:00Z","user_id":"u","item_id":"i"}]`, status: 422,
			want: []string{`{"index":0,"field":"time","message":"is more than five minutes ahead of the clock here, and would be a dead letter: check the clock of the sender"}`}},
		{name: "event-of-a-fast-clock", path: "/v1/events", body: `{"event_id":"e","type":"view","time":"2026-10-23T12:04:00Z","user_id":"u","item_id":"i"}`, status: 202},
		{name: "price-in-euros", method: "PUT", path: "/v1/items/x", body: `{"price":12.99,"stock":"3","tags":"sale","titel":"x"}`, status: 422, want: []string{
			`{"field":"price","message":"must be a whole number of minor units (1999 for 19.99), not 12.99"}`, `{"field":"stock","message":"must be a whole number, not a text"}`, `{"field":"tags"`}, not: []string{"titel"}},
		{name: "attributes-around-it", method: "PUT", path: "/v1/items/x", body: `{"attributes":{"title":"Lamp"}}`, status: 422, want: []string{`{"field":"attributes","message":"the body is the document itself, without attributes around it"}`}},
		{name: "user-segments", method: "PUT", path: "/v1/users/x", body: `{"segments":"vip"}`, status: 422, want: []string{`{"field":"segments","message":"must be a list of texts, not a text"}`}},
		{name: "filter", path: "/v1/recommend", body: `{"filter":"item.prise < 3"}`, status: 422, want: []string{"did you mean `item.price`?"}},
		{name: "method", method: "GET", path: "/v1/recommend", status: 405, want: []string{`"detail":"this path takes POST"`}},
		{name: "methods", method: "POST", path: "/v1/items/x", body: `{}`, status: 405, want: []string{`"detail":"this path takes `, "PUT", "DELETE"}},
		{name: "path", path: "/v1/recomend", body: `{}`, status: 404, want: []string{"did you mean /v1/recommend?"}},
		{name: "another-path", path: "/recommendations/for-a-user", body: `{}`, status: 404, want: []string{"there is no such path; see /openapi.json"}},
	} {
		t.Run(sc.name, func(t *testing.T) {
			if sc.method == "" {
				sc.method = "POST"
			}
			sc.run(t, s)
		})
	}
}

// TestEveryBodyNamesWhatIsUnknown sends each documented body with one letter too many in the name of a field,
// and no body at all.
func TestEveryBodyNamesWhatIsUnknown(t *testing.T) {
	s := serve(t, nil)
	_, text := s.do(t, "GET", "/openapi.json", "", nil)
	var doc struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	bodies := 0
	for path, item := range doc.Paths {
		for method, op := range item {
			schema := doc.Components.Schemas[strings.TrimPrefix(op.RequestBody.Content["application/json"].Schema.Ref, "#/components/schemas/")]
			if len(op.RequestBody.Content) == 0 {
				continue
			}
			url := strings.NewReplacer("{id}", "sku-1", "{name}", "like", "{category}", "coats").Replace(path)
			if resp, body := s.do(t, strings.ToUpper(method), url, "", nil); resp.StatusCode != 400 || !strings.Contains(body, "the body is empty: send") {
				t.Errorf("%s %s without a body: %d %s", method, path, resp.StatusCode, body)
			}
			for name := range schema.Properties {
				bodies++
				resp, body := s.do(t, strings.ToUpper(method), url, fmt.Sprintf(`{%q:null}`, name+"z"), nil)
				if resp.StatusCode != 422 || !strings.Contains(body, "did you mean "+name+"?") {
					t.Errorf("%s %s with %sz: %d %s", method, path, name, resp.StatusCode, body)
				}
			}
		}
	}
	if bodies < 20 {
		t.Errorf("only %d fields were tried", bodies)
	}
}
