package sartor

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// server is the URL of a running server: go test ./cmd/sartor -run Clients starts one.
func server(t *testing.T) string {
	t.Helper()
	url := os.Getenv("SARTOR_URL")
	if url == "" {
		t.Skip("SARTOR_URL names no running server")
	}
	return url
}

func TestSmoke(t *testing.T) {
	c, err := New(server(t), os.Getenv("SARTOR_KEY"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	user, scenario, count := "u1", "home", int64(2)
	list, err := c.RecommendWithResponse(ctx, RecommendBody{UserId: &user, Scenario: &scenario, Count: &count})
	if err != nil {
		t.Fatal(err)
	}
	if err := ErrorOf(list.HTTPResponse, list.Body); err != nil {
		t.Fatal(err)
	}
	if len(list.JSON200.Items) != 2 || list.JSON200.RecommendationId == "" {
		t.Fatalf("%+v", list.JSON200)
	}
	first := list.JSON200.Items[0].ItemId
	ranked, err := c.RankWithResponse(ctx, RankBody{Items: []string{"nothing", first}})
	if err != nil || ranked.JSON200 == nil || len(ranked.JSON200.Items) != 1 {
		t.Fatalf("rank: %v, %s", err, ranked.Body)
	}
	like, err := c.SimilarItemsWithResponse(ctx, first, &SimilarItemsParams{Count: &count})
	if err != nil || like.JSON200 == nil {
		t.Fatalf("similar: %v, %s", err, like.Body)
	}
	many, err := c.RecommendBatchWithResponse(ctx, BatchBody{Requests: []RecommendBody{{UserId: &user}, {UserId: &user}}})
	if err != nil || many.JSON200 == nil || len(many.JSON200.Results) != 2 {
		t.Fatalf("batch: %v, %s", err, many.Body)
	}
	tooMany := int64(1000)
	bad, err := c.RecommendWithResponse(ctx, RecommendBody{Count: &tooMany})
	if err != nil {
		t.Fatal(err)
	}
	var p *Problem
	if err := ErrorOf(bad.HTTPResponse, bad.Body); !errors.As(err, &p) || p.Status != 422 || !strings.Contains(err.Error(), "count: ") {
		t.Errorf("a count of 1000: %v", err)
	}
	event := map[string]any{"event_id": "smoke-go", "type": "view", "time": time.Now().UTC().Format(time.RFC3339), "user_id": user, "item_id": first}
	taken, err := c.PostEventsWithResponse(ctx, event)
	if err != nil {
		t.Fatal(err)
	}
	if err := ErrorOf(taken.HTTPResponse, taken.Body); err != nil {
		t.Errorf("an event: %v", err)
	}
	if v, err := c.VersionWithResponse(ctx); err != nil || v.JSON200 == nil {
		t.Errorf("version: %v", err)
	}
}
