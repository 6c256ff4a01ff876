package rules

// File is one rule set as its author wrote it: structure decoded and checked for shape, texts of
// expressions not yet parsed. rules/rulefile makes it from YAML; Compile turns files into a Set.
type File struct {
	Path        string // where it came from, for messages
	Name        string
	Description string
	Owner       string
	Tags        []string
	Scope       Scope
	Timezone    string // IANA name, "" = UTC
	TimezonePos Pos
	Params      []Param
	Lists       []List
	Rules       []Rule
	Tables      []Table
	Pos         Pos
	// Lines is the file's text by line, for the snippet under an error.
	Lines []string
}

// Scope limits a file to some scenarios and placements; an empty list means all.
type Scope struct {
	Scenarios  []string
	Placements []string
}

// Pos is a 1-based place in a file. Column counts characters, as an editor does.
type Pos struct{ Line, Column int }

// Expr is the text of an expression or value with its place. Exact tells that character i of Text
// stands at Column+i of Line (or, for a block, at Indent of the following lines); otherwise errors
// point at Pos and show the snippet.
type Expr struct {
	Text   string
	Pos    Pos
	Exact  bool
	Indent int // columns before each line of a "|" block; 0 for one-line text
}

// Empty tells whether the author wrote nothing.
func (e Expr) Empty() bool { return e.Text == "" }

// Param is a named, typed and bounded number or text that rules use as params.NAME.
type Param struct {
	Name        string
	Type        string // number, int, text, bool, duration
	Default     string // raw text, decoded by Type
	Min, Max    string // raw text, "" = unbounded
	Description string
	Pos         Pos
}

// List is a named set of texts that rules use as lists.NAME.
type List struct {
	Name   string
	Values []string // values of a "file:" or "source:" are already read in
	// Source is where the values of a live list come from, such as "redis:recalled"; "" = the file itself.
	// What they are says nothing about what they will be.
	Source      string
	Description string
	Pos         Pos
}

// Rule is one rule as written.
type Rule struct {
	ID          string
	Description string
	Priority    int
	Hard        bool
	Group       string
	Stop        bool
	Disabled    bool
	When        Expr // looks at user, request, context; evaluated once a request
	Match       Expr // looks at an item too; evaluated per candidate
	Schedule    *Schedule
	Rollout     *Rollout
	Holdout     *Rollout // the users for whom the rule stays off, so that its worth can be measured
	Then        []Action
	Pos         Pos
}

// Table is a decision table as written: many alike conditions as a grid. Compile makes an ordinary
// rule of each row, called ID#1, ID#2, ..., so that everything said of rules holds for rows.
type Table struct {
	ID          string
	Description string
	Priority    int
	Disabled    bool
	When        Expr // narrows all rows
	Match       Expr
	Schedule    *Schedule
	Rollout     *Rollout // the whole table is on or off for a user
	Holdout     *Rollout
	// Hit says which rows count where several match: "first" (the default) in their order, "all",
	// or "unique", which is refused unless no two rows can match at once.
	Hit    string
	HitPos Pos
	Inputs []Expr // what the columns ask: fields, or other expressions
	Rows   []Row
	Pos    Pos
}

// Row is one line of a table.
type Row struct {
	Cells []Cell // one for each input
	Then  []Action
	Pos   Pos
}

// Cell is what one row asks of one input: "*" for anything, a value, one of several values, or a
// comparison such as ">= 100". Exactly one of Value and List is set.
type Cell struct {
	Value Expr
	List  []Expr
	Pos   Pos
}

// Schedule says when a rule is live, in the file's time zone; half-open [From, Until).
type Schedule struct {
	From, Until string   // date or date and time, "" = unbounded
	Days        []string // mon ... sun, empty = all
	Hours       string   // "18:00-24:00", may cross midnight, "" = all day
	Pos         Pos
	// Places holds where the value of each key stands, as far as known.
	Places map[string]Pos
}

// At is the place of a key's value, or of the schedule itself.
func (s *Schedule) At(key string) Pos {
	if p, ok := s.Places[key]; ok {
		return p
	}
	return s.Pos
}

// Rollout switches a rule on for a stable share of users.
type Rollout struct {
	Percent float64
	By      string // "user.id" by default
	Pos     Pos    // of the value of "by" when it is written, else of the rollout
}

// Action is one entry of "then": its name and its fields as raw text with places.
type Action struct {
	Name   string // exclude, boost, bury, pin, inject, replace, fill, cap, ...
	Fields []ActionField
	Pos    Pos
}

// ActionField is one field of an action. Exactly one of Value, List and Fields is set.
type ActionField struct {
	Name   string
	Value  Expr
	List   []Expr
	Fields []ActionField // nested mapping, e.g. decay: {field, half_life}
	Pos    Pos
}

// Severity tells errors, which stop a file from going live, from warnings.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Problem is one thing wrong with a file: code, place, what is wrong and what to do about it.
type Problem struct {
	Code     string   `json:"code"` // R001 ... of spec/rules.md A10
	Severity Severity `json:"severity"`
	Path     string   `json:"path"`
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Rule     string   `json:"rule,omitempty"`
	Message  string   `json:"message"`
	Snippet  string   `json:"snippet,omitempty"` // the source line
	Hint     string   `json:"hint,omitempty"`
}
