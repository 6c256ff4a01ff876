package rulefile

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// start is the first character of a key, an entry's dash or a value on a line: where it stands and
// where it should. Both are byte offsets; indentation is ASCII.
type start struct{ from, to int }

// layout finds for every line how far it should be indented.
type layout struct {
	lines  []string
	at     columns
	starts map[int][]start // line -> starts from left to right
	// owner is, for lines that only continue a value, the column that they move with.
	owner    map[int]start
	verbatim map[int]bool // lines inside "|" and quoted texts: their ends are content
	gaps     map[int][2]int
	failed   bool // something that cannot be moved safely
}

func newLayout(lines []string) *layout {
	return &layout{lines: lines, starts: map[int][]start{}, owner: map[int]start{}, verbatim: map[int]bool{}, gaps: map[int][2]int{}}
}

// walk places the block collection or value n at byte offset to; parent is the offset of what holds it.
func (l *layout) walk(n *yaml.Node, parent, to int) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		l.failed = true
		return
	}
	flow := n.Style&yaml.FlowStyle != 0
	switch {
	case n.Kind == yaml.MappingNode && !flow:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			if k.Kind != yaml.ScalarNode || k.Anchor != "" {
				l.failed = true
				return
			}
			l.add(k.Line, l.offset(k), to)
			l.value(k, v, to)
			if alignedWith(n, i, i-2) || alignedWith(n, i, i+2) {
				delete(l.gaps, k.Line)
			}
		}
	case n.Kind == yaml.SequenceNode && !flow:
		for _, c := range n.Content {
			dash := l.dashLine(n, c)
			if dash == 0 {
				l.failed = true
				return
			}
			l.add(dash, n.Column-1, to)
			if c.Line == dash && !isNull(c) {
				l.add(c.Line, l.offset(c), to+2)
			}
			if !isNull(c) {
				l.walk(c, to, to+2)
			}
		}
	default:
		l.span(n, parent, to)
	}
}

// alignedWith tells whether the values of two entries stand in one column on neighbouring lines: the
// author made a table of them.
func alignedWith(n *yaml.Node, i, j int) bool {
	if j < 0 || j+1 >= len(n.Content) {
		return false
	}
	a, b := n.Content[i+1], n.Content[j+1]
	return a.Column == b.Column && (a.Line-b.Line == 1 || b.Line-a.Line == 1) && n.Content[i].Line == a.Line && n.Content[j].Line == b.Line
}

// value places what stands after "key:".
func (l *layout) value(k, v *yaml.Node, to int) {
	if isNull(v) {
		return
	}
	if v.Line == k.Line {
		text := l.lines[k.Line-1]
		after := l.offset(k) + len(k.Value) + 1
		if at := l.offset(v); k.Style == 0 && at > after && after <= len(text) && text[after-1] == ':' && strings.TrimSpace(text[after:at]) == "" {
			l.gaps[k.Line] = [2]int{after, at}
		}
		if v.Kind != yaml.ScalarNode && v.Style&yaml.FlowStyle == 0 {
			l.failed = true // "? a" and other oddities
			return
		}
		l.span(v, l.offset(k), to)
		return
	}
	l.walk(v, l.offset(k), to+2)
	if v.Kind == yaml.ScalarNode || v.Style&yaml.FlowStyle != 0 {
		l.add(v.Line, l.offset(v), to+2)
	}
}

// span moves the further lines of a value with the key at offset parent that moves to offset to.
func (l *layout) span(n *yaml.Node, parent, to int) {
	move, last := start{parent, to}, n.Line
	switch {
	case n.Kind != yaml.ScalarNode:
		last = flowEnd(l.lines, n.Line, l.offset(n))
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		last = blockEnd(l.lines, n.Line, parent)
		header := strings.TrimLeft(l.lines[n.Line-1][l.offset(n):], "|>+-")
		if explicit := len(header) > 0 && header[0] >= '0' && header[0] <= '9'; !explicit && last > n.Line {
			move = start{l.firstIndent(n.Line), to + 2}
		}
		if strings.Contains(cutComment(l.lines[n.Line-1][l.offset(n):]), "+") {
			for last < len(l.lines) && strings.TrimSpace(l.lines[last]) == "" {
				last++
			}
		}
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		if end, _, ok := quotedEnd(l.lines, n.Line, l.offset(n)); ok {
			last = end
		}
	default:
		last = plainEnd(l.lines, n.Line, parent, n.Value)
	}
	for i := n.Line + 1; i <= last; i++ {
		l.owner[i] = move
		l.verbatim[i] = n.Kind == yaml.ScalarNode
	}
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 && last > n.Line {
		l.verbatim[n.Line] = true
	}
}

func (l *layout) firstIndent(header int) int {
	for _, text := range l.lines[header:] {
		if strings.TrimSpace(text) != "" {
			return indentOf(text)
		}
	}
	return 0
}

func (l *layout) offset(n *yaml.Node) int { return l.at.offset(l.lines[n.Line-1], n.Line, n.Column) }

func (l *layout) add(line, from, to int) {
	s := l.starts[line]
	if len(s) > 0 && s[len(s)-1].from >= from {
		if s[len(s)-1].from > from {
			l.failed = true
		}
		return
	}
	head := l.lines[line-1][:min(from, len(l.lines[line-1]))]
	if len(s) == 0 && strings.TrimSpace(head) != "" {
		l.failed = true
		return
	}
	if len(s) > 0 && strings.TrimSpace(head[s[len(s)-1].from:]) != "-" {
		l.failed = true
		return
	}
	l.starts[line] = append(s, start{from, to})
}

