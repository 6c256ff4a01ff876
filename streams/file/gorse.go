package file

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// gorse reads an export of Gorse: the items and users, stamped with the time of the first feedback,
// and then the feedback in order of time, which an export does not have.
type gorse struct {
	types                  feedback
	items, users, feedback *jsonRows // nil when missing or done
	now                    *jsonRows
	sorted                 bool
	first                  time.Time
	rows                   []gorseFeedback
}

// gorseFeedback is one feedback. Line is where it was, for error messages.
type gorseFeedback struct {
	FeedbackType string
	UserID       string `json:"UserId"`
	ItemID       string `json:"ItemId"`
	Value        float64
	Timestamp    looseTime
	line         int
}

type gorseItem struct {
	ItemID     string `json:"ItemId"`
	IsHidden   bool
	Categories []string
	Timestamp  looseTime
	Labels     any
	Comment    string
}

type gorseUser struct {
	UserID  string `json:"UserId"`
	Labels  any
	Comment string
}

// openGorse opens the folder of an export, or the folder that holds the named feedback file.
func openGorse(path string, types feedback) (reader, error) {
	main, err := locate(path, "feedback.jsonl", "feedback.json", "feedback.ndjson")
	if err != nil {
		return nil, err
	}
	r := &gorse{types: types}
	if r.feedback, err = openJSONRows(main); err != nil {
		return nil, err
	}
	r.now = r.feedback
	for _, side := range []struct {
		name string
		rows **jsonRows
	}{{"items", &r.items}, {"users", &r.users}} {
		for _, suffix := range []string{".jsonl", ".json", ".ndjson"} {
			p := sibling(main, side.name+suffix)
			if p == "" || *side.rows != nil {
				continue
			}
			if *side.rows, err = openJSONRows(p); err != nil {
				_ = r.close()
				return nil, fmt.Errorf("%s: %w", filepath.Base(p), err)
			}
		}
	}
	return r, nil
}

func (r *gorse) at() (string, int) { return r.now.at() }

func (r *gorse) close() error {
	var errs []error
	for _, rows := range []*jsonRows{r.items, r.users, r.feedback} {
		if rows != nil {
			errs = append(errs, rows.close())
		}
	}
	return errors.Join(errs...)
}

// read first loads and sorts the feedback, then takes an item, a user or a feedback.
func (r *gorse) read(s *Source) error {
	if !r.sorted {
		return r.load()
	}
	for _, side := range []struct {
		rows **jsonRows
		take func(*Source) error
	}{{&r.items, r.item}, {&r.users, r.user}} {
		if *side.rows == nil {
			continue
		}
		r.now = *side.rows
		err := side.take(s)
		if errors.Is(err, io.EOF) {
			err = (*side.rows).close()
			*side.rows = nil
		}
		return err
	}
	if r.now = r.feedback; len(r.rows) == 0 {
		return io.EOF
	}
	f := r.rows[0]
	r.rows = r.rows[1:]
	r.feedback.start = f.line
	s.row()
	return r.event(s, &f)
}

// load reads all feedback and sorts it by time, then by what names it.
func (r *gorse) load() error {
	for {
		var f gorseFeedback
		err := r.feedback.next(&f)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		f.line = r.feedback.start
		if f.Timestamp.IsZero() {
			return r.feedback.fail("Timestamp", "is empty")
		}
		if _, problem := r.types.typeOf(f.FeedbackType); problem != "" { // before anything is published
			return r.feedback.fail("FeedbackType", problem)
		}
		r.rows = append(r.rows, f)
	}
	slices.SortFunc(r.rows, func(a, b gorseFeedback) int {
		return cmp.Or(a.Timestamp.Compare(b.Timestamp.Time), strings.Compare(a.UserID, b.UserID),
			strings.Compare(a.ItemID, b.ItemID), strings.Compare(a.FeedbackType, b.FeedbackType), cmp.Compare(a.line, b.line))
	})
	r.first = time.Unix(1, 0).UTC()
	if len(r.rows) > 0 {
		r.first = r.rows[0].Timestamp.Time
	}
	r.sorted = true
	return nil
}

// event makes the event of a feedback.
func (r *gorse) event(s *Source, f *gorseFeedback) error {
	typ, _ := r.types.typeOf(f.FeedbackType) // load has checked it
	if typ == Leave {
		s.skip("feedback " + f.FeedbackType)
		return nil
	}
	e := streams.Event{ID: joinID("gorse", f.FeedbackType, f.UserID, f.ItemID), Type: typ, Time: f.Timestamp.Time, UserID: f.UserID,
		Items: []streams.Line{{ItemID: f.ItemID}}}
	if countedType(typ) {
		e.Items[0].Quantity = 1
	}
	if typ == streams.Rating {
		e.Rating = f.Value
	}
	return s.emit(e)
}

// item makes the document of an item, or takes it back when Gorse hides the item.
func (r *gorse) item(s *Source) error {
	var x gorseItem
	if err := r.items.next(&x); err != nil {
		return err
	}
	s.row()
	e := streams.Event{ID: joinID("gorse", "item", x.ItemID), Type: streams.ItemUpsert, Time: r.first, Items: []streams.Line{{ItemID: x.ItemID}}}
	if x.IsHidden {
		e.Type = streams.ItemDelete
		return s.emit(e)
	}
	e.Attributes = r.document(s, x.Labels, "tags")
	setDefault(e.Attributes, "title", x.Comment)
	if len(x.Categories) > 0 {
		all := make([]any, len(x.Categories))
		for i, c := range x.Categories {
			all[i] = c
		}
		setDefault(e.Attributes, "category", x.Categories[0])
		if e.Attributes["tags"] == nil {
			e.Attributes["tags"] = all
		}
	}
	if !x.Timestamp.IsZero() {
		setDefault(e.Attributes, "created_at", x.Timestamp.Format(time.RFC3339))
	}
	if len(e.Attributes) == 0 {
		e.Attributes = nil
	}
	return s.emit(e)
}

// user makes the document of a user.
func (r *gorse) user(s *Source) error {
	var x gorseUser
	if err := r.users.next(&x); err != nil {
		return err
	}
	s.row()
	e := streams.Event{ID: joinID("gorse", "user", x.UserID), Type: streams.UserUpsert, Time: r.first, UserID: x.UserID}
	if doc := r.document(s, x.Labels, "segments"); len(doc) > 0 {
		e.Attributes = doc
	}
	return s.emit(e)
}

// document makes a document of labels: an object is one, with its embeddings left out; a list goes
// under the given name.
func (r *gorse) document(s *Source, labels any, list string) map[string]any {
	doc := map[string]any{}
	switch labels := labels.(type) {
	case map[string]any:
		for name, value := range labels {
			if isVector(value) {
				s.reduced("embedding in labels")
				continue
			}
			doc[name] = value
		}
	case []any:
		if len(labels) > 0 {
			doc[list] = labels
		}
	case string:
		setDefault(doc, list, labels)
	}
	return doc
}

// isVector tells whether a label is an embedding: more than a few numbers.
func isVector(value any) bool {
	list, ok := value.([]any)
	if !ok || len(list) < 8 {
		return false
	}
	for _, x := range list {
		if _, number := x.(float64); !number {
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
