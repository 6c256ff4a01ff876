package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// maxEvents is the most events in one request.
const maxEvents = 1000

// maxAhead is how far ahead of the clock the time of an event may be: consumers send later ones to the dead letters.
const maxAhead = 5 * time.Minute

// partialError is an error of an EventWriter that tells the fate of each event: nil for one that is
// safe.
type partialError interface {
	error
	EventErrors() []error
}

// postEvents answers POST /v1/events: one event or a list, in any form that the codec reads. Valid events
// are written although others are not; the answer names every invalid one by index and field.
func (s *Server) postEvents(c *fiber.Ctx) error {
	in, err := splitEvents(c)
	if err != nil {
		return err
	}
	var events []streams.Event
	var indexes []int // of events in the request
	var wrong []fieldError
	skipped := 0
	for i, data := range in.raw {
		e, err := codec.DecodeAny(in.format, &codec.Message{Value: data, Headers: in.headers})
		if err == nil && e.Time.After(s.opts.Now().Add(maxAhead)) {
			err = &codec.Error{Problems: []codec.Problem{{Field: "time", Message: "is more than five minutes ahead of the clock here, and would be a dead letter: check the clock of the sender"}}}
		}
		switch {
		case errors.Is(err, codec.ErrSkipped):
			skipped++
		case err != nil:
			wrong = append(wrong, decodeErrors(i, in.single, err)...)
		default:
			events, indexes = append(events, e), append(indexes, i)
		}
	}
	if len(events) == 0 && skipped == 0 {
		return invalid(wrong...)
	}
	if len(events) > 0 {
		if err := s.write(s.context(c), events, indexes, wrong); err != nil {
			return err
		}
	}
	return reply(c, http.StatusAccepted, eventsAnswer{
		Accepted: len(events), Rejected: len(in.raw) - len(events) - skipped, Skipped: skipped, Errors: list(wrong),
	})
}

func decodeErrors(index int, single bool, err error) []fieldError {
	at := &index
	if single {
		at = nil
	}
	var bad *codec.Error
	if errors.As(err, &bad) {
		return eventErrors(at, bad.Problems)
	}
	return []fieldError{{Index: at, Message: "is not an event"}}
}

// write hands valid events to the log. indexes are their places in the request and wrong what is
// to be said of the others; both are part of the answer when the log takes none or some of them.
func (s *Server) write(ctx context.Context, events []streams.Event, indexes []int, wrong []fieldError) error {
	notTaken := indexes
	cause := errNoWriter
	if s.opts.Events != nil {
		ctx, cancel := context.WithTimeout(ctx, s.opts.EventTimeout)
		defer cancel()
		cause = s.opts.Events.Write(ctx, events...)
		if cause == nil {
			return nil
		}
		notTaken = refused(cause, indexes)
	}
	e := unavailable("the event log does not take events at the moment: send those that were not accepted again", cause)
	accepted := len(indexes) - len(notTaken)
	e.accepted, e.notAccepted, e.errors = &accepted, notTaken, wrong
	return e
}

var errNoWriter = errors.New("no event log is configured")

// refused returns the places in the request of the events that are not safe.
func refused(err error, indexes []int) []int {
	var partial partialError
	if !errors.As(err, &partial) || len(partial.EventErrors()) != len(indexes) {
		return indexes
	}
	var out []int
	for i, e := range partial.EventErrors() {
		if e != nil {
			out = append(out, indexes[i])
		}
	}
	return out
}

// putItem answers PUT /v1/items/{id}: the body replaces the item's document.
func (s *Server) putItem(c *fiber.Ctx) error { return s.change(c, streams.ItemUpsert) }

// deleteItem answers DELETE /v1/items/{id}.
func (s *Server) deleteItem(c *fiber.Ctx) error { return s.change(c, streams.ItemDelete) }

// putUser answers PUT /v1/users/{id}: the body replaces the user's attributes.
func (s *Server) putUser(c *fiber.Ctx) error { return s.change(c, streams.UserUpsert) }

// deleteUser answers DELETE /v1/users/{id}: everything that is stored of the user goes.
func (s *Server) deleteUser(c *fiber.Ctx) error { return s.change(c, streams.UserDelete) }

// change writes the event that an upsert or delete by HTTP stands for.
func (s *Server) change(c *fiber.Ctx, what streams.Type) error {
	id, err := pathID(c)
	if err != nil {
		return err
	}
	e := streams.Event{ID: s.opts.NewID(), Type: what, Time: s.opts.Now().UTC().Truncate(time.Millisecond)}
	if what.Stream() == streams.Catalog {
		e.Items = []streams.Line{{ItemID: id}}
	} else {
		e.UserID = id
	}
	if what == streams.ItemUpsert || what == streams.UserUpsert {
		if e.Attributes, err = decodeObject(c.Request().Body()); err != nil {
			return err
		}
		if wrong := s.documentErrors(what, e.Attributes); len(wrong) > 0 {
			return invalid(wrong...)
		}
	}
	if found := codec.Validate(&e); len(found) > 0 {
		return &codec.Error{Problems: found}
	}
	if err := s.write(s.context(c), []streams.Event{e}, []int{0}, nil); err != nil {
		return err
	}
	if what == streams.UserDelete {
		s.rec.Forget(id)
	}
	return reply(c, http.StatusAccepted, changeAnswer{EventID: e.ID})
}

// documentErrors says which values of a document would count as unknown: its author is still there to be told, and ingest could only
// leave them out.
func (s *Server) documentErrors(what streams.Type, document map[string]any) []fieldError {
	if inner, ok := document["attributes"].(map[string]any); ok && len(document) == 1 && len(inner) > 0 {
		return []fieldError{{Field: "attributes", Message: "the body is the document itself, without attributes around it"}}
	}
	kind := features.UserEntity
	if what == streams.ItemUpsert {
		kind = features.ItemEntity
	}
	var wrong []fieldError
	for _, p := range s.rec.CheckDocument(kind, document) {
		wrong = append(wrong, fieldError{Field: p.Field, Message: p.Message})
	}
	return wrong
}