// dashLine finds the line of the dash that starts entry c of the sequence n.
func (l *layout) dashLine(n, c *yaml.Node) int {
	at := n.Column - 1
	for i := min(c.Line, len(l.lines)); i >= n.Line; i-- {
		text := l.lines[i-1]
		if len(text) > at && text[at] == '-' && strings.Trim(text[:at], " -") == "" && !l.taken(i, at) {
			return i
		}
		if !isNull(c) && i < c.Line && strings.TrimSpace(text) != "" && !strings.HasPrefix(strings.TrimSpace(text), "#") {
			break
		}
	}
	return 0
}

func (l *layout) taken(line, at int) bool {
	for _, s := range l.starts[line] {
		if s.from == at {
			return len(l.starts[line]) > 0 && s.from != l.starts[line][len(l.starts[line])-1].from
		}
	}
	return false
}

// render writes the lines at their new places.
func (l *layout) render() []string {
	out := make([]string, 0, len(l.lines))
	next, open := l.nextStarts(), []start(nil)
	for i, text := range l.lines {
		n := i + 1
		trimmed := strings.TrimSpace(text)
		switch s := l.starts[n]; {
		case len(s) > 0:
			out = append(out, l.renderStart(n, text, s))
			for _, level := range s {
				open = enter(open, level)
			}
		case l.owner[n] != (start{}) || l.verbatim[n]:
			out = append(out, moved(text, l.owner[n], l.verbatim[n]))
		case trimmed == "":
			if len(out) > 0 && out[len(out)-1] != "" {
				out = append(out, "")
			}
		case strings.HasPrefix(trimmed, "#"):
			out = append(out, strings.Repeat(" ", commentColumn(next[n], open, indentOf(text)))+trimmed)
		default:
			out = append(out, strings.TrimRight(text, " \t"))
		}
	}
	return out
}

func (l *layout) renderStart(n int, text string, s []start) string {
	body := text
	if g, ok := l.gaps[n]; ok {
		body = text[:g[0]] + " " + text[g[1]:]
	}
	var b strings.Builder
	for i, p := range s {
		b.WriteString(strings.Repeat(" ", max(0, p.to-b.Len())))
		if i < len(s)-1 {
			b.WriteByte('-')
			continue
		}
		b.WriteString(body[min(p.from, len(body)):])
	}
	if l.verbatim[n] {
		return b.String()
	}
	return strings.TrimRight(b.String(), " \t")
}

// moved shifts a continuing line along with its owner.
func moved(text string, by start, verbatim bool) string {
	rest := strings.TrimLeft(text, " ")
	indent := len(text) - len(rest)
	if strings.TrimSpace(rest) == "" {
		if !verbatim || indent <= by.from {
			return ""
		}
		return strings.Repeat(" ", indent-by.from+by.to)
	}
	if !verbatim {
		rest = strings.TrimRight(rest, " \t")
	}
	return strings.Repeat(" ", max(by.to+1, indent-by.from+by.to)-boolInt(indent == by.from)) + rest
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// commentColumn decides where a comment on its own line belongs: with the line below when it stood
// with it, else with the level above that it stood with. open holds the levels above it, outermost
// first.
func commentColumn(next start, open []start, indent int) int {
	if next.from == indent {
		return next.to
	}
	for i := len(open) - 1; i >= 0; i-- {
		if open[i].from <= indent {
			return open[i].to
		}
	}
	return next.to
}

// nextStarts returns, for every line, the first start on a later line.
func (l *layout) nextStarts() []start {
	out := make([]start, len(l.lines)+1)
	for n := len(l.lines) - 1; n >= 1; n-- {
		out[n] = out[n+1]
		if s := l.starts[n+1]; len(s) > 0 {
			out[n] = s[0]
		}
	}
	return out
}

// enter closes the levels that end where s starts, and opens s.
func enter(open []start, s start) []start {
	for len(open) > 0 && open[len(open)-1].from >= s.from {
		open = open[:len(open)-1]
	}
	return append(open, s)
}

// flowEnd returns the line on which the bracket at the given place is closed.
func flowEnd(lines []string, line, offset int) int {
	depth := 0
	for n := line; n <= len(lines); n++ {
		text := lines[n-1]
		if n == line {
			text = text[offset:]
		}
		for i := 0; i < len(text); i++ {
			switch c := text[i]; {
			case c == '#' && (i == 0 || text[i-1] == ' '):
				i = len(text)
			case c == '"' || c == '\'':
				if end := closingQuote(text[i:]); end > 0 && (i == 0 || strings.IndexByte(" ,[{:", text[i-1]) >= 0) {
					i += end
				}
			case c == '[' || c == '{':
				depth++
			case c == ']' || c == '}':
				if depth--; depth == 0 {
					return n
				}
			}
		}
	}
	return line
}

// plainEnd returns the last line of a plain text that may go on below its first line.
func plainEnd(lines []string, line, parent int, value string) int {
	if text := lines[line-1]; strings.Contains(text, value) || utf8.RuneCountInString(value) == 0 {
		return line
	}
	end := line
	for i := line; i < len(lines); i++ {
		trimmed := strings.TrimSpace(lines[i])
		if trimmed == "" {
			continue
		}
		if indentOf(lines[i]) <= parent || strings.HasPrefix(trimmed, "#") {
			break
		}
		end = i + 1
	}
	return end
}
