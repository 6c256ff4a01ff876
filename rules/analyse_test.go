package rules

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func exclude() ruleOption { return then(act("exclude")) }

func boostBy(x string) ruleOption { return then(act("boost", "multiply", x)) }

// Each analysis with a file that it must speak about, and one next to it that it must not.
func TestAnalysis(t *testing.T) {
	for name, tc := range map[string]struct {
		rules []Rule
		want  string // code and rule of each warning
	}{
		"never":                  {[]Rule{mk("a", match(`item.price > 5 and item.price < 3`), exclude())}, "R017 a"},
		"just":                   {[]Rule{mk("a", match(`item.price > 3 and item.price < 5`), exclude())}, ""},
		"never whole":            {[]Rule{mk("a", match(`item.stock > 3 and item.stock < 4`), exclude())}, "R017 a"},
		"never text":             {[]Rule{mk("a", match(`item.brand == "x" and item.brand in ["y", "z"]`), exclude())}, "R017 a"},
		"never not":              {[]Rule{mk("a", match(`item.brand in ["x", "y"] and not (item.brand in ["y", "x"])`), exclude())}, "R017 a"},
		"never yes/no":           {[]Rule{mk("a", when(`user.is_new and not user.is_new`), then(act("inject", "source", "hot")))}, "R017 a"},
		"never in two":           {[]Rule{mk("a", when(`user.orders_90d > 3`), match(`user.orders_90d < 2 and item.stock > 1`), exclude())}, "R017 a"},
		"never in three":         {[]Rule{mk("a", match(`item.price > 3 and item.price > 1 and item.price < 2`), exclude())}, "R017 a"},
		"never below":            {[]Rule{mk("a", match(`item.price < 2 and item.price < 4 and item.price > 3`), exclude())}, "R017 a"},
		"never at the end":       {[]Rule{mk("a", match(`item.price >= 3 and item.price > 3 and item.price <= 3`), exclude())}, "R017 a"},
		"just the end":           {[]Rule{mk("a", match(`item.price >= 3 and item.price > 2 and item.price <= 3`), exclude())}, ""},
		"never no":               {[]Rule{mk("a", when(`user.is_new != true and user.is_new`), then(act("inject", "source", "hot")))}, "R017 a"},
		"always":                 {[]Rule{mk("a", match(`item.price > 5 or item.price <= 5`), exclude())}, "R017 a"},
		"crossed ends":           {[]Rule{mk("a", match(`not (not (item.stock != 0 and (0 < item.stock or 1 > item.stock))) or item.stock < 0`), exclude())}, ""},
		"not always":             {[]Rule{mk("a", match(`item.price > 5 or item.price < 5`), exclude())}, ""},
		"always text":            {[]Rule{mk("a", match(`item.brand != "x" or item.brand != "y"`), exclude())}, "R017 a"},
		"group shadow":           {[]Rule{mk("a", group("g"), match(`item.price > 5`), boostBy("2")), mk("b", group("g"), match(`item.price > 7 and item.brand in user.top_brands`), boostBy("3"))}, "R018 b"},
		"group by priority":      {[]Rule{mk("a", group("g"), match(`item.price > 7`), boostBy("2")), mk("b", group("g"), priority(1), match(`item.price > 5`), boostBy("3"))}, "R018 a"},
		"group beside":           {[]Rule{mk("a", group("g"), match(`item.price > 7`), boostBy("2")), mk("b", group("g"), match(`item.price > 5`), boostBy("3"))}, ""},
		"group unknown part":     {[]Rule{mk("a", group("g"), match(`item.price > 5 and item.brand in user.top_brands`), boostBy("2")), mk("b", group("g"), match(`item.price > 7`), boostBy("3"))}, ""},
		"pin swallowed":          {[]Rule{mk("a", match(`item.stock <= 2`), exclude()), mk("b", match(`item.stock == 1`), then(act("pin", "position", "1")))}, "R018 b"},
		"pin by id swallowed":    {[]Rule{mk("a", match(`item.id in ["x", "y", "z"]`), exclude()), mk("b", then(act("pin", "position", "1", "items", "[x,y]")))}, "R018 b"},
		"pin by id half":         {[]Rule{mk("a", match(`item.id in ["x", "z"]`), exclude()), mk("b", then(act("pin", "position", "1", "items", "[x,y]")))}, ""},
		"pin under an inner and": {[]Rule{mk("a", match(`not (not (item.brand == "x" and item.brand in ["x", "y"])) or item.brand == "x"`), exclude()), mk("b", match(`item.brand in ["x", "y"]`), then(act("pin", "position", "1")))}, ""},
		"pin not swallowed":      {[]Rule{mk("a", match(`item.stock <= 2`), exclude()), mk("b", match(`item.stock <= 3`), then(act("pin", "position", "1")))}, ""},
		"exclude on some days": {[]Rule{func() Rule {
			r := mk("a", match(`item.stock <= 2`), exclude())
			r.Schedule = &Schedule{Days: []string{"fri"}}
			return r
		}(), mk("b", match(`item.stock == 1`), then(act("pin", "position", "1")))}, ""},
		"quota swallowed":       {[]Rule{mk("a", match(`"own" in item.tags`), exclude()), mk("b", then(act("quota", "match", `"own" in item.tags and item.price > 1`, "min", "1")))}, "R018 b"},
		"boost and bury":        {[]Rule{mk("a", match(`item.price > 5`), boostBy("2")), mk("b", match(`item.price > 7`), then(act("bury", "multiply", "0.5")))}, "R026 b"},
		"boost and bury alike":  {[]Rule{mk("a", match(`item.price > 5`), boostBy("2")), mk("b", match(`item.price > 5`), then(act("bury", "multiply", "0.5")))}, "R026 a"},
		"boost and bury apart":  {[]Rule{mk("a", match(`item.price > 5`), boostBy("2")), mk("b", match(`item.price < 7`), then(act("bury", "multiply", "0.5")))}, ""},
		"quotas in one window":  {[]Rule{mk("a", then(act("quota", "match", `item.brand == "x"`, "min", "2", "within", "3"))), mk("b", then(act("quota", "match", `item.brand == "y"`, "min", "2", "within", "3")))}, "R016 b"},
		"quotas that fit":       {[]Rule{mk("a", then(act("quota", "match", `item.brand == "x"`, "min", "2", "within", "4"))), mk("b", then(act("quota", "match", `item.brand == "y"`, "min", "2", "within", "3")))}, ""},
		"quotas of one item":    {[]Rule{mk("a", then(act("quota", "match", `item.brand == "x"`, "min", "2", "within", "3"))), mk("b", then(act("quota", "match", `item.price > 2`, "min", "2", "within", "3")))}, ""},
		"nested quotas":         {[]Rule{mk("a", then(act("quota", "match", `item.brand == "x"`, "min", "2", "within", "2"))), mk("b", then(act("quota", "match", `item.brand == "y"`, "min", "2", "within", "3")))}, "R016 b"},
		"the same twice":        {[]Rule{mk("a", match(`item.price > 5`), boostBy("2")), mk("b", match(`item.price  >  5`), boostBy("2"))}, "R018 b"},
		"pins for one place":    {[]Rule{mk("a", when(`user.is_new`), match(`item.price > 5`), then(act("pin", "position", "1"))), mk("b", when(`user.is_new`), match(`item.price < 2`), then(act("pin", "position", "1")))}, "R015 b"},
		"pins for other people": {[]Rule{mk("a", when(`user.is_new`), match(`item.price > 5`), then(act("pin", "position", "1"))), mk("b", when(`not user.is_new`), match(`item.price < 2`), then(act("pin", "position", "1")))}, ""},
	} {
		s, problems := Compile([]File{rulesOf(tc.rules...)}, schema(), Options{})
		var got []string
		for _, p := range problems {
			got = append(got, p.Code+" "+p.Rule)
		}
		sort.Strings(got)
		if s == nil && !strings.HasPrefix(tc.want, "R016") || strings.Join(got, ", ") != tc.want {
			t.Errorf("%s: %v, want %s: %+v", name, got, tc.want, problems)
		}
	}
}

