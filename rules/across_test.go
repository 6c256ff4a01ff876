package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// fileOf is a file of its own, for some scenarios.
func fileOf(name, scenarios string, rules ...Rule) File {
	f := rulesOf(rules...)
	f.Name, f.Path = name, name+".yaml"
	if scenarios != "" {
		f.Scope.Scenarios = strings.Fields(scenarios)
	}
	return f
}

// What rules of two files do to each other is said where the loser stands, and names the other file.
func TestAcrossFiles(t *testing.T) {
	one := func(position, item string) ruleOption {
		return then(act("pin", "position", position, "items", "["+item+"]"))
	}
	for name, tc := range map[string]struct {
		a, b File
		want string
	}{
		"pins collide":           {fileOf("a", "", mk("x", one("1", "a"))), fileOf("b", "", mk("y", one("1", "b"))), "b.yaml R015 y: this pin and the one of `a/x` want position 1"},
		"pins beside":            {fileOf("a", "", mk("x", one("1", "a"))), fileOf("b", "", mk("y", one("2", "b"))), ""},
		"pins overlap":           {fileOf("a", "", mk("x", match("item.price > 5"), then(act("pin", "position", "1", "max", "3")))), fileOf("b", "", mk("y", one("3", "b"))), "b.yaml R015 y: this pin and the one of `a/x` want position 3"},
		"pins elsewhere":         {fileOf("a", "home", mk("x", one("1", "a"))), fileOf("b", "cart", mk("y", one("1", "b"))), ""},
		"pins where scopes meet": {fileOf("a", "home cart", mk("x", one("1", "a"))), fileOf("b", "cart email", mk("y", one("1", "b"))), "b.yaml R015 y"},
		"the same twice":         {fileOf("a", "", mk("x", match("item.price > 5"), boostBy("2"))), fileOf("b", "", mk("y", match("item.price  > 5"), boostBy("2"))), "b.yaml R018 y: this rule does the same as `a/x`"},
		"exclude and pin":        {fileOf("a", "", mk("x", match("item.stock <= 2"), exclude())), fileOf("b", "home", mk("y", match("item.stock == 1"), then(act("pin", "position", "1")))), "b.yaml R018 y: this pin never finds an item: `a/x` excludes all that it pins"},
		"pin and later exclude":  {fileOf("a", "home", mk("x", match("item.stock == 1"), then(act("pin", "position", "1")))), fileOf("b", "", mk("y", match("item.stock <= 2"), exclude())), "a.yaml R018 x: this pin never finds an item: `b/y` excludes all that it pins"},
		"exclude in one place":   {fileOf("a", "home", mk("x", match("item.stock <= 2"), exclude())), fileOf("b", "", mk("y", match("item.stock == 1"), then(act("pin", "position", "1")))), ""},
		"exclude and quota":      {fileOf("a", "", mk("x", match(`"own" in item.tags`), exclude())), fileOf("b", "", mk("y", then(act("quota", "match", `"own" in item.tags`, "min", "1")))), "b.yaml R018 y: this quota is never met: `a/x`"},
		"replace decided":        {fileOf("a", "", mk("x", then(act("replace", "strategy", "hot")))), fileOf("b", "", mk("y", when("user.is_new"), then(act("replace", "strategy", "new")))), "b.yaml R018 y: `a/x` always decides `replace` before this rule"},
		"replace by priority":    {fileOf("a", "", mk("x", when("user.is_new"), then(act("replace", "strategy", "hot")))), fileOf("b", "", mk("y", priority(5), then(act("replace", "strategy", "new")))), "a.yaml R018 x: `b/y` always decides `replace`"},
		"replace in one place":   {fileOf("a", "home", mk("x", then(act("replace", "strategy", "hot")))), fileOf("b", "", mk("y", then(act("replace", "strategy", "new")))), ""},
		"two ways of variety":    {fileOf("a", "", mk("x", then(act("diversify", "by", "item.brand")))), fileOf("b", "", mk("y", then(act("diversify", "by", "item.category")))), "b.yaml R018 y: `a/x` always decides `diversify`"},
		"quota and cap":          {fileOf("a", "", mk("x", then(act("cap", "by", "item.brand", "max", "1")))), fileOf("b", "", mk("y", then(act("quota", "match", `item.brand == "x"`, "min", "3")))), "b.yaml R016 y"},
		"campaigns meet":         {fileOf("a", "", mk("x", match("item.price > 5"), boostBy("2"))), fileOf("b", "", mk("y", match("item.price > 7"), then(act("bury", "multiply", "0.5")))), ""},
		"exclude by share": {fileOf("a", "", func() Rule {
			r := mk("x", match("item.stock <= 2"), exclude())
			r.Rollout = &Rollout{Percent: 10}
			return r
		}()), fileOf("b", "", mk("y", match("item.stock == 1"), then(act("pin", "position", "1")))), ""},
	} {
		for order, files := range map[string][]File{"in order": {tc.a, tc.b}, "reversed": {tc.b, tc.a}} {
			_, problems := Compile(files, schema(), Options{})
			var got []string
			for _, p := range problems {
				got = append(got, p.Path+" "+p.Code+" "+p.Rule+": "+p.Message)
			}
			if len(got) > 1 || tc.want == "" && len(got) > 0 || tc.want != "" && (len(got) == 0 || !strings.HasPrefix(got[0], tc.want)) {
				t.Errorf("%s, %s: %v, want %q", name, order, got, tc.want)
			}
		}
	}
}

