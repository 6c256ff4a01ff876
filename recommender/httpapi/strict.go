package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// names lists the members of a JSON text's objects that encoding/json lets through although the document does
// not: a name that stands twice, of which the last would win, where a gateway before us may have judged the
// first, and a name in other letter case. The text must be one that encoding/json has read.
func (d *document) names(schema *huma.Schema, body []byte) []fieldError {
	w := nameWalk{d: d, body: body}
	w.value(schema)
	return w.found
}

// nameWalk is a position in a valid JSON text.
type nameWalk struct {
	d     *document
	body  []byte
	at    int
	path  []string // names, and [index] of lists
	found []fieldError
}

// peek returns the next byte after white space, 0 at the end.
func (w *nameWalk) peek() byte {
	for w.at < len(w.body) && bytes.IndexByte([]byte(" \t\r\n"), w.body[w.at]) >= 0 {
		w.at++
	}
	if w.at == len(w.body) {
		return 0
	}
	return w.body[w.at]
}

func (w *nameWalk) value(schema *huma.Schema) {
	switch w.peek() {
	case '{':
		w.object(w.d.resolved(schema))
	case '[':
		w.list(w.d.resolved(schema))
	case '"':
		w.text()
	default:
		for w.at < len(w.body) && bytes.IndexByte([]byte(",]} \t\r\n"), w.body[w.at]) < 0 {
			w.at++
		}
	}
}

func (w *nameWalk) object(schema *huma.Schema) {
	w.at++
	seen := map[string]bool{}
	for w.peek() == '"' {
		name := w.text()
		w.path = append(w.path, name)
		inner, known := (*huma.Schema)(nil), true
		if schema != nil && schema.AdditionalProperties == false {
			inner, known = schema.Properties[name]
		}
		switch {
		case seen[name]:
			w.say("stands twice in its object")
		case !known:
			w.say(unknownName("field", name, propertiesOf(schema)))
		}
		seen[name] = true
		if w.peek() == ':' {
			w.at++
		}
		w.value(inner)
		w.path = w.path[:len(w.path)-1]
		if w.peek() == ',' {
			w.at++
		}
	}
	if w.peek() == '}' {
		w.at++
	}
}

func (w *nameWalk) list(schema *huma.Schema) {
	w.at++
	var inner *huma.Schema
	if schema != nil {
		inner = schema.Items
	}
	for i := 0; ; i++ {
		switch b := w.peek(); b {
		case ']', 0:
			w.at += int(min(b, 1))
			return
		case ',':
			w.at++
		}
		w.path = append(w.path, "["+strconv.Itoa(i)+"]")
		w.value(inner)
		w.path = w.path[:len(w.path)-1]
	}
}

// text steps over a text and returns it.
func (w *nameWalk) text() string {
	from := w.at
	for w.at++; w.at < len(w.body) && w.body[w.at] != '"'; w.at++ {
		if w.body[w.at] == '\\' {
			w.at++
		}
	}
	w.at = min(w.at+1, len(w.body))
	raw := w.body[from:w.at]
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(bytes.Trim(raw, `"`))
	}
	var out string
	_ = json.Unmarshal(raw, &out) // the decoder has read it
	return out
}

func (w *nameWalk) say(message string) {
	w.found = append(w.found, fieldError{Field: placeOf(w.path), Message: message})
}

// placeOf writes a path as the document's judge does: requests[0].count.
func placeOf(path []string) string {
	return strings.ReplaceAll(strings.Join(path, "."), ".[", "[")
}

// wholeOf reads any JSON value. Numbers that no float64 holds, such as 1e400, are infinite in it, and their
// places are listed: they are JSON all the same.
func wholeOf(body []byte) (whole any, tooLarge []string, err error) {
	if err := json.Unmarshal(body, new(json.RawMessage)); err != nil { // says where, as a decoder of a stream does not
		return nil, nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&whole); err != nil {
		return nil, nil, err
	}
	return asFloats(whole, nil, &tooLarge), tooLarge, nil
}

func asFloats(value any, path []string, tooLarge *[]string) any {
	switch v := value.(type) {
	case json.Number:
		n, err := strconv.ParseFloat(v.String(), 64)
		if err != nil || math.IsInf(n, 0) {
			*tooLarge = append(*tooLarge, placeOf(path))
		}
		return n
	case map[string]any:
		for name, inner := range v {
			v[name] = asFloats(inner, append(path, name), tooLarge)
		}
	case []any:
		for i, inner := range v {
			v[i] = asFloats(inner, append(path, "["+strconv.Itoa(i)+"]"), tooLarge)
		}
	}
	return value
}

// judge lists what is wrong with a body that could not be decoded; cause is what the decoder said.
func (d *document) judge(schema *huma.Schema, body []byte, cause error) error {
	whole, tooLarge, err := wholeOf(body)
	if err != nil {
		return syntax(err)
	}
	found := d.validate(schema, whole)
	slices.Sort(tooLarge)
	for _, place := range tooLarge {
		if !slices.ContainsFunc(found, func(f fieldError) bool { return f.Field == place }) {
			found = append(found, fieldError{Field: place, Message: fmt.Sprintf("must be a number between %g and %g", -math.MaxFloat64, math.MaxFloat64)})
		}
	}
	if len(found) == 0 {
		found = []fieldError{typeError(cause)}
	}
	return invalid(found...)
}
