package foreign

import (
	"encoding/json"
	"errors"
	"math"

	"github.com/sartorhq/sartor/streams"
)

// MetarankEvent has the fields of all of Metarank's events; a request to rank is a ranking event. T reads its
// time.
type MetarankEvent[T any] struct {
	Event     string
	ID        string
	Timestamp T
	Item      string
	User      string
	Session   string
	Ranking   string
	Type      string
	Fields    []MetarankField
	Items     []MetarankItem
}

// MetarankField is one thing that is said of an item, a user or an event.
type MetarankField struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// MetarankItem is an item of a ranking; old clients and files have bare ids.
type MetarankItem struct{ ID string }

// UnmarshalJSON reads either form.
func (m *MetarankItem) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &m.ID) == nil {
		return nil
	}
	var object struct{ ID string }
	if err := json.Unmarshal(data, &object); err != nil {
		return errors.New("an item of a ranking is an object with an id")
	}
	m.ID = object.ID
	return nil
}

// Who sets the subject of e: a visitor without a name is the session. It tells whether there is one.
func (x *MetarankEvent[T]) Who(e *streams.Event) bool {
	e.UserID, e.SessionID = x.User, x.Session
	if x.User == "" {
		e.AnonymousID = x.Session
	}
	return e.Subject() != ""
}

// Text returns the field of that name when it is a text.
func (x *MetarankEvent[T]) Text(name string) string {
	for _, f := range x.Fields {
		if text, ok := f.Value.(string); ok && f.Name == name {
			return text
		}
	}
	return ""
}

// Document adds what the fields say to doc, which may be nil, and returns it; nil when it says nothing.
func (x *MetarankEvent[T]) Document(doc map[string]any) map[string]any {
	for _, f := range x.Fields {
		if f.Name == "" {
			continue
		}
		if doc == nil {
			doc = map[string]any{}
		}
		doc[f.Name] = f.Value
	}
	return doc
}

// Exposure makes e the exposure of a ranking, which is named by the ranking's own id.
func (x *MetarankEvent[T]) Exposure(e *streams.Event) {
	e.Type, e.RecommendationID, e.Query = streams.Exposure, x.ID, x.Text("query")
	e.Items = nil
	for i, it := range x.Items {
		e.Items = append(e.Items, streams.Line{ItemID: it.ID, Position: i + 1})
	}
}

// Interaction makes e the event of an interaction, whose type means t.
func (x *MetarankEvent[T]) Interaction(e *streams.Event, t streams.Type) {
	e.Type, e.RecommendationID = t, x.Ranking
	it := line(t, x.Item)
	for _, f := range x.Fields {
		n, isNumber := f.Value.(float64)
		switch {
		case !isNumber:
		case counted(t) && (f.Name == "count" || f.Name == "quantity") && n >= 1 && n == math.Trunc(n) && n <= 1e6:
			it.Quantity = int64(n)
		case t == streams.Rating && (f.Name == "rating" || f.Name == "value"):
			e.Rating = n
		}
	}
	e.Items = []streams.Line{it}
}
