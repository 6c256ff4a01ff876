// Package rules holds the starter rules that ship with the program, as files. It only embeds them.
package rules

import "embed"

// FS holds the starter rule files and their tests.
//
//go:embed *.yaml
var FS embed.FS
