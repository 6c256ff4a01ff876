package file

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"

	"github.com/sartorhq/sartor/streams"
)

// metarank reads events of Metarank, in the order of the file. Its item and user events may hold a
// part of the fields, ours are whole documents: what was said of each is kept and said again.
type metarank struct {
	*jsonRows
	types feedback
	docs  map[string]map[string]any // "i"+item or "u"+user -> document
}

// metarankEvent has the fields of all four events.
type metarankEvent struct {
	Event     string
	ID        string
	Timestamp looseTime
	Item      string
	User      string
	Session   string
	Ranking   string
	Type      string
	Fields    []metarankField
	Items     []metarankItem
}

type metarankField struct {
	Name  string
	Value any
}

// metarankItem is an item of a ranking; older files have bare ids.
type metarankItem struct{ ID string }

// UnmarshalJSON reads either form.
func (m *metarankItem) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &m.ID) == nil {
		return nil
	}
	var object struct{ ID string }
	if err := json.Unmarshal(data, &object); err != nil {
		return fmt.Errorf("an item of a ranking is an object with an id")
	}
	m.ID = object.ID
	return nil
}

func openMetarank(path string, types feedback) (reader, error) {
	path, err := locate(path, "events.jsonl", "events.ndjson", "events.json")
	if err != nil {
		return nil, err
	}
	rows, err := openJSONRows(path)
	if err != nil {
		return nil, err
	}
	return &metarank{jsonRows: rows, types: types, docs: map[string]map[string]any{}}, nil
}

// read takes one event.
func (r *metarank) read(s *Source) error {
	var x metarankEvent
	if err := r.next(&x); err != nil {
		return err
	}
	s.row()
	if x.Timestamp.IsZero() {
		return r.fail("timestamp", "is empty")
	}
	if x.ID == "" {
		return r.fail("id", "is empty")
	}
	e := streams.Event{ID: x.ID, Time: x.Timestamp.Time}
	switch x.Event {
	case "item", "metadata": // the name of old
		e.Type, e.Items = streams.ItemUpsert, []streams.Line{{ItemID: x.Item}}
		e.Attributes = r.document("i"+x.Item, x.Fields)
		return s.emit(e)
	case "user":
		e.Type, e.UserID = streams.UserUpsert, x.User
		e.Attributes = r.document("u"+x.User, x.Fields)
		return s.emit(e)
	case "ranking":
		return r.ranking(s, &x, e)
	case "interaction":
		return r.interaction(s, &x, e)
	}
	return r.fail("event", fmt.Sprintf("%q is none of item, user, ranking, interaction", x.Event))
}

// document adds fields to what is known of an item or user and returns a copy, nil when empty.
func (r *metarank) document(name string, fields []metarankField) map[string]any {
	doc := r.docs[name]
	if doc == nil {
		doc = map[string]any{}
		r.docs[name] = doc
	}
	for _, f := range fields {
		if f.Name != "" {
			doc[f.Name] = f.Value
		}
	}
	if len(doc) == 0 {
		return nil
	}
	return maps.Clone(doc)
}

// who sets the subject: a visitor without a name is the session. It tells whether there is one.
func (x *metarankEvent) who(e *streams.Event) bool {
	e.UserID, e.SessionID = x.User, x.Session
	if x.User == "" {
		e.AnonymousID = x.Session
	}
	return e.Subject() != ""
}

// ranking makes an exposure, under its own id as the recommendation id.
func (r *metarank) ranking(s *Source, x *metarankEvent, e streams.Event) error {
	switch {
	case !x.who(&e):
		s.skip("ranking of nobody")
		return nil
	case len(x.Items) == 0:
		s.skip("ranking without items")
		return nil
	}
	e.Type, e.RecommendationID = streams.Exposure, x.ID
	for _, f := range x.Fields {
		if text, ok := f.Value.(string); ok && f.Name == "query" {
			e.Query = text
		}
	}
	for i, item := range x.Items {
		if len(e.Items) == s.maxLines {
			s.reduced("items beyond the longest list")
			break
		}
		e.Items = append(e.Items, streams.Line{ItemID: item.ID, Position: i + 1})
	}
	return s.emit(e)
}

// interaction makes the event of its type.
func (r *metarank) interaction(s *Source, x *metarankEvent, e streams.Event) error {
	typ, problem := r.types.typeOf(x.Type)
	if problem != "" {
		return r.fail("type", problem)
	}
	switch {
	case typ == Leave:
		s.skip("interaction " + x.Type)
		return nil
	case !x.who(&e):
		s.skip("interaction of nobody")
		return nil
	}
	e.Type, e.RecommendationID = typ, x.Ranking
	line := streams.Line{ItemID: x.Item}
	if countedType(typ) {
		line.Quantity = 1
	}
	for _, f := range x.Fields {
		number, ok := f.Value.(float64)
		switch {
		case !ok:
		case countedType(typ) && (f.Name == "count" || f.Name == "quantity") && number >= 1 && number == math.Trunc(number) && number <= 1e6:
			line.Quantity = int64(number)
		case typ == streams.Rating && (f.Name == "rating" || f.Name == "value"):
			e.Rating = number
		}
	}
	e.Items = []streams.Line{line}
	return s.emit(e)
}
