package kafka

import (
	"os"
	"os/exec"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

// TestRealBrokerIsKilled needs, besides SARTOR_KAFKA, a shell command in SARTOR_KAFKA_RESTART that
// kills that broker and starts it again, like
//
//	d=deploy/kafka-it; $d/run.sh kill DIR && $d/run.sh start 4.3.1 DIR 19092
func TestRealBrokerIsKilled(t *testing.T) {
	address, restart := os.Getenv("SARTOR_KAFKA"), os.Getenv("SARTOR_KAFKA_RESTART")
	if address == "" || restart == "" {
		t.Skip("SARTOR_KAFKA and SARTOR_KAFKA_RESTART are not set to a broker and a command that restarts it")
	}
	o := testOptions(t, []string{address})
	ctx := testContext(t)
	makeTopics(t, o, 4)
	p := newTestProducer(t, o)
	m := newMemory()
	stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}}, m.open)
	const users, rounds = 50, 3
	written := make(chan error, 1)
	all := views(users, 0, 200)
	progress := make(chan int, len(all))
	go func() { // writes on, whatever happens to the broker
		defer close(progress)
		for i := 0; i < len(all); i += 20 {
			part := all[i : i+20]
			for p.Write(ctx, part...) != nil {
				if ctx.Err() != nil {
					written <- ctx.Err()
					return
				}
			}
			progress <- i
		}
		written <- nil
	}()
	for range rounds {
		for range len(all) / 20 / (rounds + 1) {
			<-progress
		}
		if out, err := exec.CommandContext(ctx, "sh", "-c", restart).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", restart, err, out)
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	// A write that failed may have reached the log, and was repeated: the log says how often.
	inLog := map[string]int{}
	for _, r := range readAll(t, o, streams.Behavior) {
		inLog[r.Event.ID]++
	}
	total := 0
	for _, e := range all {
		if inLog[e.ID] == 0 {
			t.Errorf("%s was acknowledged and is not in the log", e.ID)
		}
		total += inLog[e.ID]
	}
	m.await(t, ctx, "all", func() bool { return len(m.records) == total })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for id, n := range inLog {
		if m.effects[id] != n {
			t.Errorf("%s is %d times in the log and was applied %d times", id, n, m.effects[id])
		}
	}
	t.Logf("%d events, %d in the log, %d kills", len(all), total, rounds)
}
