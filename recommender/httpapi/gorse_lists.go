package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
)

// gorseNull is the room for the body of a request that has none: Gorse's client for Go sends null with each.
const gorseNull = 16

// gorseScore is how Gorse tells an item with its score.
type gorseScore struct {
	ID    string `json:"Id"`
	Score float64
}

// gorseLister makes a list of up to count items for the id of the path, "" where the path has none.
type gorseLister func(c *fiber.Ctx, id string, count int) (*recommender.Response, error)

// gorseLists are the routes of Gorse's lists. Each is there with a slash behind it, too, which Gorse's client for Go
// writes when it wants no category, and most with a category behind that.
func (s *Server) gorseLists(feedback any) []route {
	type listing struct {
		path, id, summary, about string
		handler                  func(*fiber.Ctx) error
	}
	var out []route
	for _, l := range []listing{
		{"/api/recommend/{id}", "Recommend", "Recommend items to a user",
			"A list of ids; with the header X-API-Version: 2 a list of ids and scores. What is shown is recorded by itself: write-back-type is taken and changes nothing.", s.gorseRecommend},
		{"/api/collaborative-filtering/{id}", "CollaborativeFiltering", "What the model recommends to a user", "As /api/recommend with scores; nothing is recorded as shown.", s.gorseScored(s.gorseForUser)},
		{"/api/intermediate/recommend/{id}", "Intermediate", "What the model recommends to a user", "The older name of /api/collaborative-filtering.", s.gorseScored(s.gorseForUser)},
		{"/api/item/{id}/neighbors", "Neighbors", "Items like this one", "What a user has seen already is not left out of it.", s.gorseScored(s.gorseLike)},
		{"/api/item-to-item/{name}/{id}", "ItemToItem", "Items like this one", "There is one list for all names. What a user has seen already is not left out of it.", s.gorseScored(s.gorseLike)},
		{"/api/popular", "Popular", "What is popular", "By units sold in 7 days, then in longer times, then by views.", s.gorseScored(s.gorseListed(rules.SourceHot))},
		{"/api/latest", "Latest", "What is new", "By Timestamp, which is the item's created_at here; then what is popular.", s.gorseScored(s.gorseListed(rules.SourceNew))},
		{"/api/non-personalized/{name}", "NonPersonalized", "What is popular", "A name with latest or new in it is /api/latest, any other /api/popular.", s.gorseScored(s.gorseNamed)},
		{"/api/session/recommend", "Session", "Recommend items to a session",
			"Items like those of the feedback that is sent, of which the newest ten count, added up; none of them is in the list. Nothing is kept of it: /api/feedback reports what happened.", s.gorseSession},
	} {
		for _, v := range []struct{ suffix, id string }{{"", ""}, {"/", "Slash"}, {"/{category}", "Category"}} {
			if v.id == "Category" && strings.Contains(l.path, "{name}") { // Gorse has none of these
				continue
			}
			rt := s.gorseList(http.MethodGet, l.path+v.suffix, l.id+v.id, l.summary, l.about, l.handler)
			if l.id == "Session" {
				rt.method, rt.maxBody, rt.operation.RequestBody = http.MethodPost, maxBody, jsonBody(&huma.Schema{}, feedback)
			}
			out = append(out, rt)
		}
	}
	return out
}

// gorseList describes one route of a list.
func (s *Server) gorseList(method, path, id, summary, about string, handler func(*fiber.Ctx) error) route {
	low, zero, high := 1.0, 0.0, float64(recommender.MaxCount)
	if strings.HasPrefix(id, "Recommend") {
		high = maxPaged
	}
	params := []*huma.Param{
		queryParam("n", "Length of the list; 10 by default.", &huma.Schema{Type: huma.TypeInteger, Minimum: &low, Maximum: &high}),
		queryParam("offset", "How many items of the list to leave out.", &huma.Schema{Type: huma.TypeInteger, Minimum: &zero, Maximum: &high})}
	if strings.Contains(path, "{id}") {
		params = append(params, idParam("user or item"))
	}
	for _, name := range []string{"name", "category"} {
		if strings.Contains(path, "{"+name+"}") {
			params = append(params, &huma.Param{Name: name, In: "path", Required: true, Description: map[string]string{"name": "Name of the list.", "category": "A category that the items must have."}[name], Example: name, Schema: textSchema(128)})
		} else if name == "category" {
			params = append(params, queryParam("category", "A category that the items must have; may be repeated.", &huma.Schema{Type: huma.TypeArray, Items: textSchema(128)}))
		}
	}
	answer := &huma.Schema{Type: huma.TypeArray, Items: s.document.schema(gorseScore{})}
	switch {
	case strings.HasPrefix(id, "Recommend"):
		params = append(params, queryParam("write-back-type", "Changes nothing.", textSchema(128)), queryParam("write-back-delay", "Changes nothing.", textSchema(32)))
		answer = &huma.Schema{AnyOf: []*huma.Schema{{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}}, answer}}
	case !strings.Contains(path, "{id}") && !strings.HasPrefix(id, "Session"):
		params = append(params, queryParam("user-id", "Whose items are left out.", textSchema(recommender.MaxIDBytes)))
	}
	return route{method: method, path: path, maxBody: gorseNull, handler: handler, operation: &huma.Operation{OperationID: "gorse" + id, Tags: []string{"gorse"},
		Summary: summary, Description: about, Parameters: params, Responses: textAnswer(fiber.MIMEApplicationJSON, "The list.", answer)}}
}

