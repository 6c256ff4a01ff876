package rulestest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/streams"
)

// RecordingFormat is the version of a line of recorded requests. It grows when a field changes its
// meaning; a reader refuses a version that it does not know.
const RecordingFormat = 1

// maxRecordingLine bounds one line: a request with a thousand candidates that are all new is 2 MiB.
const maxRecordingLine = 16 << 20

// Recording is one request that was really made: who asked (masked), from where, and what the model
// offered before rules.
type Recording struct {
	Line       int
	Env        *rules.Env
	Candidates []rules.Candidate
}

// Recordings are recorded requests and the items that they name. The items are the catalogue that
// sources (hot, new, ...) draw from when a rule set asks for something that was not recorded.
// Play may be called from several goroutines.
type Recordings struct {
	Requests []Recording
	// Unknown lists fields that the lines have and the schema does not, sorted: they were ignored.
	Unknown []string

	schema  *features.Schema
	items   map[string]*features.Item
	vectors map[string][]float32
	catalog *catalog
}

// line is one line on disk. Only known features are written; the others have their defaults.
type line struct {
	Format     int                       `json:"format"`
	At         time.Time                 `json:"at"`
	Request    lineRequest               `json:"request"`
	Context    map[string]any            `json:"context,omitempty"`
	User       lineUser                  `json:"user"`
	Candidates []lineCandidate           `json:"candidates"`
	Items      map[string]map[string]any `json:"items,omitempty"`
	// Vectors are the items' in the model, where rules compare them.
	Vectors map[string][]float32 `json:"vectors,omitempty"`
}

type lineRequest struct {
	Scenario   string `json:"scenario,omitempty"`
	Placement  string `json:"placement,omitempty"`
	Channel    string `json:"channel,omitempty"`
	SourceItem string `json:"source_item,omitempty"`
	Count      int    `json:"count"`
}

type lineUser struct {
	Ref      string         `json:"ref,omitempty"` // a keyed hash of the user id
	Seen     bool           `json:"seen"`
	Features map[string]any `json:"features,omitempty"`
	// History is what the user did, and what was shown to him, newest first.
	History []lineDeed `json:"history,omitempty"`
	Vector  []float32  `json:"vector,omitempty"`
}

// lineDeed is one thing that happened, so many milliseconds before the request.
type lineDeed struct {
	Did  string `json:"did"`
	Item string `json:"item"`
	Ago  int64  `json:"ago_ms"`
}

type lineCandidate struct {
	ID      string         `json:"id"`
	Base    float64        `json:"base"`
	Sources []rules.Source `json:"sources,omitempty"`
}

// salesByCountry is how a recorded item carries what is no feature of the schema.
const salesByCountry = "sales_by_country"

// ReadRecordings reads recorded requests, one JSON object a line. The error names the first line that
// cannot be used.
func ReadRecordings(r io.Reader, schema *features.Schema) (*Recordings, error) {
	out := &Recordings{schema: schema, items: map[string]*features.Item{}, vectors: map[string][]float32{}}
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 0, 64<<10), maxRecordingLine)
	unknown := map[string]bool{}
	n := 0
	for scanner.Scan() {
		n++
		if len(strings.TrimSpace(scanner.Text())) == 0 {
			continue
		}
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d is not a recorded request: %w", n, err)
		}
		d := lineDecoder{recordings: out, unknown: unknown}
		rec, err := d.decode(&l)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		rec.Line = n
		out.Requests = append(out.Requests, rec)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	for name := range unknown {
		out.Unknown = append(out.Unknown, name)
	}
	slices.Sort(out.Unknown)
	out.catalog = newCatalog(out.items)
	return out, nil
}

type lineDecoder struct {
	recordings *Recordings
	unknown    map[string]bool
}

