package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sartorhq/sartor/streams"
)

// mapping is a file that says what the tables of a shop mean. FORMATS.md, section "mapped", is its manual.
type mapping struct {
	Currency string       `yaml:"currency"`
	Zone     string       `yaml:"zone"`
	BadRows  string       `yaml:"bad_rows"`
	Sorted   bool         `yaml:"sorted"`
	Files    []mappedFile `yaml:"files"`

	skipBad bool
	zone    *time.Location
}

// mappedFile says what the rows of one file, or of the files of a pattern, mean.
type mappedFile struct {
	Path      string              `yaml:"path"`
	Rows      string              `yaml:"rows"`
	Separator string              `yaml:"separator"`
	Header    *bool               `yaml:"header"`
	Quotes    *bool               `yaml:"quotes"`
	Encoding  string              `yaml:"encoding"`
	Type      string              `yaml:"type"`
	TypeFrom  string              `yaml:"type_from"`
	Types     map[string]string   `yaml:"types"`
	Columns   map[string]string   `yaml:"columns"`
	Lines     string              `yaml:"lines"`
	Time      string              `yaml:"time_format"`
	Decimal   string              `yaml:"decimal"`
	Minor     bool                `yaml:"minor_units"`
	Skip      map[string][]string `yaml:"skip"`
	Document  map[string]string   `yaml:"attributes"`
	Numbers   []string            `yaml:"numbers"`
	Lists     map[string]string   `yaml:"lists"`

	layout string // of Time, in the notation of package time
}

// document tells whether the rows say what items or users are, as opposed to what happened.
func (f *mappedFile) document() bool {
	t := streams.Type(f.Type)
	return t == streams.ItemUpsert || t == streams.UserUpsert
}

// mappedColumns are the fields of an event that a column may be named for.
var mappedColumns = []string{"amount", "anonymous", "country", "currency", "event_id", "item", "order", "price", "quantity",
	"query", "rating", "scenario", "session", "time", "time_offset_ms", "total", "user"}

// mappedTypes are the types that rows can be.
var mappedTypes = []streams.Type{streams.View, streams.Click, streams.CartAdd, streams.CartRemove, streams.Search, streams.Wishlist,
	streams.Rating, streams.Order, streams.Return, streams.ItemUpsert, streams.UserUpsert}