// Parameters and lists belong to their file: what looks alike is not the same rule, a list of one name
// with other values is doubtful, and who names one of another file is told where it is.
func TestNamesOfOtherFiles(t *testing.T) {
	with := func(f File, limit string, values ...string) File {
		f.Params = []Param{{Name: "limit", Type: "number", Default: limit, Pos: Pos{Line: 2, Column: 1}}}
		f.Lists = []List{{Name: "recalled", Values: values, Pos: Pos{Line: 3, Column: 1}}}
		return f
	}
	uses := func(id string) Rule {
		return mk(id, match("item.price > params.limit and not (item.id in lists.recalled)"), boostBy("2"))
	}
	_, problems := Compile([]File{with(fileOf("a", "", uses("x")), "5", "s1", "s2"), with(fileOf("b", "", uses("y")), "9", "s2", "s1", "s1")}, schema(), Options{})
	if len(problems) != 0 {
		t.Errorf("the same list in another order: %+v", problems)
	}
	_, problems = Compile([]File{with(fileOf("a", "", uses("x")), "5", "s1"), with(fileOf("b", "", uses("y")), "5", "s1", "s3")}, schema(), Options{})
	if len(problems) != 1 || problems[0].Path != "b.yaml" || problems[0].Code != CodeDuplicate || !strings.Contains(problems[0].Message, "in a.yaml") {
		t.Errorf("lists that differ: %+v", problems)
	}
	_, problems = Compile([]File{with(fileOf("a", "", uses("x")), "5", "s1"), fileOf("b", "", uses("y"))}, schema(), Options{})
	hints := 0
	for _, p := range problems {
		if strings.HasPrefix(p.Hint, "it is declared in a.yaml, and each file has its own") {
			hints++
		}
	}
	if hints != 2 {
		t.Errorf("%+v", problems)
	}
}

// Many files are compared in the time that a save may take; the bound holds for absurd ones.
func TestAcrossManyFiles(t *testing.T) {
	var files []File
	for i := range 40 {
		var rules []Rule
		for j := range 50 {
			rules = append(rules, mk(fmt.Sprintf("r%d-%d", i, j), match(fmt.Sprintf("item.price > %d", j+100*i)), boostBy("1.1")))
		}
		files = append(files, fileOf(fmt.Sprintf("f%02d", i), "", rules...))
	}
	start := time.Now()
	s, problems := Compile(files, schema(), Options{})
	if s == nil || slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == SeverityError }) {
		t.Fatalf("%+v", problems[:1])
	}
	t.Logf("2,000 rules in 40 files: %v", time.Since(start).Round(time.Millisecond))
}
