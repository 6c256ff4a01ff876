package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/foreign"
)

// metarankEvent is one of Metarank's events, or a request to rank.
type metarankEvent = foreign.MetarankEvent[looseTime]

// metarankAnswer is how Metarank answers /rank and /recommend.
type metarankAnswer struct {
	Took  int64           `json:"took" doc:"Milliseconds"`
	Items []metarankScore `json:"items" nullable:"false"`
}

type metarankScore struct {
	Item     string                  `json:"item"`
	Score    float64                 `json:"score"`
	Features []foreign.MetarankField `json:"features,omitempty" doc:"With explain=true: where the item came from, and the rules that acted"`
}

// metarankAccepted is how Metarank answers /feedback.
type metarankAccepted struct {
	Accepted   int    `json:"accepted"`
	Status     string `json:"status"`
	TookMillis int64  `json:"tookMillis"`
	Updated    int    `json:"updated"`
}

// metarankRequest is the body of /recommend.
type metarankRequest struct {
	Count int
	User  string
	Items []string
}

// metarankRoutes are the part of Metarank's API that has the same meaning here. Its model is our scenario.
func (s *Server) metarankRoutes() []route {
	d := &s.document
	model := &huma.Param{Name: "id", In: "path", Required: true, Example: "search", Description: "Name of the model there, of the scenario here.", Schema: textSchema(63)}
	ranking := map[string]any{"id": "81f46c34", "timestamp": "1599391467000", "user": "user1", "session": "session1",
		"fields": []any{map[string]any{"name": "query", "value": "jeans"}},
		"items":  []any{map[string]any{"id": "sku-1", "fields": []any{map[string]any{"name": "relevancy", "value": 2.0}}}, map[string]any{"id": "sku-2"}}}
	post := func(path, id, summary, description string, params []*huma.Param, example any, answer any, handler func(*fiber.Ctx) error) route {
		return route{method: http.MethodPost, path: path, maxBody: maxEventBody, handler: handler, operation: &huma.Operation{
			OperationID: "metarank" + id, Tags: []string{"metarank"}, Summary: summary, Description: description, Parameters: params,
			RequestBody: jsonBody(&huma.Schema{}, example), Responses: d.answers(http.StatusOK, "As Metarank answers.", answer)}}
	}
	out := scoped(ScopeRecommend,
		post("/rank/{id}", "Rank", "Order given items for a user",
			"What is shown is recorded when the ranking event comes to /feedback, not by this request. Items that are unknown, or that a rule removes, are left out.",
			[]*huma.Param{model, queryParam("explain", "Tell more of each item.", &huma.Schema{Type: huma.TypeBoolean})}, ranking, metarankAnswer{}, s.metarankRank),
		post("/recommend/{id}", "Recommend", "Recommend items to a user, or items like one", "One item and no user asks for items like it.",
			[]*huma.Param{model}, map[string]any{"count": 10, "user": "alice", "items": []string{"sku-1"}}, metarankAnswer{}, s.metarankRecommend))
	event := map[string]any{"event": "interaction", "id": "e4", "ranking": "e3", "timestamp": "1599391467000", "user": "u1", "session": "s1",
		"type": "purchase", "item": "sku-1", "fields": []any{map[string]any{"name": "count", "value": 1}}}
	return append(out, scoped(ScopeEvents,
		post("/feedback", "Feedback", "Report events: one, a list, or one a line", "All are written, or none when one is not valid. The fields of an item or a user are all that it has.",
			nil, event, metarankAccepted{}, s.metarankFeedback))...)
}

// scenario returns the scenario that a model's name stands for.
func (s *Server) scenario(c *fiber.Ctx) (string, error) {
	name, err := pathID(c)
	return strings.ToLower(name), err
}

// metarankRank answers POST /rank/{model}.
func (s *Server) metarankRank(c *fiber.Ctx) error {
	start := time.Now()
	scenario, err := s.scenario(c)
	if err != nil {
		return err
	}
	var in metarankEvent
	if err := decodeLoose(c.Request().Body(), &in); err != nil {
		return err
	}
	q := recommender.RankRequest{Request: recommender.Request{Scenario: scenario, UserID: in.User, Query: in.Text("query"), Quiet: true}}
	if q.UserID == "" {
		q.AnonymousID = in.Session
	}
	for _, it := range in.Items {
		q.Items = append(q.Items, it.ID)
	}
	resp, err := s.rec.Rank(s.context(c), q)
	if err != nil {
		return err
	}
	explain, _ := strconv.ParseBool(string(c.Context().QueryArgs().Peek("explain")))
	return reply(c, http.StatusOK, metarankItems(resp.Items, start, explain))
}

