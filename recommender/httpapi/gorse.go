package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/foreign"
)

// gorseScore is how Gorse tells an item with its score.
type gorseScore struct {
	ID    string `json:"Id"`
	Score float64
}

// gorseRows is how Gorse answers a write.
type gorseRows struct {
	RowAffected int `doc:"How many were taken"`
}

// gorseRoutes are the part of Gorse's API that has the same meaning here.
func (s *Server) gorseRoutes() []route {
	d := &s.document
	op := func(id, summary string) *huma.Operation {
		return &huma.Operation{OperationID: "gorse" + id, Tags: []string{"gorse"}, Summary: summary}
	}
	count := func(name, about string, low, high float64) *huma.Param {
		return queryParam(name, about, &huma.Schema{Type: huma.TypeInteger, Minimum: &low, Maximum: &high})
	}
	list := func(method, path, id, summary string, handler func(*fiber.Ctx) error) route {
		o := op(id, summary)
		o.Parameters = []*huma.Param{idParam("user or item"), count("n", "Length of the list; 10 by default.", 1, maxPaged),
			queryParam("category", "A category that the items must have; may be repeated.", &huma.Schema{Type: huma.TypeArray, Items: textSchema(128)})}
		scores := &huma.Schema{Type: huma.TypeArray, Items: d.schema(gorseScore{})}
		o.Responses = textAnswer(fiber.MIMEApplicationJSON, "The list.", scores)
		return route{method: method, path: path, operation: o, handler: handler}
	}
	recommend := list(http.MethodGet, "/api/recommend/{id}", "Recommend", "Recommend items to a user", s.gorseRecommend)
	recommend.operation.Description = "A list of ids; with the header X-API-Version: 2 a list of ids and scores. What is shown is recorded by itself: write-back-type is taken and changes nothing."
	recommend.operation.Parameters = append(recommend.operation.Parameters, count("offset", "How many items of the list to leave out.", 0, maxPaged),
		queryParam("write-back-type", "Changes nothing.", textSchema(128)), queryParam("write-back-delay", "Changes nothing.", textSchema(32)))
	recommend.operation.Responses["200"].Content[fiber.MIMEApplicationJSON].Schema = &huma.Schema{AnyOf: []*huma.Schema{
		{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}}, {Type: huma.TypeArray, Items: d.schema(gorseScore{})}}}
	itemToItem := list(http.MethodGet, "/api/item-to-item/{name}/{id}", "ItemToItem", "Items like this one", s.gorseNeighbors)
	itemToItem.operation.Description = "There is one list for all names. What a user has seen already is not left out of it."
	itemToItem.operation.Parameters = append(itemToItem.operation.Parameters, count("offset", "How many items of the list to leave out.", 0, recommender.MaxCount),
		&huma.Param{Name: "name", In: "path", Required: true, Description: "Changes nothing.", Schema: textSchema(128)})
	feedback := []any{map[string]any{"FeedbackType": "star", "UserId": "bob", "ItemId": "sku-1", "Timestamp": "2026-10-23"}}
	out := scoped(ScopeRecommend, recommend, s.gorseSessionRoute(recommend.operation.Parameters[1:4], feedback),
		list(http.MethodGet, "/api/item/{id}/neighbors", "Neighbors", "Items like this one", s.gorseNeighbors),
		list(http.MethodGet, "/api/item/{id}/neighbors/", "NeighborsSlash", "Items like this one", s.gorseNeighbors), itemToItem)
	write := func(method, path, id, summary string, example any, handler func(*fiber.Ctx) error) route {
		o := op(id, summary)
		o.Responses = d.answers(http.StatusOK, "Written to the log.", gorseRows{})
		rt := route{method: method, path: path, operation: o, handler: handler}
		if example == nil {
			o.Parameters = []*huma.Param{idParam("user or item")}
			return rt
		}
		o.RequestBody, rt.maxBody = jsonBody(&huma.Schema{}, example), maxEventBody
		return rt
	}
	item := map[string]any{"ItemId": "sku-1", "IsHidden": false, "Categories": []string{"coats"}, "Timestamp": "2026-10-01T00:00:00Z", "Labels": map[string]any{"price": 4990}, "Comment": "Rain coat"}
	user := map[string]any{"UserId": "bob", "Labels": map[string]any{"tier": "gold"}}
	out = append(out, scoped(ScopeEvents,
		write(http.MethodPost, "/api/feedback", "PostFeedback", "Report feedback", feedback, s.gorseFeedback),
		write(http.MethodPut, "/api/feedback", "PutFeedback", "Report feedback", feedback, s.gorseFeedback))...)
	out = append(out, scoped(ScopeItems,
		write(http.MethodPost, "/api/item", "PostItem", "Put an item into the catalogue", item, s.gorseItems),
		write(http.MethodPost, "/api/items", "PostItems", "Put items into the catalogue", []any{item}, s.gorseItems),
		write(http.MethodDelete, "/api/item/{id}", "DeleteItem", "Take an item out of the catalogue", nil, s.gorseDelete(streams.ItemDelete)))...)
	return append(out, scoped(ScopeUsers,
		write(http.MethodPost, "/api/user", "PostUser", "Set the attributes of a user", user, s.gorseUsers),
		write(http.MethodPost, "/api/users", "PostUsers", "Set the attributes of users", []any{user}, s.gorseUsers),
		write(http.MethodDelete, "/api/user/{id}", "DeleteUser", "Forget a user", nil, s.gorseDelete(streams.UserDelete)))...)
}

