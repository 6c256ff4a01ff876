package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/sartorhq/sartor/streams/codec"
)

// The media types of POST /v1/events. What has another one is taken for JSON, whose events tell by
// themselves what they are: curl and old trackers send forms' or none.
const (
	typeCloudEvent  = "application/cloudevents+json"
	typeCloudEvents = "application/cloudevents-batch+json"
)

// eventBody is the body of POST /v1/events cut into events.
type eventBody struct {
	raw     []json.RawMessage
	format  codec.Format
	headers []codec.Header // the attributes of a CloudEvent in binary mode
	single  bool           // one event that is not in a list
}

// splitEvents returns the events of a body in their order.
func splitEvents(c *fiber.Ctx) (eventBody, error) {
	out := eventBody{format: codec.Auto}
	body := c.Request().Body()
	if !utf8.Valid(body) {
		return out, malformed("the body is not UTF-8")
	}
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) == 0 {
		return out, malformed("the body is empty: send an event or a list of events")
	}
	kind, _, _ := mime.ParseMediaType(c.Get(fiber.HeaderContentType)) // what cannot be read is no kind of ours
	switch {
	case kind == typeCloudEvent || kind == typeCloudEvents:
		out.format = codec.CloudEvents
		if isList := body[0] == '['; isList != (kind == typeCloudEvents) {
			return out, malformed("a single CloudEvent is " + typeCloudEvent + ", a list of them is " + typeCloudEvents)
		}
	case strings.HasPrefix(kind, "application/cloudevents"):
		return out, &httpError{status: http.StatusUnsupportedMediaType, kind: "unsupported-media-type",
			detail: "CloudEvents are taken as JSON only: " + typeCloudEvent + " or " + typeCloudEvents}
	case c.Get("ce-specversion") != "":
		out.format, out.headers = codec.CloudEvents, binaryHeaders(c)
		out.raw, out.single = []json.RawMessage{bytes.Clone(body)}, true
		return out, nil
	}
	if body[0] != '[' {
		if calls, ok := segmentBatch(body); ok {
			out.raw, out.format = calls, codec.Segment
			return out, out.count()
		}
		out.raw, out.single = []json.RawMessage{bytes.Clone(body)}, true
		return out, nil
	}
	if tooDeep(body, maxDepth) {
		return out, malformed(fmt.Sprintf("the body is nested more than %d deep", maxDepth))
	}
	if err := json.Unmarshal(body, &out.raw); err != nil {
		return out, syntax(err)
	}
	return out, out.count()
}

func (b *eventBody) count() error {
	if len(b.raw) == 0 || len(b.raw) > maxEvents {
		return invalid(fieldError{Message: fmt.Sprintf("send 1 to %d events at once", maxEvents)})
	}
	return nil
}

// segmentBatch returns the calls of a body as Segment's libraries send it: {"batch": [...]}. No event of
// another form has such a list.
func segmentBatch(body []byte) (calls []json.RawMessage, ok bool) {
	if !bytes.Contains(body, []byte(`"batch"`)) || tooDeep(body, maxDepth) {
		return nil, false
	}
	var whole struct {
		Batch []json.RawMessage `json:"batch"`
	}
	if err := json.Unmarshal(body, &whole); err != nil || whole.Batch == nil {
		return nil, false
	}
	return whole.Batch, true
}

// binaryHeaders returns the attributes of a CloudEvent in HTTP's binary mode under the names that they
// have in Kafka's.
func binaryHeaders(c *fiber.Ctx) []codec.Header {
	var out []codec.Header
	for key, value := range c.Request().Header.All() {
		name := strings.ToLower(string(key))
		switch attribute, isCE := strings.CutPrefix(name, "ce-"); {
		case isCE:
			out = append(out, codec.Header{Key: "ce_" + attribute, Value: bytes.Clone(value)})
		case name == "content-type":
			out = append(out, codec.Header{Key: name, Value: bytes.Clone(value)})
		}
	}
	return out
}
