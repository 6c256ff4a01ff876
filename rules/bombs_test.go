package rules

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Texts that hang, blow up or kill an unguarded engine, and their relatives.
func bombs() map[string]string {
	loop := func(n int, body string) string {
		for i := 0; i < n; i++ {
			body = "any(user.last_items, " + body + ")"
		}
		return body
	}
	return map[string]string{
		"group by":              `len(groupBy(1..1000000, # % 7)) > 1`,
		"sort by":               `len(sortBy(1..1000000, -#)) > 1`,
		"big json":              `len(toJSON(map(1..100000, {"a": 1..1000}))) > 1`,
		"from json":             `fromJSON("` + strings.Repeat("[", 1500) + `") == 1`,
		"split and join":        `len(join(split(repeat("a,", 1000000), ","), repeat("x", 1000))) > 1`,
		"let doubling":          `let a = "xx"; let b = a + a; let c = b + b; c + c == ""`,
		"huge range list":       `item.stock in 1..100000000`,
		"slice of a range":      `len((1..100000000)[1:2]) > 0`,
		"the environment":       `len(toJSON($env)) > 1`,
		"sort of strings":       `sort(user.last_items)[0] == "a"`,
		"find last":             `findLast(1..100000000, # == 1) == 1`,
		"take while":            `len(take(1..100000000, 99999999)) > 1`,
		"past in a loop":        `any(user.last_items, times("view", days(9999999999999)) > 3 and did("order", days(1e300)))`,
		"huge spans":            `age(item.created_at) < days(1e308) + days(1e308)`,
		"deep source items":     "request.source_item" + strings.Repeat(".attrs", 600) + ` == "x"`,
		"pipes":                 "user.last_items" + strings.Repeat(" | filter(true)", 120) + " | any(true)",
		"nil chains":            strings.Repeat("nil ?? ", 280) + "true",
		"endless loop":          `any(1..900000, any(1..900000, # == 0))`,
		"24 bytes":              `all(0..1e9,all(0..1e9,1))`,
		"doubling text":         `reduce(1..26, #acc + #acc, "x") == ""`,
		"doubling list":         `len(reduce(1..30, concat(#acc, #acc), [1])) > 1`,
		"repeat":                `len(repeat("x", 1000000000)) > 1`,
		"nested repeat":         `len(repeat(repeat("x", 10000), 10000)) > 1`,
		"map of ranges":         `len(map(1..1000000, 1..1000000)) > 1`,
		"flatten":               `len(flatten(map(1..1000, [1..1000]))) > 1`,
		"deep brackets":         strings.Repeat("(", 1_000_000),
		"deep not":              strings.Repeat("!", 1_000_000) + "true",
		"deep words":            strings.Repeat("not ", 450) + "true",
		"deep minus":            "0 < " + strings.Repeat("-", 1900) + "1",
		"deep lists":            strings.Repeat("[", 100_000),
		"deep braces":           strings.Repeat("{", 100_000),
		"deep calls":            strings.Repeat("len(", 300) + `"x"` + strings.Repeat(")", 300),
		"deep ternary":          strings.Repeat("true?", 300) + "true" + strings.Repeat(":true", 300),
		"deep members":          "item" + strings.Repeat(".a", 900) + " == 1",
		"deep chains":           "item" + strings.Repeat("?.a", 600) + " == 1",
		"quotes hide brackets":  `"` + strings.Repeat(`\"(`, 600) + `" == ""`,
		"long and":              strings.Repeat("user.is_new and ", 300) + "true",
		"long list":             "item.stock in [" + strings.Repeat("1,", 900) + "1]",
		"long comparison":       "1" + strings.Repeat("<item.stock", 150),
		"loops in loops":        loop(6, `# == "x"`),
		"loop over filter":      `any(filter(user.last_items, any(user.last_viewed, # == "x")), # == "y")`,
		"many loops":            strings.Repeat(`any(user.last_items, # matches "a*b*c*" and lower(#) != upper(#)) and `, 24) + "true",
		"wide loop":             `any(user.last_items, ` + strings.Repeat(`# == "x" or `, 60) + `# == "z")`,
		"sort":                  `sortBy(user.last_items, -len(#))[0] == "x"`,
		"group":                 `len(groupBy(1..100000, #)) > 1`,
		"json":                  `fromJSON(repeat("[", 1000000)) == 1`,
		"join":                  `len(join(map(1..1000000, "x"), "xxxxxxxxxx")) > 1`,
		"environment":           `len($env) > 1`,
		"pipe":                  `1..1000000 | map(#) | sum() > 1`,
		"let":                   `let a = "xxxxxxxxxx"; let b = a + a + a; b + b == ""`,
		"slice":                 `user.last_items[0:1000000] == []`,
		"regex of a field":      `item.title matches item.brand`,
		"huge pattern":          `item.title matches "` + strings.Repeat("(a*)*", 300) + `"`,
		"null byte":             "item.price > 1 \x00",
		"not text":              "item.price > \xff\xfe",
		"comment":               "/*" + strings.Repeat("(", 1000),
		"huge number":           "item.price > 1" + strings.Repeat("0", 400),
		"power":                 `item.price ** item.price ** item.price > 1`,
		"bytes":                 `b"` + strings.Repeat("x", 500) + `" == ""`,
		"recursion in sequence": strings.Repeat("true;", 390) + "true",
	}
}

