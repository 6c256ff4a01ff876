package rulefile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/streams/spelling"
	"go.yaml.in/yaml/v3"
)

// maxListBytes bounds a file named by "file:".
const maxListBytes = 8 << 20

// Parse reads the text of a rule file. It returns whatever could be read, so that Compile can add
// its own problems, and every problem found, sorted by place; the file must not be used when one of
// them is an error. Files named by "file:" are read relative to path and never outside its folder.
func Parse(path string, data []byte) (rules.File, []rules.Problem) {
	return ParseWith(path, data, func(name string) ([]byte, error) { return readBeside(path, name) })
}

// ErrElsewhere is returned by an opener for a live list that it cannot reach, and need not: the list is
// then taken as empty. Parse does so, since whoever checks a file is mostly not where Redis is.
var ErrElsewhere = errors.New("the list is kept elsewhere")

// ParseWith is Parse with another way to read what lists are made of. The name that open receives is that
// of a file, relative, slash-separated and inside the rule file's folder, or "redis:KEY" for a list that
// lives in Redis. What open returns has one value a line.
func ParseWith(path string, data []byte, open func(name string) ([]byte, error)) (rules.File, []rules.Problem) {
	d := ReadDocument(path, data)
	r := &reader{Document: d, open: open, ids: map[string]int{}}
	f := rules.File{Path: path, Lines: d.Lines, Pos: rules.Pos{Line: 1, Column: 1}}
	if d.Root != nil {
		r.file(&f, d.Root)
	}
	return f, d.Problems()
}

// readBeside reads a file of path's folder through os.Root, so that neither ".." nor a symbolic link
// leads out of it.
func readBeside(path, name string) ([]byte, error) {
	if strings.HasPrefix(name, RedisSource) {
		return nil, ErrElsewhere
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxListBytes+1))
}

