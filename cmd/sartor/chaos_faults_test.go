//go:build unix

package main

import (
	"fmt"
	"slices"
	"syscall"
)

// chaosRound is what a fault may play with: the world while a production is under way.
type chaosRound struct {
	*chaosWorld
	*production
	from, to  float64 // the shares of the production between which the fault happens
	forgotten int64   // messages that Redis had applied and has forgotten
}

// between lets this fault's part be written and waits until a share of it is.
func (r *chaosRound) between(share float64) {
	r.chaosWorld.t.Helper()
	r.allow(r.to)
	r.at(r.from + share*(r.to-r.from))
}

// chaosFault is one thing that goes wrong. When run returns, servers run again; members may not.
type chaosFault struct {
	name     string
	broker   bool // needs a broker that may be killed
	setsBack bool // makes Redis forget
	run      func(r *chaosRound)
}

// chaosFaults is everything that issue 3 lists.
func chaosFaults() []chaosFault {
	faults := []chaosFault{
		{"SIGKILL of the ingester at random", false, false, killAtRandom},
		{"broker killed", true, false, killBroker},
		{"Redis killed", false, false, func(r *chaosRound) { killRedis(r, -1, func() { r.redis.start("yes") }) }},
		{"Redis AOF tail cut", false, true, cutTail},
		{"Redis older AOF restored", false, true, olderAOF},
		{"Redis older RDB restored", false, true, olderRDB},
		{"Redis lagging replica promoted", false, true, promote},
		{"Redis flushed, rebuilt from the log", false, true, flushAll},
		{"zombie of another group", false, false, zombieOfAnotherGroup},
		{"zombie past its session", false, false, zombiePastItsSession},
		{"rebalance: joins, leaves", false, false, rebalance},
	}
	for _, point := range []string{"opened", "before-letters", "letters-written", "before-apply", "during-apply", "applied",
		"before-commit", "committed", "before-flush", "during-flush", "flushed"} {
		faults = append(faults, chaosFault{"SIGKILL at " + point, false, false, func(r *chaosRound) { killAtPoint(r, point) }})
	}
	for _, point := range []string{"rebalance", "rebalance-committed"} {
		faults = append(faults, chaosFault{"SIGKILL at " + point, false, false, func(r *chaosRound) { killInRebalance(r, point) }})
	}
	return faults
}

func killAtRandom(r *chaosRound) {
	for range 1 + r.rng.IntN(3) {
		r.alive()
		r.between(r.rng.Float64())
		r.members[r.rng.IntN(len(r.members))].kill()
	}
}

// killAtPoint has the ingester die at a place of the code.
func killAtPoint(r *chaosRound, point string) {
	r.between(0.5 * r.rng.Float64())
	p := r.fresh(fmt.Sprintf("%s:%d", point, 1+r.rng.IntN(3)))
	p.wait(r.chaosWorld.t.Context(), "the ingester to die at "+point)
	if !p.killed() {
		r.chaosWorld.t.Fatalf("at %s the ingester ended by itself: %v\n%s", point, p.err, p.tail())
	}
}

// killInRebalance has a member die while it gives up its partitions, because another one joins.
func killInRebalance(r *chaosRound, point string) {
	r.between(0.3 * r.rng.Float64())
	p := r.fresh(fmt.Sprintf("%s:%d", point, 1+r.rng.IntN(3)))
	r.assigned(p)
	second := r.join("")
	p.wait(r.chaosWorld.t.Context(), "the member to die at "+point)
	if !p.killed() {
		r.chaosWorld.t.Fatalf("at %s the member ended by itself: %v\n%s", point, p.err, p.tail())
	}
	second.kill() // it would wait for the dead member's session, which another fault does
}

func killBroker(r *chaosRound) {
	r.alive()
	r.between(r.rng.Float64())
	r.broker.killAndRestart(func() {})
}

// killRedis kills the server under load, when more than since is applied, brings it back by again, and
// notes what it has forgotten.
func killRedis(r *chaosRound, since int64, again func()) {
	r.alive()
	r.between(0.5 + 0.5*r.rng.Float64())
	before := r.position()
	eventually(r.chaosWorld.t, "something to be applied", func() bool { before = r.position(); return before > since })
	r.redis.proc.kill()
	r.members = slices.DeleteFunc(r.members, (*process).ended)
	for _, p := range r.members { // only so long that what is forgotten can be counted
		p.signal(syscall.SIGSTOP)
	}
	again()
	r.forgotten += max(0, before-r.position())
	for _, p := range r.members {
		p.signal(syscall.SIGCONT)
	}
}

