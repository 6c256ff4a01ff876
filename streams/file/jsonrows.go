package file

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/sartorhq/sartor/streams/codec"
)

// jsonRows reads the objects of a file that holds one JSON object after the other, on lines of their
// own or not, or arrays of objects. One object is in memory at a time.
type jsonRows struct {
	in    *input
	br    *bufio.Reader
	line  int // of the byte that is next
	start int // line of the last object
	depth int // 1 inside an array
	after bool
	row   []byte
}

func openJSONRows(path string) (*jsonRows, error) {
	in, err := openInput(path)
	if err != nil {
		return nil, err
	}
	r := &jsonRows{in: in, br: bufio.NewReaderSize(in, 1<<16), line: 1, start: 1}
	if mark, _ := r.br.Peek(3); bytes.Equal(mark, []byte("\ufeff")) {
		_, _ = r.br.Discard(3)
	}
	return r, nil
}

func (r *jsonRows) at() (string, int) { return r.in.name, r.start }
func (r *jsonRows) close() error      { return r.in.close() }

// fail makes the error of the last object.
func (r *jsonRows) fail(column, problem string) error {
	return &RowError{File: r.in.name, Line: r.start, Column: column, Problem: problem}
}

// take takes a byte.
func (r *jsonRows) take() (byte, error) {
	c, err := r.br.ReadByte()
	if c == '\n' {
		r.line++
	}
	return c, err
}

// next reads the next object into v; io.EOF at the end.
func (r *jsonRows) next(v any) error {
	for {
		c, err := r.take()
		if errors.Is(err, io.EOF) {
			if r.start = r.line; r.depth > 0 {
				return r.fail("", "the array does not end")
			}
			return io.EOF
		}
		if err != nil {
			return r.in.broken(r.line, err)
		}
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case c == '[' && r.depth == 0:
			r.depth, r.after = 1, false
		case c == ']' && r.depth == 1:
			r.depth = 0
		case c == ',' && r.depth == 1 && r.after:
			r.after = false
		case c == '{' && !(r.depth == 1 && r.after):
			r.start, r.after = r.line, true
			return r.object(v)
		default:
			r.start = r.line
			return r.fail("", fmt.Sprintf("expected an object, or an array of objects, found %q", rune(c)))
		}
	}
}

// object reads the rest of an object whose brace is taken, and decodes it.
func (r *jsonRows) object(v any) error {
	r.row = append(r.row[:0], '{')
	nested, text, escaped := 1, false, false
	for nested > 0 {
		c, err := r.take()
		if errors.Is(err, io.EOF) {
			return r.fail("", "the object does not end")
		}
		if err != nil {
			return r.in.broken(r.line, err)
		}
		if len(r.row) == codec.MaxBytes {
			return r.fail("", fmt.Sprintf("the object is longer than %d bytes", codec.MaxBytes))
		}
		r.row = append(r.row, c)
		switch {
		case escaped:
			escaped = false
		case text && c == '\\':
			escaped = true
		case c == '"':
			text = !text
		case text:
		case c == '{':
			nested++
		case c == '}':
			nested--
		}
	}
	if err := json.Unmarshal(r.row, v); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return r.fail(wrong.Field, "cannot be a "+wrong.Value)
		}
		return r.fail("", "is not valid JSON: "+err.Error())
	}
	return nil
}

// looseTime is a time as exports write it: RFC 3339, a date with or without a time of the day (then
// UTC), or milliseconds since 1970 as a number or a text. It is zero when absent or before 1970.
type looseTime struct{ time.Time }

// UnmarshalJSON reads the time.
func (t *looseTime) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		text = string(data)
	}
	if text == "" || text == "null" {
		return nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		t.Time = time.UnixMilli(ms).UTC()
	} else if t.Time, err = parseDate(text); err != nil {
		return &json.UnmarshalTypeError{Value: "time written as " + strconv.Quote(text), Type: nil}
	}
	if t.UnixMilli() <= 0 {
		t.Time = time.Time{}
	}
	return nil
}

// parseDate reads a date in one of the layouts of exports.
func parseDate(text string) (time.Time, error) {
	var first error
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		t, err := time.Parse(layout, text)
		if err == nil {
			return time.UnixMilli(t.UnixMilli()).UTC(), nil
		}
		if first == nil {
			first = err
		}
	}
	return time.Time{}, first
}