// metarankRecommend answers POST /recommend/{model}.
func (s *Server) metarankRecommend(c *fiber.Ctx) error {
	start := time.Now()
	scenario, err := s.scenario(c)
	if err != nil {
		return err
	}
	in := metarankRequest{Count: recommender.DefaultCount}
	if err := decodeLoose(c.Request().Body(), &in); err != nil {
		return err
	}
	if in.Count == 0 {
		in.Count = -1 // written as 0: out of range
	}
	var resp *recommender.Response
	if in.User == "" && len(in.Items) == 1 {
		resp, err = s.rec.Similar(s.context(c), recommender.SimilarRequest{ItemID: in.Items[0], Count: in.Count, Scenario: scenario})
	} else {
		q := recommender.Request{Scenario: scenario, UserID: in.User, Count: in.Count, Exclude: in.Items}
		if len(in.Items) > 0 {
			q.SourceItem = in.Items[0]
		}
		resp, err = s.rec.Recommend(s.context(c), q)
	}
	if err != nil {
		return err
	}
	return reply(c, http.StatusOK, metarankItems(resp.Items, start, false))
}

func metarankItems(items []recommender.Item, start time.Time, explain bool) metarankAnswer {
	out := metarankAnswer{Took: time.Since(start).Milliseconds(), Items: make([]metarankScore, len(items))}
	for i, it := range items {
		out.Items[i] = metarankScore{Item: it.ItemID, Score: it.Score}
		if explain {
			out.Items[i].Features = []foreign.MetarankField{{Name: "source", Value: it.Source}, {Name: "rules", Value: list(it.Reasons)}}
		}
	}
	return out
}

// metarankFeedback answers POST /feedback.
func (s *Server) metarankFeedback(c *fiber.Ctx) error {
	start := time.Now()
	rows, err := metarankEvents(c.Request().Body())
	if err != nil {
		return err
	}
	var wrong []fieldError
	var events []streams.Event
	for i := range rows {
		e, bad := metarankToEvent(&rows[i])
		if bad != nil {
			bad.Index = &i
			wrong = append(wrong, *bad)
			continue
		}
		events = append(events, e)
	}
	if len(wrong) > 0 {
		return invalid(wrong...)
	}
	n, err := s.adapted(c, events, nil)
	if err != nil {
		return err
	}
	return reply(c, http.StatusOK, metarankAccepted{Accepted: n, Status: "ok", TookMillis: time.Since(start).Milliseconds()})
}

// metarankEvents reads one event, a list of them, or one a line.
func metarankEvents(body []byte) ([]metarankEvent, error) {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); bytes.HasPrefix(trimmed, []byte("[")) {
		return oneOrMany[metarankEvent](body)
	}
	if err := readable(body); err != nil {
		return nil, err
	}
	var out []metarankEvent
	for dec := json.NewDecoder(bytes.NewReader(body)); len(out) <= maxEvents; {
		var e metarankEvent
		err := dec.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		var at *json.SyntaxError
		if errors.As(err, &at) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, syntax(err)
		}
		if err != nil {
			return nil, invalid(typeError(err))
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil, malformed("the body is empty: send an event or a list of events")
	}
	return out, nil
}

// metarankToEvent makes our event of one of Metarank's; codec.Validate judges the rest.
func metarankToEvent(x *metarankEvent) (e streams.Event, wrong *fieldError) {
	e = streams.Event{ID: x.ID, Time: x.Timestamp.Truncate(time.Millisecond)}
	switch x.Event {
	case "item", "metadata": // the name of old
		e.Type, e.Items, e.Attributes = streams.ItemUpsert, []streams.Line{{ItemID: x.Item}}, x.Document(nil)
	case "user":
		e.Type, e.UserID, e.Attributes = streams.UserUpsert, x.User, x.Document(nil)
	case "ranking":
		x.Who(&e)
		x.Exposure(&e)
	case "interaction":
		typ, ok := foreign.TypeOf(x.Type)
		if !ok {
			return e, &fieldError{Field: "type", Message: feedbackHint}
		}
		x.Who(&e)
		x.Interaction(&e, typ)
	default:
		return e, &fieldError{Field: "event", Message: "is none of item, user, ranking, interaction"}
	}
	return e, nil
}
