package rulefile

import "slices"

// The keys of each part of a rule file, in canonical order.
var (
	fileKeys     = []string{"apiVersion", "kind", "name", "description", "owner", "tags", "scope", "timezone", "params", "lists", "rules", "tables"}
	scopeKeys    = []string{"scenarios", "placements"}
	paramKeys    = []string{"type", "default", "min", "max", "description"}
	listKeys     = []string{"values", "file", "source", "description"}
	ruleKeys     = []string{"id", "description", "priority", "hard", "group", "stop", "disabled", "when", "match", "schedule", "rollout", "holdout", "then"}
	tableKeys    = []string{"id", "description", "priority", "disabled", "when", "match", "schedule", "rollout", "holdout", "hit", "inputs", "rows"}
	rowKeys      = []string{"if", "then"}
	scheduleKeys = []string{"from", "until", "days", "hours"}
	rolloutKeys  = []string{"percent", "by"}
)

// actionFields lists the actions and the fields that each can have.
var actionFields = map[string][]string{
	"exclude":   {"reason"},
	"keep":      {"reason"},
	"boost":     {"multiply", "add", "decay"},
	"bury":      {"multiply", "add", "to", "decay"},
	"pin":       {"position", "order_by", "max", "items"},
	"cap":       {"by", "max", "within", "relax"},
	"quota":     {"match", "min", "within"},
	"dedupe":    {"by"},
	"diversify": {"by", "strength", "within"},
	"inject":    {"source", "count", "window", "by", "score", "match", "order_by"},
	"replace":   {"strategy", "window", "by", "keep_model"},
	"fill":      {"strategy", "window", "by"},
	"model":     {"name", "version"},
	"badge":     {"text", "key"},
	"note":      {"key", "text"},
}

// Actions returns the names of the actions, sorted.
func Actions() []string {
	names := make([]string, 0, len(actionFields))
	for name := range actionFields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// isExpressionKey tells whether values of key are expressions rather than texts.
func isExpressionKey(key string) bool {
	return key == "when" || key == "match" || key == "multiply" || key == "add" || key == "order_by"
}

func isKnownKey(key string) bool {
	_, found := slices.BinarySearch(knownKeys, key)
	return found
}

var knownKeys = Words()

// Words returns every key and field name of rule files, sorted: for completion, and for the test
// that the manual names them all.
func Words() []string {
	all := slices.Concat(fileKeys, scopeKeys, paramKeys, listKeys, ruleKeys, tableKeys, rowKeys, scheduleKeys, rolloutKeys)
	for name, fields := range actionFields {
		all = append(append(all, name), fields...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
