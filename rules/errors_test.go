package rules

import (
	"fmt"
	"strings"
	"testing"
)

// The condition stands in line 7 from column 12 on: "    match: ..." is the file's line.
func withMatch(src string) File {
	f := rulesOf(mk("r", then(act("exclude"))))
	f.Rules[0].Match = Expr{Text: src, Pos: Pos{7, 12}, Exact: true}
	f.Params = []Param{{Name: "vip_spend", Type: "number", Default: "500"}}
	f.Lists = []List{{Name: "recalled", Values: []string{"sku-1"}}}
	f.Lines = []string{"", "", "", "", "", "", "    match: " + src}
	return f
}

// Each mistake, as an author would make it, with the code, the column (12 + offset) and the hint.
var mistakes = []struct {
	src, code string
	offset    int
	hint      string // part of it
}{
	{`user.oders_90d > 3`, "R001", 5, "did you mean `user.orders_90d`?"},
	{`item.prise < 50`, "R001", 5, "did you mean `item.price`?"},
	{`usr.tier == "gold"`, "R001", 0, "did you mean `user`?"},
	{`itme.price < 50`, "R001", 0, "did you mean `item`?"},
	{`price < 50`, "R001", 0, "did you mean `item.price`?"},
	{`tier == "gold"`, "R001", 0, "did you mean `user.tier`?"},
	{`item.nonsense == 1`, "R001", 5, ""},
	{`has("user.last_itmes")`, "R001", 4, "did you mean `user.last_items`?"},
	{`has("shop.name")`, "R001", 4, "has(\"user.tier\")"},
	{`context.contry == "DE"`, "R001", 8, "did you mean `context.country`?"},
	{`request.scenaro == "home"`, "R001", 8, "did you mean `request.scenario`?"},
	{`local.hours > 18`, "R001", 6, "did you mean `local.hour`?"},
	{`params.vip_spent > 1`, "R001", 7, "did you mean `params.vip_spend`?"},
	{`params.other > 1`, "R001", 7, "declare it under `params:`"},
	{`days14(item.created_at)`, "R001", 0, "did you mean `days`?"},
	{`age(item.created_at) < dayz(14)`, "R001", 23, "did you mean `days`?"},
	{`scoer > 0.5`, "R001", 0, "did you mean `score`?"},
	{`item.price.cents > 1`, "R001", 11, ""},
	{`user.tier == 1`, "R002", 13, "write `\"1\"`"},
	{`item.price > "50"`, "R002", 13, "write the number without quotes"},
	{`age(item.created_at) < 14`, "R002", 23, "write `days(14)` or `hours(14)`"},
	{`item.created_at > "2026-01-01"`, "R002", 18, "age(item.created_at) < days(14)"},
	{`user.is_new == "true"`, "R002", 15, "use `user.is_new` or `not user.is_new`"},
	{`user.is_new == 1`, "R002", 15, "use `user.is_new` or `not user.is_new`"},
	{`item.price == nil`, "R002", 14, "not has("},
	{`not item.stock`, "R002", 0, "compare it: `item.stock > 0`"},
	{`"vip" in user.tier`, "R002", 6, "contains"},
	{`age(user.tier) < days(1)`, "R002", 4, "age(item.created_at)"},
	{`days("7") > age(item.created_at)`, "R002", 5, "days(14)"},
	{`item.brand in [1, 2]`, "R002", 11, ""},
	{`item.stock in ["1"]`, "R002", 11, ""},
	{`item.brand in ["a", 2]`, "R002", 20, "write `\"2\"`"},
	{`between(item.price, 1)`, "R002", 0, "between(item.price, 10, 50)"},
	{`item.price contains "5"`, "R002", 0, ""},
	{`user.segments`, "R006", 0, "in user.segments"},
	{`user.tier = "gold"`, "R003", 10, "write `==`"},
	{`item.price = 5 and user.is_new`, "R003", 11, "write `==`"},
	{`user.tier == gold`, "R004", 13, "text needs quotes: `\"gold\"`"},
	{`item.brand in [acme, "x"]`, "R004", 15, "\"acme\""},
	{`user.segments contains "vip"`, "R005", 14, "use `\"vip\" in user.segments`"},
	{`item.tags == "eco"`, "R005", 13, "use `\"eco\" in item.tags`"},
	{`item.tags in "eco"`, "R005", 10, "use `\"eco\" in item.tags`"},
	{`user.top_brands in user.segments`, "R005", 16, "use `any(user.top_brands, # in user.segments)`"},
	{`item.price`, "R006", 0, "compare it: `item.price > 0`"},
	{`item.price * 2`, "R006", 11, "> 0"},
	{`item.stock and user.is_new`, "R006", 0, "compare it: `item.stock > 0`"},
	{`item.brand ? true : false`, "R006", 0, "== "},
	{`any(user.last_items, #)`, "R006", 21, ""},
	{`map(user.last_items, #)`, "R007", 0, "any("},
	{`1..5 == item.tags`, "R007", 1, "between"},
	{`let x = item.price; x > 5`, "R007", 4, "params"},
	{`item.title + "x" == "ax"`, "R007", 11, "on their own"},
	{`now() > item.created_at`, "R007", 0, "without brackets"},
	{`split(item.title, " ")[0] == "a"`, "R007", 0, "contains"},
	{`user.last_items[0] == "a"`, "R007", 16, "in user.last_items"},
	{`item.title.toUpper() == "A"`, "R007", 11, "helper"},
	{`item.stock ** 2 > 4`, "R007", 11, "x * x"},
	{`any(user.last_items, any(user.top_brands, # == "x"))`, "R007", 0, "two rules"},
	{`item.title matches item.brand`, "R007", 11, "in quotes"},
	{`if user.is_new { true } else { false }`, "R007", 0, "? a : b"},
	{`$env["user"] == 1`, "R007", 0, ""},
	{`item.brand in lists.recaled`, "R014", 20, "did you mean `lists.recalled`?"},
	{`item.price / item.stock > 2`, "R021", 11, "use `ratio(a, b, 0)`"},
	{`item.price / 0 > 2`, "R021", 13, "use `ratio(a, b, 0)`"},
	{`age(item.created_at) < duration("7d")`, "R022", 23, "days(7)"},
	{`item.title matches "("`, "R023", 19, "contains"},
	{`item.price > `, "R023", 12, "missing"},
	{`(item.price > 5`, "R023", 15, "bracket"},
	{`item.brand == "x`, "R023", -1, "close the text"},
	{`item.brand == “x”`, "R023", -1, "straight quotes"},
	{`item.price > 5 AND user.is_new`, "R023", 15, "small letters"},
	{`item.brand is "x"`, "R023", 11, "=="},
	{`user.tier == "a" or`, "R023", 19, "missing"},
	{``, "", 0, ""},
	{`// item.price > 5`, "R011", 0, "leave the key out"},
	{`/* item.price > 5`, "R011", 0, "leave the key out"},
	{"// why\nitem.price > 5", "", 0, ""},
	{"/* why */ item.price > 5", "", 0, ""},
	{`true or item.price > 5`, "", 0, ""},
	{`1 > 2`, "R017", 0, ""},
	{strings.Repeat("(", 40) + "true" + strings.Repeat(")", 40), "R008", 32, "split"},
	{strings.Repeat("not ", 480) + "true", "R008", -1, ""},
	{"item.price > 5" + strings.Repeat(" ", 2000), "R008", 0, "split"},
}

