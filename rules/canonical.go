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
		fmt.Fprintf(w, "list %q %q %q\n", l.Name, l.Values, l.Source)
	}
	for _, r := range f.Rules {
		fmt.Fprintf(w, "rule %q %q %d %t %q %t %t %q %q\n", r.ID, r.Description, r.Priority, r.Hard, r.Group, r.Stop, r.Disabled, r.When.Text, r.Match.Text)
		writeTimes(w, r.Schedule, r.Rollout, r.Holdout)
		writeActions(w, r.Then)
	}
	for _, t := range f.Tables {
		fmt.Fprintf(w, "table %q %q %d %t %q %q %q %d\n", t.ID, t.Description, t.Priority, t.Disabled, t.When.Text, t.Match.Text, t.Hit, len(t.Inputs))
		writeTimes(w, t.Schedule, t.Rollout, t.Holdout)
		for _, in := range t.Inputs {
			fmt.Fprintf(w, "input %q\n", in.Text)
		}
		for _, row := range t.Rows {
			fmt.Fprintf(w, "row %d\n", len(row.Cells))
			for _, c := range row.Cells {
				fmt.Fprintf(w, "cell %q %q\n", c.Value.Text, textsOf(c.List))
			}
			writeActions(w, row.Then)
		}
	}
}

func textsOf(list []Expr) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.Text
	}
	return out
}

func writeTimes(w io.Writer, s *Schedule, o, held *Rollout) {
	if s != nil {
		fmt.Fprintf(w, "schedule %q %q %q %q\n", s.From, s.Until, s.Days, s.Hours)
	}
	if o != nil {
		fmt.Fprintf(w, "rollout %v %q\n", o.Percent, o.By)
	}
	if held != nil {
		fmt.Fprintf(w, "holdout %v %q\n", held.Percent, held.By)
	}
}

func writeActions(w io.Writer, actions []Action) {
	for _, a := range actions {
		fmt.Fprintf(w, "then %q\n", a.Name)
		writeFields(w, a.Fields)
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
