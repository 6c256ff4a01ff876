package rulefile

import (
	"slices"
	"strings"
)

// Keys returns the keys of one part of a rule file in canonical order: "file", "scope", "param", "list",
// "rule", "table", "row", "schedule", "rollout", or "action NAME"; nil for any other part. It is what
// editors are told.
func Keys(part string) []string {
	if name, ok := strings.CutPrefix(part, "action "); ok {
		return slices.Clone(actionFields[name])
	}
	parts := map[string][]string{"file": fileKeys, "scope": scopeKeys, "param": paramKeys, "list": listKeys, "rule": ruleKeys,
		"table": tableKeys, "row": rowKeys, "schedule": scheduleKeys, "rollout": rolloutKeys}
	return slices.Clone(parts[part])
}
