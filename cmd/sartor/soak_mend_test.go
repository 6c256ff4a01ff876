//go:build unix

package main

import (
	"cmp"
	"context"
	"os/exec"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams/kafka"
)

// anyUser returns the n-th user by name who was never erased.
func (s *soak) anyUser(n int) features.Entity {
	s.t.Helper()
	var users []features.Entity
	for e, st := range s.shop.want {
		if e.Kind == features.UserEntity && st.RemovedAt == 0 && strings.HasPrefix(e.ID, "u") {
			users = append(users, e)
		}
	}
	if len(users) <= n {
		s.t.Fatalf("the shop has %d users", len(users))
	}
	slices.SortFunc(users, func(a, b features.Entity) int { return cmp.Compare(a.ID, b.ID) })
	return users[n]
}

// plantedDifference is the control: one event that the fold does not know is seen, at its user and its item.
func (s *soak) plantedDifference() {
	t := s.t
	t.Helper()
	p, err := s.store.Partition(t.Context(), "planted", 0)
	if err != nil {
		t.Fatal(err)
	}
	e := order(1, s.anyUser(0).ID, "i1", 1, 100)
	if err := p.Apply(t.Context(), []redisstore.Folded{{Offset: 0, Deltas: features.Default().Fold(&e)}}, 0); err != nil {
		t.Fatal(err)
	}
	v := s.check()
	if v.differing != 2 {
		t.Errorf("a planted order made %d entities differ, want its user and its item", v.differing)
	}
	t.Logf("control: one planted order makes %d entities differ", v.differing)
}

// refusedEvents spoils a user's keys, so that Redis will never take that user's events. They go to the
// dead letters, also when the ingester dies before it has written one, and nobody else is touched.
func (s *soak) refusedEvents() {
	t := s.t
	t.Helper()
	ctx, user := t.Context(), s.anyUser(1)
	keys := s.redis.admin.Keys(ctx, "*:"+user.ID).Val()
	if len(keys) == 0 {
		t.Fatalf("no key ends with the name of user %s", user.ID)
	}
	for _, key := range keys {
		s.redis.must(s.redis.admin, "DEL", key)
		s.redis.must(s.redis.admin, "SADD", key, "not ours") // no key of ours is a set
	}
	messages := s.shop.batch(150)
	for range 3 {
		e := order(s.shop.made, user.ID, "i2", 1, 100)
		messages = append(messages, chaosMessage{event: s.shop.owe(e)})
		s.shop.made++
	}
	dying := s.fresh("refused")
	work := s.produce(messages, 50)
	work.allow(1)
	<-work.done
	dying.wait(ctx, "the ingester to die at refused")
	s.fresh("")
	s.settle()
	refused := 0
	if err := kafka.ReadLetters(ctx, s.kafka, func(l kafka.Letter) error {
		if l.Refused {
			refused++
			if !strings.Contains(l.Reason, "WRONGTYPE") {
				t.Errorf("a refused event has the reason %s", l.Reason)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys { // somebody mends it
		s.redis.must(s.redis.admin, "DEL", key)
	}
	v := s.check()
	if refused < 3 || v.differing != 3 {
		t.Errorf("%d events were refused, want at least 3; %d entities differ, want the spoiled user and the two planted; the first: %s", refused, v.differing, v.first)
	}
	t.Logf("a user whose key is spoiled: %d events in the dead letters, %d other entities differ, nothing waits", refused, v.differing-3)
}

// rebuilt rebuilds the features from the log with the command, and wants all of them right.
func (s *soak) rebuilt() {
	t := s.t
	t.Helper()
	s.command("features", "rebuild", "--name", "mended")
	store := redisstore.New(redisstore.Options{Addrs: []string{s.redis.addr}, Shards: chaosShards}, features.Default())
	defer store.Close()
	if err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err := s.shop.compare(t.Context(), store)
	if err != nil || store.Namespace() != "mended" {
		t.Fatalf("namespace %q, %v", store.Namespace(), err)
	}
	if v.differing != 0 {
		t.Errorf("after 'sartor features rebuild' %d of %d entities differ, the first: %s", v.differing, v.entities, v.first)
	}
	lines := strings.Split(strings.TrimSpace(s.command("features", "verify")), "\n")
	t.Logf("after 'sartor features rebuild' %d of %d entities differ; 'sartor features verify': %s", v.differing, v.entities, lines[len(lines)-1])
}

// command runs sartor to its end.
func (s *soak) command(args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Env = append(plainEnviron(), s.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("sartor %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
