package foreign

import (
	"time"

	"github.com/sartorhq/sartor/streams"
)

// GorseFeedback is one feedback of Gorse. T reads its time.
type GorseFeedback[T any] struct {
	FeedbackType string
	UserID       string `json:"UserId"`
	ItemID       string `json:"ItemId"`
	Value        float64
	Timestamp    T
}

// Event is the feedback as an event of type t, still without id and time.
func (f *GorseFeedback[T]) Event(t streams.Type) streams.Event {
	e := streams.Event{Type: t, UserID: f.UserID, Items: []streams.Line{line(t, f.ItemID)}}
	if t == streams.Rating {
		e.Rating = f.Value
	}
	return e
}

// GorseItem is one item of Gorse. T reads its time.
type GorseItem[T any] struct {
	ItemID     string `json:"ItemId"`
	IsHidden   bool
	Categories []string
	Timestamp  T
	Labels     any
	Comment    string
}

// Event is the document of an item that was created then, a zero time being unknown, or the end of one that
// Gorse hides; still without id and time. It tells how many embeddings it left out.
func (x *GorseItem[T]) Event(created time.Time) (e streams.Event, embeddings int) {
	e = streams.Event{Type: streams.ItemUpsert, Items: []streams.Line{{ItemID: x.ItemID}}}
	if x.IsHidden {
		e.Type = streams.ItemDelete
		return e, 0
	}
	doc, embeddings := document(x.Labels, "tags")
	setDefault(doc, "title", x.Comment)
	if len(x.Categories) > 0 {
		setDefault(doc, "category", x.Categories[0])
		if doc["tags"] == nil {
			all := make([]any, len(x.Categories))
			for i, c := range x.Categories {
				all[i] = c
			}
			doc["tags"] = all
		}
	}
	if !created.IsZero() {
		setDefault(doc, "created_at", created.Format(time.RFC3339))
	}
	if len(doc) > 0 {
		e.Attributes = doc
	}
	return e, embeddings
}

// GorseUser is one user of Gorse.
type GorseUser struct {
	UserID string `json:"UserId"`
	Labels any
}

// Event is the document of the user, still without id and time. It tells how many embeddings it left out.
func (x *GorseUser) Event() (e streams.Event, embeddings int) {
	e = streams.Event{Type: streams.UserUpsert, UserID: x.UserID}
	doc, embeddings := document(x.Labels, "segments")
	if len(doc) > 0 {
		e.Attributes = doc
	}
	return e, embeddings
}

// document makes a document of labels: an object is one, less its embeddings, which it counts; a list or a
// text goes under the given name.
func document(labels any, name string) (doc map[string]any, embeddings int) {
	doc = map[string]any{}
	switch labels := labels.(type) {
	case map[string]any:
		for key, value := range labels {
			if isEmbedding(value) {
				embeddings++
				continue
			}
			doc[key] = value
		}
	case []any:
		if isEmbedding(labels) {
			embeddings++
		} else if len(labels) > 0 {
			doc[name] = labels
		}
	case string:
		setDefault(doc, name, labels)
	}
	return doc, embeddings
}

// isEmbedding tells whether a label is an embedding: more than a few numbers.
func isEmbedding(value any) bool {
	list, ok := value.([]any)
	if !ok || len(list) < 8 {
		return false
	}
	for _, x := range list {
		if _, isNumber := x.(float64); !isNumber {
			return false
		}
	}
	return true
}

// setDefault sets a name that the document does not have, unless the text is empty.
func setDefault(doc map[string]any, name, text string) {
	if _, there := doc[name]; !there && text != "" {
		doc[name] = text
	}
}
