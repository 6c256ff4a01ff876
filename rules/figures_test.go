package rules

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// figuresEnv asks for the long form, whose numbers are worth writing down.
const figuresEnv = "SARTOR_FIGURES"

// TestFigures prints what FIGURES.md says of speed, each figure beside what it is compared with, from one
// run on one processor. It judges nothing: times depend on the machine, and
// on who else uses it.
//
//	SARTOR_FIGURES=1 go test -count=1 -v -run TestFigures ./rules
func TestFigures(t *testing.T) {
	rounds := 3
	if os.Getenv(figuresEnv) != "" {
		rounds = 300
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	env, s := shopper(), compiled(t, shopRules(50))
	plain := shopCandidates(500)
	in := informed(s, plain)
	whole := timed(rounds, func() { s.Apply(env, s.Plan(env), in, 20, false) })
	t.Logf("50 rules x 500 candidates, whole answer: best %v, p50 %v, p99 %v, %.1f ns a rule and item", whole.best, whole.p50, whole.p99, float64(whole.p50.Nanoseconds())/25000)

	hand := timed(rounds, conditionsByHand(env, s, plain)).best
	ours := timed(rounds, conditionsByFacts(t, env, s, in)).best
	closures := timed(rounds, conditionsBy(env, s, in, func(r *rule, f *frame) { _, _ = r.match.test(f) })).best
	machine := timed(rounds, conditionsBy(env, s, in, func(r *rule, f *frame) { _, _ = r.match.slow.run(f) })).best
	naive := timed(max(3, rounds/10), conditionsInPlainExpr(t, env, s, plain)).best
	t.Logf("their conditions alone, best: facts %v, closures %v, our machine %v, plain expr %v, Go by hand %v", ours, closures, machine, naive, hand)
	t.Logf("ratios: plain expr / facts %.1f, plain expr / closures %.1f, by hand / facts %.2f, closures / by hand %.2f",
		ratioOf(naive, ours), ratioOf(naive, closures), ratioOf(hand, ours), ratioOf(closures, hand))

	for _, n := range []struct{ rules, items int }{{10, 500}, {50, 500}, {150, 500}, {500, 500}, {50, 100}, {50, 1000}, {50, 5000}} {
		s := compiled(t, shopRules(n.rules))
		in := informed(s, shopCandidates(n.items))
		took := timed(max(3, rounds/5), func() { s.Apply(env, s.Plan(env), in, 20, false) })
		t.Logf("%3d rules x %4d candidates: best %9v, p50 %9v, %5.1f ns a rule and item", n.rules, n.items, took.best, took.p50, float64(took.best.Nanoseconds())/float64(n.rules*n.items))
	}
}

func ratioOf(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }

// timing is that of many rounds. The best is what the code takes when nobody else uses the processor.
type timing struct{ best, p50, p99 time.Duration }

// timed runs something so many times, after a warm-up.
func timed(rounds int, do func()) timing {
	do()
	took := make([]time.Duration, rounds)
	for i := range took {
		start := time.Now()
		do()
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return timing{took[0], took[rounds/2], took[rounds*99/100]}
}

func conditionsByHand(env *Env, s *Set, in []Candidate) func() {
	hand, hits := byHand(env), 0
	return func() {
		for i := range s.rules {
			test := hand[i%len(hand)]
			for j := range in {
				if test != nil && test(&in[j]) {
					hits++
				}
			}
		}
	}
}

func conditionsBy(env *Env, s *Set, in []Candidate, test func(r *rule, f *frame)) func() {
	f := newFrame(s.layout)
	f.begin(env)
	return func() {
		for _, r := range s.rules {
			for j := range in {
				if r.match != nil {
					f.row, f.cand = in[j].Facts.row, &in[j]
					test(r, f)
				}
			}
		}
	}
}

func conditionsByFacts(t *testing.T, env *Env, s *Set, in []Candidate) func() {
	r := s.begin(env)
	t.Cleanup(func() { s.end(r) })
	r.plan, r.state = s.Plan(env), &planState{set: s, active: s.rules}
	r.take(in)
	r.prepare()
	return func() {
		for i := range s.rules {
			r.matches[i].done = false
			clear(r.matches[i].hits)
			if _, err := r.matched(i); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// conditionsInPlainExpr evaluates the same texts as a program would that knows nothing of rules: expr
// over nested maps, one virtual machine used again.
func conditionsInPlainExpr(t *testing.T, env *Env, s *Set, in []Candidate) func() {
	t.Helper()
	world := func(item map[string]any, base float64) map[string]any {
		return map[string]any{"item": item, "user": env.User.Env, "context": env.Context, "score": base,
			"lists": map[string]any{"recalled": []string{"i7", "i8"}},
			"age":   func(at time.Time) time.Duration { return env.Now.Sub(at) }, "days": func(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }}
	}
	var programs []*vm.Program
	for _, r := range s.rules {
		if r.match == nil {
			continue
		}
		p, err := expr.Compile(r.match.src, expr.Env(world(in[0].Item.Env, 0)), expr.AsBool())
		if err != nil {
			t.Fatal(fmt.Errorf("%s: %w", r.match.src, err))
		}
		programs = append(programs, p)
	}
	worlds := make([]map[string]any, len(in))
	for j := range in {
		worlds[j] = world(in[j].Item.Env, in[j].Base)
	}
	machine := vm.VM{}
	return func() {
		for _, p := range programs {
			for j := range worlds {
				if _, err := machine.Run(p, worlds[j]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
