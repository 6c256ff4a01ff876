package rules

import (
	"fmt"
	"testing"
	"time"
)

// shopRules are n rules such as merchandisers write: comparisons, lists, user tastes, formulas and
// a loop, most of them per item.
func shopRules(n int) File {
	patterns := []func(id string) Rule{
		func(id string) Rule {
			return mk(id, match(`item.category in user.top_categories and age(item.created_at) < days(14)`), then(act("boost", "multiply", "1.3")))
		},
		func(id string) Rule { return mk(id, match(`item.margin < 0.05`), then(act("bury", "multiply", "0.5"))) },
		func(id string) Rule {
			return mk(id, match(`item.price < 50 and item.brand in ["a", "b", "c"]`), then(act("boost", "multiply", "1.1")))
		},
		func(id string) Rule {
			return mk(id, hard(), match(`item.stock <= 0 or item.id in lists.recalled`), then(act("exclude")))
		},
		func(id string) Rule {
			return mk(id, match(`item.sales_7d > 10`), then(act("boost", "multiply", "1 + log1p(item.sales_7d) / 20.0")))
		},
		func(id string) Rule {
			return mk(id, when(`user.spend_90d > 500`), match(`item.price > user.avg_order_value`), then(act("boost", "add", "0.05")))
		},
		func(id string) Rule { return mk(id, match(`"sale" in item.tags`), then(act("badge", "text", "Sale"))) },
		func(id string) Rule {
			return mk(id, when(`context.country == "FR"`), match(`item.country == "FR"`), then(act("boost", "multiply", "1.2")))
		},
		func(id string) Rule {
			return mk(id, match(`item.sales_7d > 4000`), then(act("pin", "position", "1", "order_by", "item.sales_7d desc")))
		},
		func(id string) Rule { return mk(id, then(act("cap", "by", "item.brand", "max", "3", "within", "10"))) },
	}
	f := rulesOf()
	for i := 0; i < n; i++ {
		f.Rules = append(f.Rules, patterns[i%len(patterns)](fmt.Sprintf("r%02d", i)))
	}
	f.Lists = []List{{Name: "recalled", Values: []string{"i7", "i8"}}}
	return f
}

func shopCandidates(n int) []Candidate {
	var in []Candidate
	for i := 0; i < n; i++ {
		in = append(in, thing(fmt.Sprintf("i%d", i), float64(n-i)/float64(n), map[string]any{"category": []string{"coats", "shoes", "hats"}[i%3], "brand": string(rune('a' + i%15)),
			"stock": i % 40, "sales_7d": i * 7 % 5000, "price": float64(i % 90), "margin": float64(i%10) / 20, "created_at": friday.Add(-time.Duration(i) * time.Hour), "tags": []string{"eco", "sale"}[:i%3%2+1]}))
	}
	return rank(in...)
}

// informed gives candidates the facts that a caller keeps with its catalogue.
func informed(s *Set, in []Candidate) []Candidate {
	out := append([]Candidate(nil), in...)
	for i := range out {
		out[i].Facts = s.Facts(out[i].Item)
	}
	return out
}

func shopper() *Env {
	return at(map[string]any{"spend_90d": 800.0, "avg_order_value": 40.0, "top_categories": []string{"hats", "coats", "bags"}}, map[string]any{"country": "DE"})
}

func BenchmarkApply(b *testing.B) {
	env := shopper()
	for _, rules := range []int{10, 50} {
		s := compiled(b, shopRules(rules))
		for _, items := range []int{200, 500} {
			in := informed(s, shopCandidates(items))
			for _, explain := range []bool{false, true} {
				name := fmt.Sprintf("rules=%d/items=%d", rules, items)
				if explain {
					name += "-explain"
				}
				b.Run(name, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						s.Apply(env, s.Plan(env), in, 20, explain)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rules*items), "ns/rule-item")
				})
			}
		}
	}
}

// BenchmarkEval compares one condition as closure, in expr's machine, and written by hand.
func BenchmarkEval(b *testing.B) {
	env := at(map[string]any{"top_categories": []string{"hats", "coats", "bags"}}, nil)
	in := shopCandidates(500)
	ty := testTyper()
	p, faults := ty.compile(`item.category in user.top_categories and age(item.created_at) < days(14)`, kindBool)
	if p == nil {
		b.Fatal(faults)
	}
	f := newFrame(ty.layout)
	f.begin(env)
	var rows [][]any
	for i := range in {
		rows = append(rows, f.layout.load(in[i].Item, nil))
	}
	slow := *p
	slow.yes = nil
	for name, q := range map[string]*program{"closure": p, "machine": &slow} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				f.row = rows[i%len(rows)]
				i++
				if _, err := q.test(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("by-hand", func(b *testing.B) {
		b.ReportAllocs()
		i, hits := 0, 0
		tops := env.User.Env["top_categories"].([]string)
		for b.Loop() {
			it := in[i%len(in)].Item.Env
			i++
			if contains(tops, it["category"].(string)) && env.Now.Sub(it["created_at"].(time.Time)) < 14*24*time.Hour {
				hits++
			}
		}
	})
}

func BenchmarkFilter(b *testing.B) {
	env := at(nil, nil)
	in := shopCandidates(500)
	for _, src := range []string{`item.price < 50`, `item.price < 50 and item.brand != "a"`, `any(item.tags, # == "sale")`} {
		c, problems := CompileFilter(src, schema())
		if c == nil {
			b.Fatal(problems)
		}
		b.Run(src, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := c.Match(env, in[i%len(in)].Item); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{50, 500} {
		f := shopRules(n)
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			for b.Loop() {
				if s, problems := Compile([]File{f}, schema(), Options{}); s == nil {
					b.Fatal(problems)
				}
			}
		})
	}
}