// Each bomb is refused, or runs to its end within the step budget; none allocates much.
func TestBombsAreDefused(t *testing.T) {
	long := make([]string, 50)
	for i := range long {
		long[i] = strings.Repeat("ab", 30) + fmt.Sprint(i)
	}
	env := at(map[string]any{"last_items": long, "last_viewed": long}, nil)
	it := thing("a", 1, map[string]any{"title": strings.Repeat("a", 500)}).Item
	if n := len(bombs()); n < 40 {
		t.Fatalf("only %d bombs", n)
	}
	slowest, largest := time.Duration(0), uint64(0)
	defer func() { t.Logf("%d bombs: the slowest took %v, the largest %d kB", len(bombs()), slowest, largest>>10) }()
	for name, src := range bombs() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		c, problems := CompileFilter(src, schema())
		if c != nil {
			f := c.frames.Get().(*filterFrame)
			c.frames.Put(f)
			if _, err := c.Match(env, it); err != nil && !errors.Is(err, errSteps) {
				t.Errorf("%s: %v", name, err)
			}
			if f.budget.ticks > maxStepsPerEval+1 {
				t.Errorf("%s: ran %d ticks", name, f.budget.ticks)
			}
		} else if !hasErrors(problems) {
			t.Errorf("%s: refused without an error", name)
		}
		slowest = max(slowest, time.Since(start))
		runtime.ReadMemStats(&after)
		largest = max(largest, after.TotalAlloc-before.TotalAlloc)
		if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
			t.Errorf("%s: allocated %d bytes", name, used)
		}
	}
}

// The backstop stops a loop that the static limits would let through: here the list is far longer
// than the schema promises.
func TestStepsAreBoundedAtRunTime(t *testing.T) {
	c, problems := CompileFilter(`any(user.last_items, # == "never")`, schema())
	if c == nil {
		t.Fatal(problems)
	}
	long := make([]string, 20_000)
	ok, err := c.Match(at(map[string]any{"last_items": long}, nil), thing("a", 1, nil).Item)
	if ok || !errors.Is(err, errSteps) {
		t.Errorf("got %v, %v", ok, err)
	}
	ok, err = c.Match(at(map[string]any{"last_items": []string{"x", "never"}}, nil), thing("a", 1, nil).Item)
	if !ok || err != nil {
		t.Errorf("after an error: %v, %v", ok, err)
	}
}

func TestCostNamesThePart(t *testing.T) {
	_, problems := CompileFilter(`item.stock > 0 and any(user.last_items, `+strings.Repeat(`# matches "a" or `, 3)+`# == "z")`, schema())
	if len(problems) != 1 || problems[0].Code != CodeTooCostly || !strings.Contains(problems[0].Message, "over the limit of 5000") ||
		!strings.Contains(problems[0].Message, "`any(user.last_items") || problems[0].Column != 20 {
		t.Errorf("got %+v", problems)
	}
}

// No author can reach the names that the rewriter gives to the machine, nor call its functions.
func TestInternalNamesAreOutOfReach(t *testing.T) {
	for _, src := range []string{"`the budget`", `tick()`, `step(1)`, `has key(item.attrs, "x")`, `$env["the budget"] == 1`, `::len(item.title) > 1`, `item["the budget"] == 1`} {
		if c, _ := CompileFilter(src, schema()); c != nil && src != `::len(item.title) > 1` {
			t.Errorf("%s compiles", src)
		}
	}
}

func FuzzCompileFilter(f *testing.F) {
	for _, src := range bombs() {
		if len(src) < 2500 {
			f.Add(src)
		}
	}
	for _, m := range mistakes {
		f.Add(m.src)
	}
	f.Add(`item.category in user.top_categories and age(item.created_at) < days(14)`)
	env := at(map[string]any{"last_items": []string{"a", "b"}}, map[string]any{"country": "DE"})
	it := thing("a", 1, map[string]any{"brand": "x"}).Item
	f.Fuzz(func(t *testing.T, src string) {
		c, problems := CompileFilter(src, schema())
		if c == nil {
			if !hasErrors(problems) {
				t.Fatalf("%q: refused without an error", src)
			}
			for _, p := range problems {
				if p.Line < 1 || p.Column < 1 || p.Message == "" || strings.Contains(p.Message, "the engine refuses") {
					t.Fatalf("%q: %+v", src, p)
				}
			}
			return
		}
		first, err := c.Match(env, it)
		if errors.Is(err, errPanic) && !strings.Contains(src, "%") {
			t.Fatalf("%q: %v", src, err)
		}
		if again, _ := c.Match(env, it); again != first {
			t.Fatalf("%q: two answers", src)
		}
	})
}