// reader fills a rules.File from a document.
type reader struct {
	*Document
	open func(name string) ([]byte, error)
	ids  map[string]int // rule id -> line
}

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$`)

func (r *reader) file(f *rules.File, root *yaml.Node) {
	f.Pos = PosOf(root)
	seen := map[string]bool{}
	entries := r.Entries(root, "a rule set", fileKeys)
	for _, e := range entries {
		seen[e.Key] = true
		r.fileKey(f, e)
	}
	if root.Kind != yaml.MappingNode {
		return
	}
	for _, key := range []string{"apiVersion", "kind", "name", "rules"} {
		if !seen[key] && !(key == "rules" && seen["tables"]) {
			r.Missing(root, root, "a rule set", key, map[string]string{"apiVersion": "apiVersion: rules/v1", "kind": "kind: RuleSet",
				"name": "name: home", "rules": "rules:"}[key])
		}
	}
}

// Missing reports at a place that a mapping lacks a key, unless a broken line or a misspelt key is it.
func (d *Document) Missing(at, mapping *yaml.Node, what, key, example string) {
	if d.muted[0] || d.muted[at.Line] || contains(d.meant[mapping], key) {
		return
	}
	d.At(at, CodeMissing, fmt.Sprintf("%s needs `%s`", what, key), fmt.Sprintf("add a line such as `%s`", example))
}

func (r *reader) fileKey(f *rules.File, e Entry) {
	switch e.Key {
	case "apiVersion":
		r.CheckConstant(e, "rules/v1", "this is the only version of the format")
	case "kind":
		r.CheckConstant(e, "RuleSet", "test files have `kind: RuleTest` and a name that ends in .test.yaml")
	case "name":
		f.Name = r.name(e)
	case "description":
		f.Description = r.Text(e.Key, e.Value)
	case "owner":
		f.Owner = r.Text(e.Key, e.Value)
	case "tags":
		f.Tags = r.Texts(e.Key, e.Value)
	case "timezone":
		f.Timezone, f.TimezonePos = r.Text(e.Key, e.Value), PosOf(e.Value)
	case "scope":
		for _, s := range r.Entries(e.Value, "`scope`", scopeKeys) {
			if s.Key == "scenarios" {
				f.Scope.Scenarios = r.Texts(s.Key, s.Value)
			} else {
				f.Scope.Placements = r.Texts(s.Key, s.Value)
			}
		}
	case "params":
		f.Params = r.params(e.Value)
	case "lists":
		f.Lists = r.lists(e.Value)
	case "rules":
		f.Rules = r.rules(e.Value)
	case "tables":
		f.Tables = r.tables(e.Value)
	}
}

// CheckConstant reports a value other than the one that is allowed.
func (d *Document) CheckConstant(e Entry, want, hint string) {
	if got := d.Text(e.Key, e.Value); got != want && !d.Muted(e.Value) && e.Value.Kind == yaml.ScalarNode {
		d.At(e.Value, CodeShape, fmt.Sprintf("`%s` is `%s`, not `%s`", e.Key, want, clip(got)), fmt.Sprintf("write `%s: %s`; %s", e.Key, want, hint))
	}
}

// name reads an identifier: it becomes part of metrics, logs and experiment names.
func (r *reader) name(e Entry) string {
	text := r.Text(e.Key, e.Value)
	if r.Muted(e.Value) || e.Value.Kind != yaml.ScalarNode {
		return text
	}
	if !namePattern.MatchString(text) || len(text) > 100 {
		r.At(e.Value, CodeShape, fmt.Sprintf("`%s` is not a usable %s", clip(text), e.Key),
			"use lower-case letters, digits and dashes, such as `"+slug(text)+"`")
	}
	return text
}

// slug makes the nearest usable name out of text.
func slug(text string) string {
	s := strings.Trim(regexp.MustCompile(`[^a-z0-9._-]+`).ReplaceAllString(strings.ToLower(text), "-"), "-._")
	if s == "" {
		return "my-name"
	}
	return clip(s)
}

var fieldNamePattern = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

func (r *reader) params(n *yaml.Node) []rules.Param {
	var out []rules.Param
	for _, e := range r.Entries(n, "`params`", nil) {
		p := rules.Param{Name: e.Key, Pos: PosOf(e.KeyNode)}
		r.checkFieldName(e, "params")
		if e.Value.Kind != yaml.MappingNode && !r.Muted(e.Value) {
			r.At(e.Value, CodeShape, fmt.Sprintf("the parameter `%s` needs a type and a default", e.Key),
				fmt.Sprintf("write `%s: {type: number, default: %s}`", e.Key, clip(e.Value.Value)))
			out = append(out, p)
			continue
		}
		seen := map[string]bool{}
		for _, f := range r.Entries(e.Value, "a parameter", paramKeys) {
			seen[f.Key] = true
			switch text := r.Text(f.Key, f.Value); f.Key {
			case "type":
				p.Type = text
				r.oneOf(f, []string{"number", "int", "text", "bool", "duration"})
			case "default":
				p.Default = text
			case "min":
				p.Min = text
			case "max":
				p.Max = text
			case "description":
				p.Description = text
			}
		}
		for _, key := range []string{"type", "default"} {
			if !seen[key] {
				r.Missing(e.KeyNode, e.Value, fmt.Sprintf("the parameter `%s`", e.Key), key, fmt.Sprintf("%s: {type: number, default: 10}", e.Key))
			}
		}
		out = append(out, p)
	}
	return out
}

func (r *reader) checkFieldName(e Entry, group string) {
	if !fieldNamePattern.MatchString(e.Key) && !r.Muted(e.KeyNode) {
		r.At(e.KeyNode, CodeShape, fmt.Sprintf("`%s` cannot be used as %s.NAME", clip(e.Key), group),
			"use lower-case letters, digits and underscores, such as `"+strings.ReplaceAll(slug(e.Key), "-", "_")+"`")
	}
}

// oneOf reports a value outside of a short list of words.
func (r *reader) oneOf(e Entry, words []string) {
	text := r.Text(e.Key, e.Value)
	if slices.Contains(words, text) || r.Muted(e.Value) || e.Value.Kind != yaml.ScalarNode {
		return
	}
	hint := fmt.Sprintf("`%s` is one of %s", e.Key, strings.Join(words, ", "))
	if near := spelling.Nearest(text, words); near != "" {
		hint = fmt.Sprintf("did you mean `%s`? ", near) + hint
	}
	r.At(e.Value, CodeShape, fmt.Sprintf("`%s` cannot be `%s`", e.Key, clip(text)), hint)
}

func (r *reader) lists(n *yaml.Node) []rules.List {
	var out []rules.List
	for _, e := range r.Entries(n, "`lists`", nil) {
		l := rules.List{Name: e.Key, Pos: PosOf(e.KeyNode)}
		r.checkFieldName(e, "lists")
		if e.Value.Kind != yaml.MappingNode && !r.Muted(e.Value) {
			r.At(e.Value, CodeShape, fmt.Sprintf("the list `%s` needs `values` or `file`", e.Key), fmt.Sprintf("write `%s: {values: [first, second]}`", e.Key))
			out = append(out, l)
			continue
		}
		from := ""
		for _, f := range r.Entries(e.Value, "a list", listKeys) {
			switch {
			case f.Key == "description":
				l.Description = r.Text(f.Key, f.Value)
			case from != "":
				r.At(f.KeyNode, CodeShape, fmt.Sprintf("a list has `%s` or `%s`, not both", from, f.Key), "delete one of them")
			case f.Key == "values":
				from, l.Values = f.Key, r.Texts(f.Key, f.Value)
			case f.Key == "source":
				from, l.Source = f.Key, r.Text(f.Key, f.Value)
				l.Values = r.liveList(f)
			default:
				from, l.Values = f.Key, r.listFile(f)
			}
		}
		if from == "" {
			r.Missing(e.KeyNode, e.Value, fmt.Sprintf("the list `%s`", e.Key), "values", e.Key+": {values: [first, second]}")
		}
		out = append(out, l)
	}
	return out
}

// RedisSource is how the source of a list that lives in Redis begins; its key follows.
const RedisSource = "redis:"

// liveList asks for a list that changes without its file.
func (r *reader) liveList(e Entry) []string {
	name := r.Text(e.Key, e.Value)
	if r.Muted(e.Value) || e.Value.Kind != yaml.ScalarNode {
		return nil
	}
	if key, ok := strings.CutPrefix(name, RedisSource); !ok || key == "" || strings.ContainsAny(key, " \t\n") || len(key) > 200 {
		r.At(e.Value, CodeListFile, fmt.Sprintf("`%s` is no source of a list", clip(name)), "name a key of Redis, such as `source: redis:recalled`; a file beside this one is `file: recalled.txt`")
		return nil
	}
	data, err := r.open(name)
	switch {
	case errors.Is(err, ErrElsewhere):
		return nil
	case err != nil:
		r.At(e.Value, CodeListFile, fmt.Sprintf("cannot read the list `%s`", clip(name)), "it is a set or list of Redis; one that may be empty holds the value `#`")
		return nil
	case len(data) > maxListBytes:
		r.At(e.Value, CodeListFile, fmt.Sprintf("the list `%s` is larger than %d bytes", clip(name), maxListBytes), "shorten it")
		return nil
	}
	return listLines(data)
}

