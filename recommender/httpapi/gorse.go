package httpapi

import (
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/foreign"
)

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
	feedback := []any{map[string]any{"FeedbackType": "star", "UserId": "bob", "ItemId": "sku-1", "Timestamp": "2026-10-23"}}
	out := scoped(ScopeRecommend, s.gorseLists(feedback)...)
	write := func(method, path, id, summary string, example any, handler func(*fiber.Ctx) error) route {
		o := op(id, summary)
		o.Responses = d.answers(http.StatusOK, "Written to the log.", gorseRows{})
		rt := route{method: method, path: path, maxBody: gorseNull, operation: o, handler: handler}
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
