package rules

import (
	"sync"
	"time"

	"github.com/sartorhq/sartor/features"
)

// Condition is a compiled yes/no expression. It is immutable and safe for concurrent use.
type Condition struct {
	program *program
	frames  *sync.Pool // of *filterFrame
	fields  []string   // of items
	user    []string   // fields of users
}

// filterFrame is a frame with room for one item.
type filterFrame struct {
	*frame
	row []any
}

// CompileFilter compiles the ad-hoc filter of a request in the same sandbox as rules. It may look
// at item, user, request, context and now, not at scores. Problems have line and column within
// src; the condition is nil when one of them is an error.
func CompileFilter(src string, schema Schema) (*Condition, []Problem) {
	t := &typer{symbols: newSymbols(schema), layout: newLayout(), place: placeFilter, zone: time.UTC}
	c, faults := compileCondition(t, src)
	if len(faults) == 0 {
		return c, nil
	}
	r := reporter{file: &File{Path: "filter"}}
	r.faults(Expr{Text: src, Pos: Pos{Line: 1, Column: 1}, Exact: true}, faults)
	return c, sortProblems(r.problems)
}

func compileCondition(t *typer, src string) (*Condition, []fault) {
	p, faults := t.compile(src, kindBool)
	if p == nil {
		return nil, faults
	}
	l := t.layout
	return &Condition{program: p, frames: &sync.Pool{New: func() any { return &filterFrame{frame: newFrame(l)} }}, fields: l.itemFields(), user: l.userFields()}, faults
}

// String is the text of the condition.
func (c *Condition) String() string { return c.program.src }

// ItemOnly tells whether the outcome depends on nothing but the item, so that it may be evaluated
// once per catalogue change instead of once per request.
func (c *Condition) ItemOnly() bool { return c.program.deps&^depItem == 0 }

// Match evaluates the condition for one item; env may be nil when the condition is ItemOnly. On an
// error the answer is false.
func (c *Condition) Match(env *Env, it *features.Item) (bool, error) {
	if env == nil {
		env = &Env{}
	}
	f := c.frames.Get().(*filterFrame)
	defer func() {
		f.end()
		clear(f.row)
		c.frames.Put(f)
	}()
	f.begin(env)
	f.row = f.layout.load(it, f.row[:0])
	f.frame.row = f.row
	return c.program.test(f.frame)
}