func (d *lineDecoder) decode(l *line) (Recording, error) {
	schema := d.recordings.schema
	switch {
	case l.Format != RecordingFormat:
		return Recording{}, fmt.Errorf("format %d: this program reads format %d", l.Format, RecordingFormat)
	case l.At.IsZero():
		return Recording{}, errors.New("`at` is missing")
	case l.Request.Count < 1 || l.Request.Count > 1000:
		return Recording{}, fmt.Errorf("request.count is %d: need 1 to 1000", l.Request.Count)
	}
	for _, id := range sortedNames(l.Items) {
		it := schema.Item(id, nil, l.At)
		if err := d.item(it, l.Items[id]); err != nil {
			return Recording{}, fmt.Errorf("item %s: %w", id, err)
		}
		d.recordings.items[id] = it
	}
	for id, v := range l.Vectors {
		d.recordings.vectors[id] = v
	}
	user := schema.User(l.User.Ref, nil, nil, l.At)
	user.Seen = l.User.Seen
	if err := d.fields("user", schema.UserFields(), l.User.Features, user.Env, user.Known); err != nil {
		return Recording{}, err
	}
	context, _ := schema.Context(nil)
	if err := d.fields("context", schema.ContextFields(), l.Context, context, map[string]bool{}); err != nil {
		return Recording{}, err
	}
	q := l.Request
	rec := Recording{Env: &rules.Env{Now: l.At, User: user, Context: context, Request: rules.Request{Scenario: q.Scenario,
		Placement: q.Placement, Channel: q.Channel, SourceItem: q.SourceItem, Count: q.Count}}}
	rec.Env.Taste, rec.Env.Source = l.User.Vector, d.recordings.items[q.SourceItem]
	for _, h := range l.User.History {
		e := features.Entry{Type: streams.Type(h.Did), ItemID: h.Item, Time: l.At.UnixMilli() - h.Ago}
		if e.Type == streams.Exposure {
			rec.Env.Shown = append(rec.Env.Shown, e)
		} else {
			user.History = append(user.History, e)
		}
	}
	for _, c := range l.Candidates {
		it := d.recordings.items[c.ID]
		if it == nil {
			return Recording{}, fmt.Errorf("candidate %s is described neither here nor on a line above", c.ID)
		}
		if !(c.Base >= 0 && c.Base <= 1) {
			return Recording{}, fmt.Errorf("candidate %s: base %v is not from 0 to 1", c.ID, c.Base)
		}
		sources := c.Sources
		if len(sources) == 0 {
			sources = []rules.Source{rules.SourceModel}
		}
		rec.Candidates = append(rec.Candidates, rules.Candidate{Item: it, Base: c.Base, Sources: sources, Vector: d.recordings.vectors[c.ID]})
	}
	return rec, nil
}

func (d *lineDecoder) item(it *features.Item, raw map[string]any) error {
	if by, ok := raw[salesByCountry].(map[string]any); ok {
		it.SalesByCountry = map[string]int64{}
		for country, n := range by {
			if f, ok := n.(float64); ok {
				it.SalesByCountry[country] = int64(f)
			}
		}
		delete(raw, salesByCountry)
	}
	return d.fields("item", d.recordings.schema.ItemFields(), raw, it.Env, it.Known)
}

// fields types the recorded values of one object by the schema.
func (d *lineDecoder) fields(object string, fields []features.Field, raw, env map[string]any, known map[string]bool) error {
	for _, name := range sortedNames(raw) {
		i := slices.IndexFunc(fields, func(f features.Field) bool { return f.Name == name })
		if i < 0 {
			d.unknown[object+"."+name] = true
			continue
		}
		v, ok := typed(fields[i].Type, raw[name])
		if !ok {
			return fmt.Errorf("%s.%s is not %s: %v", object, name, fields[i].Type, raw[name])
		}
		env[name], known[name] = v, true
	}
	return nil
}

// typed turns a JSON value into the Go type that rules see.
func typed(t features.ValueType, raw any) (any, bool) {
	switch t {
	case features.Text:
		s, ok := raw.(string)
		return s, ok
	case features.Int:
		f, ok := raw.(float64)
		return int(f), ok && f == float64(int(f))
	case features.Number, features.Money:
		f, ok := raw.(float64)
		return f, ok
	case features.Bool:
		b, ok := raw.(bool)
		return b, ok
	case features.Time:
		s, _ := raw.(string)
		at, err := time.Parse(time.RFC3339Nano, s)
		return at.UTC(), err == nil
	case features.TextList:
		list, ok := raw.([]any)
		out := make([]string, 0, len(list))
		for _, v := range list {
			s, isText := v.(string)
			out, ok = append(out, s), ok && isText
		}
		return out, ok
	case features.TextMap:
		m, ok := raw.(map[string]any)
		out := make(map[string]string, len(m))
		for k, v := range m {
			s, isText := v.(string)
			out[k], ok = s, ok && isText
		}
		return out, ok
	}
	return nil, false
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
