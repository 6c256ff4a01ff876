package rules

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The limits that hold before the parser sees a text. They alone remove the inputs that would
// exhaust the stack, which no recover could survive.
const (
	maxSourceBytes = 2000
	maxDepth       = 32
	maxNodes       = 200
)

// gate checks an expression's length, encoding, bracket depth and emptiness by a byte scan.
func gate(src string) *fault {
	if len(src) > maxSourceBytes {
		return &fault{code: CodeTooCostly,
			message: fmt.Sprintf("the expression has %d bytes; at most %d are allowed", len(src), maxSourceBytes),
			hint:    "split it into several rules, or put long lists of values under `lists:`"}
	}
	if !utf8.ValidString(src) || strings.ContainsRune(src, 0) {
		return &fault{code: CodeSyntax, message: "the expression is not readable text",
			hint: "save the file as UTF-8"}
	}
	if blank(src) {
		return &fault{code: CodeEmpty, message: "the condition is empty or only a comment",
			hint: "write a condition, or leave the key out"}
	}
	return gateDepth(src)
}

// gateDepth counts brackets and chains of prefix operators, outside quotes.
func gateDepth(src string) *fault {
	depth, prefix := 0, 0
	var quote byte
	for i := 0; i < len(src); i++ {
		c := src[i]
		if quote != 0 {
			if c == '\\' && quote != '`' {
				i++
			} else if c == quote {
				quote = 0
			}
			continue
		}
		switch c {
		case '"', '\'', '`':
			quote = c
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case '!', '-', '+', '?':
			prefix++
		}
		if !strings.ContainsRune("!-+? \t\n", rune(c)) {
			prefix = 0
		}
		if depth > maxDepth || prefix > maxDepth {
			return &fault{code: CodeTooCostly, offset: utf8.RuneCountInString(src[:i]),
				message: fmt.Sprintf("brackets or operators are nested deeper than %d", maxDepth),
				hint:    "split the condition into several rules"}
		}
	}
	return nil
}

// blank tells whether nothing but white space and comments is there.
func blank(src string) bool {
	for {
		src = strings.TrimSpace(src)
		switch {
		case src == "":
			return true
		case strings.HasPrefix(src, "//"), strings.HasPrefix(src, "#"):
			_, rest, found := strings.Cut(src, "\n")
			if !found {
				return true
			}
			src = rest
		case strings.HasPrefix(src, "/*"):
			_, rest, found := strings.Cut(src, "*/")
			if !found {
				return true
			}
			src = rest
		default:
			return false
		}
	}
}
