package rules

import (
	"strings"
	"time"

	"github.com/sartorhq/sartor/features"
)

// deps says what an expression looks at; it decides when the expression can be evaluated.
type deps uint8

const (
	depUser deps = 1 << iota
	depContext
	depRequest
	depTime
	depItem
	depScore
)

// variable is one value that expressions read, loaded once per request or once per candidate.
type variable struct {
	name string // "user.tier", "has item.price", ...
	kind kind
	deps deps
	// exactly one of these is set
	request func(env *Env) any
	item    func(it *features.Item) any
	own     ref // of the candidate: its score, rank or similarity
}

// symbols is the typed environment made of a schema: which names exist, and how to read them.
type symbols struct {
	user, item, context map[string]features.Field
}

func newSymbols(schema Schema) *symbols {
	table := func(fields []features.Field) map[string]features.Field {
		m := make(map[string]features.Field, len(fields)+1)
		for _, f := range fields {
			m[f.Name] = f
		}
		return m
	}
	s := &symbols{user: table(schema.UserFields()), item: table(schema.ItemFields()), context: table(schema.ContextFields())}
	for _, m := range []map[string]features.Field{s.user, s.item} {
		m["id"] = features.Field{Name: "id", Type: features.Text, Default: ""}
	}
	return s
}

// requestFields are the fields of request.*, and how each is read.
var requestFields = map[string]struct {
	kind kind
	read func(r *Request) any
}{
	"scenario":    {kindText, func(r *Request) any { return r.Scenario }},
	"placement":   {kindText, func(r *Request) any { return r.Placement }},
	"channel":     {kindText, func(r *Request) any { return r.Channel }},
	"query":       {kindText, func(r *Request) any { return r.Query }},
	"source_item": {kindText, func(r *Request) any { return r.SourceItem }},
	"count":       {kindInt, func(r *Request) any { return r.Count }},
}

// localFields are the fields of local.*: the request's moment in the file's time zone.
var localFields = map[string]struct {
	kind kind
	read func(t time.Time) any
}{
	"hour":    {kindInt, func(t time.Time) any { return t.Hour() }},
	"weekday": {kindText, func(t time.Time) any { return weekdayNames[t.Weekday()] }},
	"date":    {kindText, func(t time.Time) any { return t.Format("2006-01-02") }},
	"month":   {kindInt, func(t time.Time) any { return int(t.Month()) }},
}

// sourceItem is the path under which the fields of the request's own item stand.
const sourceItem = "request.source_item"

// modelFields are the fields of model.*.
var modelFields = map[string]struct {
	kind kind
	read func(env *Env) any
}{
	"name":    {kindText, func(env *Env) any { return env.Model.Name }},
	"version": {kindText, func(env *Env) any { return env.Model.Version }},
	"age": {kindDuration, func(env *Env) any {
		if env.Model.TrainedAt.IsZero() {
			return time.Duration(0)
		}
		return env.Now.Sub(env.Model.TrainedAt)
	}},
}

// roots are the first words of all names.
var roots = []string{"user", "item", "request", "context", "local", "model", "params", "lists", "score", "position", "now"}

// field finds the schema field of user.*, item.* or context.*.
func (s *symbols) field(root, name string) (features.Field, bool) {
	f, ok := s.table(root)[name]
	return f, ok
}

func (s *symbols) table(root string) map[string]features.Field {
	switch root {
	case "user":
		return s.user
	case "item":
		return s.item
	case "context":
		return s.context
	}
	return nil
}

// names lists the fields of one root.
func (s *symbols) names(root string) []string {
	var names []string
	for n := range s.table(root) {
		names = append(names, n)
	}
	switch root {
	case "request":
		for n := range requestFields {
			names = append(names, n)
		}
	case "model":
		for n := range modelFields {
			names = append(names, n)
		}
	case "local":
		for n := range localFields {
			names = append(names, n)
		}
	}
	return names
}

// variable makes the reader of a schema field.
func (s *symbols) variable(root string, f features.Field) variable {
	k, name := kindOf(f.Type), f.Name
	def := k.coerce(f.Default, k.zero())
	v := variable{name: root + "." + name, kind: k}
	switch root {
	case "user":
		v.deps = depUser
		v.request = func(env *Env) any {
			if env.User == nil {
				return def
			}
			if name == "id" {
				return env.User.ID
			}
			return k.coerce(env.User.Env[name], def)
		}
	case "item":
		v.deps = depItem
		v.item = func(it *features.Item) any {
			v := it.Env[name]
			if _, ok := v.(string); name == "id" && !ok {
				return it.ID
			}
			return k.coerce(v, def)
		}
	default:
		v.deps = depContext
		v.request = func(env *Env) any { return k.coerce(env.Context[name], def) }
	}
	return v
}

// known makes the reader of has("root.name").
func (s *symbols) known(root, name string, f features.Field) variable {
	v := variable{name: "has " + root + "." + name, kind: kindBool}
	switch root {
	case "user":
		v.deps = depUser
		v.request = func(env *Env) any {
			return env.User != nil && (name == "id" || env.User.Known[name])
		}
	case "item":
		v.deps = depItem
		v.item = func(it *features.Item) any { return name == "id" || it.Known[name] }
	default:
		v.deps = depContext
		v.request = func(env *Env) any { return contextKnown(env.Context[name], f.Default) }
	}
	return v
}

// contextKnown tells a given context value from a default that was filled in.
func contextKnown(v, def any) bool {
	switch x := v.(type) {
	case nil:
		return false
	case []string:
		return len(x) > 0
	case map[string]string:
		return len(x) > 0
	}
	return v != def
}

// layout gives each variable that a set of expressions reads a place in the frame.
type layout struct {
	index map[string]ref
	req   []variable
	item  []variable
	// vectors: an expression compares the item's vector with the user's.
	vectors bool
}

// ref is a place in a frame: in the request's values or in the candidate's row.
type ref struct {
	item bool
	at   int // or atScore, atRank
}

// The places of what belongs to the candidate rather than to its item.
const (
	atScore = -1 - iota
	atRank
	atSimilarity
)

func newLayout() *layout { return &layout{index: map[string]ref{}} }

func (l *layout) place(v variable) ref {
	if r, ok := l.index[v.name]; ok {
		return r
	}
	var r ref
	if v.deps == depScore {
		return v.own
	}
	if v.item != nil {
		r = ref{item: true, at: len(l.item)}
		l.item = append(l.item, v)
	} else {
		r = ref{at: len(l.req)}
		l.req = append(l.req, v)
	}
	l.index[v.name] = r
	return r
}

// splitPath cuts "user.tier" into its root and the rest.
func splitPath(path string) (root, rest string) {
	root, rest, _ = strings.Cut(path, ".")
	return root, rest
}
