package rulefile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// The limits of the search for broken lines: each step parses the file again.
const (
	maxTries       = 10
	maxSearchLines = 5000
)

// readYAML parses lines. When they are not YAML it finds the usual mistakes by itself, mends them
// well enough to read on, and so reports the problems of the whole file at once. Values on muted
// lines are not what the author wrote and must not be judged.
func readYAML(lines []string) (root *yaml.Node, faults []fault, muted map[int]bool) {
	work, muted := slices.Clone(lines), map[int]bool{}
	root, second, err := decodeYAML(strings.Join(work, "\n"))
	if err != nil {
		faults = mend(work, muted)
		root, second, err = decodeYAML(strings.Join(work, "\n"))
	}
	for tries := 0; err != nil; tries++ {
		f := explain(work, err)
		if !slices.ContainsFunc(faults, func(g fault) bool { return g.code == CodeSyntax && strings.HasPrefix(g.message, "a tab") }) {
			faults = append(faults, f)
		}
		if !muteLine(work, f.line, muted) || tries == maxTries || len(work) > maxSearchLines {
			return nil, faults, muted
		}
		root, second, err = decodeYAML(strings.Join(work, "\n"))
	}
	if second != nil {
		faults = append(faults, fault{CodeRefusedYAML, second.Line, second.Column, "a second document starts here",
			"one file holds one rule set: move this one to its own file and delete the `---` line"})
	}
	return root, faults, muted
}

// muteLine takes a broken line out, unless the lines below it depend on it.
func muteLine(work []string, line int, muted map[int]bool) bool {
	if line < 1 || line > len(work) {
		return false
	}
	l := scanLine(work[line-1])
	if l.dashes > 0 && l.key != "" || l.hasColon && l.value == "" || work[line-1] == "" {
		return false
	}
	work[line-1], muted[line] = "", true
	muted[0] = true // something is missing from the tree
	return true
}

// line is what can be known of one line without parsing YAML: "  - key: value # comment".
type line struct {
	indent   int // leading blanks
	dashes   int // leading "- "
	keyAt    int // byte offset of the key, or of the value when there is no key
	key      string
	hasColon bool
	valueAt  int // byte offset
	value    string
}

var linePattern = regexp.MustCompile(`^([ \t\x{A0}]*)((?:- +)*)(?:([A-Za-z_][A-Za-z0-9_.-]*)(:?))?`)

func scanLine(text string) line {
	m := linePattern.FindStringSubmatchIndex(text)
	l := line{indent: m[3], dashes: strings.Count(text[m[4]:m[5]], "-"), keyAt: m[5], valueAt: m[5]}
	if m[6] >= 0 && m[8] >= 0 && m[9] > m[8] {
		l.key, l.hasColon, l.valueAt = text[m[6]:m[7]], true, m[1]
	}
	rest := text[l.valueAt:]
	l.valueAt += len(rest) - len(strings.TrimLeft(rest, " "))
	l.value = strings.TrimRight(text[l.valueAt:], " \t")
	if strings.HasPrefix(l.value, "#") {
		l.value = ""
	}
	return l
}

var blockHeader = regexp.MustCompile(`^[|>][-+0-9]{0,2}(\s+#.*)?$`)

// mend reports the mistakes that one line alone shows, on every line outside of "|" and ">" blocks,
// and replaces them by something that parses.
func mend(work []string, muted map[int]bool) []fault {
	var faults []fault
	block := -1 // indentation of the key that opened the block we are in
	for i, text := range work {
		if strings.TrimSpace(text) == "" {
			continue
		}
		l := scanLine(text)
		if block >= 0 && l.indent > block {
			continue
		}
		block = -1
		if blockHeader.MatchString(l.value) {
			block = l.keyAt
			if l.key == "" {
				block = l.indent
			}
			continue
		}
		if strings.HasPrefix(strings.TrimSpace(text), "#") {
			continue
		}
		if fixed, f := mendIndent(text, l); f != nil {
			f.line, work[i] = i+1, fixed
			faults, l, text = append(faults, *f), scanLine(fixed), fixed
		}
		if l.hasColon && l.valueAt == l.keyAt+len(l.key)+1 && l.value != "" && isKnownKey(l.key) {
			faults = append(faults, fault{CodeSyntax, i + 1, columnOf(text, l.valueAt),
				fmt.Sprintf("a space is missing after `%s:`", l.key), fmt.Sprintf("write `%s: %s`", l.key, l.value)})
			text = text[:l.valueAt] + " " + text[l.valueAt:]
			work[i], l = text, scanLine(text)
		}
		if at, message, hint := brokenValue(l, nextLine(work, i)); message != "" {
			code := CodeSyntax
			if message == tagMessage {
				code = CodeRefusedYAML
			}
			faults = append(faults, fault{code, i + 1, columnOf(text, l.valueAt+at), message, hint})
			work[i], muted[i+1] = text[:l.valueAt]+`""`, true
		}
	}
	return faults
}

