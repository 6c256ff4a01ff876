package rulefile

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/sartorhq/sartor/rules"
)

// meaning is what a file says without where it says it.
func meaning(f rules.File) string {
	f.Lines, f.Pos, f.Path, f.TimezonePos = nil, rules.Pos{}, "", rules.Pos{}
	for i := range f.Params {
		f.Params[i].Pos = rules.Pos{}
	}
	for i := range f.Lists {
		f.Lists[i].Pos = rules.Pos{}
	}
	for i := range f.Rules {
		r := &f.Rules[i]
		r.Pos, r.When, r.Match = rules.Pos{}, bare(r.When), bare(r.Match)
		if r.Schedule != nil {
			r.Schedule.Pos, r.Schedule.Places = rules.Pos{}, nil
		}
		if r.Rollout != nil {
			r.Rollout.Pos = rules.Pos{}
		}
		for j := range r.Then {
			r.Then[j].Pos = rules.Pos{}
			bareFields(r.Then[j].Fields)
		}
	}
	data, err := json.Marshal(f)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func bare(e rules.Expr) rules.Expr { return rules.Expr{Text: words(e.Text)} }

func bareFields(fields []rules.ActionField) {
	for i := range fields {
		f := &fields[i]
		f.Pos, f.Value = rules.Pos{}, bare(f.Value)
		for j := range f.List {
			f.List[j] = bare(f.List[j])
		}
		bareFields(f.Fields)
	}
}

func FuzzFormat(f *testing.F) {
	data, err := os.ReadFile("testdata/autumn.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, m := range shapeMistakes {
		text, _, _ := seed(m.text)
		f.Add([]byte(text))
	}
	f.Add([]byte("rules:\n-   id: x\n    when: >\n      a\n\n      b # c\n    # d\n    then:\n    - exclude\n"))
	f.Add([]byte("when: \"a\n  b\\\n  c\" # d\nmatch: a\n  b\nx: |+\n   y\n\n\n# e\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<14 {
			return
		}
		checkFormat(t, in)
	})
}
