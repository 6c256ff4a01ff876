package codec

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// envelope is a CloudEvent: what it says about its data, and the data.
type envelope struct {
	parser
	version, id, source string
	typ, time, content  string
	base64              string
	data                []byte // nil when there is none
}

// decodeCloudEvent reads a CloudEvent in binary mode, when the headers say so, or in structured mode.
// mixed tells that the data is a Segment call.
func decodeCloudEvent(m *Message) (e streams.Event, mixed bool, err error) {
	if err := tooLong(m.Value); err != nil {
		return e, false, err
	}
	c := envelope{}
	if _, binary := m.header("ce_specversion"); binary {
		c.headers(m)
	} else {
		c.parser.data = m.Value
		if !c.whole("a CloudEvent", c.field) {
			return e, false, c.error()
		}
	}
	return c.open()
}

// headers reads the attributes of binary mode.
func (c *envelope) headers(m *Message) {
	c.version, _ = m.header("ce_specversion")
	c.id, _ = m.header("ce_id")
	c.source, _ = m.header("ce_source")
	c.typ, _ = m.header("ce_type")
	c.time, _ = m.header("ce_time")
	c.content, _ = m.header("content-type")
	c.data = m.Value
}

// field reads one attribute of structured mode; extensions are ignored.
func (c *envelope) field(key []byte) bool {
	switch string(key) {
	case "specversion":
		return c.loose("specversion", &c.version)
	case "id":
		return c.loose("id", &c.id)
	case "source":
		return c.loose("source", &c.source)
	case "type":
		return c.loose("type", &c.typ)
	case "time":
		return c.loose("time", &c.time)
	case "datacontenttype":
		return c.loose("datacontenttype", &c.content)
	case "data_base64":
		return c.loose("data_base64", &c.base64)
	case "data":
		var ok bool
		c.data, ok = c.raw()
		return ok
	}
	return c.skip()
}

// open checks the envelope and decodes what is in it.
func (c *envelope) open() (e streams.Event, mixed bool, err error) {
	if c.version != "1.0" {
		c.problem("specversion", "must be 1.0; got %s", quote([]byte(c.version)))
		return e, false, c.error()
	}
	kind := subjectOf(c.typ)
	native := streams.Type(kind).Stream() != ""
	switch {
	case c.typ == "":
		c.problem("type", "is required")
	case !native && !isCall(kind):
		return e, false, skipped("CloudEvents of type %s are skipped", quote([]byte(c.typ)))
	}
	given := c.given()
	data := c.payload()
	if len(c.problems) > 0 {
		return e, false, c.error()
	}
	if native {
		given.Type = streams.Type(kind)
		e, err = decode(data, &given)
		return e, false, err
	}
	e, err = decodeSegment(data, &given)
	return e, true, err
}

// given returns what the attributes say about the event.
func (c *envelope) given() streams.Event {
	var e streams.Event
	if c.id == "" {
		c.problem("id", "is required")
	}
	if c.source == "" {
		c.problem("source", "is required")
	}
	e.ID = eventID(c.source, c.id)
	if c.time != "" {
		var t time.Time
		if err := t.UnmarshalText([]byte(c.time)); err != nil {
			c.problem("time", "%s; got %s", timeHelp, quote([]byte(c.time)))
		} else {
			e.Time = time.UnixMilli(t.UnixMilli()).UTC()
		}
	}
	return e
}

// eventID makes one id of source and id, which only together name a CloudEvent.
func eventID(source, id string) string {
	if joined := source + "|" + id; badText(joined, MaxIDBytes) == "" {
		return joined
	}
	sum := sha256.Sum256([]byte(source + "|" + id))
	return hex.EncodeToString(sum[:])
}

// payload returns the data, which must be JSON.
func (c *envelope) payload() []byte {
	media, _, _ := strings.Cut(strings.ToLower(c.content), ";")
	media = strings.TrimSpace(media)
	switch {
	case media != "" && media != "application/json" && media != "text/json" && !strings.HasSuffix(media, "+json"):
		c.problem("datacontenttype", "must be application/json; got %s", quote([]byte(c.content)))
	case c.data != nil && c.base64 != "":
		c.problem("data_base64", "use either data or data_base64, not both")
	case c.base64 != "":
		data, err := base64.StdEncoding.DecodeString(c.base64)
		if err != nil {
			c.problem("data_base64", "is not base64")
		}
		return data
	case len(bytes.TrimSpace(c.data)) == 0:
		c.problem("data", "is required: a native event or a Segment call")
	}
	return c.data
}

// subjectOf returns the last part of a type, without a version: "order" of "com.example.order.v2".
func subjectOf(typ string) string {
	i := strings.LastIndexAny(typ, "./:")
	if last := typ[i+1:]; i > 0 && len(last) > 1 && last[0] == 'v' && allDigits(last[1:]) {
		typ = typ[:i]
		i = strings.LastIndexAny(typ, "./:")
	}
	return typ[i+1:]
}