func columnOf(text string, offset int) int { return utf8.RuneCountInString(text[:offset]) + 1 }

func nextLine(work []string, i int) line {
	for _, text := range work[i+1:] {
		if strings.TrimSpace(text) != "" {
			return scanLine(text)
		}
	}
	return line{}
}

func mendIndent(text string, l line) (string, *fault) {
	head := text[:l.indent]
	if at := strings.IndexByte(head, '\t'); at >= 0 {
		return strings.ReplaceAll(head, "\t", "  ") + text[l.indent:], &fault{code: CodeSyntax, column: columnOf(text, at),
			message: "a tab character indents this line", hint: "YAML wants spaces: replace the tab by two spaces, or run `sartor rules fmt` on the file"}
	}
	if at := strings.Index(head, "\u00A0"); at >= 0 {
		return strings.ReplaceAll(head, "\u00A0", " ") + text[l.indent:], &fault{code: CodeSyntax, column: columnOf(text, at),
			message: "a non-breaking space indents this line", hint: "it was pasted from a document: replace it by ordinary spaces"}
	}
	return "", nil
}

// brokenValue tells why a value cannot be YAML, and where in it. next is the line below.
func brokenValue(l line, next line) (at int, message, hint string) {
	v := l.value
	if v == "" {
		return 0, "", ""
	}
	switch c := v[0]; c {
	case '"', '\'':
		return brokenQuote(l, next)
	case '[', '{':
		return brokenFlow(l, next)
	case '!':
		return 0, tagMessage, tagHint(l.key, v)
	case '@', '`', '%':
		return 0, fmt.Sprintf("a value cannot start with `%c`", c), blockHint(l.key, v)
	case '>', '|':
		return 0, fmt.Sprintf("`%c` starts a block of text here", c), blockHint(l.key, v)
	}
	plain := cutComment(v)
	if i := strings.Index(plain, ": "); i >= 0 && l.key != "" {
		return i, "`: ` inside a value", blockHint(l.key, v)
	}
	if strings.HasSuffix(plain, ":") && l.key != "" {
		return len(plain) - 1, "`:` at the end of a value", blockHint(l.key, v)
	}
	return 0, "", ""
}

const tagMessage = "`!` starts a YAML tag here"

// tagHint says what to write instead of the value v that starts with "!".
func tagHint(key, v string) string {
	if isExpressionKey(key) {
		return "write `not " + clip(strings.TrimLeft(cutComment(v), "! ")) + "`"
	}
	return "put the text in quotes"
}

func brokenQuote(l, next line) (at int, message, hint string) {
	end := closingQuote(l.value)
	if end < 0 {
		if next.hasColon || next.dashes > 0 {
			return 0, fmt.Sprintf("the quote `%c` is not closed on this line", l.value[0]), fmt.Sprintf("end the text with `%c`", l.value[0])
		}
		return 0, "", ""
	}
	rest := strings.TrimLeft(l.value[end+1:], " ")
	if rest == "" || strings.HasPrefix(rest, "#") || l.key == "" && strings.HasPrefix(rest, ":") {
		return 0, "", ""
	}
	return 0, "a value that starts with a quote must be quoted as a whole", blockHint(l.key, l.value)
}

func brokenFlow(l, next line) (at int, message, hint string) {
	end := closingBracket(l.value)
	if end < 0 {
		if (next.hasColon || next.dashes > 0) && next.keyAt <= l.keyAt {
			return 0, fmt.Sprintf("the bracket `%c` is not closed", l.value[0]), "close it on this line, or indent the lines that belong to it"
		}
		return 0, "", ""
	}
	rest := strings.TrimLeft(l.value[end+1:], " ")
	if rest == "" || strings.HasPrefix(rest, "#") {
		return 0, "", ""
	}
	return 0, fmt.Sprintf("`%c` starts a YAML list or mapping here", l.value[0]), blockHint(l.key, l.value)
}

// closingQuote returns the offset of the quote that closes the one at v[0], or -1.
func closingQuote(v string) int {
	for i := 1; i < len(v); i++ {
		switch {
		case v[0] == '"' && v[i] == '\\':
			i++
		case v[i] == v[0] && v[0] == '\'' && i+1 < len(v) && v[i+1] == '\'':
			i++
		case v[i] == v[0]:
			return i
		}
	}
	return -1
}