func TestMistakesAreExplainedWhereTheyAre(t *testing.T) {
	for _, m := range mistakes {
		f := withMatch(m.src)
		_, problems := Compile([]File{f}, schema(), Options{})
		var got []Problem
		for _, p := range problems {
			if p.Code != CodeUnused && p.Code != CodeUndocumented {
				got = append(got, p)
			}
		}
		if m.code == "" {
			if len(got) > 0 {
				t.Errorf("%q: unexpected %+v", m.src, got)
			}
			continue
		}
		if len(got) == 0 {
			t.Errorf("%q: no problem, want %s", m.src, m.code)
			continue
		}
		p := got[0]
		if p.Code != m.code || m.offset >= 0 && p.Column != 12+m.offset || p.Line != 7 {
			t.Errorf("%q: got %s at %d:%d (offset %d) %s, want %s at offset %d", m.src, p.Code, p.Line, p.Column, p.Column-12, p.Message, m.code, m.offset)
		}
		if !strings.Contains(p.Hint, m.hint) {
			t.Errorf("%q: hint %q, want %q", m.src, p.Hint, m.hint)
		}
		if p.Rule != "r" || p.Path != "home.yaml" || p.Snippet != f.Lines[6] || p.Message == "" {
			t.Errorf("%q: incomplete problem %+v", m.src, p)
		}
	}
}

