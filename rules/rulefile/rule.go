package rulefile

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/streams/spelling"
	"go.yaml.in/yaml/v3"
)

func (r *reader) rules(n *yaml.Node) []rules.Rule {
	var out []rules.Rule
	for i, c := range r.Sequence("rules", n, "start each rule with `- id: its-name`") {
		if len(out) == MaxRules {
			r.At(c, CodeLimits, fmt.Sprintf("a rule set has at most %d rules", MaxRules), "split it into several rule sets")
			break
		}
		if isNull(c) && !r.Muted(c) {
			r.At(c, CodeShape, fmt.Sprintf("entry %d of `rules` is empty", i+1), "delete the `-`, or write a rule after it")
			continue
		}
		out = append(out, r.ruleOf(c))
	}
	return out
}

func (r *reader) ruleOf(n *yaml.Node) rules.Rule {
	rule := rules.Rule{Pos: PosOf(n)}
	defer func() { r.rule = "" }()
	r.rule = idOf(n)
	seen := map[string]bool{}
	for _, e := range r.Entries(n, "a rule", ruleKeys) {
		seen[e.Key] = true
		r.ruleKey(&rule, e)
	}
	if n.Kind != yaml.MappingNode {
		return rule
	}
	if !seen["id"] {
		r.Missing(n, n, "a rule", "id", "id: my-rule")
	}
	if !seen["then"] {
		r.Missing(n, n, "a rule", "then", "then: [exclude: {}]")
	}
	if rule.Hard && !hasAction(rule, "exclude") && !r.muted[0] {
		r.At(n, CodeShape, "`hard: true` is a guard and goes with `exclude` only", "delete `hard: true`, or use `then: [exclude: {}]`")
	}
	return rule
}

func hasAction(rule rules.Rule, name string) bool {
	for _, a := range rule.Then {
		if a.Name == name || a.Name == "" {
			return true
		}
	}
	return len(rule.Then) == 0
}

// idOf finds the id of a rule before it is read, so that every problem in it can name it.
func idOf(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "id" && n.Content[i+1].Kind == yaml.ScalarNode {
				return n.Content[i+1].Value
			}
		}
	}
	return ""
}

func (r *reader) ruleKey(rule *rules.Rule, e Entry) {
	switch e.Key {
	case "id":
		rule.ID = r.name(e)
		r.uniqueID(rule.ID, e.Value)
	case "description":
		rule.Description = r.Text(e.Key, e.Value)
	case "priority":
		rule.Priority = r.Int(e.Key, e.Value, -1000, 1000)
	case "hard":
		rule.Hard = r.Bool(e.Key, e.Value)
	case "group":
		rule.Group = r.Text(e.Key, e.Value)
	case "stop":
		rule.Stop = r.Bool(e.Key, e.Value)
	case "disabled":
		rule.Disabled = r.Bool(e.Key, e.Value)
	case "when":
		rule.When = r.Condition(e.Key, e.KeyNode, e.Value)
	case "match":
		rule.Match = r.Condition(e.Key, e.KeyNode, e.Value)
	case "schedule":
		rule.Schedule = r.schedule(e)
	case "rollout":
		rule.Rollout = r.share(e)
	case "holdout":
		rule.Holdout = r.share(e)
	case "then":
		rule.Then = r.then(e)
	}
}

func (r *reader) uniqueID(id string, n *yaml.Node) {
	if id == "" {
		return
	}
	if line, ok := r.ids[id]; ok {
		r.At(n, CodeDuplicateID, fmt.Sprintf("two rules are called `%s`: on line %d and on line %d", clip(id), line, n.Line), "give one of them another id: reports and statistics go by it")
		return
	}
	r.ids[id] = n.Line
}

func (r *reader) schedule(e Entry) *rules.Schedule {
	s := &rules.Schedule{Pos: PosOf(e.KeyNode), Places: map[string]rules.Pos{}}
	for _, f := range r.Entries(e.Value, "`schedule`", scheduleKeys) {
		s.Places[f.Key] = PosOf(f.Value)
		switch f.Key {
		case "from":
			s.From = r.Text(f.Key, f.Value)
		case "until":
			s.Until = r.Text(f.Key, f.Value)
		case "days":
			s.Days = r.Texts(f.Key, f.Value)
		case "hours":
			s.Hours = r.Text(f.Key, f.Value)
		}
	}
	return s
}

