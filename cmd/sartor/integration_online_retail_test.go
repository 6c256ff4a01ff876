package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
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

// TestOnlineRetailThroughKafkaIntoRedis replays a year of real orders through Kafka into Redis while
// 'sartor ingest' is killed again and again, and compares what is in Redis with the file, to the penny.
//
// The broker is the one of SARTOR_KAFKA=host:port, else the embedded one; Redis is redis-server when
// it is installed, else the embedded one.
func TestOnlineRetailThroughKafkaIntoRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the made-up file stands in (TestMadeUpOrdersThroughKafkaIntoRedis)")
	}
	path := filepath.Join(cmp.Or(os.Getenv(envData), filepath.Join("..", "..", "..", "shared", "data")), "online-retail", "orders.csv.gz")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the data set online-retail is not here (set %s to the folder of the data sets): %v", envData, err)
	}
	throughKafkaIntoRedis(t, path, 10)
}

// TestMadeUpOrdersThroughKafkaIntoRedis is the same on a small made-up file.
func TestMadeUpOrdersThroughKafkaIntoRedis(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(path, madeUpOrders(600), 0o600); err != nil {
		t.Fatal(err)
	}
	throughKafkaIntoRedis(t, path, 3)
}

// throughKafkaIntoRedis is the whole way with so many kills.
func throughKafkaIntoRedis(t *testing.T, path string, kills int) {
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	p := newPipeline(ctx, t, path)

	replayed := make(chan error, 1)
	go func() { replayed <- p.replay(ctx, path) }()
	t.Cleanup(func() { cancel(); <-replayed }) // waits when the test fails early
	rng := rand.New(rand.NewPCG(20101201, 12))
	points := make([]int64, kills)
	for i := range points {
		points[i] = 1 + rng.Int64N(p.events*9/10)
	}
	slices.Sort(points)
	restarts, begin := 0, time.Now()
	for i, point := range points {
		child := p.ingest(ctx, i)
		p.await(ctx, child, point, p.progress(ctx)+1)
		child.kill()
		restarts++
		t.Logf("kill %d of %d at %d of %d events, after %s", restarts, kills, p.progress(ctx), p.events, time.Since(begin).Round(100*time.Millisecond))
	}
	child := p.ingest(ctx, kills)
	p.await(ctx, child, p.events, 0)
	if err := <-replayed; err != nil {
		t.Fatal(err)
	}
	replayed <- nil // for the cleanup
	child.stop(ctx)

	want := aggregate(t, path)
	differing := p.compare(ctx, want)
	t.Logf("rows %d, events %d, users %d, items %d, kills %d, differing entities %d",
		want.rows, p.events, len(want.users), len(want.items), restarts, differing)
}

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
	set := func(key, value string) { p.env = append(p.env, envPrefix+key+"="+value) }
	set("KAFKA_BROKERS", strings.Join(p.stack.Brokers(), ","))
	set("KAFKA_PARTITIONS", strconv.Itoa(pipelinePartitions))
	for s, topic := range p.topics {
		set("KAFKA_TOPICS_"+strings.ToUpper(strings.ReplaceAll(string(s), "-", "_")), topic)
	}
	set("REDIS_ADDRS", strings.Join(p.stack.RedisAddrs(), ","))
	set("REDIS_SHARDS", strconv.Itoa(shards))
	set("SCHEMA_FILE", schemaFile)

	source, err := file.Open(file.OnlineRetail, path, file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	for ; err == nil; p.events++ {
		_, err = source.Next()
	}
	p.events--
	if err != io.EOF {
		t.Fatal(err)
	}
	// Small enough for a kill to find something half done, whatever the size of the file.
	set("KAFKA_BATCH_EVENTS", strconv.FormatInt(max(5, p.events/100), 10))
	return p
}

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
func (p *pipeline) replay(ctx context.Context, path string) error {
	cmd := p.command(ctx, "replay", "--format", string(file.OnlineRetail), path)
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

// totals are what is compared for each user and each item: money in pence.
type totals struct{ orders, returns, spent, back, units, unitsBack int64 }

// expectation is the file, added up.
type expectation struct {
	rows         int
	users, items map[string]*totals
}

// aggregate adds the file up in plain Go over the CSV. It shares no code with the program: the rules
// are those of streams/file/FORMATS.md, written a second time.
func aggregate(t *testing.T, path string) *expectation {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var plain io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if plain, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	records, err := csv.NewReader(plain).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := &expectation{rows: len(records) - 1, users: map[string]*totals{}, items: map[string]*totals{}}
	events, eventItems := map[string]bool{}, map[string]bool{}
	for _, r := range records[1:] {
		invoice, code, customer, country := r[0], r[1], r[6], r[7]
		quantity, err := strconv.ParseInt(r[3], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		price := pence(t, r[5])
		cancelled := invoice[0] == 'C'
		switch {
		case code == "B", code == "CRUK", code == "AMAZONFEE", code == "BANK CHARGES", invoice[0] == 'A':
			continue // bookkeeping
		case customer == "" && strings.Trim(r[5], "0.") == "", quantity < 0 && !cancelled:
			continue // stock corrections
		case price < 0, quantity > 0 && cancelled:
			continue // contradictory signs
		}
		if customer == "" {
			customer = "anon:guest-" + invoice
		}
		event := invoice + "|" + r[4] + "|" + r[6] + "|" + country
		amount := abs64(quantity) * price
		user := entry(want.users, customer)
		if !events[event] {
			events[event] = true
			user.count(cancelled)
		}
		user.money(cancelled, amount)
		if slices.Contains([]string{"POST", "DOT", "C2", "D", "S", "M", "m"}, code) {
			continue // charges: money, but no goods
		}
		user.goods(cancelled, abs64(quantity))
		item := entry(want.items, code)
		if !eventItems[event+"|"+code] {
			eventItems[event+"|"+code] = true
			item.count(cancelled)
		}
		item.money(cancelled, amount)
		item.goods(cancelled, abs64(quantity))
	}
	return want
}

func entry(m map[string]*totals, id string) *totals {
	if m[id] == nil {
		m[id] = &totals{}
	}
	return m[id]
}

func (x *totals) count(cancelled bool)          { addTo(&x.orders, &x.returns, cancelled, 1) }
func (x *totals) money(cancelled bool, n int64) { addTo(&x.spent, &x.back, cancelled, n) }
func (x *totals) goods(cancelled bool, n int64) { addTo(&x.units, &x.unitsBack, cancelled, n) }

func addTo(order, cancellation *int64, cancelled bool, n int64) {
	if cancelled {
		order = cancellation
	}
	*order += n
}

func abs64(n int64) int64 { return max(n, -n) }

// pence reads pounds with at most three decimals, the third rounded half up.
func pence(t *testing.T, s string) int64 {
	t.Helper()
	if strings.HasPrefix(s, "-") {
		return -pence(t, s[1:])
	}
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole+(fraction + "000")[:3], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return (n + 5) / 10
}

// compare reads everything back from Redis and returns how many users and items differ.
func (p *pipeline) compare(ctx context.Context, want *expectation) (differing int) {
	p.t.Helper()
	differ := func(kind, id string, got, want totals) {
		if differing++; differing <= 10 {
			p.t.Errorf("%s %s:\n got %+v\nwant %+v", kind, id, got, want)
		}
	}
	for id, w := range want.users {
		st, err := p.store.User(ctx, id)
		if err != nil {
			p.t.Fatal(err)
		}
		if got := stored(st); got != *w {
			differ("user", id, got, *w)
		}
	}
	items, _, err := p.store.ChangedItems(ctx, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, it := range items {
		if seen[it.ID] {
			continue
		}
		seen[it.ID] = true
		w := want.items[it.ID]
		if w == nil {
			w = &totals{} // an item with a name that nobody bought
		}
		if got := stored(it.State); got != *w {
			differ("item", it.ID, got, *w)
		}
	}
	for id, w := range want.items {
		if !seen[id] {
			differ("item", id, totals{}, *w)
		}
	}
	return differing
}

// stored reads the totals out of the stored counters: n, a and u count events, add amounts and units.
func stored(st *features.State) totals {
	if st == nil {
		return totals{}
	}
	c := st.Counters
	return totals{orders: c["n:order"], returns: c["n:return"], spent: c["a:order"], back: c["a:return"],
		units: c["u:order"], unitsBack: c["u:return"]}
}

// madeUpOrders is a small file of the same format, with its traps, from a fixed seed.
func madeUpOrders(invoices int) []byte {
	rng := rand.New(rand.NewPCG(7, 7))
	var b bytes.Buffer
	b.WriteString("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n")
	at := time.Date(2021, 1, 4, 8, 0, 0, 0, time.UTC)
	for i := range invoices {
		at = at.Add(time.Duration(rng.IntN(90)) * time.Minute)
		number, sign, customer := strconv.Itoa(1000+i), 1, strconv.Itoa(70+rng.IntN(60))
		if rng.IntN(5) == 0 {
			customer = ""
		}
		if rng.IntN(8) == 0 {
			number, sign = "C"+number, -1
		}
		row := func(code, name string, quantity int, price string) {
			fmt.Fprintf(&b, "%s,%s,%s,%d,%s,%s,%s,%s\n", number, code, name, quantity, at.Format(time.DateTime), price, customer, "France")
		}
		for range 1 + rng.IntN(6) {
			item := rng.IntN(80)
			quantity, price := sign*(1+rng.IntN(12)), fmt.Sprintf("%d.%02d", rng.IntN(20), 1+rng.IntN(99))
			row(fmt.Sprintf("2%03d", item), fmt.Sprintf("THING %d", item), quantity, price)
			if rng.IntN(20) == 0 { // an exact repeat
				row(fmt.Sprintf("2%03d", item), fmt.Sprintf("THING %d", item), quantity, price)
			}
		}
		switch rng.IntN(12) {
		case 0:
			row("POST", "POSTAGE", sign, "18.0")
		case 1:
			row("BANK CHARGES", "Bank Charges", sign, "15.0")
		case 2:
			row("PADS", "PADS TO MATCH", sign, "0.001")
		case 3:
			row("2001", "check", -3*sign, "0.0")
		}
	}
	return b.Bytes()
}
