package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/decision"
	"github.com/sartorhq/sartor/recommender/httpapi"
)

func adapted(t *testing.T) *service {
	return serve(t, func(o *httpapi.Options) { o.Adapters = httpapi.Adapters() })
}

// TestGorseClients sends what Gorse's own clients send and wants what they read.
func TestGorseClients(t *testing.T) {
	s := adapted(t)
	for _, sc := range []scenario{
		{name: "ids", method: "GET", path: "/api/recommend/bob?n=2", status: 200, want: []string{`["`, `"]`}, not: []string{"Id"}},
		{name: "ids-and-scores", method: "GET", path: "/api/recommend/bob?n=2", headers: map[string]string{"X-API-Version": "2", "X-API-Key": "anything"}, status: 200, want: []string{`[{"Id":"`, `","Score":`}},
		{name: "offset-past-the-end", method: "GET", path: "/api/recommend/bob?n=2&offset=7", status: 200, want: []string{`[]`}},
		{name: "write-back-is-taken", method: "GET", path: "/api/recommend/bob?write-back-type=read&write-back-delay=10m", status: 200},
		{name: "category", method: "GET", path: "/api/recommend/bob?category=coats", status: 200, want: []string{"sku-1", "sku-2"}, not: []string{"a/b c"}},
		{name: "two-categories", method: "GET", path: "/api/recommend/bob?category=coats&category=hats", status: 200, want: []string{`[]`}},
		{name: "category-that-is-code", method: "GET", path: "/api/recommend/bob?category=" + `%22%20or%20true%20or%20%22`, status: 200, want: []string{`[]`}},
		{name: "bad-n", method: "GET", path: "/api/recommend/bob?n=many&offset=-1", status: 422, want: []string{`"field":"n"`, `"field":"offset"`}},
		{name: "neighbors", method: "GET", path: "/api/item/sku-1/neighbors/?n=1", status: 200, want: []string{`[{"Id":"sku-2","Score":`}},
		{name: "item-to-item", method: "GET", path: "/api/item-to-item/any/sku-1?n=1", status: 200, want: []string{`[{"Id":"sku-2","Score":`}},
		{name: "item-to-item-offset", method: "GET", path: "/api/item-to-item/any/sku-1?n=1&offset=90", status: 200, want: []string{`[]`}},
		{name: "item-to-item-too-far", method: "GET", path: "/api/item-to-item/any/sku-1?n=20&offset=90", status: 422, want: []string{`"field":"offset"`}},
		{name: "no-body-in-go", method: "GET", path: "/api/recommend/bob?n=2", body: "null", status: 200, want: []string{`["`}},
		{name: "no-category-in-go", method: "GET", path: "/api/recommend/bob/?n=2&offset=0", body: "null", status: 200, want: []string{`["`}},
		{name: "category-in-the-path", method: "GET", path: "/api/recommend/bob/coats?n=9", status: 200, want: []string{"sku-1", "sku-2"}, not: []string{"a/b c"}},
		{name: "category-in-the-path-with-scores", method: "GET", path: "/api/recommend/bob/coats", headers: map[string]string{"X-API-Version": "2"}, status: 200, want: []string{`{"Id":"sku-1","Score":`}},
		{name: "category-of-nothing", method: "GET", path: "/api/recommend/bob/hats%2Fcaps", status: 200, want: []string{`[]`}},
		{name: "category-of-the-path-wins", method: "GET", path: "/api/recommend/bob/coats?category=hats", status: 200, want: []string{"sku-1"}},
		{name: "user-with-a-slash", method: "GET", path: "/api/recommend/a%2Fb/coats", status: 200, want: []string{"sku-1"}},
		{name: "model-list", method: "GET", path: "/api/collaborative-filtering/bob?n=1", status: 200, want: []string{`[{"Id":"`}},
		{name: "model-list-of-old", method: "GET", path: "/api/intermediate/recommend/bob/hats", status: 200, want: []string{`[]`}},
		{name: "popular", method: "GET", path: "/api/popular/?n=3&offset=1&user-id=bob", body: "null", status: 200, want: []string{`[{"Id":"sku-`}},
		{name: "popular-category", method: "GET", path: "/api/popular/hats", status: 200, want: []string{`[]`}},
		{name: "latest", method: "GET", path: "/api/latest", status: 200, want: []string{`[{"Id":"`}},
		{name: "latest-too-far", method: "GET", path: "/api/latest?n=20&offset=90", status: 422, want: []string{`"field":"offset"`}},
		{name: "non-personalized", method: "GET", path: "/api/non-personalized/most_starred_weekly?n=1", status: 200, want: []string{`[{"Id":"`}},
		{name: "neighbors-category", method: "GET", path: "/api/item/sku-1/neighbors/coats?n=5&offset=0", body: "null", status: 200, want: []string{`[{"Id":"sku-2","Score":`}, not: []string{"a/b c"}},
		{name: "session-category-in-the-path", method: "POST", path: "/api/session/recommend/hats?n=2", status: 200, want: []string{`[]`}, body: `[{"FeedbackType":"read","ItemId":"sku-1"}]`},
		{name: "session", method: "POST", path: "/api/session/recommend?n=2", status: 200, want: []string{`[{"Id":"sku-2","Score":`}, not: []string{"sku-1"},
			body: `[{"FeedbackType":"read","UserId":"","ItemId":"sku-1","Timestamp":"2026-10-23T11:00:00Z"}]`},
		{name: "session-offset", method: "POST", path: "/api/session/recommend?offset=9", status: 200, want: []string{`[]`}, body: `[{"FeedbackType":"read","ItemId":"sku-1"}]`},
		{name: "session-put-back", method: "POST", path: "/api/session/recommend", status: 200, want: []string{`[]`}, body: `[{"FeedbackType":"cart_remove","ItemId":"sku-1"}]`},
		{name: "session-of-nothing", method: "POST", path: "/api/session/recommend", status: 200, want: []string{`[]`}, body: `[]`},
		{name: "session-category", method: "POST", path: "/api/session/recommend?category=hats", status: 200, want: []string{`[]`}, body: `[{"FeedbackType":"read","ItemId":"sku-1"}]`},
		{name: "session-bad", method: "POST", path: "/api/session/recommend?n=0", status: 422, want: []string{`"field":"n"`, `"index":0,"field":"ItemId","message":"is missing"`, `"index":0,"field":"FeedbackType"`}, body: `[{"FeedbackType":"yawn"}]`},
		{name: "session-long", method: "POST", path: "/api/session/recommend", status: 422, want: []string{"at most 100 feedbacks"},
			body: "[" + strings.TrimSuffix(strings.Repeat(`{"FeedbackType":"read","ItemId":"sku-1"},`, 101), ",") + "]"},
		{name: "feedback", method: "POST", path: "/api/feedback", status: 200, want: []string{`{"RowAffected":2}`},
			body: `[{"FeedbackType":"star","UserId":"bob","ItemId":"vuejs:vue","Timestamp":"2022-02-24"},{"FeedbackType":"read","UserId":"bob","ItemId":"x","Timestamp":""}]`},
		{name: "feedback-put", method: "PUT", path: "/api/feedback", status: 200, want: []string{`{"RowAffected":1}`},
			body: `[{"FeedbackType":"rating","UserId":"bob","ItemId":"x","Value":4.5,"Timestamp":"2022-02-24 10:11:12 +0000 UTC","Comment":"","Labels":null}]`},
		{name: "feedback-unknown", method: "POST", path: "/api/feedback", status: 422, want: []string{`"index":1,"field":"FeedbackType"`},
			body: `[{"FeedbackType":"read","UserId":"bob","ItemId":"x"},{"FeedbackType":"yawn","UserId":"bob","ItemId":"x"}]`},
		{name: "feedback-of-nobody", method: "POST", path: "/api/feedback", status: 422, want: []string{`"index":0`}, body: `[{"FeedbackType":"read","ItemId":"x"}]`},
		{name: "feedback-not-json", method: "POST", path: "/api/feedback", status: 400, body: `[{`},
		{name: "item", method: "POST", path: "/api/item", status: 200, want: []string{`{"RowAffected":1}`},
			body: `{"ItemId":"x","IsHidden":false,"Categories":["coats","red"],"Timestamp":"2025-01-01T00:00:00Z","Labels":{"price":4990,"embedding":[1,2,3,4,5,6,7,8]},"Comment":"A coat"}`},
		{name: "items", method: "POST", path: "/api/items", status: 200, want: []string{`{"RowAffected":2}`}, body: `[{"ItemId":"x","IsHidden":true},{"ItemId":"y","Labels":["a","b"]}]`},
		{name: "item-delete", method: "DELETE", path: "/api/item/x", status: 200, want: []string{`{"RowAffected":1}`}},
		{name: "delete-in-go", method: "DELETE", path: "/api/item/x", body: "null", status: 200, want: []string{`{"RowAffected":1}`}},
		{name: "user", method: "POST", path: "/api/user", status: 200, want: []string{`{"RowAffected":1}`}, body: `{"UserId":"bob","Labels":{"tier":"gold"},"Comment":""}`},
		{name: "users", method: "POST", path: "/api/users", status: 200, want: []string{`{"RowAffected":1}`}, body: `[{"UserId":"bob","Labels":["vip"]}]`},
		{name: "user-delete", method: "DELETE", path: "/api/user/bob", status: 200, want: []string{`{"RowAffected":1}`}},
	} {
		t.Run(sc.name, func(t *testing.T) { sc.run(t, s) })
	}
	var told []string
	for _, e := range s.log.written() {
		told = append(told, fmt.Sprintf("%s %s %v", e.Type, e.Key(), e.Attributes))
	}
	want := []string{"wishlist bob map[]", "view bob map[]", "rating bob map[]",
		"item-upsert x map[category:coats created_at:2025-01-01T00:00:00Z price:4990 tags:[coats red] title:A coat]",
		"item-delete x map[]", "item-upsert y map[tags:[a b]]", "item-delete x map[]", "item-delete x map[]",
		"user-upsert bob map[tier:gold]", "user-upsert bob map[segments:[vip]]", "user-delete bob map[]"}
	if got := strings.Join(told, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("written:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	first := s.log.written()[0]
	if first.ID != "gorse-star-bob-vuejs:vue-1645660800000" || !first.Time.Equal(time.Date(2022, 2, 24, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the first event is %s at %v", first.ID, first.Time)
	}
}

// TestGorseOffsets: lists that are cut into pieces by offset are the whole list, in its order, and what was
// only looked through is not told as shown.
func TestGorseOffsets(t *testing.T) {
	var shown []int
	s := serve(t, func(o *httpapi.Options) {
		o.Adapters = []httpapi.Adapter{httpapi.Gorse}
		rec := recommender.New(recommender.Options{Schema: features.Default(), Now: func() time.Time { return noon }, Budget: patient,
			Decided: func(d *decision.Decision) { shown = append(shown, len(d.Items)) }})
		many := items{}
		for i := range 250 {
			many[fmt.Sprintf("i%03d", i)] = `{}`
		}
		if err := rec.Refresh(t.Context(), many); err != nil {
			t.Fatal(err)
		}
		o.Recommender = rec
	})
	get := func(n, offset int) (ids []string) {
		resp, body := s.do(t, "GET", fmt.Sprintf("/api/recommend/bob?n=%d&offset=%d", n, offset), "", nil)
		if err := json.Unmarshal([]byte(body), &ids); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
		return ids
	}
	whole := get(250, 0)
	if len(whole) != 250 {
		t.Fatalf("the whole list has %d items", len(whole))
	}
	var pieces []string
	for _, cut := range [][2]int{{30, 0}, {120, 30}, {100, 150}} {
		shown = nil
		piece := get(cut[0], cut[1])
		pieces = append(pieces, piece...)
		total := 0
		for _, n := range shown {
			total += n
		}
		if total != len(piece) {
			t.Errorf("of %d items %d are told as shown", len(piece), total)
		}
	}
	if a, b := strings.Join(whole, " "), strings.Join(pieces, " "); a != b {
		t.Errorf("the pieces are\n%s\nthe whole is\n%s", b, a)
	}
	if over := get(10, 249); len(over) != 1 {
		t.Errorf("at the end there are %v", over)
	}
}

// TestMetarankClients sends the requests of Metarank's documents.
func TestMetarankClients(t *testing.T) {
	s := adapted(t)
	const ranking = `{"id":"81f46c34-a4bb-469c-8708-f8127cd67d27","timestamp":"1599391467000","user":"user1","session":"session1",
		"fields":[{"name":"query","value":"jeans"},{"name":"source","value":"search"}],
		"items":[{"id":"sku-2","fields":[{"name":"relevancy","value":2.0}]},{"id":"unknown"},{"id":"sku-1","fields":[{"name":"relevancy","value":1.0}]}]}`
	for _, sc := range []scenario{
		{name: "rank", method: "POST", path: "/rank/xgboost", body: ranking, status: 200, want: []string{`{"took":`, `"items":[{"item":"sku-2","score":`, `{"item":"sku-1","score":`}, not: []string{"unknown", "features"}},
		{name: "rank-explains", method: "POST", path: "/rank/xgboost?explain=true", body: ranking, status: 200, want: []string{`"features":[{"name":"source","value":"given"},{"name":"rules","value":[]}]`}},
		{name: "rank-bare-ids", method: "POST", path: "/rank/xgboost", body: `{"items":["sku-1"]}`, status: 200, want: []string{`"item":"sku-1"`}},
		{name: "rank-nothing", method: "POST", path: "/rank/xgboost", body: `{"items":[]}`, status: 422, want: []string{`"field":"items"`}},
		{name: "rank-odd-model", method: "POST", path: "/rank/no%20model", body: ranking, status: 422, want: []string{`"field":"scenario"`}},
		{name: "recommend", method: "POST", path: "/recommend/trending", body: `{"count":2,"user":"alice1","items":["sku-1"]}`, status: 200, want: []string{`{"took":`, `"item":"sku-2"`}, not: []string{`"item":"sku-1"`}},
		{name: "recommend-similar", method: "POST", path: "/recommend/similar", body: `{"count":1,"items":["sku-1"]}`, status: 200, want: []string{`"item":"sku-2"`}},
		{name: "recommend-none", method: "POST", path: "/recommend/x", body: `{"count":0}`, status: 422},
		{name: "feedback", method: "POST", path: "/feedback", status: 200, want: []string{`{"accepted":1,"status":"ok","tookMillis":`, `,"updated":0}`},
			body: `{"event":"ranking","id":"id1","items":[{"id":"72998"},{"id":"589"}],"user":"alice","session":"alice1","timestamp":1661431894711}`},
		{name: "feedback-lines", method: "POST", path: "/feedback", status: 200, want: []string{`{"accepted":3,`},
			headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
			body: `{"event":"item","id":"e1","timestamp":"1599391467000","item":"i1","fields":[{"name":"title","value":"A"},{"name":"color","value":["white"]}]}
{"event":"user","id":"e2","timestamp":"2020-09-06T11:24:27Z","user":"u1","fields":[{"name":"age","value":33}]}
{"event":"interaction","id":"e4","ranking":"id1","timestamp":"1661431894","user":"u1","session":"s1","type":"purchase","item":"i1","fields":[{"name":"count","value":3}]}`},
		{name: "feedback-list", method: "POST", path: "/feedback", status: 200, want: []string{`{"accepted":1,`},
			body: `[{"event":"interaction","id":"e5","timestamp":"1599391467000","session":"s1","type":"click","item":"i1"}]`},
		{name: "feedback-bad", method: "POST", path: "/feedback", status: 422, want: []string{`"index":0,"field":"event"`, `"index":1,"field":"type"`},
			body: `[{"event":"wink"},{"event":"interaction","type":"yawn"},{"event":"interaction","id":"e5","timestamp":"1599391467000","session":"s1","type":"click","item":"i1"}]`},
		{name: "feedback-no-time", method: "POST", path: "/feedback", status: 422, want: []string{`"field":"time"`}, body: `{"event":"item","id":"e1","item":"i1"}`},
		{name: "feedback-broken", method: "POST", path: "/feedback", status: 400, body: `{"event":"item"`},
		{name: "feedback-empty", method: "POST", path: "/feedback", status: 400, body: ` `},
	} {
		t.Run(sc.name, func(t *testing.T) { sc.run(t, s) })
	}
	var told []string
	for _, e := range s.log.written() {
		told = append(told, fmt.Sprintf("%s %s %s %s", e.Type, e.ID, e.Subject(), e.RecommendationID))
	}
	want := "exposure id1 alice id1, item-upsert e1  , user-upsert e2 u1 , order e4 u1 id1, click e5 anon:s1 "
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("written %q, want %q", got, want)
	}
	if e := s.log.written()[3]; e.Items[0].Quantity != 3 || e.Time.Unix() != 1661431894 {
		t.Errorf("the purchase is %+v", e)
	}
}

// TestAdaptersAreOff: without being asked for they are not there, and not in the document.
func TestAdaptersAreOff(t *testing.T) {
	s := serve(t, nil)
	for _, path := range []string{"/api/recommend/bob", "/api/item/x/neighbors", "/api/item-to-item/like/x"} {
		if resp, _ := s.do(t, "GET", path, "", nil); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s answers %d", path, resp.StatusCode)
		}
	}
	if _, doc := s.do(t, "GET", "/openapi.json", "", nil); strings.Contains(doc, "gorse") || strings.Contains(doc, "metarank") {
		t.Error("the document has adapters")
	}
}

// TestAdapterKeys: adapters ask for the same keys and scopes, in Gorse's header too.
func TestAdapterKeys(t *testing.T) {
	keys, text := ring(httpapi.Key{ID: "old-client", Scopes: []httpapi.Scope{httpapi.ScopeRecommend}})
	s := serve(t, func(o *httpapi.Options) { o.Adapters, o.Keys = httpapi.Adapters(), keys })
	for _, tc := range []struct {
		method, path, body, key string
		status                  int
	}{
		{"GET", "/api/recommend/bob", "", "", 401},
		{"GET", "/api/recommend/bob", "", text["old-client"], 200},
		{"POST", "/api/feedback", `[]`, text["old-client"], 403},
		{"POST", "/rank/x", `{"items":["sku-1"]}`, "", 401},
		{"POST", "/feedback", `[]`, text["old-client"], 403},
	} {
		resp, _ := s.do(t, tc.method, tc.path, tc.body, map[string]string{"X-API-Key": tc.key})
		if resp.StatusCode != tc.status {
			t.Errorf("%s %s: %d, want %d", tc.method, tc.path, resp.StatusCode, tc.status)
		}
	}
}

func FuzzAdapters(f *testing.F) {
	s := serve(f, func(o *httpapi.Options) { o.Adapters = httpapi.Adapters() })
	paths := []string{"/api/session/recommend", "/api/feedback", "/api/items", "/api/users", "/rank/x", "/recommend/x", "/feedback"}
	for i := range paths {
		f.Add(byte(i), `[{"FeedbackType":"star","UserId":"b","ItemId":"x","Timestamp":"2022-02-24"}]`)
		f.Add(byte(i), `{"event":"ranking","id":"1","timestamp":1661431894711,"session":"s","items":["a",{"id":"b"}]}`)
		f.Add(byte(i), `{"Labels":[[[[]]]],"Timestamp":-1e300,"count":1e9,"items":[7]}`)
	}
	f.Fuzz(func(t *testing.T, which byte, body string) {
		path := paths[int(which)%len(paths)]
		resp, answer := s.do(t, "POST", path, body, nil)
		if resp.StatusCode >= 500 || !strings.HasPrefix(answer, "{") && !strings.HasPrefix(answer, "[") {
			t.Fatalf("POST %s answers %d %s to %q", path, resp.StatusCode, answer, body)
		}
	})
}