// share reads a share of users: `20%`, or `{percent: 20, by: user.id}`.
func (r *reader) share(e Entry) *rules.Rollout {
	out := &rules.Rollout{By: "user.id", Pos: PosOf(e.KeyNode), Percent: 100}
	if e.Value.Kind == yaml.ScalarNode && !isNull(e.Value) {
		out.Pos = PosOf(e.Value)
		out.Percent = r.percent(e)
		return out
	}
	for _, f := range r.Entries(e.Value, "`"+e.Key+"`", rolloutKeys) {
		if f.Key == "by" {
			out.By, out.Pos = r.Text(f.Key, f.Value), PosOf(f.Value)
			continue
		}
		out.Percent = r.percent(f)
	}
	return out
}

// percent reads a number from 0 to 100, with or without its sign.
func (r *reader) percent(e Entry) float64 {
	if text := strings.TrimSpace(strings.TrimSuffix(e.Value.Value, "%")); e.Value.Kind == yaml.ScalarNode && !numberPattern.MatchString(text) && !r.Muted(e.Value) {
		r.At(e.Value, CodeShape, fmt.Sprintf("`%s` is a share of users, not `%s`", e.Key, clip(e.Value.Value)), fmt.Sprintf("write `%s: 20%%`", e.Key))
		return 0
	}
	if e.Value.Kind == yaml.ScalarNode {
		plain := *e.Value
		plain.Value = strings.TrimSpace(strings.TrimSuffix(plain.Value, "%"))
		e.Value = &plain
	}
	return r.Number(e.Key, e.Value, 0, 100)
}

const thenHint = "start each action with `- `, such as `- boost: {multiply: 1.3}`"

func (r *reader) then(e Entry) []rules.Action {
	if isNull(e.Value) && !r.Muted(e.Value) && !r.Muted(e.KeyNode) {
		r.At(e.KeyNode, CodeShape, "`then` is empty", thenHint)
		return nil
	}
	if e.Value.Kind == yaml.SequenceNode && len(e.Value.Content) == 0 {
		r.At(e.Value, CodeShape, "`then` is empty", thenHint)
	}
	var out []rules.Action
	for _, c := range r.Sequence("then", e.Value, thenHint) {
		if a, ok := r.action(c); ok {
			out = append(out, a)
		}
	}
	return out
}

// rowActions reads the actions of a table's row: a list as in rules, or `{boost: {multiply: 1.4}}`.
func (r *reader) rowActions(e Entry) []rules.Action {
	if e.Value.Kind != yaml.MappingNode {
		return r.then(e)
	}
	var out []rules.Action
	for i := 0; i+1 < len(e.Value.Content); i += 2 {
		k := e.Value.Content[i]
		one := &yaml.Node{Kind: yaml.MappingNode, Line: k.Line, Column: k.Column, Content: e.Value.Content[i : i+2]}
		if a, ok := r.action(one); ok {
			out = append(out, a)
		}
	}
	return out
}

func (r *reader) action(n *yaml.Node) (rules.Action, bool) {
	if r.Muted(n) {
		return rules.Action{}, false
	}
	if n.Kind == yaml.ScalarNode && n.Value != "" {
		return rules.Action{Name: n.Value, Pos: PosOf(n)}, r.knownAction(n)
	}
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		r.At(n, CodeShape, "an action is its name and its fields", thenHint)
		return rules.Action{}, false
	}
	name, value := n.Content[0], n.Content[1]
	if !r.knownAction(name) {
		return rules.Action{}, false
	}
	for i := 2; i < len(n.Content); i += 2 {
		k := n.Content[i]
		switch {
		case contains(actionFields[name.Value], k.Value):
			r.At(k, CodeShape, fmt.Sprintf("`%s` belongs to `%s` but stands beside it", k.Value, name.Value), fmt.Sprintf("indent it two spaces more than `%s`", name.Value))
		case actionFields[k.Value] != nil:
			r.At(k, CodeShape, fmt.Sprintf("`%s` is an action of its own", k.Value), fmt.Sprintf("put it in its own entry: `- %s:`", k.Value))
		default:
			r.unknownKey(n, k, n.Content[i+1], "an action", actionFields[name.Value])
		}
	}
	a := rules.Action{Name: name.Value, Pos: PosOf(name)}
	if value.Kind != yaml.MappingNode && !isNull(value) && !r.Muted(value) {
		r.At(value, CodeShape, fmt.Sprintf("`%s` takes fields, not %s", name.Value, shapeOf(value)), actionHint(name.Value, value))
		return a, true
	}
	a.Fields = r.fields(value, "`"+name.Value+"`", actionFields[name.Value], 0)
	return a, true
}

