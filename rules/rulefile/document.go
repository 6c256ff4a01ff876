package rulefile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/rules"
	"go.yaml.in/yaml/v3"
)

// Document is one YAML text that passed the gate, and the problems found in it so far. Values are
// taken from the raw text by the type that the reader asks for, never by YAML's guess. It is not
// safe for concurrent use.
type Document struct {
	Path  string
	Lines []string
	// Root is the top-level node, or nil when the text cannot be read as YAML at all.
	Root *yaml.Node

	at       columns
	rule     string // id of the rule being read, for Problem.Rule
	muted    map[int]bool
	meant    map[*yaml.Node][]string // known keys that unknown ones of this mapping were meant to be
	problems []rules.Problem
}

// ReadDocument reads data as one strict YAML document: no anchors, aliases, tags, merge keys or
// duplicate keys. It never fails; what is wrong is in Problems.
func ReadDocument(path string, data []byte) *Document {
	d := &Document{Path: path, muted: map[int]bool{}, meant: map[*yaml.Node][]string{}}
	text, f := gate(data)
	if f != nil {
		d.Lines = splitLines(strings.ToValidUTF8(string(data[:min(len(data), MaxBytes)]), "\uFFFD"))
		d.fault(*f)
		return d
	}
	d.Lines = splitLines(text)
	root, faults, muted := readYAML(d.Lines)
	d.muted = muted
	for _, f := range faults {
		d.fault(f)
	}
	if root == nil {
		if len(faults) == 0 {
			d.fault(fault{CodeMissing, 1, 1, "the file is empty", "start it with `apiVersion: rules/v1` and `kind: RuleSet`"})
		}
		return d
	}
	d.Root = root
	d.checkTree("", root)
	return d
}

// decodeYAML parses text as exactly one document. A nil node means that the text holds none.
func decodeYAML(text string) (*yaml.Node, *yaml.Node, error) {
	dec := yaml.NewDecoder(strings.NewReader(text))
	var first, second yaml.Node
	if err := dec.Decode(&first); errors.Is(err, io.EOF) || err == nil && len(first.Content) == 0 {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	if err := dec.Decode(&second); errors.Is(err, io.EOF) || err == nil && len(second.Content) == 0 {
		return first.Content[0], nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	return first.Content[0], second.Content[0], nil
}

// checkTree reports what YAML offers and rule files refuse, everywhere in the tree.
// key is the key whose value n is.
func (d *Document) checkTree(key string, n *yaml.Node) {
	switch {
	case d.muted[n.Line] && n.Kind != yaml.MappingNode && n.Kind != yaml.SequenceNode: // one report a line
		return
	case d.hasTag(n):
		d.refuseTag(key, n)
		return
	case n.Kind == yaml.AliasNode:
		d.At(n, CodeRefusedYAML, fmt.Sprintf("`*%s` refers to another part of the file, which rule files do not do", clip(n.Value)),
			"write the value again, or name it once under `params:` or `lists:`; a text that starts with `*` needs quotes")
		d.muted[n.Line] = true
		return
	case n.Anchor != "":
		d.muted[n.Line] = true
		d.At(n, CodeRefusedYAML, fmt.Sprintf("`&%s` marks a part of the file for reuse, which rule files do not do", clip(n.Anchor)),
			"name shared values under `params:` or `lists:`; a text that starts with `&` needs quotes")
		d.muted[n.Line] = true
	}
	if n.Kind == yaml.MappingNode {
		d.checkDuplicates(n)
	}
	for i, c := range n.Content {
		inner := key
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			inner = n.Content[i-1].Value
		}
		d.checkTree(inner, c)
	}
}

// hasTag tells whether the author wrote a "!" before the value. The parser drops a lone "!", so the
// text is asked.
func (d *Document) hasTag(n *yaml.Node) bool {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Kind == yaml.AliasNode || n.Style&yaml.TaggedStyle == 0 && n.Style&quoted != 0 {
		return false
	}
	return strings.HasPrefix(d.from(n), "!")
}

func (d *Document) refuseTag(key string, n *yaml.Node) {
	d.At(n, CodeRefusedYAML, tagMessage, tagHint(key, d.from(n)))
	d.muted[n.Line] = true
}

func (d *Document) checkDuplicates(n *yaml.Node) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode {
			continue
		}
		if line, ok := first[k.Value]; ok {
			d.At(k, CodeDuplicateKey, fmt.Sprintf("`%s` is written twice: on line %d and on line %d", clip(k.Value), line, k.Line),
				"keep one of the two; to say two things, write two rules")
			continue
		}
		first[k.Value] = k.Line
	}
}

