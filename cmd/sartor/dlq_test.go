package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

// cli runs one command against a cluster and returns what it prints and its exit code.
func cli(t *testing.T, cluster *kfake.Cluster, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs,
		environ: []string{"SARTOR_KAFKA_BROKERS=" + strings.Join(cluster.ListenAddrs(), ","), "SARTOR_KAFKA_PARTITIONS=1", "SARTOR_LOG_LEVEL=error"}}
	code = a.execute(t.Context(), args)
	return out.String(), errs.String(), code
}

func oneBroker(t *testing.T) (*kfake.Cluster, kafka.Options) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster, kafka.Options{Brokers: cluster.ListenAddrs()}
}

// forgetful is a store that keeps nothing but its fence.
type forgetful struct{ next int64 }

func (f *forgetful) Next() int64 { return f.next }
func (f *forgetful) Apply(_ context.Context, _ []streams.Record, last int64) error {
	f.next = last + 1
	return nil
}
func (f *forgetful) Idle(context.Context) error { return nil }

// buryAll makes dead letters of the bad messages that the topics hold, until there are n.
func buryAll(t *testing.T, options kafka.Options, n int) {
	t.Helper()
	stop := background(t, func(ctx context.Context) error {
		consumer := kafka.NewConsumer(options, kafka.ConsumerOptions{Group: "g", Version: "1.2.3"})
		return consumer.Run(ctx, func(context.Context, string, int) (kafka.Partition, error) { return &forgetful{}, nil })
	})
	eventually(t, "the dead letters", func() bool {
		found := 0
		err := kafka.ReadLetters(t.Context(), options, func(kafka.Letter) error { found++; return nil })
		return err == nil && found == n
	})
	stop()
}

// deadShop is a cluster with four dead letters: two orders, of which one is null, and two bad items of one key.
func deadShop(t *testing.T) (*kfake.Cluster, kafka.Options, *kafka.Producer) {
	t.Helper()
	cluster, options := oneBroker(t)
	if _, stderr, code := cli(t, cluster, "topics", "apply"); code != exitOK {
		t.Fatal(stderr)
	}
	producer := kafka.NewProducer(options)
	t.Cleanup(func() { _ = producer.Close() })
	for _, m := range []struct {
		stream     streams.Stream
		key, value string
	}{{streams.Orders, "u-1", `{"type":"ordr","time":"2026-11-23T12:00:00Z","user_id":"u-1"}`}, {streams.Orders, "u-1", ""},
		{streams.Catalog, "a", "\x00old"}, {streams.Catalog, "a", "\x00new"}} {
		var value []byte
		if m.value != "" {
			value = []byte(m.value)
		}
		if err := producer.WriteRaw(t.Context(), m.stream, []byte(m.key), value, kafka.Header{Key: "trace", Value: []byte("t-1")}); err != nil {
			t.Fatal(err)
		}
	}
	buryAll(t, options, 4)
	return cluster, options, producer
}

func TestDLQ(t *testing.T) {
	cluster, options, _ := deadShop(t)
	letters := map[string]string{} // topic/offset -> name
	err := kafka.ReadLetters(t.Context(), options, func(l kafka.Letter) error {
		letters[l.Origin.Topic+"/"+string(rune('0'+l.Origin.Offset))] = letterID(&l)
		return nil
	})
	if err != nil || len(letters) != 4 {
		t.Fatalf("%v, %v", letters, err)
	}
	must := func(args ...string) string {
		t.Helper()
		out, stderr, code := cli(t, cluster, args...)
		if code != exitOK {
			t.Fatalf("%v: exit code %d: %s", args, code, stderr)
		}
		return out
	}
	out := must("dlq", "list", "--since", "1h")
	for _, want := range []string{"LETTER", "orders/0/0 ", "catalog/0/1 ", "\n4 listed; 4 open, 0 replayed. By reason:\n",
		"       2  catalog  not valid JSON at byte N: an event is one JSON object, found '\\xN'\n",
		`       1  orders  type: unknown type "…"; did you mean order?`} {
		if !strings.Contains(out, want) {
			t.Errorf("list lacks %q:\n%s", want, out)
		}
	}
	if out := must("dlq", "list", "--topic", "orders", "--reason", "did you mean", "--limit", "1"); !strings.Contains(out, "\n1 listed; 1 open, 0 replayed. By reason:") {
		t.Errorf("filtered:\n%s", out)
	}
	var described describedLetter
	if err := json.Unmarshal([]byte(must("dlq", "list", "--json", "--reason", "did you mean")), &described); err != nil ||
		described.Letter != letters["orders/0"] || described.Topic != "orders" || described.Version != "1.2.3" || described.Bytes != 61 {
		t.Errorf("%+v, %v", described, err)
	}
	out = must("dlq", "show", letters["orders/0"])
	for _, want := range []string{"from          topic orders, partition 0, offset 0\n", "refused by    sartor 1.2.3\n", `reason        type: unknown type "ordr"; did you mean order?`,
		"key           u-1\n", "header trace  t-1\n", "value       61 bytes:\n{\"type\":\"ordr\""} {
		if !strings.Contains(out, want) {
			t.Errorf("show lacks %q:\n%s", want, out)
		}
	}
	if out := must("dlq", "show", letters["catalog/0"]); !strings.Contains(out, "00000000  00 6f 6c 64") {
		t.Errorf("bytes that are no text:\n%s", out)
	}
	if out := must("dlq", "show", letters["orders/1"]); !strings.Contains(out, "value       none (null)\n") {
		t.Errorf("null:\n%s", out)
	}
	if out := must("dlq", "show", "--raw", letters["catalog/0"]); out != "\x00old" {
		t.Errorf("raw: %q", out)
	}
	if _, stderr, code := cli(t, cluster, "dlq", "show", "7/7"); code != exitFailed || !strings.Contains(stderr, "there is no letter 7/7") {
		t.Errorf("unknown letter: %d, %s", code, stderr)
	}
	if _, stderr, code := cli(t, cluster, "dlq", "replay"); code != exitUsage || !strings.Contains(stderr, "which letters?") {
		t.Errorf("replay of nothing: %d, %s", code, stderr)
	}
}

