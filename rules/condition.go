package rules

// Condition is a compiled yes/no expression. It is immutable and safe for concurrent use.
type Condition struct{}
