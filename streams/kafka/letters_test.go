package kafka

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// allLetters reads the dead letters as an operator does.
func allLetters(t *testing.T, o Options) []Letter {
	t.Helper()
	var all []Letter
	if err := ReadLetters(testContext(t), o, func(l Letter) error { all = append(all, l); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLettersAreReplayed(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		makeTopics(t, o, 2)
		p := newTestProducer(t, o)
		// Orders on the topic of behavior are bad until somebody makes them good: here by reading the
		// topic of behavior as the orders'.
		order := []byte(`{"event_id":"e","type":"order","time":"2026-11-23T12:00:00Z","user_id":"u","total":1}`)
		write := func(value []byte, headers ...Header) {
			t.Helper()
			if err := p.WriteRaw(ctx, streams.Behavior, []byte("u"), value, headers...); err != nil {
				t.Fatal(err)
			}
		}
		write(order, Header{"trace", []byte("x")}, Header{HeaderReason, []byte("a lie")})
		write(nil)
		write(bytes.Repeat([]byte("x"), letterBytes+1))
		m := newMemory()
		stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}, Version: "v1"}, m.open)
		handled := func(n int64) func() bool {
			return func() bool {
				sum := int64(0)
				for _, f := range m.fences {
					sum += f + 1
				}
				return sum == n
			}
		}
		m.await(t, ctx, "three letters", handled(3))
		// A letter that is there twice, and a message that is no letter, change nothing.
		raw := letters(t, o)[0]
		twice := make([]Header, len(raw.Headers))
		for i, h := range raw.Headers {
			twice[i] = Header(h)
		}
		for _, headers := range [][]Header{twice, {{HeaderTopic, []byte("x")}}} {
			if err := p.WriteRaw(ctx, streams.DeadLetters, raw.Key, raw.Value, headers...); err != nil {
				t.Fatal(err)
			}
		}
		all := allLetters(t, o)
		if len(all) != 3 {
			t.Fatalf("%d letters: %+v", len(all), all)
		}
		l := all[0]
		if l.Origin.Topic != o.Topic(streams.Behavior) || l.Origin.Offset != 0 || l.Position.Topic != o.Topic(streams.DeadLetters) ||
			l.Reason != "type: order belongs on the orders stream, not on behavior" || l.Version != "v1" || time.Since(l.Received) > time.Hour ||
			string(l.Key) != "u" || !bytes.Equal(l.Value, order) || l.Cut != 0 || l.Replayed || len(l.Headers) != 1 || l.Headers[0].Key != "trace" {
			t.Errorf("letter %+v", l)
		}
		if all[1].Value != nil || all[2].Cut != letterBytes+1 || len(all[2].Value) != letterBytes {
			t.Errorf("tombstone %q, long value cut from %d to %d", all[1].Value, all[2].Cut, len(all[2].Value))
		}
		errs := p.Replay(ctx, all)
		if errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], ErrNotReplayable) ||
			errs[2].Error() != "the letter cannot be replayed: only "+strconv.Itoa(letterBytes)+" of its "+strconv.Itoa(letterBytes+1)+" bytes were kept" {
			t.Errorf("errors %v", errs)
		}
		// They are as bad as before, so they come back as new letters, and the old ones are done.
		m.await(t, ctx, "the letters again", handled(5))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		var open, done []string
		for _, l := range allLetters(t, o) {
			place := strconv.FormatInt(l.Origin.Offset, 10)
			if l.Replayed {
				done = append(done, place)
			} else {
				open = append(open, place)
			}
		}
		if strings.Join(done, " ") != "0 1" || strings.Join(open, " ") != "2 3 4" {
			t.Errorf("replayed %v, open %v", done, open)
		}
		messages := messages(t, o, streams.Behavior)
		if again := messages[3]; !bytes.Equal(again.Value, order) || header(again, "trace") != "x" || string(again.Key) != "u" ||
			header(again, HeaderReplayOf) != placeOf(all[0].Origin) || header(again, HeaderReason) != "" {
			t.Errorf("published again: %+v", again)
		}
	})
}

func TestLettersOfOtherTopicsStay(t *testing.T) {
	o := Options{Topics: map[streams.Stream]string{streams.Orders: "shop.orders"}}
	for topic, want := range map[string]bool{"shop.orders": true, "behavior": true, "orders": false, "dead-letters": false, "": false} {
		err := o.CanReplay(&Letter{Origin: streams.Position{Topic: topic}})
		if (err == nil) != want || err != nil && !errors.Is(err, ErrNotReplayable) {
			t.Errorf("%s: %v", topic, err)
		}
	}
	if err := o.CanReplay(&Letter{Origin: streams.Position{Topic: "behavior"}, Key: make([]byte, letterBytes/8)}); !errors.Is(err, ErrNotReplayable) {
		t.Errorf("a key that was cut: %v", err)
	}
	for _, err := range NewProducer(Options{}).Replay(testContext(t), make([]Letter, 2)) {
		if err == nil {
			t.Error("a producer without brokers replays")
		}
	}
}

