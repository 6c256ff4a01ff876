package httpapi

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
	"github.com/sartorhq/sartor/streams/foreign"
)

// Adapter is the API of another system, so that its clients can be pointed here.
type Adapter string

// The adapters.
const (
	Gorse    Adapter = "gorse"
	Metarank Adapter = "metarank"
)

// Adapters lists the adapters.
func Adapters() []Adapter { return []Adapter{Gorse, Metarank} }

// adapterRoutes are the routes of the adapters that are on.
func (s *Server) adapterRoutes() []route {
	var out []route
	if slices.Contains(s.opts.Adapters, Gorse) {
		out = append(out, s.gorseRoutes()...)
	}
	if slices.Contains(s.opts.Adapters, Metarank) {
		out = append(out, s.metarankRoutes()...)
	}
	return out
}

const feedbackHint = "is a kind of feedback that is not known: there are " + foreign.Kinds

// adapted writes the events that a request of another system stands for: all of them, or none when one is
// not valid. It returns their number.
func (s *Server) adapted(c *fiber.Ctx, events []streams.Event, wrong []fieldError) (int, error) {
	indexes := make([]int, len(events))
	for i := range events {
		indexes[i] = i
		wrong = append(wrong, eventErrors(&indexes[i], codec.Validate(&events[i]))...)
	}
	switch {
	case len(wrong) > 0:
		return 0, invalid(wrong...)
	case len(events) > maxEvents:
		return 0, invalid(fieldError{Message: fmt.Sprintf("send at most %d at once", maxEvents)})
	case len(events) == 0:
		return 0, nil
	}
	return len(events), s.write(s.context(c), events, indexes, nil)
}

// decodeLoose reads JSON whose unknown fields do not matter: other systems have more than we read.
func decodeLoose(body []byte, out any) error {
	if err := readable(body); err != nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		if json.Valid(body) {
			return invalid(typeError(err))
		}
		return syntax(err)
	}
	return nil
}

// oneOrMany reads an object or a list of objects.
func oneOrMany[T any](body []byte) ([]T, error) {
	if trimmed := strings.TrimLeft(string(body[:min(len(body), 64)]), " \t\r\n"); strings.HasPrefix(trimmed, "[") {
		var out []T
		return out, decodeLoose(body, &out)
	}
	out := make([]T, 1)
	return out, decodeLoose(body, &out[0])
}

// looseTime is a time as other systems write it: RFC 3339 and its relatives, a date, or a count of seconds
// or milliseconds since 1970 as a number or a text.
type looseTime struct{ time.Time }

// UnmarshalJSON reads any of the forms.
func (t *looseTime) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		text = string(data)
	}
	if text = strings.TrimSpace(text); text == "" || text == "null" {
		return nil
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && len(text) > 4 && math.Abs(n) < 1e14 {
		if math.Abs(n) < 1e11 { // seconds until the year 5138
			n *= 1000
		}
		t.Time = time.UnixMilli(int64(n)).UTC()
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly, "2006-01-02 15:04:05.999999999 -0700 MST", "2006/01/02"} {
		if at, err := time.Parse(layout, text); err == nil {
			t.Time = at.UTC()
			return nil
		}
	}
	return fmt.Errorf("is not a time: write 2026-10-23T12:00:00Z")
}

// stamp is the time in whole milliseconds, or now without one.
func (s *Server) stamp(t looseTime) time.Time {
	if t.IsZero() {
		return s.opts.Now().UTC().Truncate(time.Millisecond)
	}
	return t.Truncate(time.Millisecond)
}

// maxPaged is how far into a list the pages of an offset go.
const maxPaged = 1000

// page returns the n items after the first offset ones. The pages before are looked through and not
// recorded as shown.
func (s *Server) page(c *fiber.Ctx, q recommender.Request, offset, n int) ([]recommender.Item, error) {
	ctx := s.context(c)
	out := []recommender.Item{}
	q.Paging = true
	for {
		if q.Quiet, q.Count = offset > 0, min(offset, recommender.MaxCount); !q.Quiet {
			q.Count = min(n-len(out), recommender.MaxCount)
		}
		resp, err := s.rec.Recommend(ctx, q)
		if err != nil {
			return nil, err
		}
		if q.Quiet {
			offset -= len(resp.Items)
		} else {
			out = append(out, resp.Items...)
		}
		if q.Cursor = resp.NextCursor; q.Cursor == "" || len(out) >= n {
			return out, nil
		}
	}
}

// number reads a whole number of the query string.
func number(c *fiber.Ctx, name string, def, low, high int, wrong *[]fieldError) int {
	text := string(c.Context().QueryArgs().Peek(name))
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		*wrong = append(*wrong, fieldError{Field: name, Message: fmt.Sprintf("must be between %d and %d", low, high)})
	}
	return n
}