// position is how many messages are applied for good, while Redis is there.
func (r *chaosRound) position() int64 {
	r.chaosWorld.t.Helper()
	at, err := r.applied(r.chaosWorld.t.Context())
	if err != nil {
		r.chaosWorld.t.Fatal(err)
	}
	return at
}

func cutTail(r *chaosRound) {
	killRedis(r, r.position(), func() {
		r.redis.cut(1 + r.rng.Int64N(1_000_000))
		r.redis.start("yes")
	})
}

func olderAOF(r *chaosRound) {
	r.between(0.4 * r.rng.Float64())
	restore := r.redis.copyAppendOnly()
	killRedis(r, r.position(), func() { // of after the copy, so that what comes then is lost
		restore()
		r.redis.start("yes")
	})
}

func olderRDB(r *chaosRound) {
	r.between(0.4 * r.rng.Float64())
	start := r.redis.snapshot()
	killRedis(r, r.position(), start)
}

func promote(r *chaosRound) {
	detach, promote := r.redis.replica()
	r.between(0.4 * r.rng.Float64())
	detach()
	killRedis(r, r.position(), promote)
}

func flushAll(r *chaosRound) {
	r.alive()
	r.between(r.rng.Float64())
	eventually(r.chaosWorld.t, "something to be applied", func() bool { return r.position() > 0 })
	r.forgotten += r.position()
	r.redis.must(r.redis.admin, "FLUSHALL")
}

// zombieOfAnotherGroup stops a member in the middle of its work and lets it go on when another has done
// it: nothing but the fences keeps it from writing.
func zombieOfAnotherGroup(r *chaosRound) {
	zombie, since := r.fresh(""), r.position()
	r.allow(r.from + 0.4*(r.to-r.from))
	eventually(r.chaosWorld.t, "the zombie to be at work", func() bool { return r.position() > since })
	zombie.signal(syscall.SIGSTOP)
	r.members = nil
	r.fresh("") // beside it
	r.between(1)
	r.settleSoon()
	zombie.signal(syscall.SIGCONT)
	eventually(r.chaosWorld.t, "the zombie to be refused", func() bool { return zombie.said("reading again from there") })
	zombie.kill()
}

// settleSoon waits until the members have applied about what is written now; Redis may be away.
func (r *chaosRound) settleSoon() {
	ends, err := r.ends(r.chaosWorld.t.Context())
	if err != nil {
		r.chaosWorld.t.Fatal(err)
	}
	total := count(ends)
	eventually(r.chaosWorld.t, "what is written to be applied", func() bool {
		at, err := r.applied(r.chaosWorld.t.Context())
		return err == nil && at >= total
	})
}

// zombiePastItsSession stops a member until the group has given its partitions to another.
func zombiePastItsSession(r *chaosRound) {
	zombie := r.fresh("")
	r.assigned(zombie)
	r.between(0.3 * r.rng.Float64())
	zombie.signal(syscall.SIGSTOP)
	second := r.join("")
	r.assigned(second) // when the session of the zombie is over
	r.between(1)
	zombie.signal(syscall.SIGCONT)
	if r.rng.IntN(2) == 0 {
		second.signal(syscall.SIGTERM)
		second.wait(r.chaosWorld.t.Context(), "the second member to leave")
	}
}

// rebalance lets a second member join and one of the two leave, while there is work.
func rebalance(r *chaosRound) {
	first := r.fresh("")
	r.assigned(first)
	r.between(0.3 * r.rng.Float64())
	second := r.join("")
	r.assigned(second)
	leaving := []*process{first, second}[r.rng.IntN(2)]
	leaving.signal(syscall.SIGTERM)
	leaving.wait(r.chaosWorld.t.Context(), "a member to leave")
	if leaving.err != nil {
		r.chaosWorld.t.Fatalf("a member that was asked to leave ended with %v\n%s", leaving.err, leaving.tail())
	}
}
