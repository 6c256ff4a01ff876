package rules

import (
	"errors"

	"github.com/sartorhq/sartor/features"
)

// Condition is a compiled yes/no expression. It is immutable and safe for concurrent use.
type Condition struct{ src string }

// CompileFilter compiles the ad-hoc filter of a request in the same sandbox as rules. It may look
// at item, user, request and context. The condition is nil when a problem is returned.
func CompileFilter(src string, schema Schema) (*Condition, []Problem) {
	return &Condition{src: src}, nil
}

// ItemOnly tells whether the outcome depends on nothing but the item, so that it may be evaluated
// once per catalogue change instead of once per request.
func (c *Condition) ItemOnly() bool { return false }

// Match evaluates the condition for one item. On an error the answer is false.
func (c *Condition) Match(env *Env, it *features.Item) (bool, error) {
	return false, errors.ErrUnsupported
}
