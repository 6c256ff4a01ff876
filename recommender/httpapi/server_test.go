package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/streams"
)

var noon = time.Date(2026, 10, 23, 12, 0, 0, 0, time.UTC)

// log is an event log in memory.
type log struct {
	mu     sync.Mutex
	events []streams.Event
	err    error
}

func (l *log) Write(_ context.Context, events ...streams.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.events = append(l.events, events...)
	return nil
}

func (l *log) written() []streams.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]streams.Event(nil), l.events...)
}

// partial is an error that refuses the second event.
type partial struct{}

func (partial) Error() string { return "broker said no" }

func (partial) EventErrors() []error { return []error{nil, errors.New("no"), nil} }

// items is an item source that returns its documents once.
type items map[string]string

func (i items) ChangedItems(context.Context, []int64) ([]features.ItemState, []int64, error) {
	var out []features.ItemState
	for id, doc := range i {
		out = append(out, features.ItemState{ID: id, State: &features.State{Doc: doc, DocTime: noon.UnixMilli()}})
	}
	return out, []int64{1}, nil
}

// users remembers which subjects were asked for.
type users struct {
	mu    sync.Mutex
	asked []string
	err   error
	panic bool
}

func (u *users) User(_ context.Context, subject string) (*features.State, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked = append(u.asked, subject)
	if u.panic {
		panic("user reader")
	}
	return nil, u.err
}

// patient is the time that tests give an answer: what they say holds on a machine that stands still for a second.
const patient = 10 * time.Minute

// service is a real server on a loopback socket.
type service struct {
	url   string
	rec   *recommender.Recommender
	log   *log
	users *users
	http  *httpapi.Server
	reg   *prometheus.Registry
}