// gorseRecommend answers GET /api/recommend/{user-id}.
func (s *Server) gorseRecommend(c *fiber.Ctx) error {
	id, err := pathID(c)
	if err != nil {
		return err
	}
	var wrong []fieldError
	offset := number(c, "offset", 0, 0, maxPaged, &wrong)
	n := number(c, "n", recommender.DefaultCount, 1, maxPaged, &wrong)
	if len(wrong) == 0 && offset+n > maxPaged {
		wrong = append(wrong, fieldError{Field: "offset", Message: fmt.Sprintf("offset and n may be %d together", maxPaged)})
	}
	if len(wrong) > 0 {
		return invalid(wrong...)
	}
	items, err := s.page(c, recommender.Request{UserID: id, Filter: gorseFilter(c)}, offset, n)
	if err != nil {
		return err
	}
	if c.Get("X-Api-Version") == "2" {
		return reply(c, http.StatusOK, gorseScores(items))
	}
	ids := make([]string, len(items))
	for i := range items {
		ids[i] = items[i].ItemID
	}
	return reply(c, http.StatusOK, ids)
}

// gorseNeighbors answers GET /api/item/{item-id}/neighbors/ and /api/item-to-item/{name}/{item-id}.
func (s *Server) gorseNeighbors(c *fiber.Ctx) error {
	id, err := pathID(c)
	if err != nil {
		return err
	}
	var wrong []fieldError
	n := number(c, "n", recommender.DefaultCount, 1, recommender.MaxCount, &wrong)
	offset := number(c, "offset", 0, 0, recommender.MaxCount, &wrong)
	if len(wrong) == 0 && offset+n > recommender.MaxCount {
		wrong = append(wrong, fieldError{Field: "offset", Message: fmt.Sprintf("offset and n may be %d together", recommender.MaxCount)})
	}
	if len(wrong) > 0 {
		return invalid(wrong...)
	}
	resp, err := s.rec.Similar(s.context(c), recommender.SimilarRequest{ItemID: id, Count: offset + n, Filter: gorseFilter(c)})
	if err != nil {
		return err
	}
	return reply(c, http.StatusOK, gorseScores(resp.Items[min(offset, len(resp.Items)):]))
}

