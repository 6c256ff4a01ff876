package rulefile

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/sartorhq/sartor/rules"
	"go.yaml.in/yaml/v3"
)

// FormatError says why a text cannot be formatted: it is not one readable YAML document.
type FormatError struct{ Problems []rules.Problem }

// Error names the first problem.
func (e *FormatError) Error() string {
	if len(e.Problems) == 0 {
		return "cannot be formatted"
	}
	return fmt.Sprintf("line %d: %s", e.Problems[0].Line, e.Problems[0].Message)
}

// Format returns the canonical text of a rule file or a rule test: two spaces a level, one space
// after a colon, no stray blanks, conditions that span lines or need escapes as "|" blocks. Comments,
// key order, quotes and line breaks stay the author's. The result means the same, and formatting it
// again changes nothing: both are checked on every call, and what cannot be proved is not changed.
// The error is a *FormatError.
func Format(data []byte) ([]byte, error) {
	text, f := gate(data)
	if f != nil {
		_, problems := Parse("", data)
		return nil, &FormatError{problems}
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	lines := splitLines(text)
	before, err := decodeOne(lines)
	if err != nil {
		lines = untabbed(lines)
		if before, err = decodeOne(lines); err != nil {
			_, problems := Parse("", data)
			return nil, &FormatError{problems}
		}
	}
	for _, pass := range []func([]string) ([]string, bool){formatFully, tidy} {
		out, ok := pass(lines)
		if !ok {
			continue
		}
		after, err := decodeOne(out)
		again, stable := pass(out)
		if err == nil && stable && sameMeaning("", before, after) && equalLines(out, again) && equalLines(commentsOf(lines), commentsOf(out)) {
			return joinLines(out), nil
		}
	}
	return joinLines(lines), nil
}

func joinLines(lines []string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }

var errNotOne = errors.New("not one document")

// decodeOne parses lines as one document without the constructs that Format does not move around.
func decodeOne(lines []string) (*yaml.Node, error) {
	root, second, err := decodeYAML(strings.Join(lines, "\n") + "\n")
	if err == nil && second != nil {
		err = errNotOne
	}
	return root, err
}

func untabbed(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		rest := strings.TrimLeft(l, " \t")
		out[i] = strings.ReplaceAll(l[:len(l)-len(rest)], "\t", "  ") + rest
	}
	return out
}

func equalLines(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// commentsOf lists the words of every comment in order; blocks count as comments where they hold #,
// which only makes the comparison stricter.
func commentsOf(lines []string) []string {
	var out []string
	for _, l := range lines {
		for i := 0; i < len(l); i++ {
			if l[i] == '#' && (i == 0 || l[i-1] == ' ' || l[i-1] == '\t') {
				out = append(out, strings.TrimSpace(l[i:]))
				break
			}
		}
	}
	return out
}

// sameMeaning tells whether two trees hold the same values, expressions compared by their words.
func sameMeaning(key string, a, b *yaml.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || a.Anchor != b.Anchor || a.ShortTag() != b.ShortTag() || len(a.Content) != len(b.Content) {
		return false
	}
	if a.Value != b.Value && (!isExpressionKey(key) || words(a.Value) != words(b.Value)) {
		return false
	}
	for i := range a.Content {
		inner := ""
		if a.Kind == yaml.MappingNode && i%2 == 1 {
			inner = a.Content[i-1].Value
		}
		if !sameMeaning(inner, a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// words collapses the blanks of an expression outside of its quoted texts.
func words(text string) string {
	var b strings.Builder
	var quote rune
	blank, escaped := false, false
	for _, r := range strings.TrimSpace(text) {
		if quote == 0 && unicode.IsSpace(r) {
			blank = true
			continue
		}
		if blank {
			b.WriteByte(' ')
			blank = false
		}
		switch {
		case escaped:
			escaped = false
		case quote != 0 && quote != '`' && r == '\\':
			escaped = true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\'' || r == '`'):
			quote = r
		}
		b.WriteRune(r)
	}
	return b.String()
}

// tidy is the least that Format does: no blanks at line ends outside of texts, no blank lines at the
// ends of the file.
func tidy(lines []string) ([]string, bool) {
	root, err := decodeOne(lines)
	if err != nil || root == nil {
		return trimEnds(trimAll(lines, nil)), err == nil
	}
	l := newLayout(lines)
	l.walk(root, 0, 0)
	return trimEnds(trimAll(lines, l.verbatim)), true
}

func trimAll(lines []string, verbatim map[int]bool) []string {
	out := make([]string, len(lines))
	for i, text := range lines {
		if out[i] = text; !verbatim[i+1] {
			out[i] = strings.TrimRight(text, " \t")
		}
	}
	return out
}

func trimEnds(lines []string) []string {
	for len(lines) > 0 && strings.TrimSpace(lines[0]) == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// formatFully rewrites awkward conditions as blocks and then lays the file out.
func formatFully(lines []string) ([]string, bool) {
	root, err := decodeOne(lines)
	if err != nil {
		return nil, false
	}
	if root == nil {
		return tidy(lines)
	}
	lines = blockify(lines, root)
	if root, err = decodeOne(lines); err != nil {
		return nil, false
	}
	l := newLayout(lines)
	l.walk(root, 0, 0)
	if l.failed {
		return nil, false
	}
	return trimEnds(l.render()), true
}
