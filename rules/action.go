package rules

// stage is one step of the pipeline; an action belongs to exactly one.
type stage uint8

const (
	stageRoute stage = iota
	stageInject
	stageFilter
	stageScore
	stageArrange
	stageAnnotate
	stageCount
)

// action is a compiled entry of "then". Which of the specs is set follows from name.
type action struct {
	name    string
	stage   stage
	reason  string
	boost   *boostSpec
	pin     *pinSpec
	limit   *limitSpec // cap, quota, dedupe
	variety *varietySpec
	fetches []Fetch // inject, replace, fill
	byField string  // context field whose value each fetch takes
	keep    float64 // replace: the model's share
	model   string
	key     string // badge, note
	text    string
}

// boostSpec changes scores: by factor or summand, fixed or computed, fading with the age of a field.
type boostSpec struct {
	multiply, add *program
	bottom        bool
	field         *program // the time whose age makes the effect fade
	halfLife      float64  // seconds, 0 = no decay
}

// pinSpec puts the best matching items, or named ones, at fixed places.
type pinSpec struct {
	position int
	max      int
	orderBy  *program // nil = by score
	ascend   bool
	items    []string
	seek     *Seek // nil when only the request can tell which items match
}

// limitSpec limits how often a value may occur, or asks for a least number of items.
type limitSpec struct {
	by     *node // the item field
	text   int   // number of that field among those with codes, -1 = none
	max    int
	within int // first positions; 0 = the whole list
	relax  bool
	match  *program // quota
	min    int
}

// actionKind describes an action: its stage, its scope and its fields.
type actionKind struct {
	stage  stage
	item   bool // looks at items, so that `match` has a meaning
	fields []string
	make   func(r *actionReader, a *action)
}

// actionKinds is the table of all actions.
func actionKinds() map[string]actionKind {
	return map[string]actionKind{
		"replace":   {stageRoute, false, []string{"strategy", "window", "by", "keep_model"}, (*actionReader).replace},
		"model":     {stageRoute, false, []string{"name", "version"}, (*actionReader).model},
		"fill":      {stageRoute, false, []string{"strategy", "window", "by"}, (*actionReader).fill},
		"inject":    {stageInject, false, []string{"source", "count", "window", "by", "score", "match", "order_by"}, (*actionReader).inject},
		"exclude":   {stageFilter, true, []string{"reason"}, (*actionReader).plain},
		"keep":      {stageFilter, true, []string{"reason"}, (*actionReader).plain},
		"dedupe":    {stageFilter, true, []string{"by"}, (*actionReader).dedupe},
		"boost":     {stageScore, true, []string{"multiply", "add", "decay"}, (*actionReader).boost},
		"bury":      {stageScore, true, []string{"multiply", "add", "to", "decay"}, (*actionReader).boost},
		"pin":       {stageArrange, true, []string{"position", "order_by", "max", "items"}, (*actionReader).pin},
		"quota":     {stageArrange, true, []string{"match", "min", "within"}, (*actionReader).quota},
		"cap":       {stageArrange, true, []string{"by", "max", "within", "relax"}, (*actionReader).cap},
		"diversify": {stageArrange, true, []string{"by", "strength", "within"}, (*actionReader).diversify},
		"badge":     {stageAnnotate, true, []string{"text", "key"}, (*actionReader).badge},
		"note":      {stageAnnotate, true, []string{"text", "key"}, (*actionReader).note},
	}
}

// action compiles one entry of "then".
func (r *actionReader) action(kinds map[string]actionKind, in *Action) *action {
	r.in = in
	k, ok := kinds[in.Name]
	if !ok {
		hint := didYouMean(in.Name, keysOf(kinds), "")
		if hint == "" {
			hint = "actions are exclude, keep, boost, bury, pin, cap, quota, dedupe, diversify, inject, replace, fill, model, badge, note"
		}
		r.error(in.Pos, CodeUnknownKey, "unknown action `"+in.Name+"`", hint)
		return nil
	}
	out := &action{name: in.Name, stage: k.stage}
	r.known(k.fields)
	if !k.item && !r.rule.Match.Empty() && !hasItemAction(r.rule, kinds) {
		r.error(r.rule.Match.Pos, CodeMisplaced, "`match` looks at items, but `"+in.Name+"` acts on the whole request", "use `when`")
	}
	k.make(r, out)
	return out
}

func hasItemAction(rule *Rule, kinds map[string]actionKind) bool {
	for _, a := range rule.Then {
		if kinds[a.Name].item {
			return true
		}
	}
	return false
}

func (r *actionReader) plain(a *action) { a.reason, _ = r.text("reason") }

func (r *actionReader) dedupe(a *action) { a.limit = &limitSpec{by: r.itemField("by", true)} }

func (r *actionReader) cap(a *action) {
	a.limit = &limitSpec{by: r.itemField("by", true), max: r.int("max", -1, 1, 1000), within: r.int("within", 0, 1, 1000), relax: r.bool("relax")}
}

