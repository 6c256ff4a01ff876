package rulefile

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// fault is a problem before it knows its file: the gate and the syntax reader make them.
type fault struct {
	code          string
	line, column  int
	message, hint string
}

// gate refuses what no rule file needs and what makes parsers slow, before one runs. It returns the
// text without a byte order mark and with plain line ends.
func gate(data []byte) (string, *fault) {
	if len(data) > MaxBytes {
		return "", &fault{CodeLimits, 1, 1, fmt.Sprintf("the file has %d bytes; a rule file may have %d", len(data), MaxBytes),
			"split it into several rule sets; move long lists to a file and name it with `file:`"}
	}
	if bytes.HasPrefix(data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(data, []byte{0xFE, 0xFF}) {
		return "", &fault{CodeLimits, 1, 1, "the file is saved as UTF-16", "save it as UTF-8 text"}
	}
	text := strings.TrimPrefix(string(data), "\uFEFF")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if f := checkRunes(text); f != nil {
		return "", f
	}
	if f := checkDepth(text); f != nil {
		return "", f
	}
	return text, nil
}

// checkRunes finds the first character that is not plain text. Invisible line separators are refused
// because YAML counts them as line ends and editors do not, so every later line number would be wrong.
func checkRunes(text string) *fault {
	line, column := 1, 0
	for i, r := range text {
		column++
		switch {
		case r == '\n':
			line, column = line+1, 0
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			return &fault{CodeLimits, line, column, "this character is not UTF-8", "save the file as UTF-8 text"}
		case r == '\u0085' || r == '\u2028' || r == '\u2029' || r == '\r':
			return &fault{CodeLimits, line, column, fmt.Sprintf("an invisible line separator (U+%04X)", r), "delete it and press Enter instead"}
		case r < ' ' && r != '\t' || r == 0x7F || r >= 0x80 && r < 0xA0 || r == '\uFEFF' || r == '\uFFFE' || r == '\uFFFF':
			return &fault{CodeLimits, line, column, fmt.Sprintf("an invisible control character (U+%04X)", r), "delete it"}
		}
	}
	return nil
}

// checkDepth bounds the nesting of [ and { and of "- - -". It skips quoted text and comments line by
// line, which is enough: a rule file that nests 64 deep does not exist.
func checkDepth(text string) *fault {
	depth := 0
	for n, line := range strings.Split(text, "\n") {
		if indent := nestingOf(line); indent > MaxDepth {
			return &fault{CodeLimits, n + 1, 1, fmt.Sprintf("nested more than %d deep", MaxDepth), "write it flatter"}
		}
		var quote byte
		for i := 0; i < len(line); i++ {
			c := line[i]
			switch {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '"' || c == '\'':
				quote = c
			case c == '#' && (i == 0 || line[i-1] == ' '):
				i = len(line)
			case c == '[' || c == '{':
				if depth++; depth > MaxDepth {
					return &fault{CodeLimits, n + 1, utf8.RuneCountInString(line[:i]) + 1,
						fmt.Sprintf("brackets nested more than %d deep", MaxDepth), "close the brackets, or write it flatter"}
				}
			case c == ']' || c == '}':
				depth = max(0, depth-1)
			}
		}
	}
	return nil
}

// nestingOf counts the levels that one line's indentation and leading "- " or "? " open.
func nestingOf(line string) int {
	spaces, marks := 0, 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ' ':
			spaces++
		case '-', '?':
			if i+1 < len(line) && line[i+1] != ' ' {
				return spaces/8 + marks
			}
			marks++
		default:
			return spaces/8 + marks
		}
	}
	return marks
}

// splitLines cuts text into lines without their ends; a final line end makes no empty last line.
func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