// listFile reads one value a line; blank lines and lines that start with # do not count.
func (r *reader) listFile(e Entry) []string {
	name := r.Text(e.Key, e.Value)
	if r.Muted(e.Value) || e.Value.Kind != yaml.ScalarNode {
		return nil
	}
	if name == "" || !filepath.IsLocal(filepath.FromSlash(name)) || strings.Contains(name, `\`) {
		r.At(e.Value, CodeListFile, fmt.Sprintf("`%s` is not a file beside this one", clip(name)), "name a file in the rule file's folder, such as `file: recalled.txt`")
		return nil
	}
	data, err := r.open(name)
	switch {
	case err != nil:
		r.At(e.Value, CodeListFile, fmt.Sprintf("cannot read the list file `%s`", clip(name)), "put the file in the rule file's folder: one value a line")
		return nil
	case len(data) > maxListBytes:
		r.At(e.Value, CodeListFile, fmt.Sprintf("the list file `%s` is larger than %d bytes", clip(name), maxListBytes), "shorten it")
		return nil
	}
	return listLines(data)
}

// listLines are the values of a list, one a line; blank lines and lines that start with # do not count.
func listLines(data []byte) []string {
	values := []string{}
	for _, line := range strings.Split(strings.TrimPrefix(string(data), "\uFEFF"), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			values = append(values, line)
		}
	}
	return values
}