// closingBracket returns the offset of the bracket that closes the one at v[0], or -1.
func closingBracket(v string) int {
	depth := 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"', '\'':
			if end := closingQuote(v[i:]); end > 0 {
				i += end
			}
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// cutComment drops what YAML takes for a comment.
func cutComment(v string) string {
	if i := strings.Index(v, " #"); i >= 0 {
		v = v[:i]
	}
	return strings.TrimRight(v, " ")
}

// blockHint says how to write a value that YAML misreads.
func blockHint(key, value string) string {
	if len(value) > 120 {
		return fmt.Sprintf("put it on its own lines after `%s: |`", key)
	}
	if isExpressionKey(key) {
		return fmt.Sprintf("put the condition on its own line after `%s: |`, or wrap it: `%s`", key, singleQuoted(value))
	}
	return fmt.Sprintf("wrap the text in quotes: `%s`", singleQuoted(strings.Trim(value, `"'`)))
}

func singleQuoted(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// explain turns the parser's error into a problem at the line that breaks the file: the parser names
// the start of the construct it was in, so the shortest prefix that fails in the same way is sought.
func explain(work []string, err error) fault {
	broken := len(work) + 1
	if len(work) <= maxSearchLines {
		broken = 1 + searchFirst(1, len(work), func(n int) bool {
			_, _, e := decodeYAML(strings.Join(work[:n], "\n"))
			return e != nil && e.Error() == err.Error()
		})
	}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil && broken > len(work) {
		broken, _ = strconv.Atoi(m[1])
	}
	broken = min(max(broken, 1), max(1, len(work)))
	f := fault{code: CodeSyntax, line: broken, column: 1, message: yamlLine.ReplaceAllString(err.Error(), ""), hint: "check the indentation and the quotes of this line"}
	f.message = strings.TrimPrefix(f.message, "yaml: ")
	if broken > len(work) || len(work) == 0 {
		return f
	}
	l := scanLine(work[broken-1])
	f.column = columnOf(work[broken-1], l.keyAt)
	describe(&f, work, l)
	return f
}

// searchFirst returns one less than the smallest n in [lo, hi] for which bad holds, or hi.
func searchFirst(lo, hi int, bad func(int) bool) int {
	for lo <= hi {
		mid := (lo + hi) / 2
		if bad(mid) {
			hi = mid - 1
		} else {
			lo = mid + 1
		}
	}
	return hi
}

func describe(f *fault, work []string, l line) {
	above := line{}
	for i := f.line - 2; i >= 0; i-- {
		if t := strings.TrimSpace(work[i]); t != "" && !strings.HasPrefix(t, "#") {
			above = scanLine(work[i])
			break
		}
	}
	word, _, _ := strings.Cut(l.value, " ")
	switch {
	case strings.HasPrefix(f.message, "unknown anchor"):
		name := strings.Split(f.message, "'")[1]
		for i, text := range work {
			if at := strings.Index(text, "*"+name); at >= 0 {
				f.line, f.column = i+1, columnOf(text, at)
				break
			}
		}
		f.code, f.message = CodeRefusedYAML, "`*"+name+"` refers to another part of the file, which rule files do not do"
		f.hint = "a text that starts with `*` needs quotes; shared values live under `params:` or `lists:`"
	case !l.hasColon && isKnownKey(word):
		f.column = columnOf(work[f.line-1], l.valueAt)
		f.message, f.hint = fmt.Sprintf("a colon is missing after `%s`", word), fmt.Sprintf("write `%s:`", word)
	case !above.hasColon && above.dashes == 0 && isKnownKey(above.value):
		for i := f.line - 2; i >= 0; i-- {
			if strings.TrimSpace(work[i]) == above.value {
				f.line, f.column = i+1, columnOf(work[i], above.keyAt)
			}
		}
		f.message, f.hint = fmt.Sprintf("a colon is missing after `%s`", above.value), fmt.Sprintf("write `%s:`", above.value)
	case l.dashes == 0 && strings.HasPrefix(l.value, "-") && !l.hasColon:
		f.message, f.hint = "a space is missing after `-`", "write `- ` and then the entry"
	case l.hasColon && l.keyAt != above.keyAt && above.key != "":
		f.message = fmt.Sprintf("`%s` does not line up with the lines above it", l.key)
		f.hint = fmt.Sprintf("it starts in column %d, `%s` above it in column %d: lines that belong together start in one column", l.keyAt+1, above.key, above.keyAt+1)
	case strings.Contains(f.message, "',' or"):
		f.message, f.hint = "a bracket is not closed, or a comma is missing", "inside `[ ]` and `{ }` separate entries by commas and put conditions in quotes"
	case strings.Contains(f.message, "end of stream"):
		f.message, f.hint = "a quote is not closed", "end the text with the same quote"
	}
}
