// Package rulefile turns the YAML that business users write into rules.File and back into canonical
// text: strict, every problem of a file at once, each with line, column, snippet and a fix. It knows
// the shape of a rule file and nothing of what a rule means; rules.Compile checks that.
package rulefile

// The codes of the problems that this package reports. The meanings are fixed: people search for them.
const (
	CodeUnknownKey   = "R009" // a key that does not exist here
	CodeDuplicateID  = "R010" // two rules of one name
	CodeEmpty        = "R011" // a condition that is empty, or that a comment or a tag has eaten
	CodeSyntax       = "R030" // the text is not YAML
	CodeDuplicateKey = "R031" // a key written twice
	CodeRefusedYAML  = "R032" // anchors, aliases, tags, merge keys, several documents
	CodeLimits       = "R033" // too large, too deep, not plain UTF-8 text
	CodeShape        = "R034" // a value of the wrong shape or type
	CodeMissing      = "R035" // a required key is missing
	CodeListFile     = "R036" // a list file that cannot be read
)

// The limits of one file. They are checked before any parser sees the text.
const (
	MaxBytes    = 1 << 20
	MaxDepth    = 64
	MaxRules    = 500
	MaxProblems = 50
)