// What a live list holds now says nothing about what it will hold.
func TestLiveListsAreNotAnalysed(t *testing.T) {
	for source, want := range map[string]int{"": 1, "redis:recalled": 0} {
		f := rulesOf(mk("a", match(`item.id in lists.recalled`), exclude()), mk("b", then(act("pin", "position", "1", "items", "[sku-1]"))))
		f.Lists = []List{{Name: "recalled", Values: []string{"sku-1"}, Source: source}}
		if s, problems := Compile([]File{f}, schema(), Options{}); s == nil || len(problems) != want {
			t.Errorf("source %q: %+v", source, problems)
		}
		f.Lists[0].Values = nil
		if s, problems := Compile([]File{f}, schema(), Options{}); source != "" && (s == nil || len(problems) != 0) {
			t.Errorf("empty, source %q: %+v", source, problems)
		}
	}
}

func TestNetEffectIsShown(t *testing.T) {
	_, problems := Compile([]File{rulesOf(mk("a", match(`item.price > 5`), boostBy("1.3")), mk("b", match(`item.price > 7`), then(act("bury", "multiply", "0.5"))))}, schema(), Options{})
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "by `a`: together they multiply by 0.65") {
		t.Errorf("got %+v", problems)
	}
}

// What the analysis claims is tried on random items: a condition that is called impossible matches
// none, one that is called certain matches all, and implications and exclusions hold item by item.
func TestAnalysisIsNeverWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := &program{}, &program{}
		ty := testTyper()
		for _, p := range []*program{a, b} {
			src := narrow(t, 3)
			made, faults := ty.compile(src, kindBool)
			if made == nil {
				t.Fatalf("%s: %+v", src, faults)
			}
			*p = *made
		}
		x, y, denied := conditionsOf(a), conditionsOf(b), &conditions{fields: map[string]constraint{}}
		denied.add(a.root, false)
		seed := rapid.Uint64().Draw(t, "seed")
		rng := rand.New(rand.NewPCG(seed, 3))
		f := newFrame(ty.layout)
		f.begin(at(nil, nil))
		for range 60 {
			c := thing("i", 0, map[string]any{"stock": rng.IntN(7), "price": float64(rng.IntN(14)) / 2, "brand": []string{"", "x", "y", "z"}[rng.IntN(4)], "tags": [][]string{nil, {"own"}, {"own", "x"}}[rng.IntN(3)]})
			f.row = ty.layout.load(c.Item, f.row[:0])
			inA, _ := a.test(f)
			inB, _ := b.test(f)
			switch {
			case x.never() != "" && inA:
				t.Fatalf("%s is called impossible and matches %v", a.src, c.Item.Env)
			case denied.never() != "" && !inA:
				t.Fatalf("%s is called certain and misses %v", a.src, c.Item.Env)
			case x.implies(y) && inA && !inB:
				t.Fatalf("%s is said to imply %s: %v", a.src, b.src, c.Item.Env)
			case x.excludes(y) && inA && inB:
				t.Fatalf("%s is said to exclude %s: %v", a.src, b.src, c.Item.Env)
			}
		}
	})
}

