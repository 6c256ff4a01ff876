package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sartorhq/sartor/deploy/devstack"
	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/file"
)

// pipeline is the two servers and what the processes need to know about them.
type pipeline struct {
	t      *testing.T
	stack  *devstack.Stack
	store  *redisstore.Store
	topics map[streams.Stream]string
	env    []string
	events int64 // in the recording
}

// The topics of a recording of orders, and their partitions.
var pipelineStreams = []streams.Stream{streams.Orders, streams.Catalog}

const pipelinePartitions = 4

func newPipeline(ctx context.Context, t *testing.T, path string) *pipeline {
	t.Helper()
	p := &pipeline{t: t, topics: map[streams.Stream]string{}}
	name := fmt.Sprintf("sartor-it-%d-%d-", os.Getpid(), time.Now().UnixNano())
	for _, s := range streams.Streams() {
		p.topics[s] = name + string(s)
	}
	var brokers []string
	if given := os.Getenv("SARTOR_KAFKA"); given != "" {
		brokers = strings.Split(given, ",")
	}
	var err error
	p.stack, err = devstack.Start(ctx, devstack.Options{Ephemeral: true, Brokers: brokers, Topics: p.topics, Partitions: pipelinePartitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.stack.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	t.Log(strings.Join(p.stack.Describe(), "; "))

	p.openStore(ctx)
	p.count(path)
	return p
}

// openStore opens Redis with the schema of the comparison, and tells the processes about both ends.
func (p *pipeline) openStore(ctx context.Context) {
	t := p.t
	t.Helper()
	schemaFile := filepath.Join(t.TempDir(), "schema.yaml")
	text := withTotals(t)
	if err := os.WriteFile(schemaFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	schema, err := features.Parse("schema.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	const shards = 16
	p.store = redisstore.New(redisstore.Options{Addrs: p.stack.RedisAddrs(), Network: p.stack.RedisNetwork(), Shards: shards}, schema)
	t.Cleanup(func() { p.store.Close() })
	if err := p.store.Open(ctx); err != nil {
		t.Fatal(err)
	}
	p.set("KAFKA_BROKERS", strings.Join(p.stack.Brokers(), ","))
	p.set("KAFKA_PARTITIONS", strconv.Itoa(pipelinePartitions))
	for s, topic := range p.topics {
		p.set("KAFKA_TOPICS_"+strings.ToUpper(strings.ReplaceAll(string(s), "-", "_")), topic)
	}
	p.set("REDIS_ADDRS", strings.Join(p.stack.RedisAddrs(), ","))
	p.set("REDIS_SHARDS", strconv.Itoa(shards))
	p.set("SCHEMA_FILE", schemaFile)
}

// count reads the recording to know how many events there will be.
func (p *pipeline) count(path string) {
	t := p.t
	t.Helper()
	source, err := file.Open(file.OnlineRetail, path, file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	for ; err == nil; p.events++ {
		_, err = source.Next()
	}
	p.events--
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	// Small enough for a kill to find something half done, whatever the size of the file.
	p.set("KAFKA_BATCH_EVENTS", strconv.FormatInt(max(5, p.events/100), 10))
}

// set sets a configuration key of the processes.
func (p *pipeline) set(key, value string) { p.env = append(p.env, envPrefix+key+"="+value) }

// withTotals is the default schema plus the totals that the comparison needs: the default keeps an
// item's money for seven days only.
func withTotals(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "features", "schema.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const totals = `
  it_orders:  {type: int, default: 0, count: {events: [order]}, doc: "Orders", example: 1}
  it_returns: {type: int, default: 0, count: {events: [return]}, doc: "Returns", example: 1}
  it_money:   {type: money, default: 0, sum: {of: amount, events: [order], minus: [return]}, doc: "Money", example: 1}
  it_units:   {type: int, default: 0, sum: {of: units, events: [order], minus: [return]}, doc: "Units", example: 1}
`
	for _, section := range []string{"\nuser:\n", "\nitem:\n"} {
		if !bytes.Contains(text, []byte(section)) {
			t.Fatalf("the default schema has no section %q", section)
		}
		text = bytes.Replace(text, []byte(section), []byte(section+totals[1:]), 1)
	}
	return text
}

// replay publishes the recording with 'sartor replay'.
func (p *pipeline) replay(ctx context.Context, path string, more ...string) error {
	cmd := p.command(ctx, append([]string{"replay", "--format", string(file.OnlineRetail), path}, more...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sartor replay: %w\n%s", err, out)
	}
	return nil
}

// command prepares a run of this binary as sartor (TestMain has put it on the PATH).
func (p *pipeline) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sartor", args...)
	cmd.Env = append(os.Environ(), p.env...)
	return cmd
}

// child is one life of 'sartor ingest'.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	output *childOutput
	done   chan error
}

// childOutput keeps what a process writes and tells when it has begun to.
type childOutput struct {
	mu    sync.Mutex
	text  bytes.Buffer
	begun chan struct{}
}

// Write is called by the goroutine that copies the process's output.
func (o *childOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() == 0 && len(p) > 0 {
		close(o.begun)
	}
	return o.text.Write(p)
}

// String returns the last lines.
func (o *childOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.text.String()
	return text[max(0, len(text)-4000):]
}

// ingest starts the n-th life. Two lives in ten share their consumer group with the one before, as in
// operation, and wait until the broker has given up the killed member; the others take a group of
// their own and begin at once. Where to resume is not the group's to say.
func (p *pipeline) ingest(ctx context.Context, n int) *child {
	p.t.Helper()
	c := &child{t: p.t, cmd: p.command(ctx, "ingest", "--group", p.topics[streams.Orders]+"-"+strconv.Itoa(n-n%5/4)),
		output: &childOutput{begun: make(chan struct{})}, done: make(chan error, 1)}
	c.cmd.Stdout, c.cmd.Stderr = c.output, c.output
	if err := c.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { c.done <- c.cmd.Wait() }()
	p.t.Cleanup(c.kill)
	return c
}

// kill ends the process without warning: SIGKILL. It may be called again.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // an error only says that it has ended
	c.done <- <-c.done
}

// stop asks the process to end, as an orchestrator does, and wants a clean end. It waits until the
// process says something: before that it does not listen to signals yet.
func (c *child) stop(ctx context.Context) {
	c.t.Helper()
	select {
	case <-c.output.begun:
	case <-ctx.Done():
		c.t.Fatal("sartor ingest says nothing")
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	err := <-c.done
	c.done <- err
	if err != nil {
		c.t.Fatalf("sartor ingest ended with %v\n%s", err, c.output)
	}
}

// progress is how many messages are applied for good, by the fences in Redis.
func (p *pipeline) progress(ctx context.Context) int64 {
	p.t.Helper()
	var sum int64
	for _, s := range pipelineStreams {
		for n := range pipelinePartitions {
			part, err := p.store.Partition(ctx, p.topics[s], n)
			if err != nil {
				p.t.Fatal(err)
			}
			sum += part.Next()
		}
	}
	return sum
}

// await returns when the fences have reached both points, or everything is applied.
func (p *pipeline) await(ctx context.Context, c *child, points ...int64) {
	p.t.Helper()
	target := min(slices.Max(points), p.events)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		at := p.progress(ctx)
		if at >= target {
			return
		}
		select {
		case err := <-c.done:
			c.done <- err
			p.t.Fatalf("sartor ingest ended by itself at %d of %d: %v\n%s", at, p.events, err, c.output)
		case <-ctx.Done():
			c.kill()
			p.t.Fatalf("stuck at %d of %d\n%s", at, p.events, c.output)
		case <-tick.C:
		}
	}
}
