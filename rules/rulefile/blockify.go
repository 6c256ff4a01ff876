package rulefile

import (
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// blockify rewrites every condition whose places cannot be exact (folded, spread over lines, or with
// escapes) as a "|" block. Conditions inside { } stay: a block cannot stand there.
func blockify(lines []string, root *yaml.Node) []string {
	out := lines
	var found []Entry
	collectAwkward(&Document{Lines: lines}, root, &found)
	for i := len(found) - 1; i >= 0; i-- { // from the end, so that line numbers above stay right
		if next, ok := asBlock(out, found[i]); ok {
			out = next
		}
	}
	return out
}

func collectAwkward(d *Document, n *yaml.Node, found *[]Entry) {
	if n.Style&yaml.FlowStyle != 0 {
		return
	}
	for i, c := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 0 {
			collectAwkward(d, c, found)
			continue
		}
		k := n.Content[i-1]
		if c.Kind != yaml.ScalarNode {
			collectAwkward(d, c, found)
			continue
		}
		block := c.Style&(yaml.LiteralStyle) != 0
		if isExpressionKey(k.Value) && k.Style == 0 && !block && c.Anchor == "" && !d.hasTag(c) &&
			strings.TrimSpace(c.Value) != "" && !d.Expr(c).Exact {
			*found = append(*found, Entry{k.Value, k, c})
		}
	}
}

// asBlock replaces the lines of one condition. It gives up on whatever it cannot cut out cleanly.
func asBlock(lines []string, e Entry) ([]string, bool) {
	for _, r := range e.Value.Value {
		if r != '\n' && !unicode.IsPrint(r) {
			return nil, false
		}
	}
	first := lines[e.Value.Line-1]
	start := byteOffset(first, e.Value.Column)
	end, rest, ok := scalarEnd(lines, e, start)
	if !ok {
		return nil, false
	}
	indent := strings.Repeat(" ", e.KeyNode.Column+1)
	head := lines[e.KeyNode.Line-1]
	head = head[:byteOffset(head, e.KeyNode.Column)] + e.Key + ": |"
	if rest = strings.TrimSpace(rest); rest != "" {
		head += " " + rest
	}
	out := append([]string{}, lines[:e.KeyNode.Line-1]...)
	out = append(out, head)
	for _, text := range blockLines(e.Value.Value) {
		out = append(out, indent+text)
	}
	return append(out, lines[end:]...), true
}

// blockLines cuts an expression into lines: the author's breaks where the value has them, else in
// front of "and" and "or" outside of brackets when the text is long.
func blockLines(value string) []string {
	var out []string
	for _, text := range strings.Split(value, "\n") {
		if text = strings.TrimSpace(text); text != "" {
			out = append(out, text)
		}
	}
	if len(out) != 1 || len(out[0]) <= 80 {
		return out
	}
	return breakAtWords(out[0])
}

func breakAtWords(text string) []string {
	var out []string
	var at nesting
	from := 0
	for i := range len(text) {
		if at.step(text[i]); at.quote == 0 && at.depth == 0 && (strings.HasPrefix(text[i:], " and ") || strings.HasPrefix(text[i:], " or ")) {
			out = append(out, strings.TrimSpace(text[from:i]))
			from = i + 1
		}
	}
	return append(out, strings.TrimSpace(text[from:]))
}

// scalarEnd returns the number of the last line of a value and what follows the value on it.
func scalarEnd(lines []string, e Entry, start int) (end int, rest string, ok bool) {
	n := e.Value
	switch {
	case n.Style&yaml.FoldedStyle != 0:
		header := lines[n.Line-1][start:]
		if i := strings.Index(header, " #"); i >= 0 {
			rest = header[i:]
		}
		return blockEnd(lines, n.Line, e.KeyNode.Column-1), rest, true
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		end, after, ok := quotedEnd(lines, n.Line, start)
		if !ok {
			return 0, "", false
		}
		return end, lines[end-1][after:], true
	}
	for end = n.Line; end < len(lines); end++ {
		text := lines[end]
		if strings.TrimSpace(text) != "" && (indentOf(text) < e.KeyNode.Column || strings.HasPrefix(strings.TrimSpace(text), "#")) {
			break
		}
	}
	for end > n.Line && strings.TrimSpace(lines[end-1]) == "" {
		end--
	}
	last := lines[end-1]
	if i := strings.Index(last, " #"); i >= 0 {
		rest = last[i:]
	}
	return end, rest, true
}

// quotedEnd finds the quote that closes the text opened at the given place: its line, and the offset
// after it.
func quotedEnd(lines []string, line, offset int) (end, after int, ok bool) {
	quote, from := lines[line-1][offset], offset+1
	for n := line; n <= len(lines); n++ {
		text := lines[n-1]
		for i := from; i < len(text); i++ {
			switch {
			case quote == '"' && text[i] == '\\':
				i++
			case quote == '\'' && text[i] == quote && i+1 < len(text) && text[i+1] == quote:
				i++
			case text[i] == quote:
				return n, i + 1, true
			}
		}
		from = 0
	}
	return line, 0, false
}

// blockEnd returns the number of the last line of the block whose header is on line header and whose
// key stands at byte offset parent: blank lines at its end do not count.
func blockEnd(lines []string, header, parent int) int {
	end, indent := header, -1
	for i := header; i < len(lines); i++ {
		if strings.TrimSpace(lines[i]) == "" {
			continue
		}
		in := indentOf(lines[i])
		if indent < 0 {
			if in <= parent {
				break
			}
			indent = in
		}
		if in < indent {
			break
		}
		end = i + 1
	}
	return end
}

func indentOf(text string) int { return len(text) - len(strings.TrimLeft(text, " ")) }