// maxGathered bounds the problems of one file before they are sorted and cut to MaxProblems.
const maxGathered = 5000

// At reports a problem at a node.
func (d *Document) At(n *yaml.Node, code, message, hint string) {
	d.fault(fault{code, n.Line, n.Column, message, hint})
}

func (d *Document) fault(f fault) {
	if len(d.problems) >= maxGathered {
		return
	}
	p := rules.Problem{Code: f.code, Severity: rules.SeverityError, Path: d.Path, Line: max(1, f.line),
		Column: max(1, f.column), Rule: d.rule, Message: f.message, Hint: f.hint}
	if p.Line <= len(d.Lines) {
		p.Snippet = d.Lines[p.Line-1]
	}
	d.problems = append(d.problems, p)
}

// Problems returns what was found so far, sorted by place, at most MaxProblems.
func (d *Document) Problems() []rules.Problem { return Sort(d.problems) }

// Count returns how many problems were found so far.
func (d *Document) Count() int { return len(d.problems) }

// Sort orders problems by file and place, drops repetitions of one code at one place, and keeps at
// most MaxProblems of each file.
func Sort(problems []rules.Problem) []rules.Problem {
	out := slices.Clone(problems)
	slices.SortStableFunc(out, func(a, b rules.Problem) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Code, b.Code))
	})
	out = slices.CompactFunc(out, func(a, b rules.Problem) bool {
		return a.Path == b.Path && a.Line == b.Line && a.Column == b.Column && a.Code == b.Code
	})
	perFile := map[string]int{}
	return slices.DeleteFunc(out, func(p rules.Problem) bool {
		perFile[p.Path]++
		return perFile[p.Path] > MaxProblems
	})
}

// Merge joins the problems of reading files with those of compiling what was read. It leaves out the
// compiler's echoes of what could not be read: anything on the same line, things that are missing
// from a rule with a broken part, and advice on files that are read in part only.
func Merge(read, compiled []rules.Problem) []rules.Problem {
	type place struct {
		path, rule string
		line       int
	}
	seen := map[place]bool{}
	for _, p := range read {
		if p.Severity == rules.SeverityError {
			seen[place{path: p.Path}] = true
			seen[place{path: p.Path, line: p.Line}] = true
			seen[place{path: p.Path, rule: orAny(p.Rule)}] = true
		}
	}
	all := slices.Clone(read)
	for _, p := range compiled {
		absent := p.Code == rules.CodeActionField &&
			(p.Rule == "" && seen[place{path: p.Path}] || seen[place{path: p.Path, rule: orAny(p.Rule)}] || seen[place{path: p.Path, rule: anyRule}])
		advice := p.Severity == rules.SeverityWarning && seen[place{path: p.Path}]
		if !absent && !advice && !seen[place{path: p.Path, line: p.Line}] {
			all = append(all, p)
		}
	}
	return Sort(all)
}

// anyRule stands for problems that are known by their line only.
const anyRule = "*"

func orAny(rule string) string {
	if rule == "" {
		return anyRule
	}
	return rule
}

// Failed tells whether problems holds an error, or anything at all when warnings count.
func Failed(problems []rules.Problem, warningsCount bool) bool {
	return slices.ContainsFunc(problems, func(p rules.Problem) bool {
		return warningsCount || p.Severity != rules.SeverityWarning
	})
}