func gorseScores(items []recommender.Item) []gorseScore {
	out := make([]gorseScore, len(items))
	for i := range items {
		out[i] = gorseScore{ID: items[i].ItemID, Score: items[i].Score}
	}
	return out
}

// gorseFilter is the condition that the items have all the categories of the query: as their category, or
// among the tags, which is where an import of Gorse's items puts them.
func gorseFilter(c *fiber.Ctx) string {
	var parts []string
	for _, category := range c.Context().QueryArgs().PeekMulti("category") {
		if len(category) > 0 {
			quoted := strconv.Quote(string(category))
			parts = append(parts, fmt.Sprintf("(item.category == %s or %s in item.tags)", quoted, quoted))
		}
	}
	return strings.Join(parts, " and ")
}

// gorseFeedback answers POST and PUT /api/feedback. The same feedback at the same time is one event however
// often it is sent.
func (s *Server) gorseFeedback(c *fiber.Ctx) error {
	rows, err := oneOrMany[foreign.GorseFeedback[looseTime]](c.Request().Body())
	if err != nil {
		return err
	}
	var wrong []fieldError
	events := make([]streams.Event, len(rows))
	for i, f := range rows {
		typ, ok := foreign.TypeOf(f.FeedbackType)
		if !ok {
			wrong = append(wrong, fieldError{Index: &i, Field: "FeedbackType", Message: feedbackHint})
			typ = streams.View
		}
		e := f.Event(typ)
		e.Time = s.stamp(f.Timestamp)
		e.ID = foreign.ID("gorse", f.FeedbackType, f.UserID, f.ItemID, strconv.FormatInt(e.Time.UnixMilli(), 10))
		events[i] = e
	}
	return s.gorseWrite(c, events, wrong)
}

// gorseItems answers POST /api/item and /api/items: each replaces the item's document.
func (s *Server) gorseItems(c *fiber.Ctx) error {
	rows, err := oneOrMany[foreign.GorseItem[looseTime]](c.Request().Body())
	if err != nil {
		return err
	}
	events := make([]streams.Event, len(rows))
	for i, x := range rows {
		events[i], _ = x.Event(x.Timestamp.Time)
		s.gorseStamp(&events[i])
	}
	return s.gorseWrite(c, events, nil)
}

// gorseUsers answers POST /api/user and /api/users: each replaces the user's attributes.
func (s *Server) gorseUsers(c *fiber.Ctx) error {
	rows, err := oneOrMany[foreign.GorseUser](c.Request().Body())
	if err != nil {
		return err
	}
	events := make([]streams.Event, len(rows))
	for i, x := range rows {
		events[i], _ = x.Event()
		s.gorseStamp(&events[i])
	}
	return s.gorseWrite(c, events, nil)
}

// gorseDelete answers DELETE of an item or a user.
func (s *Server) gorseDelete(what streams.Type) func(*fiber.Ctx) error {
	return func(c *fiber.Ctx) error {
		id, err := pathID(c)
		if err != nil {
			return err
		}
		e := streams.Event{Type: what}
		s.gorseStamp(&e)
		if what == streams.UserDelete {
			e.UserID = id
		} else {
			e.Items = []streams.Line{{ItemID: id}}
		}
		if err := s.gorseWrite(c, []streams.Event{e}, nil); err != nil {
			return err
		}
		if what == streams.UserDelete {
			s.rec.Forget(id)
		}
		return nil
	}
}

// gorseStamp gives an event an id and a time: Gorse's items and users have none of their own.
func (s *Server) gorseStamp(e *streams.Event) {
	e.ID, e.Time = s.opts.NewID(), s.stamp(looseTime{})
}

func (s *Server) gorseWrite(c *fiber.Ctx, events []streams.Event, wrong []fieldError) error {
	n, err := s.adapted(c, events, wrong)
	if err != nil {
		return err
	}
	return reply(c, http.StatusOK, gorseRows{RowAffected: n})
}
