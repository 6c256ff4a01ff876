//go:build unix

package main

import (
	"cmp"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// soakSize is how much one run does.
type soakSize struct{ rounds, events, users, items, batch, faults int }

// size reads SARTOR_SOAK_ROUNDS and SARTOR_SOAK_EVENTS over what the short or the long form does.
func (s *soakSize) fromEnv(t *testing.T) {
	for name, to := range map[string]*int{"SARTOR_SOAK_ROUNDS": &s.rounds, "SARTOR_SOAK_EVENTS": &s.events} {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				t.Fatalf("%s=%s: need a number", name, text)
			}
			*to = n
		}
	}
}

// TestSoak is the proof of the write path: real ingesters, a broker and a Redis that are killed, cut, set
// back and replaced while a shop with poison, repeats and lateness produces. After each round every
// entity must be what a fold in memory says. SARTOR_SOAK=1 does 200 rounds with 2 M events; without it
// every fault has its turn once. SARTOR_SOAK_SEED changes what is drawn; SARTOR_KAFKA, with
// SARTOR_KAFKA_RESTART to kill it, names a real broker.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes most of a minute")
	}
	faults := chaosFaults()
	size := soakSize{rounds: 8, events: 8 * 1500, users: 150, items: 60, batch: 40}
	if os.Getenv("SARTOR_SOAK") != "" {
		size = soakSize{rounds: 200, events: 2_000_000, users: 3000, items: 500, batch: 200}
	}
	size.fromEnv(t)
	size.faults = max(len(faults), size.rounds*3/2) // all have their turn, and rounds of several are as many as rounds of one
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("SARTOR_SOAK_SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d: %d rounds, %d events", seed, size.rounds, size.events)
	shop := newChaosShop(t, seed, size.users, size.items, size.events)
	w := newChaosWorld(t, seed, shop, size.batch)
	s := &soak{chaosWorld: w, size: size, faults: faults, tally: map[string]*soakTally{}}
	w.fresh("")
	s.readers = w.read()
	for round := range size.rounds {
		s.round(round)
	}
	s.readers.stop()
	s.report()
	s.plantedDifference()
	s.refusedEvents()
	s.rebuilt()
}

// soak is one run.
type soak struct {
	*chaosWorld
	size      soakSize
	faults    []chaosFault
	deck      []int // faults that have not had their turn
	dealt     int
	tally     map[string]*soakTally
	differing int
	entities  int
	erased    int
	slowest   time.Duration
	began     time.Time
	readers   *chaosReaders
}

// soakTally is what is said of one fault.
type soakTally struct {
	rounds, differing int
	forgotten         int64         // messages that Redis had applied and has forgotten
	slowest           time.Duration // from the end of a round with it to convergence
}

// deal returns the faults of a round: one or more, so that all have their turn equally often.
func (s *soak) deal(round int) []chaosFault {
	var out []chaosFault
	for upTo := s.size.faults * (round + 1) / s.size.rounds; s.dealt < max(upTo, round+1); s.dealt++ {
		if len(s.deck) == 0 {
			s.deck = s.rng.Perm(len(s.faults))
		}
		f := s.faults[s.deck[0]]
		if s.deck = s.deck[1:]; f.broker && !s.broker.mayDie() {
			continue
		}
		out = append(out, f)
	}
	return out
}

// round produces a part of the events while faults happen, and compares when all of it is applied.
func (s *soak) round(n int) {
	t := s.t
	t.Helper()
	if s.began.IsZero() {
		s.began = time.Now()
	}
	events, begin := s.size.events*(n+1)/s.size.rounds-s.shop.made, time.Now()
	faults := s.deal(n)
	work := s.produce(s.shop.batch(events), max(events/60, 10))
	forgotten := map[string]int64{}
	for i, f := range faults {
		part := float64(len(faults))
		r := &chaosRound{chaosWorld: s.chaosWorld, production: work, from: float64(i) / part, to: float64(i+1) / part}
		f.run(r)
		work.allow(r.to)
		forgotten[f.name] += r.forgotten
	}
	work.allow(1)
	<-work.done
	s.alive()
	took := s.settle()
	s.readers.judge()
	v := s.check()
	if v.differing > 0 {
		t.Errorf("round %d: %d of %d entities differ, the first: %s", n, v.differing, v.entities, v.first)
	}
	s.differing += v.differing
	s.entities, s.erased, s.slowest = v.entities, v.erased, max(s.slowest, took)
	var names []string
	for _, f := range faults {
		names = append(names, f.name)
		y := s.tally[f.name]
		if y == nil {
			y = &soakTally{}
			s.tally[f.name] = y
		}
		y.rounds++
		y.forgotten += forgotten[f.name]
		delete(forgotten, f.name)
		y.differing += v.differing
		y.slowest = max(y.slowest, took)
	}
	s.redis.tidy()
	t.Logf("round %d: %.1fs, of it %.1fs until all was applied: %s", n, time.Since(begin).Seconds(), took.Seconds(), strings.Join(names, "; "))
}

// report prints the table and checks the dead letters.
func (s *soak) report() {
	t := s.t
	t.Helper()
	found, missing, strange := s.lettersMissing()
	t.Logf("%-36s %6s %10s %10s %s", "fault", "rounds", "differing", "forgotten", "slowest convergence")
	for _, f := range s.faults {
		y := s.tally[f.name]
		if y == nil {
			if !f.broker || s.broker.mayDie() {
				t.Errorf("%s has had no turn", f.name)
			}
			continue
		}
		t.Logf("%-36s %6d %10d %10d %8.1fs", f.name, y.rounds, y.differing, y.forgotten, y.slowest.Seconds())
		if f.setsBack && y.forgotten == 0 {
			t.Errorf("%s: nothing was forgotten, the fault does not bite", f.name)
		}
	}
	t.Logf("%d rounds, %d events, %d poison messages (%d in the dead letters), %d entities, %d differing (%d erased users who came back hold nothing older)",
		s.size.rounds, s.shop.made, s.shop.poison, found, s.entities, s.differing, s.erased)
	t.Logf("%d recommendations were asked for meanwhile, %d answered with 200 (%d of them without the user's features)",
		s.readers.asked.Load(), s.readers.answered.Load(), s.readers.degraded.Load())
	t.Logf("%.0fs, slowest convergence %.1fs", time.Since(s.began).Seconds(), s.slowest.Seconds())
	if missing > 0 || strange > 0 {
		t.Errorf("of %d poison messages %d are not in the dead letters; %d letters are of no poison", s.shop.poison, missing, strange)
	}
}
