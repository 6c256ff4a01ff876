package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// maxEvents is the most events in one request.
const maxEvents = 1000

// partialError is an error of an EventWriter that tells the fate of each event: nil for one that is
// safe.
type partialError interface {
	error
	EventErrors() []error
}

// postEvents answers POST /v1/events: one event or a list. Valid events are written although others
// are not; the answer names every invalid one by index and field.
func (s *Server) postEvents(c *fiber.Ctx) error {
	raw, single, err := splitEvents(c.Request().Body())
	if err != nil {
		return err
	}
	var events []streams.Event
	var indexes []int // of events in the request
	var wrong []fieldError
	for i, data := range raw {
		e, err := codec.Decode(data)
		if err != nil {
			wrong = append(wrong, decodeErrors(i, single, err)...)
			continue
		}
		events, indexes = append(events, e), append(indexes, i)
	}
	if len(events) == 0 {
		return invalid(wrong...)
	}
	if err := s.write(events, indexes, wrong); err != nil {
		return err
	}
	return reply(c, http.StatusAccepted, eventsAnswer{
		Accepted: len(events), Rejected: len(raw) - len(events), Errors: list(wrong),
	})
}

// splitEvents returns the events of a body in their order. single is true for one that is not in a
// list.
func splitEvents(body []byte) (raw []json.RawMessage, single bool, err error) {
	if !utf8.Valid(body) {
		return nil, false, malformed("the body is not UTF-8")
	}
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) == 0 {
		return nil, false, malformed("the body is empty: send an event or a list of events")
	}
	if body[0] != '[' {
		return []json.RawMessage{bytes.Clone(body)}, true, nil
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, false, syntax(err)
	}
	if len(raw) == 0 || len(raw) > maxEvents {
		return nil, false, invalid(fieldError{Message: fmt.Sprintf("send 1 to %d events at once", maxEvents)})
	}
	return raw, false, nil
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
func (s *Server) write(events []streams.Event, indexes []int, wrong []fieldError) error {
	notTaken := indexes
	cause := errNoWriter
	if s.opts.Events != nil {
		ctx, cancel := context.WithTimeout(s.ctx, s.opts.EventTimeout)
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
	}
	if found := codec.Validate(&e); len(found) > 0 {
		return &codec.Error{Problems: found}
	}
	if err := s.write([]streams.Event{e}, []int{0}, nil); err != nil {
		return err
	}
	if what == streams.UserDelete {
		s.rec.Forget(id)
	}
	return reply(c, http.StatusAccepted, changeAnswer{EventID: e.ID})
}