// readMapping reads and checks a mapping. Everything that is wrong with it is said at once.
func readMapping(path string) (*mapping, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() || info.Size() > 1<<20 {
		return nil, fmt.Errorf("%s is no mapping: it needs to be a small YAML file that says what the columns of your files mean (streams/file/FORMATS.md, section mapped)", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &mapping{}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(m); err != nil {
		return nil, mappingError(path, err)
	}
	if problems := m.check(); problems != nil {
		return nil, fmt.Errorf("%s: %s", path, strings.Join(problems, "; "))
	}
	return m, nil
}

// mappingError makes an error of the YAML package one about the mapping.
func mappingError(path string, err error) error {
	var fields *yaml.TypeError
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s is empty: it needs files (streams/file/FORMATS.md, section mapped)", path)
	case errors.As(err, &fields):
		problems := make([]string, len(fields.Errors))
		for i, p := range fields.Errors {
			p = strings.NewReplacer(" in type file.mappedFile", ": a file has path, rows, separator, header, quotes, encoding, type, type_from, types, columns, lines, time_format, decimal, minor_units, skip, attributes, numbers and lists",
				" in type file.mapping", ": a mapping has currency, zone, bad_rows, sorted and files").Replace(p)
			problems[i] = strings.ReplaceAll(p, "into file.mapping", "as a mapping")
		}
		return fmt.Errorf("%s: %s (a mapping says what the columns of your files mean: streams/file/FORMATS.md, section mapped)", path, strings.Join(problems, "; "))
	}
	return fmt.Errorf("%s is no mapping: %w (streams/file/FORMATS.md, section mapped)", path, err)
}

// check completes the mapping and returns what is wrong with it.
func (m *mapping) check() []string {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	switch m.BadRows {
	case "", "stop":
	case "skip":
		m.skipBad = true
	default:
		add("bad_rows %q: stop or skip", m.BadRows)
	}
	var err error
	if m.zone, err = time.LoadLocation(m.Zone); err != nil || m.Zone == "Local" {
		add("zone %q: need a name like Europe/Berlin", m.Zone)
	}
	if m.Currency != "" && (len(m.Currency) != 3 || strings.ToUpper(m.Currency) != m.Currency) {
		add("currency %q: need three capital letters, like EUR", m.Currency)
	}
	if len(m.Files) == 0 {
		add("files: name at least one")
	}
	for i := range m.Files {
		f := &m.Files[i]
		for _, p := range f.check() {
			add("files[%d] %s: %s", i, f.Path, p)
		}
	}
	return problems
}

// check completes what is said of one file and returns what is wrong with it.
func (f *mappedFile) check() []string {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	either := func(key, value, one, other string) {
		if value != "" && value != one && value != other {
			add("%s %q: use %q or %q", key, value, one, other)
		}
	}
	if f.Path == "" {
		add("path: which file?")
	}
	either("rows", f.Rows, "csv", "json")
	either("encoding", f.Encoding, "utf-8", "windows-1252")
	either("decimal", f.Decimal, ".", ",")
	if len([]rune(f.Separator)) > 1 || strings.ContainsAny(f.Separator, "\"\r\n") {
		add("separator %q: need one character, such as \";\" or \"\\t\"", f.Separator)
	}
	f.checkTypes(add)
	f.checkColumns(add)
	var err error
	if f.layout, err = timeLayout(f.Time); err != nil {
		add("time_format: %v", err)
	}
	return problems
}

// checkTypes checks what says of which type the rows are.
func (f *mappedFile) checkTypes(add func(string, ...any)) {
	names := make([]string, len(mappedTypes))
	for i, t := range mappedTypes {
		names[i] = string(t)
	}
	switch {
	case f.Type == "" && f.TypeFrom == "":
		add("say the type of all rows (type: order, one of %s), or the column that says it (type_from: event_name)", strings.Join(names, ", "))
	case f.Type != "" && f.TypeFrom != "":
		add("type and type_from exclude each other")
	case f.Type != "" && !slices.Contains(names, f.Type):
		add("type %q: use one of %s, or type_from for the column that says it", f.Type, strings.Join(names, ", "))
	}
	for value, t := range f.Types {
		if t != string(Leave) && (!slices.Contains(names, t) || t == string(streams.ItemUpsert) || t == string(streams.UserUpsert)) {
			add("types: %s cannot be %q: use one of %s, or skip", value, t, strings.Join(names[:len(names)-2], ", "))
		}
	}
	if len(f.Types) > 0 && f.TypeFrom == "" {
		add("types needs type_from, the column whose values it explains")
	}
}

// checkColumns checks which columns are named.
func (f *mappedFile) checkColumns(add func(string, ...any)) {
	for name := range f.Columns {
		if !slices.Contains(mappedColumns, name) {
			add("columns: %q is nothing that an event has; there are %s", name, strings.Join(mappedColumns, ", "))
		}
	}
	need := func(name, why string) {
		if f.Columns[name] == "" {
			add("columns: %s is needed%s", name, why)
		}
	}
	if !f.document() {
		need("time", "")
	}
	if f.Type == string(streams.UserUpsert) {
		need("user", "")
	} else if t := streams.Type(f.Type); t != streams.Search && (t.Stream() != streams.Orders || f.Columns["total"] == "") {
		need("item", "")
	}
	if f.Type == string(streams.Rating) {
		need("rating", "")
	}
	if t := streams.Type(f.Type); t.Stream() == streams.Behavior && f.Columns["user"] == "" && f.Columns["anonymous"] == "" {
		add("columns: user or anonymous is needed: who did it?")
	}
	for _, name := range f.Numbers {
		if _, ok := f.Document[name]; !ok {
			add("numbers: %s is none of attributes", name)
		}
	}
	for name := range f.Lists {
		if _, ok := f.Document[name]; !ok {
			add("lists: %s is none of attributes", name)
		}
	}
}