func TestDLQReplay(t *testing.T) {
	cluster, options, producer := deadShop(t)
	open := func() (open, replayed int) {
		t.Helper()
		if err := kafka.ReadLetters(t.Context(), options, func(l kafka.Letter) error {
			if l.Replayed {
				replayed++
			} else {
				open++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return open, replayed
	}
	// A dry run says what would happen and does nothing.
	out, stderr, code := cli(t, cluster, "dlq", "replay", "--all", "--dry-run")
	if code != exitFailed || out != "catalog: 1 letters would be published again\norders: 2 letters would be published again\n" ||
		stderr != "1 letters stay: the topic catalog has something newer of the same key\n" {
		t.Errorf("dry run: %d\n%s\n%s", code, out, stderr)
	}
	if o, r := open(); o != 4 || r != 0 {
		t.Errorf("after a dry run %d are open and %d replayed", o, r)
	}
	// The same for real; a second call finds nothing but what stays.
	out, _, code = cli(t, cluster, "dlq", "replay", "--all")
	if code != exitFailed || out != "catalog: 1 letters published again\norders: 2 letters published again\n" {
		t.Errorf("replay: %d\n%s", code, out)
	}
	if o, r := open(); o != 1 || r != 3 {
		t.Errorf("after the replay %d are open and %d replayed", o, r)
	}
	if out, _, code = cli(t, cluster, "dlq", "replay", "--topic", "orders"); code != exitOK || out != "no letters published again\n" {
		t.Errorf("again: %d\n%s", code, out)
	}
	if out, _, _ = cli(t, cluster, "dlq", "list"); !strings.Contains(out, "\n1 listed; 1 open, 3 replayed. By reason:") {
		t.Errorf("list after the replay:\n%s", out)
	}
	if out, _, _ = cli(t, cluster, "dlq", "list", "--replayed"); !strings.Contains(out, "\n4 listed; 1 open, 3 replayed. By reason:") {
		t.Errorf("list of all after the replay:\n%s", out)
	}
	// Letters can be named, and one that is not there is said.
	if err := producer.WriteRaw(t.Context(), streams.Behavior, []byte("u"), []byte("bad")); err != nil {
		t.Fatal(err)
	}
	buryAll(t, options, 8) // with the three that came back
	var name string
	if err := kafka.ReadLetters(t.Context(), options, func(l kafka.Letter) error {
		if l.Origin.Topic == "behavior" {
			name = letterID(&l)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	out, stderr, code = cli(t, cluster, "dlq", "replay", name, "9/9")
	if code != exitFailed || out != "behavior: 1 letters published again\n" || stderr != "there is no letter 9/9\n" {
		t.Errorf("named: %d\n%s\n%s", code, out, stderr)
	}
	if out, _, code = cli(t, cluster, "dlq", "replay", name); code != exitOK || out != "no letters published again\n1 were replayed before\n" {
		t.Errorf("named twice: %d\n%s", code, out)
	}
}

func TestKindsOfReasons(t *testing.T) {
	for reason, want := range map[string]string{
		`type: unknown type "ordr"; did you mean order?`:               `type: unknown type "…"; did you mean order?`,
		`not valid JSON at byte 90: expected a value`:                  `not valid JSON at byte N: expected a value`,
		`items[12].price: must be from 0 to 5; got "a \" b"…`:          `items[N].price: must be from N to N; got "…"`,
		strings.Repeat("é", 200):                                       strings.Repeat("é", 100) + "…",
		"time: is 1h0m0s ahead of the time at which the log received ": "time: is NhNmNs ahead of the time at which the log received ",
	} {
		if got := kind(reason); got != want {
			t.Errorf("%q\ngot  %q\nwant %q", reason, got, want)
		}
	}
}

func TestLetterFilter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	l := kafka.Letter{Origin: streams.Position{Topic: "orders"}, Reason: "price: is odd", Received: now.Add(-time.Hour)}
	for name, c := range map[string]struct {
		f    letterFilter
		want bool
	}{
		"none": {letterFilter{}, true}, "topic": {letterFilter{topic: "orders"}, true}, "other-topic": {letterFilter{topic: "order"}, false},
		"reason": {letterFilter{reason: "odd"}, true}, "other-reason": {letterFilter{reason: "even"}, false},
		"since": {letterFilter{since: time.Hour}, true}, "too-old": {letterFilter{since: time.Hour - 1}, false},
	} {
		if got := c.f.match(&l, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTopicsCommand(t *testing.T) {
	cluster, options := oneBroker(t)
	out, stderr, code := cli(t, cluster, "topics", "plan")
	if code != exitOK || !strings.Contains(out, "orders        orders        missing  1           1         delete   broker's default\n") ||
		!strings.HasSuffix(out, "\n6 topics would be made: sartor topics apply\n") {
		t.Errorf("plan: %d, %s\n%s", code, stderr, out)
	}
	if out, stderr, code = cli(t, cluster, "topics", "apply"); code != exitOK || !strings.HasSuffix(out, "\n6 topics made\n") {
		t.Errorf("apply: %d, %s\n%s", code, stderr, out)
	}
	if out, _, code = cli(t, cluster, "topics", "apply"); code != exitOK || !strings.HasSuffix(out, "\nnothing to do\n") || strings.Contains(out, "missing") {
		t.Errorf("apply again: %d\n%s", code, out)
	}
	if out, _, code = cli(t, cluster, "topics", "plan", "--partitions", "9"); code != exitOK || !strings.Contains(out, "warning: topic users has 1 partitions, 9 are configured: left alone") {
		t.Errorf("other partitions: %d\n%s", code, out)
	}
	// The names of a compacted topic and another swapped: dangerous, and nothing is made.
	swapped := []string{"--set", "kafka.topics.users=orders", "--set", "kafka.topics.orders=users", "--set", "kafka.topics.behavior=new"}
	out, _, code = cli(t, cluster, append([]string{"topics", "plan"}, swapped...)...)
	if code != exitFailed || !strings.Contains(out, "WRONG") || !strings.Contains(out, "problem: topic orders has cleanup.policy=delete") {
		t.Errorf("dangerous plan: %d\n%s", code, out)
	}
	_, stderr, code = cli(t, cluster, append([]string{"topics", "apply"}, swapped...)...)
	if code != exitFailed || !strings.Contains(stderr, "nothing is made while existing topics have problems") {
		t.Errorf("dangerous apply: %d, %s", code, stderr)
	}
	options.Topics = map[streams.Stream]string{streams.Behavior: "new"}
	plans, err := kafka.PlanTopics(t.Context(), options, kafka.TopicSpec{Streams: []streams.Stream{streams.Behavior}})
	if err != nil || len(plans) != 1 || plans[0].Exists {
		t.Errorf("after a refused apply: %+v, %v", plans, err)
	}
	if _, stderr, code := cli(t, cluster, "topics", "plan", "--brokers", ""); code != exitUsage || !strings.Contains(stderr, "topics plan needs Kafka: use --brokers or set kafka.brokers") {
		t.Errorf("without brokers: %d, %s", code, stderr)
	}
}

func TestFormatsAreConfigured(t *testing.T) {
	cluster, _ := oneBroker(t)
	_, stderr, code := cli(t, cluster, "topics", "plan", "--set", "kafka.formats.orders=xml")
	if code != exitUsage || !strings.Contains(stderr, `kafka.formats.orders: "xml" is not one of auto, native, segment, cloudevents`) {
		t.Errorf("%d, %s", code, stderr)
	}
	cfg := defaultConfig()
	cfg.Kafka.Formats.Users = "segment"
	if f := cfg.Kafka.Formats.formats(); f[streams.Users] != "segment" || f[streams.Orders] != "auto" || len(f) != len(consumed()) {
		t.Errorf("%v", f)
	}
}
