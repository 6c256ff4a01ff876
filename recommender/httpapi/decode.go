package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// decode reads a JSON body into out, strictly. A good body is decoded once; a bad one is looked at
// again under the document's schema, so that the answer names every field at once.
func (d *document) decode(body []byte, schema *huma.Schema, out any) error {
	if err := readable(body); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(out); err != nil {
		return d.judge(schema, body, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return malformed("there is something after the JSON value")
	}
	if bytes.Equal(bytes.TrimSpace(body), []byte("null")) { // encoding/json takes it for an object without fields
		return invalid(fieldError{Message: "must be an object: {...}"})
	}
	if found := d.names(schema, body); len(found) > 0 {
		return invalid(found...)
	}
	return nil
}

// maxDepth is how deep objects and lists may nest in a body: deeper than any of ours, and far from what
// costs a decoder its stack.
const maxDepth = 32

// readable refuses a body that no JSON decoder should see.
func readable(body []byte) error {
	switch {
	case !utf8.Valid(body):
		return malformed("the body is not UTF-8")
	case tooDeep(body, maxDepth):
		return malformed(fmt.Sprintf("the body is nested more than %d deep", maxDepth))
	}
	return nil
}

// tooDeep tells whether objects and lists nest deeper than limit. It needs no valid JSON: brackets in
// texts do not count, and whatever else is wrong is for the decoder to say.
func tooDeep(body []byte, limit int) bool {
	depth, text := 0, false
	for i := 0; i < len(body); i++ {
		switch b := body[i]; {
		case text && b == '\\':
			i++
		case b == '"':
			text = !text
		case text:
		case b == '{' || b == '[':
			if depth++; depth > limit {
				return true
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return false
}

// validate lists what in a decoded value is against the schema, one problem for each field, without the
// values themselves.
func (d *document) validate(schema *huma.Schema, value any) []fieldError {
	var res huma.ValidateResult
	huma.Validate(d.registry(), schema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, value, &res)
	out := make([]fieldError, 0, len(res.Errors))
	said := make(map[string]bool, len(res.Errors))
	for _, err := range res.Errors {
		f := fieldError{Message: "is not valid"}
		var detail *huma.ErrorDetail
		if errors.As(err, &detail) {
			f = d.inPlainWords(schema, detail.Location, detail.Message)
		}
		// 0.5 is no integer and too small as well: whoever mends the one mends the other.
		if !said[f.Field] {
			out = append(out, f)
		}
		said[f.Field] = true
	}
	return out
}

func syntax(err error) error {
	var at *json.SyntaxError
	if errors.As(err, &at) && at.Offset == 0 {
		return malformed("the body is empty: send a JSON object")
	}
	if errors.As(err, &at) {
		return malformed(fmt.Sprintf("the body is not JSON: %s at byte %d", at.Error(), at.Offset))
	}
	return malformed("the body is not JSON")
}

// typeError names the field of an error of encoding/json.
func typeError(err error) fieldError {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fieldError{Field: wrong.Field, Message: "must be " + jsonKind(wrong.Type)}
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fieldError{Field: strings.Trim(name, `"`), Message: "unknown field"}
	}
	return fieldError{Message: "has a value of the wrong type"}
}

// decodeObject reads a JSON object as free attributes.
func decodeObject(body []byte) (map[string]any, error) {
	if err := readable(body); err != nil {
		return nil, err
	}
	var whole any
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, syntax(err)
	}
	object, ok := whole.(map[string]any)
	if !ok {
		return nil, invalid(fieldError{Message: "the body must be a JSON object"})
	}
	return object, nil
}
