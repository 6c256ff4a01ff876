package file

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tableRows is a file of rows whose columns have names.
type tableRows interface {
	// next takes the next row; io.EOF at the end. After a *RowError the next call goes on behind the row.
	next() error
	// has tells whether the column exists; a table knows before the first row, JSON never.
	has(column string) bool
	// value returns what the row has in the column: a text, or what JSON knows besides; nil when absent.
	value(column string) any
	// lines returns the objects in an array of the row as rows of their own; nil when there is no such array.
	lines(column string) []jsonRow
	at() (file string, line int)
	close() error
}

// openRows opens a file as its mapping says, or as its first bytes look.
func openRows(path string, f *mappedFile) (tableRows, error) {
	in, err := openInput(path)
	if err != nil {
		return nil, err
	}
	br := decoded(in, f.Encoding)
	kind := f.Rows
	if first, err := br.Peek(1); kind == "" {
		if kind = "csv"; len(first) == 1 && (first[0] == '{' || first[0] == '[') {
			kind = "json"
		} else if err != nil && !errors.Is(err, io.EOF) {
			_ = in.close()
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	if kind == "json" {
		return &jsonTable{jsonRows: &jsonRows{in: in, br: br, line: 1, start: 1}}, nil
	}
	t, err := openDelimited(in, br, f)
	if err != nil {
		_ = in.close()
		return nil, err
	}
	return t, nil
}

// delimited is a CSV or TSV file.
type delimited struct {
	in      *input
	br      *bufio.Reader
	csv     *csv.Reader // nil where quotes mean nothing
	comma   string
	columns map[string]int
	record  []string
	line    int
	held    bool // record is the first row, which was read to learn how many columns there are
}

func openDelimited(in *input, br *bufio.Reader, f *mappedFile) (*delimited, error) {
	t := &delimited{in: in, br: br, comma: f.Separator, columns: map[string]int{}}
	if t.comma == "" {
		t.comma = separatorOf(br)
	}
	if f.Quotes == nil || *f.Quotes {
		t.csv = csv.NewReader(br)
		t.csv.Comma, _ = utf8.DecodeRuneInString(t.comma)
	}
	err := t.next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is empty", in.name)
	}
	if err != nil {
		return nil, err
	}
	if f.Header != nil && !*f.Header {
		for i := range t.record {
			t.columns[strconv.Itoa(i+1)] = i
		}
		t.held = true
		return t, nil
	}
	for i, name := range t.record {
		name = strings.TrimSpace(name)
		if _, twice := t.columns[name]; !twice { // of two columns with one name the first counts
			t.columns[name] = i
		}
	}
	return t, nil
}

// separatorOf returns which of the usual separators the first line has most of.
func separatorOf(br *bufio.Reader) string {
	head, _ := br.Peek(br.Size())
	if i := bytes.IndexByte(head, '\n'); i >= 0 {
		head = head[:i]
	}
	best, most := ",", 0
	for _, s := range []string{",", ";", "\t", "|"} {
		if n := bytes.Count(head, []byte(s)); n > most {
			best, most = s, n
		}
	}
	return best
}

func (t *delimited) next() error {
	if t.held {
		t.held = false
		return nil
	}
	if t.csv == nil {
		return t.split()
	}
	record, err := t.csv.Read()
	var parse *csv.ParseError
	switch {
	case errors.As(err, &parse):
		t.line = parse.StartLine
		problem := parse.Err.Error()
		if errors.Is(err, csv.ErrFieldCount) {
			problem = fmt.Sprintf("has %d columns, where the first line has %d", len(record), len(t.record))
		} else {
			problem += " (quotes: false in the mapping reads quotes as they are)"
		}
		return &RowError{File: t.in.name, Line: t.line, Problem: problem}
	case errors.Is(err, io.EOF):
		return err
	case err != nil:
		return t.in.broken(t.line, err)
	}
	t.record = record
	t.line, _ = t.csv.FieldPos(0)
	return nil
}

// split reads a line without regard to quotes.
func (t *delimited) split() error {
	for {
		text, err := t.br.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return t.in.broken(t.line, err)
		}
		t.line++
		text = strings.TrimRight(text, "\r\n")
		if text == "" {
			if err != nil {
				return err
			}
			continue
		}
		record := strings.Split(text, t.comma)
		if t.record != nil && len(record) != len(t.record) {
			return &RowError{File: t.in.name, Line: t.line, Problem: fmt.Sprintf("has %d columns, where the first line has %d", len(record), len(t.record))}
		}
		t.record = record
		return nil
	}
}

func (t *delimited) has(column string) bool { _, ok := t.columns[column]; return ok }

func (t *delimited) value(column string) any {
	i, ok := t.columns[column]
	if !ok {
		return nil
	}
	return strings.TrimSpace(t.record[i])
}

func (t *delimited) lines(string) []jsonRow { return nil }
func (t *delimited) at() (string, int)      { return t.in.name, t.line }
func (t *delimited) close() error           { return t.in.close() }

// jsonTable is a file of JSON objects. A column is a key, or keys with dots between.
type jsonTable struct {
	*jsonRows
	row jsonRow
}

// jsonRow is one object; numbers stay as they are written.
type jsonRow map[string]any

// UnmarshalJSON keeps the digits of numbers: an id may have more than a float holds.
func (r *jsonRow) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec.Decode((*map[string]any)(r))
}

func (t *jsonTable) next() error {
	t.row = nil
	return t.jsonRows.next(&t.row)
}

func (t *jsonTable) has(string) bool         { return true }
func (t *jsonTable) value(column string) any { return t.row.at(column) }

// at returns what is under the keys, nil when nothing is. A key with dots of its own comes before a path.
func (r jsonRow) at(path string) any {
	if v, ok := r[path]; ok {
		return v
	}
	key, rest, _ := strings.Cut(path, ".")
	inner, _ := r[key].(map[string]any)
	if inner == nil || rest == "" {
		return nil
	}
	return jsonRow(inner).at(rest)
}

func (t *jsonTable) lines(column string) []jsonRow {
	list, ok := t.row.at(column).([]any)
	if !ok {
		return nil
	}
	out := make([]jsonRow, 0, len(list))
	for _, x := range list {
		object, _ := x.(map[string]any)
		out = append(out, object)
	}
	return out
}

// plain makes a value of JSON one that attributes may have: numbers become floats, and texts where a float would change them.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if n, whole := strconv.ParseInt(v.String(), 10, 64); err != nil || math.IsInf(f, 0) || whole == nil && int64(f) != n {
			return v.String()
		}
		return f
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = plain(v[k])
		}
		return out
	}
	return v
}

// textOf writes a value as a text; "" for what is absent. ok is false for objects and arrays.
func textOf(v any) (text string, ok bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return strings.TrimSpace(v), true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}
