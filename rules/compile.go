package rules

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// Options tune one compilation.
type Options struct {
	// Params overrides parameter values: set name, then parameter name. Values are bool, string,
	// float64, int or time.Duration, and obey the parameter's type and bounds.
	Params map[string]map[string]any
	// Now, when not zero, is the moment by which schedules that are over get a warning.
	Now time.Time
}

// rule is one compiled rule.
type rule struct {
	id         string
	file       string
	priority   int
	position   int // in its file
	pos        Pos
	order      int // in the set
	hard, stop bool
	group      string // with the file's name before it; "" = none
	scope      Scope
	schedule   *schedule
	rollout    *rollout
	holdout    *rollout // the users for whom the rule stays off, to be compared with
	when       *program
	match      *program
	split      split // of match
	actions    []action
	written    string // its actions as the author wrote them
}

// Compile turns files into one set. The problems hold every error and warning of all files, sorted
// by path and position, at most fifty; the set is nil if one of them is an error. Files and rules
// need unique names. It does no I/O and may be called concurrently.
func Compile(files []File, schema Schema, opts Options) (*Set, []Problem) {
	c := compiler{symbols: newSymbols(schema), layout: newLayout(), opts: opts, ids: map[string]string{}, names: map[string]string{}}
	c.elsewhere = declared(files)
	for i := range files {
		c.file(&files[i])
	}
	c.across()
	c.unknownOverrides(files)
	problems := sortProblems(c.problems)
	if hasErrors(problems) {
		return nil, problems
	}
	return c.set(files), problems
}

// compiler gathers the rules and problems of all files.
type compiler struct {
	symbols  *symbols
	layout   *layout
	opts     Options
	rules    []*rule
	problems []Problem
	ids      map[string]string // rule id -> path
	names    map[string]string // set name -> path
	params   map[string]any
	made     []fileRules
	// elsewhere tells where each "params.NAME" and "lists.NAME" of all files is declared.
	elsewhere map[string][]string
}

func (c *compiler) file(f *File) {
	r := &reporter{file: f}
	defer func() { c.problems = append(c.problems, r.problems...) }()
	if f.Name == "" {
		r.error(f.Pos, CodeActionField, "the rule set has no name", "add `name: my-rules`")
	}
	if other, dup := c.names[f.Name]; dup {
		r.error(f.Pos, CodeDuplicate, "the name `"+f.Name+"` is taken by "+other, "give each rule set its own name")
	}
	c.names[f.Name] = f.Path
	if n := ruleCount(f); n > maxRulesPerSet {
		r.error(f.Pos, CodeTooCostly, fmt.Sprintf("the set has %d rules; at most %d are allowed", n, maxRulesPerSet), "split it")
		return
	}
	zone, err := time.LoadLocation(f.Timezone)
	if err != nil || f.Timezone == "Local" {
		r.error(f.TimezonePos, CodeSchedule, "unknown time zone `"+f.Timezone+"`", "write a name such as Europe/Berlin")
		zone = time.UTC
	}
	t := &typer{symbols: c.symbols, layout: c.layout, zone: zone, elsewhere: c.elsewhere}
	t.params, t.lists = r.params(c.opts.Params[f.Name]), r.lists()
	kinds := actionKinds()
	var made []*rule
	for i := range f.Rules {
		made = append(made, c.rule(r, t, kinds, &f.Rules[i]))
	}
	for i := range f.Tables {
		made = append(made, c.table(r, t, kinds, &f.Tables[i])...)
	}
	for i, m := range made {
		if m != nil {
			m.position = i
		}
	}
	r.rule = ""
	r.unused(t)
	r.undocumented()
	r.overlaps(made)
	r.crowded(made)
	r.analyse(made)
	for _, m := range made {
		if m != nil {
			c.rules = append(c.rules, m)
		}
	}
	c.made = append(c.made, fileRules{f, made})
	c.keepParams(f, t)
}

// keepParams remembers the values in force, for explanations and the version.
func (c *compiler) keepParams(f *File, t *typer) {
	if c.params == nil {
		c.params = map[string]any{}
	}
	for name, p := range t.params {
		v := p.value
		if d, ok := v.(time.Duration); ok {
			v = d.String()
		}
		c.params[f.Name+"."+name] = v
	}
}

// ruleCount counts each row of a table as the rule that it becomes.
func ruleCount(f *File) int {
	n := len(f.Rules)
	for i := range f.Tables {
		n += len(f.Tables[i].Rows)
	}
	return n
}