// mainField is the field that somebody means who writes a value beside an action's name.
var mainField = map[string]string{"exclude": "reason", "keep": "reason", "boost": "multiply", "bury": "multiply", "pin": "position", "dedupe": "by", "cap": "by", "diversify": "by",
	"inject": "source", "replace": "strategy", "fill": "strategy", "model": "name", "badge": "text", "note": "text"}

func actionHint(name string, value *yaml.Node) string {
	fields := actionFields[name]
	if field := mainField[name]; field != "" && value.Kind == yaml.ScalarNode {
		text := clip(value.Value)
		if share, err := strconv.ParseFloat(strings.TrimLeft(strings.TrimSuffix(text, "%"), "+-"), 64); err == nil && strings.HasSuffix(text, "%") && field == "multiply" {
			if text = strconv.FormatFloat(1+share/100, 'g', 6, 64); name == "bury" {
				text = strconv.FormatFloat(max(0.01, 1-share/100), 'g', 6, 64)
			}
		}
		return fmt.Sprintf("write `%s: {%s: %s}`", name, field, text)
	}
	if len(fields) == 0 {
		return ""
	}
	return fmt.Sprintf("write `%s: {%s: ...}`; its fields are %s", name, fields[0], strings.Join(fields, ", "))
}

func (r *reader) knownAction(n *yaml.Node) bool {
	if actionFields[n.Value] != nil {
		return true
	}
	known := Actions()
	message, hint := fmt.Sprintf("there is no action `%s`", clip(n.Value)), "the actions are "+strings.Join(known, ", ")
	if near := spelling.Nearest(n.Value, known); near != "" {
		message += fmt.Sprintf("; did you mean `%s`?", near)
		hint = fmt.Sprintf("write `%s:`", near)
	} else if other := synonyms[strings.ToLower(n.Value)]; other != "" {
		hint = fmt.Sprintf("write `%s:`", other)
	}
	r.At(n, CodeUnknownKey, message, hint)
	return false
}

// synonyms are the words that people try first.
var synonyms = map[string]string{
	"filter": "exclude", "remove": "exclude", "hide": "exclude", "block": "exclude", "drop": "exclude", "ban": "exclude",
	"promote": "boost", "raise": "boost", "up": "boost", "demote": "bury", "lower": "bury", "down": "bury", "penalize": "bury",
	"add": "inject", "insert": "inject", "include": "inject", "top": "pin", "first": "pin", "stick": "pin", "limit": "cap",
	"allow": "keep", "only": "keep", "swap": "replace", "label": "badge", "tag": "badge", "unique": "dedupe", "mix": "diversify", "variety": "diversify", "fallback": "fill",
}

// fields reads the fields of an action; a field may hold a mapping of its own, one level deep.
func (r *reader) fields(n *yaml.Node, what string, known []string, level int) []rules.ActionField {
	var out []rules.ActionField
	for _, e := range r.Entries(n, what, known) {
		f := rules.ActionField{Name: e.Key, Pos: PosOf(e.KeyNode)}
		switch e.Value.Kind {
		case yaml.ScalarNode:
			f.Value = r.fieldValue(e)
		case yaml.SequenceNode:
			for _, c := range e.Value.Content {
				if c.Kind != yaml.ScalarNode {
					r.At(c, CodeShape, fmt.Sprintf("`%s` is a list of single values", e.Key), "")
					continue
				}
				f.List = append(f.List, r.Expr(c))
			}
		case yaml.MappingNode:
			if level > 0 {
				r.At(e.Value, CodeShape, fmt.Sprintf("`%s` is nested too deep", e.Key), "")
				continue
			}
			f.Fields = r.fields(e.Value, "`"+e.Key+"`", nil, level+1)
		}
		out = append(out, f)
	}
	return out
}

func (r *reader) fieldValue(e Entry) rules.Expr {
	if isExpressionKey(e.Key) {
		return r.Condition(e.Key, e.KeyNode, e.Value)
	}
	if isNull(e.Value) && !r.Muted(e.Value) && !r.Muted(e.KeyNode) {
		r.At(e.KeyNode, CodeShape, fmt.Sprintf("`%s` has no value", e.Key), "write a value after it, or delete the line")
	}
	return r.Expr(e.Value)
}
