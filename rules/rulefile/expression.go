package rulefile

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sartorhq/sartor/rules"
	"go.yaml.in/yaml/v3"
)

// Condition reads the expression of key and insists that there is one.
func (d *Document) Condition(key string, keyNode, n *yaml.Node) rules.Expr {
	if d.Muted(n) || d.Muted(keyNode) {
		return rules.Expr{}
	}
	if n.Kind != yaml.ScalarNode {
		what, hint := "list", "a condition that starts with `[` goes on its own line after `"+key+": |`"
		if joined := joinedParts(n); joined != "" {
			hint = "join what must hold together: `" + key + ": " + joined + "`"
		}
		if n.Kind == yaml.MappingNode {
			what, hint = "mapping", "a condition with `{` or `: ` goes on its own line after `"+key+": |`"
		}
		d.At(n, CodeShape, fmt.Sprintf("`%s` is a condition, but YAML reads this as a %s", key, what), hint)
		return rules.Expr{}
	}
	if strings.TrimSpace(n.Value) == "" {
		d.emptyCondition(key, keyNode, n)
		return rules.Expr{}
	}
	if n.Style == 0 && d.eatenByComment(key, n) {
		return rules.Expr{}
	}
	return d.Expr(n)
}

func (d *Document) emptyCondition(key string, keyNode, n *yaml.Node) {
	text := d.line(keyNode.Line)
	after := min(len(text), byteOffset(text, keyNode.Column)+len(key)+1)
	if rest := strings.TrimLeft(text[after:], " "); strings.HasPrefix(rest, "#") {
		d.fault(fault{CodeEmpty, keyNode.Line, columnOf(text, len(text)-len(rest)), fmt.Sprintf("the condition of `%s` is empty: `#` starts a comment", key),
			fmt.Sprintf("put the condition on its own line after `%s: |`", key)})
		return
	}
	at := n
	if n.Line == 0 {
		at = keyNode
	}
	d.At(at, CodeEmpty, fmt.Sprintf("the condition of `%s` is empty", key), fmt.Sprintf("write a condition, or delete the line: without `%s` the rule applies always", key))
}

// eatenByComment finds conditions that " #" has cut in the middle: what is left cannot be whole.
func (d *Document) eatenByComment(key string, n *yaml.Node) bool {
	text := d.line(n.Line)
	start := len(text) - len(d.from(n))
	at := strings.Index(text[start:], " #")
	if at < 0 || !unfinished(n.Value) {
		return false
	}
	d.fault(fault{CodeEmpty, n.Line, columnOf(text, start+at+1), "` #` starts a comment, so the condition ends before it",
		fmt.Sprintf("put the condition on its own line after `%s: |`", key)})
	return true
}

// nesting follows the quotes and brackets of an expression, byte by byte.
type nesting struct {
	quote   byte // the quote that is open, 0 outside of texts
	depth   int  // of brackets
	escaped bool // the next byte is taken as it is
}

// step takes the next byte. Nothing is escaped between backquotes.
func (n *nesting) step(c byte) {
	switch {
	case n.escaped:
		n.escaped = false
	case n.quote != 0 && n.quote != '`' && c == '\\':
		n.escaped = true
	case n.quote != 0:
		if c == n.quote {
			n.quote = 0
		}
	case c == '"' || c == '\'' || c == '`':
		n.quote = c
	case strings.IndexByte("([{", c) >= 0:
		n.depth++
	case strings.IndexByte(")]}", c) >= 0:
		n.depth--
	}
}

// unfinished tells whether an expression stops in the middle: brackets or quotes open, or an
// operator at its end.
func unfinished(text string) bool {
	var at nesting
	for i := range len(text) {
		at.step(text[i])
	}
	if at.quote != 0 || at.depth > 0 {
		return true
	}
	text = strings.TrimSpace(text)
	if strings.HasSuffix(text, ",") || strings.TrimRight(text, "<>=+-*/%!&|?:.") != text {
		return true
	}
	words := strings.Fields(text)
	switch words[len(words)-1] {
	case "and", "or", "not", "in", "contains", "startsWith", "endsWith", "matches":
		return true
	}
	return false
}

// Expr returns the text of a scalar with its place. It is exact for plain one-line text, for quoted
// text without escapes and for "|" blocks.
func (d *Document) Expr(n *yaml.Node) rules.Expr {
	if d.Muted(n) || n.Kind != yaml.ScalarNode {
		return rules.Expr{Pos: PosOf(n)}
	}
	e := rules.Expr{Text: n.Value, Pos: PosOf(n)}
	rest := d.from(n)
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		e.Text = strings.TrimRight(n.Value, "\n")
		e.Indent, e.Exact = d.blockIndent(n.Line, e.Text)
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		if len(rest) > 0 && strings.HasPrefix(rest[1:], n.Value+rest[:1]) {
			e.Exact = true
			e.Pos.Column++
		}
	case n.Style&yaml.FoldedStyle != 0:
		e.Text = strings.TrimRight(n.Value, "\n")
	default:
		e.Exact = strings.HasPrefix(rest, n.Value)
	}
	return e
}

// blockIndent returns how far the lines of a "|" block are indented, and whether they are the text.
func (d *Document) blockIndent(header int, text string) (int, bool) {
	indent := -1
	for i, want := range strings.Split(text, "\n") {
		have := d.line(header + 1 + i)
		if strings.TrimSpace(want) == "" && strings.TrimSpace(have) == "" {
			continue
		}
		if indent < 0 {
			indent = len(have) - len(want)
		}
		if indent < 0 || len(have) < indent || have[indent:] != want || strings.TrimLeft(have[:indent], " ") != "" {
			return 0, false
		}
	}
	return max(indent, 0), indent >= 0
}

func (d *Document) line(n int) string {
	if n < 1 || n > len(d.Lines) {
		return ""
	}
	return d.Lines[n-1]
}

// from is the text of a node's line from the node on.
func (d *Document) from(n *yaml.Node) string {
	text := d.line(n.Line)
	return text[d.at.offset(text, n.Line, n.Column):]
}

// columns finds byte offsets of columns. It remembers the last one, because nodes come in order and a
// line may hold a hundred thousand of them.
type columns struct{ line, column, at int }

func (c *columns) offset(text string, line, column int) int {
	if c.line != line || c.column > column || c.at > len(text) {
		*c = columns{line, 1, 0}
	}
	for c.column < column && c.at < len(text) {
		_, size := utf8.DecodeRuneInString(text[c.at:])
		c.at += size
		c.column++
	}
	return c.at
}

// byteOffset returns the offset of the 1-based column, which counts characters.
func byteOffset(text string, column int) int {
	seen := 1
	for i := range text {
		if seen == column {
			return i
		}
		seen++
	}
	return len(text)
}

// joinedParts makes one condition of a list of them, "" where the list is something else.
func joinedParts(n *yaml.Node) string {
	if n.Kind != yaml.SequenceNode || n.Style&yaml.FlowStyle != 0 || len(n.Content) < 2 {
		return ""
	}
	var parts []string
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode || c.Value == "" {
			return ""
		}
		parts = append(parts, c.Value)
	}
	return clip(strings.Join(parts, " and "))
}