// gorseRecommend answers GET /api/recommend/{user-id}.
func (s *Server) gorseRecommend(c *fiber.Ctx) error {
	id, err := pathID(c)
	if err != nil {
		return err
	}
	offset, n, err := gorsePage(c, maxPaged)
	if err != nil {
		return err
	}
	items, err := s.page(c, recommender.Request{UserID: id, Filter: gorseFilter(c)}, offset, n)
	if err != nil {
		return err
	}
	if strings.TrimSpace(c.Get("X-Api-Version")) == "2" {
		return reply(c, http.StatusOK, gorseScores(items))
	}
	ids := make([]string, len(items))
	for i := range items {
		ids[i] = items[i].ItemID
	}
	return reply(c, http.StatusOK, ids)
}

// gorseScored answers with a list of ids and scores.
func (s *Server) gorseScored(list gorseLister) func(*fiber.Ctx) error {
	return func(c *fiber.Ctx) error {
		id := ""
		if c.Params("id") != "" {
			var err error
			if id, err = pathID(c); err != nil {
				return err
			}
		}
		offset, n, err := gorsePage(c, recommender.MaxCount)
		if err != nil {
			return err
		}
		resp, err := list(c, id, offset+n)
		if err != nil {
			return err
		}
		return reply(c, http.StatusOK, gorseScores(resp.Items[min(offset, len(resp.Items)):]))
	}
}

func (s *Server) gorseForUser(c *fiber.Ctx, id string, count int) (*recommender.Response, error) {
	return s.rec.Recommend(s.context(c), recommender.Request{UserID: id, Count: count, Filter: gorseFilter(c), Quiet: true})
}

func (s *Server) gorseLike(c *fiber.Ctx, id string, count int) (*recommender.Response, error) {
	return s.rec.Similar(s.context(c), recommender.SimilarRequest{ItemID: id, Count: count, Filter: gorseFilter(c)})
}

// gorseListed lists what is the same for everybody, less what the user of the query had.
func (s *Server) gorseListed(source rules.Source) gorseLister {
	return func(c *fiber.Ctx, _ string, count int) (*recommender.Response, error) {
		user := string(c.Context().QueryArgs().Peek("user-id"))
		return s.rec.List(s.context(c), recommender.ListRequest{Source: source, Request: recommender.Request{UserID: user, Count: count, Filter: gorseFilter(c)}})
	}
}

// gorseNamed takes the names that Gorse's own configuration gives its lists.
func (s *Server) gorseNamed(c *fiber.Ctx, id string, count int) (*recommender.Response, error) {
	source := rules.SourceHot
	if name := c.Params("name"); strings.Contains(name, "latest") || strings.Contains(name, "new") {
		source = rules.SourceNew
	}
	return s.gorseListed(source)(c, id, count)
}

// gorsePage reads offset and n, which may be most together.
func gorsePage(c *fiber.Ctx, most int) (offset, n int, err error) {
	var wrong []fieldError
	offset = number(c, "offset", 0, 0, most, &wrong)
	n = number(c, "n", recommender.DefaultCount, 1, most, &wrong)
	if len(wrong) == 0 && offset+n > most {
		wrong = append(wrong, fieldError{Field: "offset", Message: fmt.Sprintf("offset and n may be %d together", most)})
	}
	if len(wrong) > 0 {
		return 0, 0, invalid(wrong...)
	}
	return offset, n, nil
}

func gorseScores(items []recommender.Item) []gorseScore {
	out := make([]gorseScore, len(items))
	for i := range items {
		out[i] = gorseScore{ID: items[i].ItemID, Score: items[i].Score}
	}
	return out
}

// gorseFilter is the condition that the items have the category of the path, else all of the query: as their
// category, or among the tags, which is where an import of Gorse's items puts them.
func gorseFilter(c *fiber.Ctx) string {
	var wanted []string
	if category, err := url.PathUnescape(c.Params("category")); err == nil && category != "" {
		wanted = []string{category}
	} else {
		for _, category := range c.Context().QueryArgs().PeekMulti("category") {
			wanted = append(wanted, string(category))
		}
	}
	var parts []string
	for _, category := range wanted {
		if category != "" {
			quoted := strconv.Quote(category)
			parts = append(parts, fmt.Sprintf("(item.category == %s or %s in item.tags)", quoted, quoted))
		}
	}
	return strings.Join(parts, " and ")
}