func (r *actionReader) quota(a *action) {
	s := &limitSpec{min: r.int("min", -1, 1, 1000), within: r.int("within", 0, 1, 1000)}
	s.match = r.expression("match", kindBool, true)
	if s.within > 0 && s.min > s.within {
		r.error(r.in.Pos, CodeQuota, "the quota asks for more items than its window has places", "lower `min` or widen `within`")
	}
	a.limit = s
}

func (r *actionReader) pin(a *action) {
	s := &pinSpec{position: r.int("position", -1, 1, 1000), items: r.texts("items")}
	s.max = r.int("max", max(1, len(s.items)), 1, 1000)
	if e, ok := r.expr("order_by"); ok {
		s.orderBy, s.ascend = r.order(e)
	}
	if len(s.items) == 0 && r.rule.Match.Empty() {
		r.error(r.in.Pos, CodeActionField, "a pin needs to know its items", "add `match:` to the rule, or `items: [...]` to the pin")
	}
	a.pin = s
}

func (r *actionReader) boost(a *action) {
	s := &boostSpec{multiply: r.expression("multiply", kindNumber, false), add: r.expression("add", kindNumber, false)}
	to, hasTo := r.text("to")
	s.bottom = hasTo && to == "bottom"
	if hasTo && !s.bottom {
		r.errorAt("to", CodeActionField, "`to: "+to+"` is unknown", "the only place is `to: bottom`")
	}
	if !r.has("multiply") && !r.has("add") && !hasTo {
		r.error(r.in.Pos, CodeActionField, "`"+a.name+"` needs `multiply` or `add`", "for instance `"+a.name+": {multiply: "+map[string]string{"boost": "1.3", "bury": "0.5"}[a.name]+"}`")
	}
	r.boostBounds(a.name, "multiply", s.multiply, multiplyBounds)
	r.boostBounds(a.name, "add", s.add, addBounds)
	r.decay(s)
	a.boost = s
}

// bounds of one effect, by action: a boost never lowers a score and a bury never raises it.
type bounds struct{ lo, hi float64 }

func (b bounds) holds(v float64) bool { return v >= b.lo && v <= b.hi }

func multiplyBounds(name string) bounds {
	if name == "bury" {
		return bounds{1e-6, 1}
	}
	return bounds{1, 1e6}
}

func addBounds(name string) bounds {
	if name == "bury" {
		return bounds{-1000, 0}
	}
	return bounds{0, 1000}
}

func (r *actionReader) boostBounds(action, field string, p *program, of func(string) bounds) {
	if p == nil || !p.root.constant() {
		return
	}
	if b, v := of(action), number(p.root.value); !b.holds(v) {
		other := map[string]string{"boost": "bury", "bury": "boost"}[action]
		r.errorAt(field, CodeOutOfBounds, sprintf("`%s: {%s: %v}` is outside %v to %v", action, field, v, b.lo, b.hi), "to go the other way use `"+other+"`")
	}
}

func (r *actionReader) decay(s *boostSpec) {
	f := r.find("decay")
	if f == nil {
		return
	}
	for _, sub := range f.Fields {
		switch sub.Name {
		case "field":
			s.field = r.compile(sub.Value, kindNone)
			if s.field != nil && s.field.kind != kindTime {
				r.error(sub.Value.Pos, CodeTypeMismatch, "`decay` fades with the age of a time; `"+sub.Value.Text+"` is "+s.field.kind.plain(), "for instance `field: item.created_at`")
			}
		case "half_life":
			d, ok := r.span(sub.Value)
			if !ok || d <= 0 {
				r.error(sub.Value.Pos, CodeActionField, "`half_life: "+sub.Value.Text+"` is not a time span", "write 7d, 12h or 30m")
			}
			s.halfLife = d.Seconds()
		default:
			r.error(sub.Pos, CodeUnknownKey, "unknown key `"+sub.Name+"` in `decay`", didYouMean(sub.Name, []string{"field", "half_life"}, ""))
		}
	}
	if s.field == nil || s.halfLife == 0 {
		r.error(f.Pos, CodeActionField, "`decay` needs `field` and `half_life`", "for instance `decay: {field: item.created_at, half_life: 7d}`")
	}
}

const (
	maxBadge = 80
	maxNote  = 500
)

func (r *actionReader) badge(a *action) { r.label(a, maxBadge) }

func (r *actionReader) note(a *action) { r.label(a, maxNote) }

func (r *actionReader) label(a *action, limit int) {
	text, hasText := r.text("text")
	key, hasKey := r.text("key")
	a.text, a.key = text, key
	switch {
	case !hasText && !hasKey:
		r.error(r.in.Pos, CodeActionField, "`"+a.name+"` needs `text`", "for instance `"+a.name+": {text: New for you}`")
	case len([]rune(text)) > limit || len(key) > maxRuleNameLength:
		r.errorAt("text", CodeOutOfBounds, sprintf("the text is longer than %d characters", limit), "shorten it")
	case containsAny(text+key, "<>"):
		r.errorAt("text", CodeRefused, "HTML is not allowed in texts", "write plain text; the shop decides how it looks")
	}
}