func TestAllMistakesOfAConditionAreReportedAtOnce(t *testing.T) {
	_, problems := Compile([]File{withMatch(`user.oders_90d > 3 and item.prise < 5 and user.tier == 1 and item.brand == gold`)}, schema(), Options{})
	var got []string
	for _, p := range problems {
		if p.Severity == SeverityError {
			got = append(got, fmt.Sprintf("%s@%d", p.Code, p.Column-12))
		}
	}
	if want := "R001@5 R001@28 R002@55 R004@75"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestPositionsInBlocks(t *testing.T) {
	for _, c := range []struct {
		name string
		expr Expr
		want Pos
	}{
		{"one line", Expr{Text: "user.x > 1", Pos: Pos{3, 10}, Exact: true}, Pos{3, 15}},
		{"block", Expr{Text: "user.is_new\nand user.x > 1", Pos: Pos{3, 10}, Exact: true, Indent: 6}, Pos{5, 16}},
		{"folded", Expr{Text: "user.is_new and user.x > 1", Pos: Pos{3, 10}}, Pos{3, 10}},
		{"wide characters", Expr{Text: `"ü€" in user.segments and user.x > 1`, Pos: Pos{3, 1}, Exact: true}, Pos{3, 32}},
	} {
		f := rulesOf(mk("r", then(act("inject", "source", "hot"))))
		f.Rules[0].When = c.expr
		_, problems := Compile([]File{f}, schema(), Options{})
		if len(problems) != 1 || problems[0].Line != c.want.Line || problems[0].Column != c.want.Column {
			t.Errorf("%s: got %+v, want %+v", c.name, problems, c.want)
		}
	}
}

func TestWhenCannotLookAtItems(t *testing.T) {
	for _, src := range []string{"item.price > 1", "score > 0.5", "position < 3", `has("item.brand")`, `user.tier == item.brand`} {
		_, problems := Compile([]File{rulesOf(mk("r", when(src), then(act("inject", "source", "hot"))))}, schema(), Options{})
		if len(problems) != 1 || problems[0].Code != "R001" || problems[0].Hint != "move this part to `match:`" {
			t.Errorf("%s: %+v", src, problems)
		}
	}
}

func TestActionAndFileMistakes(t *testing.T) {
	bad := func(edit func(f *File)) File {
		f := rulesOf(mk("r", match("item.stock > 0"), then(act("boost", "multiply", "1.2"))))
		edit(&f)
		return f
	}
	one := func(name string, fields ...string) File {
		return rulesOf(mk("r", then(act(name, fields...))))
	}
	for _, c := range []struct {
		name string
		file File
		want string // codes
		hint string
	}{
		{"unknown action", one("bost", "multiply", "2"), "R009", "did you mean `boost`?"},
		{"unknown field", one("boost", "multiply", "2", "multipl", "2"), "R009", "did you mean `multiply`?"},
		{"boost without effect", one("boost"), "R024", "boost: {multiply: 1.3}"},
		{"boost below one", one("boost", "multiply", "0.5"), "R013", "`bury`"},
		{"bury above one", one("bury", "multiply", "1.5"), "R013", "`boost`"},
		{"bury to nowhere", one("bury", "to", "top"), "R024", "to: bottom"},
		{"negative add", one("boost", "add", "-1"), "R013", "`bury`"},
		{"formula is text", one("boost", "multiply", "item.brand"), "R002", ""},
		{"pin without items", one("pin", "position", "1"), "R024", "match:"},
		{"pin at zero", one("pin", "position", "0", "items", "[a]"), "R013", ""},
		{"pin order by text", rulesOf(mk("r", match("item.stock > 0"), then(act("pin", "position", "1", "order_by", "item.brand desc")))), "R002", ""},
		{"pin order unknown", rulesOf(mk("r", match("item.stock > 0"), then(act("pin", "position", "1", "order_by", "item.sale_7d desc")))), "R001", "item.sales_7d"},
		{"cap without by", one("cap", "max", "2"), "R024", ""},
		{"cap by unknown", one("cap", "by", "item.brnd", "max", "2"), "R001", "did you mean `item.brand`?"},
		{"cap by time", one("cap", "by", "item.created_at", "max", "2"), "R002", "item.brand"},
		{"cap by words", one("cap", "by", "item.brand", "max", "many"), "R024", ""},
		{"relax", one("cap", "by", "item.brand", "max", "2", "relax", "maybe"), "R024", ""},
		{"quota too large", one("quota", "match", "item.stock > 0", "min", "9", "within", "8"), "R016", "lower"},
		{"source", one("inject", "source", "hott"), "R014", "did you mean `hot`?"},
		{"source list", one("inject", "source", "list:x"), "R014", ""},
		{"window", one("inject", "source", "hot", "window", "3d"), "R014", "7d"},
		{"by", one("inject", "source", "hot", "by", "context.contry"), "R001", "context.country"},
		{"score", one("inject", "source", "hot", "score", "2"), "R013", "p90"},
		{"inject match", one("inject", "source", "hot", "match", "item.prise < 4"), "R001", "item.price"},
		{"strategy", one("replace", "strategy", "best"), "R014", "hot"},
		{"share", one("replace", "strategy", "hot", "keep_model", "130%"), "R013", "30%"},
		{"fill ends weakly", one("fill", "strategy", "[popular, hot]"), "R024", "popular"},
		{"model", one("model"), "R024", ""},
		{"badge", one("badge"), "R024", "text"},
		{"badge html", one("badge", "text", "<b>x</b>"), "R007", "plain text"},
		{"badge long", one("badge", "text", strings.Repeat("x", 81)), "R013", "shorten"},
		{"hard boost", bad(func(f *File) { f.Rules[0].Hard = true }), "R025", "of its own"},
		{"match on a request action", rulesOf(mk("r", match("item.stock > 0"), then(act("inject", "source", "hot")))), "R025", "use `when`"},
		{"no action", rulesOf(mk("r")), "R024", "then"},
		{"no id", rulesOf(mk("", then(act("exclude")))), "R024", "id"},
		{"same id", rulesOf(mk("r", then(act("keep"))), mk("r", then(act("keep")))), "R010", ""},
		{"priority", bad(func(f *File) { f.Rules[0].Priority = 1001 }), "R013", ""},
		{"zone", bad(func(f *File) { f.Timezone = "Berlin" }), "R012", "Europe/Berlin"},
		{"from", bad(func(f *File) { f.Rules[0].Schedule = &Schedule{From: "2027-02-29"} }), "R012", "2026-10-01"},
		{"inverted", bad(func(f *File) { f.Rules[0].Schedule = &Schedule{From: "2026-02-02", Until: "2026-02-01"} }), "R012", "first moment"},
		{"day", bad(func(f *File) { f.Rules[0].Schedule = &Schedule{Days: []string{"fry"}} }), "R012", "fri"},
		{"hours", bad(func(f *File) { f.Rules[0].Schedule = &Schedule{Hours: "18-24"} }), "R012", "18:00-24:00"},
		{"percent", bad(func(f *File) { f.Rules[0].Rollout = &Rollout{Percent: 101} }), "R013", ""},
		{"rollout by", bad(func(f *File) { f.Rules[0].Rollout = &Rollout{Percent: 50, By: "user.idd"} }), "R001", "user.id"},
		{"param default", bad(func(f *File) { f.Params = []Param{{Name: "p", Type: "int", Default: "1.5"}} }), "R013 R019", "whole number"},
		{"param bounds", bad(func(f *File) { f.Params = []Param{{Name: "p", Type: "number", Default: "5", Max: "4"}} }), "R013 R019", "bound"},
		{"param type", bad(func(f *File) { f.Params = []Param{{Name: "p", Type: "float", Default: "5"}} }), "R009 R019", "number"},
		{"param twice", bad(func(f *File) {
			f.Params = []Param{{Name: "p", Type: "int", Default: "5"}, {Name: "p", Type: "int", Default: "5"}}
		}), "R010 R019", ""},
		{"unused list", bad(func(f *File) { f.Lists = []List{{Name: "l", Values: []string{"a"}}} }), "R019", "lists.l"},
		{"no owner", bad(func(f *File) { f.Owner, f.Description = "", "" }), "R020 R020", "owner"},
		{"no name", bad(func(f *File) { f.Name = "" }), "R024", "name"},
		{"too many rules", bad(func(f *File) { f.Rules = make([]Rule, 501) }), "R008", "split"},
		{"decay", one("boost", "multiply", "2"), "", ""},
		{"two pins", rulesOf(mk("a", then(act("pin", "position", "1", "items", "[x]"))), mk("b", then(act("pin", "position", "1", "items", "[y]")))), "R015", "next free place"},
		{"two strategies", rulesOf(mk("a", then(act("replace", "strategy", "hot"))), mk("b", then(act("replace", "strategy", "new")))), "R018", "higher priority"},
		{"quota against cap", rulesOf(mk("a", then(act("cap", "by", "item.brand", "max", "2"))), mk("b", then(act("quota", "match", `item.brand == "own"`, "min", "3", "within", "8")))), "R016", "one of the two"},
		{"guard of everything", rulesOf(mk("a", hard(), then(act("exclude")))), "R017", "match"},
	} {
		_, problems := Compile([]File{c.file}, schema(), Options{})
		var codes []string
		hints := ""
		for _, p := range problems {
			codes = append(codes, p.Code)
			hints += p.Hint + "|"
		}
		if strings.Join(codes, " ") != c.want || !strings.Contains(hints, c.hint) {
			t.Errorf("%s: got %v, want %s (hint %q): %+v", c.name, codes, c.want, c.hint, problems)
		}
	}
}

func TestProblemsAreSortedAndBounded(t *testing.T) {
	f := rulesOf()
	for i := 0; i < 80; i++ {
		r := mk(fmt.Sprintf("r%d", i), then(act("exclude")))
		r.Match = Expr{Text: "item.nope > 1", Pos: Pos{200 - i, 1}, Exact: true}
		f.Rules = append(f.Rules, r)
	}
	_, problems := Compile([]File{f}, schema(), Options{})
	if len(problems) != 50 {
		t.Fatalf("%d problems", len(problems))
	}
	for i := 1; i < len(problems); i++ {
		if problems[i].Line < problems[i-1].Line {
			t.Fatal("not sorted by place")
		}
	}
}

// A broken parameter is one mistake: the expressions that use it are not blamed as well.
func TestBrokenParamIsReportedOnce(t *testing.T) {
	f := rulesOf(mk("r", match("item.sales_7d > params.bar"), then(act("boost", "multiply", "params.bar"))))
	f.Params = []Param{{Name: "bar", Type: "int", Default: "many", Pos: Pos{Line: 3, Column: 5}}}
	set, problems := Compile([]File{f}, schema(), Options{})
	var errs []Problem
	for _, p := range problems {
		if p.Severity == SeverityError {
			errs = append(errs, p)
		}
	}
	if set != nil || len(errs) != 1 || errs[0].Code != CodeOutOfBounds {
		t.Errorf("set %v, errors %+v; want the parameter's alone", set != nil, errs)
	}
}
