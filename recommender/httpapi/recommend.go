package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/sartorhq/sartor/recommender"
)

// recommend answers POST /v1/recommend.
func (s *Server) recommend(c *fiber.Ctx) error {
	resp, err := s.recommendOf(s.context(c), c.Request().Body())
	if err != nil {
		return err
	}
	return replyRecommendation(c, resp)
}

// recommendOf answers one body.
func (s *Server) recommendOf(ctx context.Context, raw []byte) (*recommender.Response, error) {
	body, ok := plainBody(raw)
	if !ok {
		if err := s.document.decode(raw, s.document.recommend, &body); err != nil {
			return nil, err
		}
	}
	return s.rec.Recommend(ctx, body.request())
}

// rank answers POST /v1/rank.
func (s *Server) rank(c *fiber.Ctx) error {
	var body rankBody
	if err := s.document.decode(c.Request().Body(), s.document.rank, &body); err != nil {
		return err
	}
	resp, err := s.rec.Rank(s.context(c), body.request())
	if err != nil {
		return err
	}
	return replyRecommendation(c, resp)
}

// maxBatch is how many requests one batch may hold.
const maxBatch = 100

// recommendBatch answers POST /v1/recommend:batch: each request on its own, one after the other, so that a
// batch does not crowd out the visitors of a shop.
func (s *Server) recommendBatch(c *fiber.Ctx) error {
	var body struct {
		Requests []json.RawMessage `json:"requests"`
	}
	if err := s.document.decode(c.Request().Body(), s.document.envelope, &body); err != nil {
		return err
	}
	if n := len(body.Requests); n < 1 || n > maxBatch {
		return invalid(fieldError{Field: "requests", Message: fmt.Sprintf("must hold between 1 and %d requests", maxBatch)})
	}
	s.spend(c, len(body.Requests)-1)
	out := batchAnswer{Results: make([]batchResult, len(body.Requests))}
	for i, raw := range body.Requests {
		resp, err := s.recommendOf(s.context(c), raw)
		if err != nil {
			p := s.problem(asHTTP(err), requestID(c))
			out.Results[i] = batchResult{Status: p.Status, Problem: &p}
			continue
		}
		out.Results[i] = batchResult{Status: http.StatusOK, Recommendation: toRecommendation(resp)}
	}
	return reply(c, http.StatusOK, out)
}

// similar answers GET /v1/items/{id}/similar.
func (s *Server) similar(c *fiber.Ctx) error {
	id, err := pathID(c)
	if err != nil {
		return err
	}
	q, err := similarQuery(c)
	if err != nil {
		return err
	}
	q.ItemID = id
	resp, err := s.rec.Similar(s.context(c), q)
	if err != nil {
		return err
	}
	return replyRecommendation(c, resp)
}

// similarParams lists the names in the query of similar items.
func similarParams() []string {
	return []string{"count", "scenario", "filter", "exclude", "include_fields", "country", "explain"}
}

// similarQuery reads the query string, naming everything that is wrong with it.
func similarQuery(c *fiber.Ctx) (recommender.SimilarRequest, error) {
	q := recommender.SimilarRequest{Count: recommender.DefaultCount}
	var wrong []fieldError
	seen := map[string]bool{}
	for key, value := range c.Context().QueryArgs().All() {
		name, v := string(key), string(value)
		if seen[name] && name != "exclude" && name != "include_fields" {
			if slices.Contains(similarParams(), name) { // what is unknown was said
				wrong = append(wrong, fieldError{Field: name, Message: "stands twice in the query"})
			}
			continue
		}
		seen[name] = true
		switch name {
		case "count":
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 || n > recommender.MaxCount {
				wrong = append(wrong, fieldError{Field: "count", Message: fmt.Sprintf("must be between 1 and %d", recommender.MaxCount)})
			}
			q.Count = n
		case "scenario":
			q.Scenario = v
		case "filter":
			q.Filter = v
		case "exclude":
			q.Exclude = append(q.Exclude, v)
		case "include_fields":
			q.Fields = append(q.Fields, v)
		case "country":
			q.Context = map[string]any{"country": v}
		case "explain":
			on, err := strconv.ParseBool(v)
			if err != nil {
				wrong = append(wrong, fieldError{Field: "explain", Message: "must be true or false"})
			}
			q.Explain = on
		default:
			wrong = append(wrong, fieldError{Field: name, Message: unknownName("parameter", name, similarParams())})
		}
	}
	if len(wrong) > 0 {
		return q, invalid(slices.Clip(wrong)...)
	}
	return q, nil
}