func (c *compiler) rule(r *reporter, t *typer, kinds map[string]actionKind, in *Rule) *rule {
	r.rule = in.ID
	c.checkHead(r, in, kinds)
	out := &rule{id: in.ID, file: r.file.Name, priority: in.Priority, pos: in.Pos, hard: in.Hard, stop: in.Stop, scope: r.file.Scope}
	if in.Group != "" {
		out.group = r.file.Name + "/" + in.Group
	}
	var written strings.Builder
	writeActions(&written, in.Then)
	out.written = written.String()
	out.schedule = r.schedule(in.Schedule, t.zone, c.opts.Now)
	out.rollout = r.rollout(t, in)
	out.holdout = r.holdout(t, in)
	a := &actionReader{reporter: r, typer: t, rule: in, zone: t.zone}
	t.place = placeWhen
	out.when = r.condition(a, in.When, "when")
	t.place = placeMatch
	out.match = r.condition(a, in.Match, "match")
	for k := range in.Then {
		if made := a.action(kinds, &in.Then[k]); made != nil {
			out.actions = append(out.actions, *made)
		}
	}
	if out.hard && out.match == nil && in.Match.Empty() {
		r.warn(in.Pos, CodeConstant, "this guard removes every item", "add `match:`")
	}
	if in.Disabled {
		return nil
	}
	return out
}

func (c *compiler) checkHead(r *reporter, in *Rule, kinds map[string]actionKind) {
	if in.ID == "" || len(in.ID) > maxRuleNameLength {
		r.error(in.Pos, CodeActionField, "the rule needs an id of at most 128 bytes", "add `id: my-rule`")
	}
	if other, dup := c.ids[in.ID]; dup {
		r.error(in.Pos, CodeDuplicate, "the rule id `"+in.ID+"` is used twice", "it is also in "+other)
	}
	c.ids[in.ID] = r.file.Path
	if in.Priority < -1000 || in.Priority > 1000 {
		r.error(in.Pos, CodeOutOfBounds, fmt.Sprintf("the priority %d is outside -1000 to 1000", in.Priority), "")
	}
	if len(in.Then) == 0 {
		r.error(in.Pos, CodeActionField, "the rule does nothing", "add `then: [...]`")
	}
	for _, a := range in.Then {
		if in.Hard && a.Name != "exclude" {
			r.error(a.Pos, CodeMisplaced, "`hard: true` makes a guard, which only excludes", "move `"+a.Name+"` to a rule of its own")
		}
	}
}

// condition compiles "when" or "match" and warns when its outcome is fixed.
func (r *reporter) condition(a *actionReader, e Expr, key string) *program {
	if e.Empty() {
		return nil
	}
	p := a.compile(e, kindBool)
	if p != nil && p.root.constant() {
		always := "never"
		if p.root.value.(bool) {
			always = "always"
		}
		r.warn(e.Pos, CodeConstant, "`"+key+"` is "+always+" true", "")
	}
	return p
}

// set sorts the rules by priority, then file name, then position, and seals the set.
func (c *compiler) set(files []File) *Set {
	sort.SliceStable(c.rules, func(i, j int) bool {
		a, b := c.rules[i], c.rules[j]
		switch {
		case a.priority != b.priority:
			return a.priority > b.priority
		case a.file != b.file:
			return a.file < b.file
		}
		return a.position < b.position
	})
	for i, r := range c.rules {
		r.order = i
	}
	s := &Set{rules: c.rules, layout: c.layout, params: c.params, version: version(files, c.params)}
	for name := range c.names {
		s.names = append(s.names, name)
	}
	slices.Sort(s.names)
	s.vectors = c.layout.vectors || varies(c.rules)
	s.findStatic()
	s.findSeeks()
	s.findFacts()
	return s
}

// unknownOverrides reports overrides for sets that do not exist.
func (c *compiler) unknownOverrides(files []File) {
	for _, name := range keysOf(c.opts.Params) {
		if _, ok := c.names[name]; !ok && len(files) > 0 {
			r := reporter{file: &files[0]}
			r.error(files[0].Pos, CodeUnknownKey, "parameters are overridden for the unknown set `"+name+"`", didYouMean(name, keysOf(c.names), ""))
			c.problems = append(c.problems, r.problems...)
		}
	}
}