func TestUnreachableTopicKeepsTheLetterOpen(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	if err := EnsureTopics(ctx, o, TopicSpec{Streams: []streams.Stream{streams.DeadLetters}}); err != nil {
		t.Fatal(err)
	}
	p := newTestProducer(t, o)
	l := Letter{Origin: streams.Position{Topic: o.Topic(streams.Orders), Offset: 7}, Reason: "r", Key: []byte("u"), Value: []byte("v")}
	if err := p.Replay(ctx, []Letter{l})[0]; err == nil || !strings.HasPrefix(err.Error(), "publish to topic "+o.Topic(streams.Orders)) {
		t.Errorf("got %v", err)
	}
	if left := messages(t, o, streams.DeadLetters); len(left) > 0 {
		t.Errorf("marked all the same: %+v", left)
	}
}

func TestSuperseded(t *testing.T) {
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	ctx := testContext(t)
	makeTopics(t, o, 2)
	p := newTestProducer(t, o)
	for _, key := range []string{"a", "b", "a"} {
		if err := p.WriteRaw(ctx, streams.Catalog, []byte(key), []byte("bad")); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.WriteRaw(ctx, streams.Behavior, []byte("a"), []byte("bad")); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	stop := member(t, o, ConsumerOptions{}, m.open)
	m.await(t, ctx, "four letters", func() bool {
		sum := int64(0)
		for _, f := range m.fences {
			sum += f + 1
		}
		return sum == 4
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	all := allLetters(t, o)
	newer, err := Superseded(ctx, o, all)
	if err != nil || len(all) != 4 {
		t.Fatalf("%d letters, %v", len(all), err)
	}
	for i, l := range all {
		first := string(l.Key) == "a" && l.Origin.Topic == o.Topic(streams.Catalog)
		for _, other := range all {
			first = first && (other.Origin.Topic != l.Origin.Topic || string(other.Key) != "a" || other.Origin.Offset >= l.Origin.Offset)
		}
		if newer[i] != first {
			t.Errorf("letter of %s %s/%d: newer %v", l.Key, l.Origin.Topic, l.Origin.Offset, newer[i])
		}
	}
	if newer, err := Superseded(ctx, o, nil); err != nil || len(newer) > 0 {
		t.Errorf("of nothing: %v, %v", newer, err)
	}
}

func TestPlanTopics(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		if err := EnsureTopics(ctx, o, TopicSpec{Streams: []streams.Stream{streams.Orders, streams.Users}, Partitions: 3, Retention: time.Hour}); err != nil {
			t.Fatal(err)
		}
		// The users' topic is taken for behavior's: it would keep one event of each user.
		o.Topics[streams.Behavior], o.Topics[streams.Users] = o.Topics[streams.Users], o.Topics[streams.Users]+"-new"
		plans, err := PlanTopics(ctx, o, TopicSpec{Partitions: 8, Replication: 1, Retention: 2 * time.Hour})
		if err != nil || len(plans) != len(streams.Streams()) {
			t.Fatalf("%+v, %v", plans, err)
		}
		by := map[streams.Stream]TopicPlan{}
		for i, p := range plans {
			if p.Stream != streams.Streams()[i] {
				t.Errorf("plan %d is of %s", i, p.Stream)
			}
			by[p.Stream] = p
		}
		orders := by[streams.Orders]
		if !orders.Exists || orders.Partitions != 3 || orders.Replication != 1 || orders.Policy != "delete" || orders.Retention != time.Hour || len(orders.Problems) > 0 ||
			len(orders.Warnings) != 2 || !strings.HasPrefix(orders.Warnings[0], "has 3 partitions, 8 are configured: left alone") || orders.Warnings[1] != "keeps events for 1h0m0s, 2h0m0s are configured" {
			t.Errorf("orders: %+v", orders)
		}
		if b := by[streams.Behavior]; !b.Exists || len(b.Problems) != 1 || !strings.Contains(b.Problems[0].Error(), "keeps only the last event of each user") {
			t.Errorf("behavior: %+v", b)
		}
		if u := by[streams.Users]; u.Exists || u.Partitions != 8 || u.Replication != 1 || u.Policy != "compact" || u.Retention != -1 || len(u.Warnings)+len(u.Problems) > 0 {
			t.Errorf("users: %+v", u)
		}
	})
	if _, err := PlanTopics(testContext(t), Options{Brokers: []string{"127.0.0.1:1"}}, TopicSpec{Wait: 50 * time.Millisecond}); err == nil {
		t.Error("a plan without a cluster")
	}
}