func serve(t testing.TB, change func(*httpapi.Options)) *service {
	t.Helper()
	s := &service{log: &log{}, users: &users{}, reg: prometheus.NewRegistry()}
	s.rec = recommender.New(recommender.Options{
		Schema: features.Default(), Users: s.users, Now: func() time.Time { return noon }, Registerer: s.reg,
		Budget: patient, UserTimeout: patient,
	})
	err := s.rec.Refresh(t.Context(), items{
		"sku-1": `{"price": 1000, "category": "coats"}`, "sku-2": `{"price": 9000, "category": "coats"}`, "a/b c": `{}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	opts := httpapi.Options{
		Recommender: s.rec, Events: s.log, Version: "v1.2.3", Gatherer: s.reg, Registerer: s.reg,
		Now: func() time.Time { return noon }, NewID: func() string { return "made-here" },
	}
	if change != nil {
		change(&opts)
	}
	s.http = httpapi.New(opts)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + ln.Addr().String()
	done := make(chan error, 1)
	go func() { done <- s.http.Serve(ln) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.http.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

// scenario is one request and what must come back.
type scenario struct {
	name, method, path, body string
	headers                  map[string]string
	status                   int
	want                     []string // in the body
	not                      []string // not in the body
}

func (sc scenario) run(t *testing.T, s *service) {
	t.Helper()
	resp, body := s.do(t, sc.method, sc.path, sc.body, sc.headers)
	if resp.StatusCode != sc.status {
		t.Errorf("status %d, want %d; body %s", resp.StatusCode, sc.status, body)
	}
	kind := resp.Header.Get("Content-Type")
	if sc.status >= 400 && sc.status != http.StatusServiceUnavailable && kind != "application/problem+json" {
		t.Errorf("an error of type %q, want application/problem+json", kind)
	}
	if resp.Header.Get("X-Request-Id") == "" {
		t.Error("no X-Request-Id")
	}
	for _, want := range sc.want {
		if !strings.Contains(body, want) {
			t.Errorf("the body lacks %q: %s", want, body)
		}
	}
	for _, not := range sc.not {
		if strings.Contains(body, not) {
			t.Errorf("the body has %q: %s", not, body)
		}
	}
}

func (s *service) do(t testing.TB, method, path, body string, headers map[string]string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var buf bytes.Buffer
	if _, err := io.Copy(&buf, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp, buf.String()
}

func TestRoutes(t *testing.T) {
	s := serve(t, func(o *httpapi.Options) {
		o.Rules = func() httpapi.RulesStatus {
			return httpapi.RulesStatus{Revision: "r7", LastAttempt: noon, Problems: brokenRule()}
		}
	})
	event := func(id string) string {
		return `{"event_id":"` + id + `","type":"view","time":"2026-10-23T11:00:00Z","user_id":"u1","item_id":"sku-1"}`
	}
	for _, sc := range []scenario{
		{name: "recommend", method: "POST", path: "/v1/recommend", body: `{"user_id":"u1","scenario":"home","count":2}`, status: 200,
			want: []string{`"recommendation_id":"`, `"items":[{"item_id":"`, `"source":"`, `"reasons":[]`, `"served_by":"popular"`, `"degraded":["no_model","no_rules"]`, `"versions":{"model":"","rules":"`},
			not:  []string{`"explain"`, `null`}},
		{name: "recommend-explains", method: "POST", path: "/v1/recommend", body: `{"user_id":"u1","explain":true}`, status: 200,
			want: []string{`"explain":{"summary":["Nothing is stored about this user`, `"stages":[{"name":"user","micros":`, `"story":["Candidate 1 from`}},
		{name: "recommend-nobody", method: "POST", path: "/v1/recommend", body: `{}`, status: 200, want: []string{`"items":[{`}},
		{name: "recommend-names-every-field", method: "POST", path: "/v1/recommend",
			body: `{"user_id":"` + strings.Repeat("u", 129) + `","count":0,"scenario":"No Good","exclude":["` + strings.Repeat("x", 129) + `"]}`, status: 422,
			want: []string{`"type":"urn:sartor:problem:invalid-request"`, `"status":422`, `"field":"user_id"`, `"field":"count"`, `"field":"scenario"`, `"field":"exclude[0]"`},
			not:  []string{"uuu", "xxx", "No Good"}},
		{name: "recommend-wrong-types", method: "POST", path: "/v1/recommend", body: `{"user_id":77123,"count":"many","nonsense":1}`, status: 422,
			want: []string{`"field":"user_id"`, `"field":"count"`, `nonsense`}, not: []string{"77123", "many"}},
		{name: "recommend-not-json", method: "POST", path: "/v1/recommend", body: `{"user_id":`, status: 400, want: []string{`urn:sartor:problem:malformed`}},
		{name: "recommend-two-values", method: "POST", path: "/v1/recommend", body: `{} {}`, status: 400},
		{name: "recommend-not-utf8", method: "POST", path: "/v1/recommend", body: "{\"user_id\":\"\xff\"}", status: 400},
		{name: "recommend-empty", method: "POST", path: "/v1/recommend", body: ``, status: 400},
		{name: "recommend-deep", method: "POST", path: "/v1/recommend", body: strings.Repeat("[", 100_000), status: 400},
		{name: "recommend-too-large", method: "POST", path: "/v1/recommend", body: `{"query":"` + strings.Repeat("q", 300_000) + `"}`, status: 413},
		{name: "recommend-compressed", method: "POST", path: "/v1/recommend", body: `{}`, headers: map[string]string{"Content-Encoding": "gzip"}, status: 415},
		{name: "events-one", method: "POST", path: "/v1/events", body: event("e1"), status: 202, want: []string{`"accepted":1,"rejected":0,"errors":[]`}},
		{name: "events-list", method: "POST", path: "/v1/events", body: `[` + event("e2") + `,` + event("e3") + `]`, status: 202, want: []string{`"accepted":2`}},
		{name: "events-some-bad", method: "POST", path: "/v1/events", body: `[` + event("e4") + `,{"type":"view"},7]`, status: 202,
			want: []string{`"accepted":1,"rejected":2`, `{"index":1,"field":"time"`, `{"index":1,"field":"items"`, `{"index":2,`}},
		{name: "events-all-bad", method: "POST", path: "/v1/events", body: `{"type":"view"}`, status: 422, want: []string{`"field":"time"`, `"field":"items"`}, not: []string{`"index"`}},
		{name: "events-empty-list", method: "POST", path: "/v1/events", body: `[]`, status: 422},
		{name: "events-empty", method: "POST", path: "/v1/events", body: ` `, status: 400},
		{name: "events-broken-list", method: "POST", path: "/v1/events", body: `[{]`, status: 400},
		{name: "events-too-large", method: "POST", path: "/v1/events", body: strings.Repeat(" ", 1<<20+1), status: 413},
		{name: "similar", method: "GET", path: "/v1/items/sku-1/similar?count=1&country=DE&explain=true", status: 200,
			want: []string{`"item_id":"sku-2"`, `"served_by":"category"`, `no_item_vector`, `"explain":{`}},
		{name: "similar-exclude", method: "GET", path: "/v1/items/sku-1/similar?exclude=sku-2&exclude=zz", status: 200, not: []string{`"item_id":"sku-2"`}},
		{name: "similar-with-slash", method: "GET", path: "/v1/items/a%2Fb%20c/similar", status: 200, not: []string{`"item_id":"a/b c"`}, want: []string{`"item_id":"sku-1"`}},
		{name: "similar-bad-query", method: "GET", path: "/v1/items/sku-1/similar?count=0&explain=maybe&color=red", status: 422,
			want: []string{`"field":"count"`, `"field":"explain"`, `"field":"color"`}, not: []string{"maybe", `"red"`}},
		{name: "put-item", method: "PUT", path: "/v1/items/x%2F1", body: `{"price":4990,"tags":["a"]}`, status: 202, want: []string{`{"event_id":"made-here"}`}},
		{name: "put-item-not-object", method: "PUT", path: "/v1/items/x", body: `[1]`, status: 422},
		{name: "put-item-not-json", method: "PUT", path: "/v1/items/x", body: `{`, status: 400},
		{name: "put-item-long-id", method: "PUT", path: "/v1/items/" + strings.Repeat("x", 129), body: `{}`, status: 422, want: []string{`"field":"id"`}, not: []string{"xxx"}},
		{name: "put-item-bad-escape", method: "PUT", path: "/v1/items/%00", body: `{}`, status: 422},
		{name: "delete-item", method: "DELETE", path: "/v1/items/x", status: 202},
		{name: "put-user", method: "PUT", path: "/v1/users/u9", body: `{"tier":"gold"}`, status: 202},
		{name: "delete-user", method: "DELETE", path: "/v1/users/u9", status: 202},
		{name: "livez", method: "GET", path: "/livez", status: 200, want: []string{`"status":"ok"`}},
		{name: "livez-head", method: "HEAD", path: "/livez", status: 200},
		{name: "readyz", method: "GET", path: "/readyz", status: 200, not: []string{"checks"}},
		{name: "readyz-verbose", method: "GET", path: "/readyz?verbose", status: 200, want: []string{`{"name":"full","ok":false,"detail":"no_model, no_rules"}`}},
		{name: "version", method: "GET", path: "/version", status: 200, want: []string{`"version":"v1.2.3"`, `"go":"go1`}},
		{name: "status", method: "GET", path: "/v1/status", status: 200,
			want: []string{`"items":3`, `"catalogue":"live"`, `"age_seconds":0`, `"revision":"r7","ok":false`, `"path":"home.yaml","line":12,"column":5`}},
		{name: "metrics", method: "GET", path: "/metrics", status: 200,
			want: []string{`sartor_http_requests_total{code="200",method="POST",route="/v1/recommend"}`, `sartor_recommend_served_total{served_by="popular"}`, `sartor_catalogue_items 3`},
			not:  []string{"sku-1", "u1"}},
		{name: "openapi", method: "GET", path: "/openapi.json", status: 200, want: []string{`"openapi":"3.1.0"`, `"/v1/recommend"`}},
		{name: "unknown-path", method: "GET", path: "/v2/recommend", status: 404, want: []string{`urn:sartor:problem:not-found`}},
		{name: "case-matters", method: "GET", path: "/V1/status", status: 404},
		{name: "wrong-method", method: "DELETE", path: "/v1/recommend", status: 405, want: []string{`urn:sartor:problem:method-not-allowed`}},
		{name: "keeps-a-good-request-id", method: "GET", path: "/nowhere", headers: map[string]string{"X-Request-Id": "abc-1"}, status: 404, want: []string{`"request_id":"abc-1"`}},
		{name: "refuses-a-bad-request-id", method: "GET", path: "/nowhere", headers: map[string]string{"X-Request-Id": "<script>"}, status: 404, want: []string{`"request_id":"made-here"`}},
	} {
		t.Run(sc.name, func(t *testing.T) { sc.run(t, s) })
	}
}

// TestStatusOfModels: the status tells how the model's vectors are searched and which scenarios have a model
// of their own, and says nothing of models that are not there.
func TestStatusOfModels(t *testing.T) {
	s := serve(t, nil)
	none := scenario{method: "GET", path: "/v1/status", status: 200, not: []string{`"model":{`, `"index"`, `"scenarios"`}}
	none.run(t, s)
	model := func(version string) models.Model {
		m, err := models.NewPopularity(models.Meta{Version: version}, []string{"sku-1", "sku-2"}, []float32{2, 1})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if err := s.rec.SetModel(model("m1")); err != nil {
		t.Fatal(err)
	}
	if err := s.rec.SetScenarioModel("cart", model("c1")); err != nil {
		t.Fatal(err)
	}
	both := scenario{method: "GET", path: "/v1/status", status: 200, want: []string{`"version":"m1"`, `"scenarios":{"cart":"c1"}`,
		`"index":"` + s.rec.Status().Model.Index + `","recall":1`}}
	both.run(t, s)
	if s.rec.Status().Model.Index == "" {
		t.Error("the index has no name")
	}
}

func TestWrittenEvents(t *testing.T) {
	s := serve(t, nil)
	s.do(t, "PUT", "/v1/items/x%2F1", `{"price":4990}`, nil)
	s.do(t, "DELETE", "/v1/items/x%2F1", "", nil)
	s.do(t, "PUT", "/v1/users/u9", `{"tier":"gold"}`, nil)
	s.do(t, "DELETE", "/v1/users/u9", "", nil)
	got := s.log.written()
	want := []streams.Type{streams.ItemUpsert, streams.ItemDelete, streams.UserUpsert, streams.UserDelete}
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d: %+v", len(got), len(want), got)
	}
	for i, e := range got {
		key := []string{"x/1", "x/1", "u9", "u9"}[i]
		if e.Type != want[i] || e.ID != "made-here" || !e.Time.Equal(noon) || e.Key() != key {
			t.Errorf("event %d = %+v, want a %s of %s at noon", i, e, want[i], key)
		}
	}
	if p := got[0].Attributes["price"]; p != 4990.0 {
		t.Errorf("price %v, want 4990", p)
	}
}

func TestEventsWhenTheLogIsDown(t *testing.T) {
	event := `{"event_id":"e","type":"view","time":"2026-10-23T11:00:00Z","user_id":"u1","item_id":"sku-1"}`
	for name, tc := range map[string]struct {
		change func(*httpapi.Options)
		err    error
		body   string
		want   []string
	}{
		"no-log":  {func(o *httpapi.Options) { o.Events = nil }, nil, event, []string{`"accepted":0,"not_accepted":[0]`}},
		"down":    {nil, errors.New("secret broker address"), `[` + event + `,{},` + event + `]`, []string{`"accepted":0,"not_accepted":[0,2]`, `"index":1`}},
		"partial": {nil, partial{}, `[{},` + event + `,` + event + `,` + event + `]`, []string{`"accepted":2,"not_accepted":[2]`}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tc.change)
			s.log.err = tc.err
			resp, body := s.do(t, "POST", "/v1/events", tc.body, nil)
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("status %d, Retry-After %q, type %q; want 503, set, problem", resp.StatusCode, resp.Header.Get("Retry-After"), resp.Header.Get("Content-Type"))
			}
			for _, want := range tc.want {
				if !strings.Contains(body, want) {
					t.Errorf("the body lacks %s: %s", want, body)
				}
			}
			if strings.Contains(body, "secret") {
				t.Errorf("the cause is told to the client: %s", body)
			}
		})
	}
}

func TestRecommendSurvivesEverything(t *testing.T) {
	for name, change := range map[string]func(*service){
		"store-fails": func(s *service) { s.users.err = errors.New("redis is gone") },
		"log-is-down": func(s *service) { s.log.err = errors.New("kafka is gone") },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil)
			change(s)
			for range 20 {
				resp, body := s.do(t, "POST", "/v1/recommend", `{"user_id":"u1"}`, nil)
				if resp.StatusCode != 200 || !strings.Contains(body, `"items":[{`) {
					t.Fatalf("status %d, body %s", resp.StatusCode, body)
				}
			}
		})
	}
}

func TestPanicIsAProblem(t *testing.T) {
	s := serve(t, nil)
	s.users.panic = true
	resp, body := s.do(t, "POST", "/v1/recommend", `{"user_id":"u1"}`, nil)
	if resp.StatusCode != 500 || resp.Header.Get("Content-Type") != "application/problem+json" || strings.Contains(body, "user reader") {
		t.Errorf("status %d, type %q, body %s; want a 500 problem that hides the cause", resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
	s.users.panic = false
	if resp, _ := s.do(t, "POST", "/v1/recommend", `{"user_id":"u1"}`, nil); resp.StatusCode != 200 {
		t.Errorf("the next request got %d, want 200", resp.StatusCode)
	}
}

// TestStringsOutliveTheRequest keeps strings that came from Fiber across requests: without copies all of them would end up as the last one.
func TestStringsOutliveTheRequest(t *testing.T) {
	s := serve(t, nil)
	var want []string
	for _, id := range []string{"alpha", "bravo", "gamma", "delta", "omega"} {
		s.do(t, "DELETE", "/v1/users/"+id, "", nil)
		s.do(t, "POST", "/v1/recommend", `{"user_id":"`+id+`"}`, nil)
		want = append(want, id)
	}
	var deleted []string
	for _, e := range s.log.written() {
		deleted = append(deleted, e.UserID)
	}
	s.users.mu.Lock()
	defer s.users.mu.Unlock()
	if got := strings.Join(deleted, " "); got != strings.Join(want, " ") {
		t.Errorf("events of %s, want %v", got, want)
	}
	if got := strings.Join(s.users.asked, " "); got != strings.Join(want, " ") {
		t.Errorf("users asked for: %s, want %v", got, want)
	}
}
