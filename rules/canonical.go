package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
)

// version is the sha256 of what the files say and of the parameters in force. It does not depend
// on paths, positions, or the order in which files are given.
func version(files []File, params map[string]any) string {
	h := sha256.New()
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	for i := range sorted {
		writeFile(h, &sorted[i])
	}
	for _, name := range keysOf(params) {
		fmt.Fprintf(h, "value %q %#v\n", name, params[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func writeFile(w io.Writer, f *File) {
	fmt.Fprintf(w, "file %q %q %q %q %q %q %q\n", f.Name, f.Description, f.Owner, f.Tags, f.Scope.Scenarios, f.Scope.Placements, f.Timezone)
	for _, p := range f.Params {
		fmt.Fprintf(w, "param %q %q %q %q %q\n", p.Name, p.Type, p.Default, p.Min, p.Max)
	}
	for _, l := range f.Lists {
		fmt.Fprintf(w, "list %q %q\n", l.Name, l.Values)
	}
	for _, r := range f.Rules {
		fmt.Fprintf(w, "rule %q %q %d %t %q %t %t %q %q\n", r.ID, r.Description, r.Priority, r.Hard, r.Group, r.Stop, r.Disabled, r.When.Text, r.Match.Text)
		if s := r.Schedule; s != nil {
			fmt.Fprintf(w, "schedule %q %q %q %q\n", s.From, s.Until, s.Days, s.Hours)
		}
		if o := r.Rollout; o != nil {
			fmt.Fprintf(w, "rollout %v %q\n", o.Percent, o.By)
		}
		for _, a := range r.Then {
			fmt.Fprintf(w, "then %q\n", a.Name)
			writeFields(w, a.Fields)
		}
	}
}

func writeFields(w io.Writer, fields []ActionField) {
	for _, f := range fields {
		fmt.Fprintf(w, "field %q %q %d %d\n", f.Name, f.Value.Text, len(f.List), len(f.Fields))
		for _, e := range f.List {
			fmt.Fprintf(w, "entry %q\n", e.Text)
		}
		writeFields(w, f.Fields)
	}
}
