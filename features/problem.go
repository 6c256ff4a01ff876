package features

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a schema file, a document or a request context.
type Problem struct {
	// Line is the 1-based line of a schema file, 0 elsewhere.
	Line    int
	Field   string // dotted path, e.g. "user.orders_7d.count.window"
	Message string // what is wrong and what would be right
}

// String returns the problem in one line.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// SchemaError is what Parse returns: everything that is wrong with the file, in file order.
type SchemaError struct {
	Name     string // of the file
	Problems []Problem
}

// Error returns one line per problem.
func (e *SchemaError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = e.Name + ": " + p.String()
	}
	return strings.Join(lines, "\n")
}
