package rules

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// BenchmarkGrowth shows how the cost grows with rules and candidates, with facts and without.
//
//	go test -run '^$' -bench Growth -cpu 1 ./rules
func BenchmarkGrowth(b *testing.B) {
	env := shopper()
	for _, size := range []struct{ rules, items int }{{10, 500}, {50, 500}, {150, 500}, {500, 500}, {50, 100}, {50, 1000}, {50, 5000}} {
		s := compiled(b, shopRules(size.rules))
		plain := shopCandidates(size.items)
		for name, in := range map[string][]Candidate{"facts": informed(s, plain), "bare": plain} {
			b.Run(fmt.Sprintf("rules=%d/items=%d/%s", size.rules, size.items, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.Apply(env, s.Plan(env), in, 20, false)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size.rules*size.items), "ns/rule-item")
			})
		}
	}
}

// BenchmarkConditions evaluates the conditions of 50 rules for 500 items and nothing else, in four
// ways: by facts as a request does, by closures, in expr's machine, and as Go code by hand.
func BenchmarkConditions(b *testing.B) {
	env, s := shopper(), compiled(b, shopRules(50))
	in := informed(s, shopCandidates(500))
	f := newFrame(s.layout)
	f.begin(env)
	each := func(b *testing.B, test func(r *rule, j int)) {
		for b.Loop() {
			for _, r := range s.rules {
				if r.match != nil {
					for j := range in {
						test(r, j)
					}
				}
			}
		}
	}
	b.Run("facts", func(b *testing.B) {
		r := s.begin(env)
		defer s.end(r)
		r.plan = s.Plan(env)
		r.state = &planState{set: s, active: s.rules}
		r.take(in)
		r.prepare()
		for b.Loop() {
			for i := range s.rules {
				r.matches[i].done = false
				clear(r.matches[i].hits)
				if _, err := r.matched(i); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("closure", func(b *testing.B) {
		each(b, func(r *rule, j int) {
			f.row, f.cand = in[j].Facts.row, &in[j]
			_, _ = r.match.test(f)
		})
	})
	b.Run("machine", func(b *testing.B) {
		each(b, func(r *rule, j int) {
			f.row, f.cand = in[j].Facts.row, &in[j]
			_, _ = r.match.slow.run(f)
		})
	})
	b.Run("by-hand", func(b *testing.B) {
		hand := byHand(env)
		hits := 0
		for b.Loop() {
			for i := range s.rules {
				test := hand[i%len(hand)]
				for j := range in {
					if test != nil && test(&in[j]) {
						hits++
					}
				}
			}
		}
	})
}

// byHand are the conditions of shopRules as a programmer would write them over the same items.
func byHand(env *Env) []func(c *Candidate) bool {
	tops, average := env.User.Env["top_categories"].([]string), env.User.Env["avg_order_value"].(float64)
	number := func(c *Candidate, name string) float64 { v, _ := c.Item.Env[name].(float64); return v }
	whole := func(c *Candidate, name string) int { v, _ := c.Item.Env[name].(int); return v }
	text := func(c *Candidate, name string) string { v, _ := c.Item.Env[name].(string); return v }
	return []func(c *Candidate) bool{
		func(c *Candidate) bool {
			return contains(tops, text(c, "category")) && env.Now.Sub(c.Item.Env["created_at"].(time.Time)) < 14*24*time.Hour
		},
		func(c *Candidate) bool { return number(c, "margin") < 0.05 },
		func(c *Candidate) bool {
			return number(c, "price") < 50 && contains([]string{"a", "b", "c"}, text(c, "brand"))
		},
		func(c *Candidate) bool { return whole(c, "stock") <= 0 || c.Item.ID == "i7" || c.Item.ID == "i8" },
		func(c *Candidate) bool { return whole(c, "sales_7d") > 10 && !math.IsNaN(c.Base) },
		func(c *Candidate) bool { return number(c, "price") > average },
		func(c *Candidate) bool { return contains(c.Item.Env["tags"].([]string), "sale") },
		func(c *Candidate) bool { return text(c, "country") == "FR" },
		func(c *Candidate) bool { return whole(c, "sales_7d") > 4000 },
		nil,
	}
}
