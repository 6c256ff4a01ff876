package train

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/streams"
)

// Profile keeps what was known of the user just before each event of a log, and in which context it
// happened: what the head of an encoder reads. It is made by the same fold as serving features (Examples)
// and takes 4 bytes for each fact, some 120 bytes for an event under the default schema, beside what
// Examples needs. Adding is for one goroutine.
type Profile struct {
	schema   *features.Schema
	examples *Examples
	fields   []models.TowerField // of models.HeadFields
	facts    []fact              // every one once
	numbers  map[fact]int32
	starts   []int64 // row r holds of[starts[r]:starts[r+1]]
	of       []int32 // facts
}

// fact is one value of a field: a text, one text of a list, a key of a map with its value, or a number.
type fact struct {
	field  int16
	number bool
	key    string
	text   string
	value  float64
}

// NewProfile returns an empty profile under the schema.
func NewProfile(s *features.Schema) *Profile {
	fields, names := models.HeadFields(s), []string{}
	for _, f := range fields {
		if name, ok := strings.CutPrefix(f.Name, "user."); ok {
			names = append(names, name)
		}
	}
	return &Profile{schema: s, examples: NewExamples(s, ExampleOptions{Fields: names}), fields: fields, numbers: map[fact]int32{}, starts: []int64{0}}
}

// Len returns how many events have a row.
func (p *Profile) Len() int { return len(p.starts) - 1 }

// add takes the next event of the log and returns its row; -1 for one that is not what users did.
func (p *Profile) add(e *streams.Event) int32 {
	row := int32(-1)
	_ = p.examples.Add(e, func(x *Example) error { // the function gives no error
		context := p.context(e)
		for i, f := range p.fields {
			if value, ok := models.HeadValue(f.Name, x.User, context, e.Time); ok {
				p.note(i, value)
			}
		}
		p.starts = append(p.starts, int64(len(p.of)))
		row = int32(len(p.starts) - 2)
		return nil
	})
	return row
}

// context is that of the visit in which the event happened, as a request would have told it: the event's
// country, and its attributes that have the name of a field of the context.
func (p *Profile) context(e *streams.Event) map[string]any {
	raw := map[string]any{}
	for _, f := range p.schema.ContextFields() {
		if v, ok := e.Attributes[f.Name]; ok && f.Type != features.TextMap {
			raw[f.Name] = v
		}
	}
	if e.Country != "" {
		raw["country"] = e.Country
	}
	values, wrong := p.schema.Context(raw)
	for _, w := range wrong { // a value of another type says nothing
		delete(values, strings.TrimPrefix(w.Field, "context."))
	}
	return values
}

// note appends the facts of a value to the row that is being made.
func (p *Profile) note(field int, value any) {
	x := fact{field: int16(field)}
	switch v := value.(type) {
	case string:
		x.text = v
		p.append(x)
	case bool:
		x.text = map[bool]string{false: "false", true: "true"}[v]
		p.append(x)
	case int:
		p.number(x, float64(v))
	case float64:
		p.number(x, v)
	case []string:
		for _, x.text = range v {
			p.append(x)
		}
	case map[string]string:
		for _, x.key = range slices.Sorted(maps.Keys(v)) {
			x.text = v[x.key]
			p.append(x)
		}
	}
}

func (p *Profile) number(x fact, v float64) {
	x.number, x.value = true, models.Coarse(v)
	p.append(x)
}

func (p *Profile) append(x fact) {
	if !x.number && x.text == "" {
		return
	}
	at, ok := p.numbers[x]
	if !ok {
		x.key, x.text = strings.Clone(x.key), strings.Clone(x.text) // the event may be a piece of a large buffer
		at = int32(len(p.facts))
		p.facts, p.numbers[x] = append(p.facts, x), at
	}
	p.of = append(p.of, at)
}

// row returns the facts of a row.
func (p *Profile) row(r int32) []int32 {
	if r < 0 {
		return nil
	}
	return p.of[p.starts[r]:p.starts[r+1]]
}

// known adds what row r says to the user, and returns the context of the visit.
func (p *Profile) known(r int32, u *features.User) (context map[string]any) {
	env := map[string]any{}
	for _, at := range p.row(r) {
		x := &p.facts[at]
		f := p.fields[x.field]
		switch {
		case x.number:
			env[f.Name] = x.value
		case f.As == models.AsPairs:
			m, _ := env[f.Name].(map[string]string)
			if m == nil {
				m = map[string]string{}
				env[f.Name] = m
			}
			m[x.key] = x.text
		default:
			list, _ := env[f.Name].([]string)
			env[f.Name] = append(list, x.text)
		}
	}
	if u.Env == nil {
		u.Env, u.Known = map[string]any{}, map[string]bool{}
	}
	context = map[string]any{}
	for name, value := range env {
		if field, ok := strings.CutPrefix(name, "user."); ok {
			u.Env[field], u.Known[field] = value, true
		} else if field, ok := strings.CutPrefix(name, "context."); ok {
			context[field] = value
		}
	}
	return context
}

