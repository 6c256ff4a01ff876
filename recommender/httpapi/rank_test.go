package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// answer is what tests read of a recommendation.
type answer struct {
	RecommendationID string `json:"recommendation_id"`
	Items            []struct {
		ItemID string         `json:"item_id"`
		Fields map[string]any `json:"fields"`
	} `json:"items"`
	ServedBy   string `json:"served_by"`
	NextCursor string `json:"next_cursor"`
}

func (a *answer) ids() string {
	var out []string
	for _, it := range a.Items {
		out = append(out, it.ItemID)
	}
	return strings.Join(out, " ")
}

// post sends a body and decodes the answer, which must be 200.
func (s *service) post(t *testing.T, path, body string, out any) {
	t.Helper()
	resp, got := s.do(t, "POST", path, body, nil)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answered %d: %s", path, resp.StatusCode, got)
	}
	if err := json.Unmarshal([]byte(got), out); err != nil {
		t.Fatal(err)
	}
}

func TestRank(t *testing.T) {
	s := serve(t, nil)
	var got answer
	s.post(t, "/v1/rank", `{"items":["sku-2","nope","sku-1","sku-2"],"include_fields":["price"]}`, &got)
	if got.ids() != "sku-2 sku-1" || got.ServedBy != "given" || got.Items[0].Fields["price"] != 90.0 {
		t.Errorf("got %+v", got)
	}
	for body, field := range map[string]string{
		`{"items":[]}`:                                        "items",
		`{}`:                                                  "items",
		`{"items":["a"],"count":0}`:                           "count",
		`{"items":["a"],"count":1001}`:                        "count",
		`{"items":["a"],"include_fields":["x"]}`:              "include_fields[0]",
		`{"items":["a"],"cursor":"x"}`:                        "cursor",
		`{"items":["` + strings.Repeat("i", 129) + `"]}`:      "items[0]",
		`{"items":["a"` + strings.Repeat(`,"a"`, 1000) + `]}`: "items",
	} {
		if resp, got := s.do(t, "POST", "/v1/rank", body, nil); resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got, `"field":"`+field+`"`) {
			t.Errorf("%.60s: %d %s", body, resp.StatusCode, got)
		}
	}
}

func TestBatchAnswersEachRequest(t *testing.T) {
	s := serve(t, nil)
	var got struct {
		Results []struct {
			Status         int                    `json:"status"`
			Recommendation *answer                `json:"recommendation"`
			Problem        *struct{ Type string } `json:"problem"`
		} `json:"results"`
	}
	s.post(t, "/v1/recommend:batch", `{"requests":[{"user_id":"u1","count":1},{"user_id":"u2","count":101},{"user_id":"u3"},{"count":0}]}`, &got)
	if len(got.Results) != 4 || got.Results[3].Status != 422 {
		t.Fatalf("%d results: %+v", len(got.Results), got.Results)
	}
	good, bad, last := got.Results[0], got.Results[1], got.Results[2]
	if good.Status != 200 || len(good.Recommendation.Items) != 1 || good.Problem != nil {
		t.Errorf("the first is %+v", good)
	}
	if bad.Status != 422 || bad.Recommendation != nil || bad.Problem.Type != "urn:sartor:problem:invalid-request" {
		t.Errorf("the second is %+v", bad)
	}
	if last.Status != 200 || len(last.Recommendation.Items) != 3 {
		t.Errorf("the third is %+v", last)
	}
	for _, body := range []string{`{"requests":[]}`, `{}`, `{"requests":[{}` + strings.Repeat(`,{}`, 100) + `]}`} {
		if resp, got := s.do(t, "POST", "/v1/recommend:batch", body, nil); resp.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%.40s: %d %s", body, resp.StatusCode, got)
		}
	}
}

func TestPages(t *testing.T) {
	s := serve(t, nil)
	var first, second answer
	s.post(t, "/v1/recommend", `{"user_id":"u1","count":2,"paging":true}`, &first)
	if len(first.Items) != 2 || first.NextCursor == "" {
		t.Fatalf("the first page is %+v", first)
	}
	s.post(t, "/v1/recommend", `{"user_id":"u1","count":2,"cursor":"`+first.NextCursor+`"}`, &second)
	if len(second.Items) != 1 || strings.Contains(first.ids(), second.ids()) || second.NextCursor != "" {
		t.Errorf("after %s came %s with cursor %q", first.ids(), second.ids(), second.NextCursor)
	}
	resp, got := s.do(t, "POST", "/v1/recommend", `{"user_id":"u2","cursor":"`+first.NextCursor+`"}`, nil)
	if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got, `"field":"cursor"`) || strings.Contains(got, first.NextCursor) {
		t.Errorf("another user's cursor: %d %s", resp.StatusCode, got)
	}
}
