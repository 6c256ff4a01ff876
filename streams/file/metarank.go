package file

import (
	"fmt"
	"maps"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/foreign"
)

// metarank reads events of Metarank, in the order of the file. Its item and user events may hold a
// part of the fields, ours are whole documents: what was said of each is kept and said again.
type metarank struct {
	*jsonRows
	types feedback
	docs  map[string]map[string]any // "i"+item or "u"+user -> document
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
	var x foreign.MetarankEvent[looseTime]
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
		e.Attributes = r.document("i"+x.Item, &x)
		return s.emit(e)
	case "user":
		e.Type, e.UserID = streams.UserUpsert, x.User
		e.Attributes = r.document("u"+x.User, &x)
		return s.emit(e)
	case "ranking":
		return r.ranking(s, &x, e)
	case "interaction":
		return r.interaction(s, &x, e)
	}
	return r.fail("event", fmt.Sprintf("%q is none of item, user, ranking, interaction", x.Event))
}

// document adds what an event says to what is known of an item or user and returns a copy, nil when empty.
func (r *metarank) document(name string, x *foreign.MetarankEvent[looseTime]) map[string]any {
	r.docs[name] = x.Document(r.docs[name])
	return maps.Clone(r.docs[name])
}

// ranking makes an exposure, under its own id as the recommendation id.
func (r *metarank) ranking(s *Source, x *foreign.MetarankEvent[looseTime], e streams.Event) error {
	switch {
	case !x.Who(&e):
		s.skip("ranking of nobody")
		return nil
	case len(x.Items) == 0:
		s.skip("ranking without items")
		return nil
	}
	x.Exposure(&e)
	if len(e.Items) > s.maxLines {
		s.reduced("items beyond the longest list")
		e.Items = e.Items[:s.maxLines]
	}
	return s.emit(e)
}

// interaction makes the event of its type.
func (r *metarank) interaction(s *Source, x *foreign.MetarankEvent[looseTime], e streams.Event) error {
	typ, problem := r.types.typeOf(x.Type)
	if problem != "" {
		return r.fail("type", problem)
	}
	switch {
	case typ == Leave:
		s.skip("interaction " + x.Type)
		return nil
	case !x.Who(&e):
		s.skip("interaction of nobody")
		return nil
	}
	x.Interaction(&e, typ)
	return s.emit(e)
}
