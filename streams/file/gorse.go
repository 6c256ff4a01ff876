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
	"github.com/sartorhq/sartor/streams/foreign"
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

// gorseFeedback is one feedback. line is where it was, for error messages.
type gorseFeedback struct {
	foreign.GorseFeedback[looseTime]
	line int
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
		err := r.feedback.next(&f.GorseFeedback)
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
	e := f.Event(typ)
	e.ID, e.Time = foreign.ID("gorse", f.FeedbackType, f.UserID, f.ItemID), f.Timestamp.Time
	return s.emit(e)
}

// item makes the document of an item, or takes it back when Gorse hides the item.
func (r *gorse) item(s *Source) error {
	var x foreign.GorseItem[looseTime]
	if err := r.items.next(&x); err != nil {
		return err
	}
	e, embeddings := x.Event(x.Timestamp.Time)
	e.ID = foreign.ID("gorse", "item", x.ItemID)
	return r.side(s, e, embeddings)
}

// user makes the document of a user.
func (r *gorse) user(s *Source) error {
	var x foreign.GorseUser
	if err := r.users.next(&x); err != nil {
		return err
	}
	e, embeddings := x.Event()
	e.ID = foreign.ID("gorse", "user", x.UserID)
	return r.side(s, e, embeddings)
}

// side publishes what is said of an item or a user, as of the first feedback.
func (r *gorse) side(s *Source, e streams.Event, embeddings int) error {
	s.row()
	for range embeddings {
		s.reduced("embedding in labels")
	}
	e.Time = r.first
	return s.emit(e)
}