// The bounds of a head's vocabulary.
const (
	minFeatureRows = 20      // events before which a feature was known, before it is learned; fewer for little data
	maxHeadRows    = 1 << 13 // the most common ones are kept
	numberEdges    = 11      // parting numbers into 12 buckets with about equally many events
)

// spec chooses the features of a head from the rows; numbers are parted by their quantiles there.
func (p *Profile) spec(rows []int32) (*models.TowerSpec, error) {
	count := make([]int, len(p.facts))
	for _, r := range rows {
		for _, at := range p.row(r) {
			count[at]++
		}
	}
	fields := slices.Clone(p.fields)
	p.edges(fields, count)
	byText := map[string]int{}
	for at, n := range count {
		if n > 0 {
			p.texts(fields, at, func(text string) { byText[text] += n })
		}
	}
	least := min(minFeatureRows, max(2, len(rows)/200))
	maps.DeleteFunc(byText, func(_ string, n int) bool { return n < least })
	known := slices.SortedFunc(maps.Keys(byText), func(a, b string) int { return cmp.Or(byText[b]-byText[a], cmp.Compare(a, b)) })
	return models.NewTowerSpec(fields, known[:min(len(known), maxHeadRows)])
}

// edges sets those of the fields that are read as numbers.
func (p *Profile) edges(fields []models.TowerField, count []int) {
	byField := make([][]int, len(fields))
	total := make([]int, len(fields))
	for at, n := range count {
		if x := &p.facts[at]; n > 0 && x.number && fields[x.field].As == models.AsNumber {
			byField[x.field], total[x.field] = append(byField[x.field], at), total[x.field]+n
		}
	}
	for i, list := range byField {
		slices.SortFunc(list, func(a, b int) int { return cmp.Compare(p.facts[a].value, p.facts[b].value) })
		passed, next := 0, 1
		var edges []float64
		for _, at := range list {
			passed += count[at]
			if passed*(numberEdges+1) >= next*total[i] {
				edges = append(edges, p.facts[at].value)
				next = passed*(numberEdges+1)/total[i] + 1
			}
		}
		fields[i].Edges = edges
	}
}

// texts calls add with the features that a fact makes.
func (p *Profile) texts(fields []models.TowerField, at int, add func(string)) {
	x := &p.facts[at]
	var value any = x.text
	switch f := &fields[x.field]; {
	case x.number:
		value = x.value
	case f.As == models.AsPairs:
		value = map[string]string{x.key: x.text}
	}
	fields[x.field].Texts(value, add)
}

// headRows are the facts of a profile as rows of a head's embedding.
type headRows struct {
	profile *Profile
	row     []int32 // by fact, -1 = not known to the head
}

// rows prepares the profile for a head with the spec.
func (p *Profile) rows(spec *models.TowerSpec) *headRows {
	h := &headRows{profile: p, row: make([]int32, len(p.facts))}
	// The spec may be of another model: its fields, which may be fewer, are found by their names.
	own := make([]models.TowerField, len(p.fields))
	for i, f := range p.fields {
		for _, x := range spec.Fields {
			if x.Name == f.Name {
				own[i] = x
			}
		}
	}
	for at := range h.row {
		h.row[at] = -1
		if own[p.facts[at].field].Name != "" {
			p.texts(own, at, func(text string) {
				if row, ok := spec.Row(text); ok {
					h.row[at] = row
				}
			})
		}
	}
	return h
}

// features appends those of row r to out; the shares of one field add up to 1.
func (h *headRows) features(out []models.Feature, r int32) []models.Feature {
	first, field := len(out), int16(-1)
	spread := func() {
		for i := first; i < len(out); i++ {
			out[i].Weight = 1 / float32(len(out)-first)
		}
		first = len(out)
	}
	for _, at := range h.profile.row(r) {
		if f := h.profile.facts[at].field; f != field {
			spread()
			field = f
		}
		if row := h.row[at]; row >= 0 {
			out = append(out, models.Feature{Row: row})
		}
	}
	spread()
	return out
}

// Visit tells about a request of the user at the moment of interaction i, just before it: it completes u
// by what was known of him and returns the context of the visit and the moment. ok is false when the log
// has no profile.
func (l *Log) Visit(i int, u *features.User) (context map[string]any, now time.Time, ok bool) {
	if l.profile == nil {
		return nil, time.Time{}, false
	}
	now = time.UnixMilli(l.events.at(i).time()).UTC()
	return l.profile.known(l.rows.at(i), u), now, true
}
