// Package starter is the rule files that a new installation starts with, for 'sartor dev' to copy.
// It holds files and nothing else; it stands here because embedding needs it beside them.
package starter

import "embed"

// FS holds the starter rules and their tests, at the top.
//
//go:embed *.yaml
var FS embed.FS
