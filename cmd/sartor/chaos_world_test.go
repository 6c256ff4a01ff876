//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

// The numbers of a world of faults: few enough for one machine, enough for everything to meet.
const (
	chaosPartitions = 4
	chaosShards     = 16
)

// chaosWorld is a broker, a Redis, members of the group, and a shop that knows what must come out.
type chaosWorld struct {
	t        *testing.T
	rng      *rand.Rand
	broker   *chaosBroker
	redis    *chaosRedis
	shop     *chaosShop
	kafka    kafka.Options
	store    *redisstore.Store // of the judge
	producer *kafka.Producer
	env      []string
	binary   string

	folded  map[place]int64 // behind what of the log is folded
	members []*process
	group   string
	groups  int
}

func newChaosWorld(t *testing.T, seed uint64, shop *chaosShop, batch int) *chaosWorld {
	t.Helper()
	redisstore.RedirectClientLog(slog.New(slog.DiscardHandler)) // it would tell of each connection that a killed server drops
	redis := newChaosRedis(t)                                   // skips the test where there is none
	w := &chaosWorld{t: t, folded: map[place]int64{}, rng: rand.New(rand.NewPCG(seed, 2)), redis: redis, broker: newChaosBroker(t), shop: shop, binary: buildSartor(t)}
	topics, set := map[streams.Stream]string{}, func(key, value string) { w.env = append(w.env, envPrefix+key+"="+value) }
	for _, s := range streams.Streams() {
		topics[s] = fmt.Sprintf("chaos-%d-%d-%s", os.Getpid(), time.Now().UnixNano(), s)
		set("KAFKA_TOPICS_"+strings.ToUpper(strings.ReplaceAll(string(s), "-", "_")), topics[s])
	}
	set("KAFKA_BROKERS", strings.Join(w.broker.addrs, ","))
	set("KAFKA_PARTITIONS", strconv.Itoa(chaosPartitions))
	set("KAFKA_BATCH_EVENTS", strconv.Itoa(batch))
	set("REDIS_ADDRS", w.redis.addr)
	set("REDIS_SHARDS", strconv.Itoa(chaosShards))
	a := &app{config: defaultConfig(), logger: slog.New(slog.DiscardHandler)} // the judge reads the log as ingest does
	a.config.Kafka.Brokers = w.broker.addrs
	wiring, err := a.newWiring()
	if err != nil {
		t.Fatal(err)
	}
	w.kafka = wiring.kafka
	w.kafka.Topics, w.kafka.Registerer = topics, nil
	if err := kafka.EnsureTopics(t.Context(), w.kafka, kafka.TopicSpec{Partitions: chaosPartitions}); err != nil {
		t.Fatal(err)
	}
	w.producer = kafka.NewProducer(w.kafka)
	t.Cleanup(func() { _ = w.producer.Close() })
	w.store = redisstore.New(redisstore.Options{Addrs: []string{w.redis.addr}, Shards: chaosShards}, features.Default())
	t.Cleanup(func() { _ = w.store.Close() })
	if err := w.store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// join starts a member of the current group that dies at a fault point, or at none. Where to resume is
// never the group's to say, so that a new group begins at once where the old one would wait for a
// dead member.
func (w *chaosWorld) join(fault string) *process {
	w.t.Helper()
	p := launch(w.t, append(slices.Clone(w.env), "FAULTPOINT_SARTOR="+fault), nil, w.binary, "ingest", "--group", w.group)
	w.members = append(w.members, p)
	return p
}

// fresh kills all members and starts one in a new group.
func (w *chaosWorld) fresh(fault string) *process {
	w.t.Helper()
	for _, p := range w.members {
		p.kill()
	}
	w.members = nil
	w.groups++
	w.group = fmt.Sprintf("%s-%d", w.kafka.Topics[streams.Orders], w.groups)
	return w.join(fault)
}

// alive makes sure that somebody ingests.
func (w *chaosWorld) alive() {
	w.t.Helper()
	running := slices.DeleteFunc(slices.Clone(w.members), (*process).ended)
	if w.members = running; len(running) == 0 {
		w.fresh("")
	}
}

// assigned waits until a member has partitions.
func (w *chaosWorld) assigned(p *process) {
	w.t.Helper()
	eventually(w.t, "partitions to be assigned", func() bool {
		if p.ended() {
			w.t.Fatalf("sartor ingest has ended by itself: %v\n%s", p.err, p.tail())
		}
		return p.said("kafka partitions assigned")
	})
}

// consumedTopics are the real names of what is ingested.
func (w *chaosWorld) ends(ctx context.Context) (map[string][]int64, error) {
	return kafka.Ends(ctx, w.kafka, consumed())
}

// applied returns how many messages are applied for good, by the fences in Redis.
func (w *chaosWorld) applied(ctx context.Context) (int64, error) {
	var sum int64
	for _, s := range consumed() {
		for n := range chaosPartitions {
			p, err := w.store.Partition(ctx, w.kafka.Topic(s), n)
			if err != nil {
				return 0, err
			}
			sum += p.Next()
		}
	}
	return sum, nil
}

// settle waits until everything that is in the log is applied, and returns how long that took.
func (w *chaosWorld) settle() time.Duration {
	t := w.t
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
	defer cancel()
	ends, err := w.ends(ctx)
	if err != nil {
		t.Fatal(err)
	}
	total, at := count(ends), int64(0)
	done := func() bool {
		for _, p := range w.members {
			if p.ended() {
				t.Fatalf("sartor ingest has ended by itself: %v\n%s", p.err, p.tail())
			}
		}
		if at, err = w.applied(ctx); err != nil {
			return false
		}
		if at > total {
			t.Fatalf("%d messages are applied and the log has %d", at, total)
		}
		return at == total
	}
	if !done() && !every(ctx, 20*time.Millisecond, done) {
		t.Fatalf("stuck at %d of %d messages (%v)\n%s", at, total, err, w.members[len(w.members)-1].tail())
	}
	return time.Since(begin)
}

// check folds what the log has got since the last time, in which nothing that was acknowledged may be
// missing, and compares everything with the fold.
func (w *chaosWorld) check() chaosVerdict {
	w.t.Helper()
	w.readLog()
	if n := len(w.shop.owed); n > 0 {
		w.t.Errorf("%d events were acknowledged and are not in the log", n)
	}
	v, err := w.shop.compare(w.t.Context(), w.store)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// readLog folds the new part of the log.
func (w *chaosWorld) readLog() {
	w.t.Helper()
	sources, done, err := kafka.Sources(w.t.Context(), w.kafka, consumed(), func(topic string, partition int) int64 {
		return w.folded[place{topic, partition}]
	})
	if err != nil {
		w.t.Fatal(err)
	}
	defer done()
	for _, s := range sources {
		if err := s.Read(w.t.Context(), func(r *streams.Record) error { w.shop.take(&r.Event); return nil }); err != nil {
			w.t.Fatal(err)
		}
		w.folded[place{s.Topic, s.Partition}] = s.Next
	}
}

// production writes messages, each until it is acknowledged, whatever happens to the broker.
type production struct {
	t       *testing.T
	total   int
	piece   int // written at once
	written atomic.Int64
	gate    atomic.Int64 // no more than so many may be written yet
	done    chan struct{}
}

// allow lets the production go on up to a share.
func (p *production) allow(share float64) { p.gate.Store(int64(share * float64(p.total))) }

// produce starts a production in pieces, which waits at its gate.
func (w *chaosWorld) produce(messages []chaosMessage, piece int) *production {
	p := &production{t: w.t, total: len(messages), piece: piece, done: make(chan struct{})}
	ctx := w.t.Context()
	go func() {
		defer close(p.done)
		for chunk := range slices.Chunk(messages, piece) {
			open := func() bool {
				return p.written.Load()+int64(len(chunk)) <= p.gate.Load() || p.gate.Load() == int64(p.total)
			}
			if !open() && !every(ctx, time.Millisecond, open) {
				return
			}
			w.write(ctx, chunk)
			p.written.Add(int64(len(chunk)))
		}
	}()
	return p
}

// write writes a piece until all of it is acknowledged. What failed is written again though it may be
// in the log: its id says that it is a repeat.
func (w *chaosWorld) write(ctx context.Context, chunk []chaosMessage) {
	var events []streams.Event
	for _, m := range chunk {
		if m.poison == nil {
			events = append(events, m.event)
			continue
		}
		for w.producer.WriteRaw(ctx, m.stream, []byte(m.key), m.poison) != nil && ctx.Err() == nil {
		}
	}
	for len(events) > 0 && ctx.Err() == nil {
		err := w.producer.Write(ctx, events...)
		var failed *kafka.WriteError
		if err == nil {
			return
		}
		if errors.As(err, &failed) {
			var left []streams.Event
			for i, err := range failed.Errs {
				if err != nil {
					left = append(left, events[i])
				}
			}
			events = left
		}
	}
}

// at waits until the share of the messages is written.
func (p *production) at(share float64) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*deadline)
	defer cancel()
	reached := func() bool { // the gate stops in front of the piece that would pass it
		return float64(p.written.Load()) >= share*float64(p.total)-float64(p.piece) || p.written.Load() == int64(p.total)
	}
	if !reached() && !every(ctx, time.Millisecond, reached) {
		p.t.Fatalf("only %d of %d messages could be written", p.written.Load(), p.total)
	}
}

// lettersMissing compares the dead letters with the poison that was made.
func (w *chaosWorld) lettersMissing() (found, missing, strange int) {
	w.t.Helper()
	want := map[string]bool{}
	for n := range w.shop.poison {
		want[fmt.Sprintf("poison-%d", n+1)] = true
	}
	seen := map[string]bool{}
	if err := kafka.ReadLetters(w.t.Context(), w.kafka, func(l kafka.Letter) error {
		if seen[string(l.Key)] = true; !want[string(l.Key)] {
			strange++
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	maps.DeleteFunc(want, func(key string, _ bool) bool { return seen[key] })
	return len(seen), len(want), strange
}
