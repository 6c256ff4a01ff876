package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/sartorhq/sartor/recommender"
)

// recommend answers POST /v1/recommend.
func (s *Server) recommend(c *fiber.Ctx) error {
	body, ok := plainBody(c.Request().Body())
	if !ok {
		if err := s.document.decode(c.Request().Body(), s.document.recommend, &body); err != nil {
			return err
		}
	}
	resp, err := s.rec.Recommend(s.context(c), body.request())
	if err != nil {
		return err
	}
	return replyRecommendation(c, resp)
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
	var body batchBody
	if err := s.document.decode(c.Request().Body(), s.document.batch, &body); err != nil {
		return err
	}
	if n := len(body.Requests); n < 1 || n > maxBatch {
		return invalid(fieldError{Field: "requests", Message: fmt.Sprintf("must hold between 1 and %d requests", maxBatch)})
	}
	out := batchAnswer{Results: make([]batchResult, len(body.Requests))}
	for i := range body.Requests {
		resp, err := s.rec.Recommend(s.context(c), body.Requests[i].request())
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

// similarQuery reads the query string, naming everything that is wrong with it.
func similarQuery(c *fiber.Ctx) (recommender.SimilarRequest, error) {
	q := recommender.SimilarRequest{Count: recommender.DefaultCount}
	var wrong []fieldError
	for key, value := range c.Context().QueryArgs().All() {
		v := string(value)
		switch name := string(key); name {
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
		case "country":
			q.Context = map[string]any{"country": v}
		case "explain":
			on, err := strconv.ParseBool(v)
			if err != nil {
				wrong = append(wrong, fieldError{Field: "explain", Message: "must be true or false"})
			}
			q.Explain = on
		default:
			wrong = append(wrong, fieldError{Field: name, Message: unknownName("parameter", name, []string{"count", "scenario", "filter", "exclude", "country", "explain"})})
		}
	}
	if len(wrong) > 0 {
		return q, invalid(slices.Clip(wrong)...)
	}
	return q, nil
}
