package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/kafka"
)

// childVariable makes the test binary a writer that is meant to be killed: "brokers folder".
const childVariable = "SARTOR_ARCHIVE_CHILD"

func TestMain(m *testing.M) {
	if args := strings.Fields(os.Getenv(childVariable)); len(args) == 2 {
		if err := writeForever(context.Background(), args[0], args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	counter := goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start")
	code := m.Run()
	if code == 0 {
		err := goleak.Find(counter)
		for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); {
			err = goleak.Find(counter) // looks for half a second, which is short on a busy machine
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// writeForever archives what the log holds, again and again.
func writeForever(ctx context.Context, brokers, dir string) error {
	fmt.Println("started")
	for {
		if err := writeOnce(ctx, brokers, dir); err != nil && !errors.Is(err, ErrMoved) {
			return err
		}
	}
}

var killed = []streams.Stream{streams.Behavior, streams.Orders}

func writeOnce(ctx context.Context, brokers, dir string) error {
	a, err := Open(ctx, dir, Options{MaxEvents: 100})
	if err != nil {
		return err
	}
	defer a.Close()
	open := map[string]*Partition{}
	at := func(topic string, n int) string { return fmt.Sprint(topic, n) }
	err = kafka.ReadAfter(ctx, kafka.Options{Brokers: []string{brokers}}, killed, func(topic string, n int) int64 {
		p, openErr := a.Partition(ctx, topic, n)
		if openErr != nil {
			panic(openErr) // ends the child, which the parent notices
		}
		open[at(topic, n)] = p
		return p.Next()
	}, func(r streams.Record) error {
		return open[at(r.Topic, r.Partition)].Apply(ctx, []streams.Record{r}, r.Offset)
	})
	if err != nil {
		return err
	}
	for _, p := range open {
		if err := p.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Processes that are killed at any moment, two at a time, neither lose nor double an event.
func TestKilledWriters(t *testing.T) {
	rounds := 8
	if os.Getenv("SARTOR_SOAK") != "" {
		rounds = 150
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	brokers, dir := c.ListenAddrs()[0], t.TempDir()
	options := kafka.Options{Brokers: []string{brokers}}
	if err := kafka.EnsureTopics(t.Context(), options, kafka.TopicSpec{Partitions: 2, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	p := kafka.NewProducer(options)
	defer p.Close()
	r := rand.New(rand.NewPCG(1, 2))
	written, deaths := 0, 0
	for range rounds {
		var children []*exec.Cmd
		for range 1 + r.IntN(2) {
			children = append(children, child(t, brokers, dir))
		}
		for range 5 {
			var events []streams.Event
			for range 100 {
				typ := []streams.Type{streams.CartAdd, streams.Order}[written%2]
				events = append(events, streams.Event{ID: fmt.Sprint("e", written), Type: typ, UserID: fmt.Sprint("u", written%13),
					Time: noon.Add(-time.Duration(r.IntN(72)) * time.Hour), Items: []streams.Line{{ItemID: "a", Quantity: 1}}})
				written++
			}
			if err := p.Write(t.Context(), events...); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(time.Duration(r.IntN(60)) * time.Millisecond) // any moment will do
		for _, cmd := range children {
			if err := cmd.Process.Kill(); err != nil {
				t.Error("a writer ended by itself: ", err)
			}
			_ = cmd.Wait() // it says that it was killed
			deaths++
		}
	}
	if err := writeOnce(t.Context(), brokers, dir); err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var want, got, inFiles []string
	line := func(r *streams.Record) string { return fmt.Sprintf("%v %+v", r.Position, r.Event) }
	if err := kafka.ReadAll(t.Context(), options, killed, func(r streams.Record) error { want = append(want, line(&r)); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(t.Context(), []string{"behavior", "orders"}, func(r *streams.Record) error { got = append(got, line(r)); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(want) != written || !slices.Equal(got, want) {
		t.Errorf("%d events were written, the log holds %d, the archive %d", written, len(want), len(got))
	}
	files := 0
	for _, topic := range []string{"behavior", "orders"} { // as Spark sees them
		keys, err := a.keys(t.Context(), topic+"/")
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			data, err := a.bucket.ReadAll(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			records, err := decodeAll(topic, data)
			if err != nil {
				t.Fatal(err)
			}
			files++
			for i := range records {
				inFiles = append(inFiles, line(&records[i]))
			}
		}
	}
	slices.Sort(inFiles)
	slices.Sort(want)
	if !slices.Equal(inFiles, want) {
		t.Errorf("the files hold %d events, want %d", len(inFiles), len(want))
	}
	t.Logf("%d events, %d kills, %d files, 0 lost, 0 twice", written, deaths, files)
}

// child starts a writer and waits until it runs.
func child(t *testing.T, brokers, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childVariable+"="+brokers+" "+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd
}