// narrow is a random condition over few fields and values, so that parts often meet.
func narrow(t *rapid.T, depth int) string {
	if depth > 0 && rapid.IntRange(0, 2).Draw(t, "join") > 0 {
		l, r := narrow(t, depth-1), narrow(t, depth-1)
		return fmt.Sprintf(rapid.SampledFrom([]string{"(%s and %s)", "(%s or %s)", "not (%s and %s)", "(not (%s) or %s)"}).Draw(t, "form"), l, r)
	}
	op := rapid.SampledFrom([]string{"<", "<=", ">", ">=", "==", "!="}).Draw(t, "op")
	n := rapid.IntRange(0, 6).Draw(t, "n")
	return rapid.SampledFrom([]string{
		fmt.Sprintf("item.stock %s %d", op, n), fmt.Sprintf("item.price %s %d.5", op, n), fmt.Sprintf("%d %s item.stock", n, op),
		fmt.Sprintf("between(item.stock, %d, %d)", n, n+2), `item.brand == "x"`, `item.brand in ["x", "y"]`, `item.brand != "z"`, `"own" in item.tags`,
		fmt.Sprintf("item.stock in [%d, %d]", n, n+1), `item.brand in user.top_brands`, fmt.Sprintf("item.stock * 2 > %d", n),
	}).Draw(t, "simple")
}
