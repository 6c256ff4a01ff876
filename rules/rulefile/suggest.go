package rulefile

import "github.com/sartorhq/sartor/rules"

// Nearest is rules.Nearest, for whoever reads files and knows no rules.
func Nearest(name string, known []string) string { return rules.Nearest(name, known) }
