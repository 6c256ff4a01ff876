package httpapi

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/foreign"
)

const (
	// maxSession is how many feedbacks a session may have.
	maxSession = 100
	// sessionItems is how many items of a session count: the newest, each one search of the catalogue.
	sessionItems = 10
)

// gorseSession answers POST /api/session/recommend: it recommends to somebody who is not known by what was done in
// this visit.
func (s *Server) gorseSession(c *fiber.Ctx) error {
	rows, err := oneOrMany[foreign.GorseFeedback[looseTime]](c.Request().Body())
	if err != nil {
		return err
	}
	var wrong []fieldError
	n := number(c, "n", recommender.DefaultCount, 1, recommender.MaxCount, &wrong)
	offset := number(c, "offset", 0, 0, recommender.MaxCount*sessionItems, &wrong)
	if len(rows) > maxSession {
		wrong = append(wrong, fieldError{Message: fmt.Sprintf("a session has at most %d feedbacks", maxSession)})
	}
	liked, seen := sessionOf(rows, &wrong)
	if len(wrong) > 0 {
		return invalid(wrong...)
	}
	sums := map[string]float64{}
	for _, id := range liked {
		resp, err := s.rec.Similar(s.context(c), recommender.SimilarRequest{ItemID: id, Count: recommender.MaxCount, Exclude: seen, Filter: gorseFilter(c)})
		if err != nil {
			return err
		}
		for i := range resp.Items {
			sums[resp.Items[i].ItemID] += resp.Items[i].Score
		}
	}
	list := make([]gorseScore, 0, len(sums))
	for id, score := range sums {
		list = append(list, gorseScore{ID: id, Score: score})
	}
	slices.SortFunc(list, func(a, b gorseScore) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ID, b.ID)) })
	list = list[min(offset, len(list)):]
	return reply(c, http.StatusOK, list[:min(n, len(list))])
}

// sessionOf lists the items that somebody turned to in a session, the newest first and at most sessionItems,
// and all that were seen in it. What was put back speaks for nothing.
func sessionOf(rows []foreign.GorseFeedback[looseTime], wrong *[]fieldError) (liked, seen []string) {
	for i := range rows {
		if rows[i].ItemID == "" {
			*wrong = append(*wrong, fieldError{Index: &i, Field: "ItemId", Message: "is missing"})
		}
		if _, ok := foreign.TypeOf(rows[i].FeedbackType); !ok {
			*wrong = append(*wrong, fieldError{Index: &i, Field: "FeedbackType", Message: feedbackHint})
		}
	}
	slices.SortStableFunc(rows, func(a, b foreign.GorseFeedback[looseTime]) int { return b.Timestamp.Compare(a.Timestamp.Time) })
	for _, f := range rows {
		if slices.Contains(seen, f.ItemID) {
			continue
		}
		seen = append(seen, f.ItemID)
		typ, _ := foreign.TypeOf(f.FeedbackType)
		if typ != streams.CartRemove && typ != streams.Return && len(liked) < sessionItems {
			liked = append(liked, f.ItemID)
		}
	}
	return liked, seen
}
