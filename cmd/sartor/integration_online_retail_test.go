package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
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
	differing := p.differences(ctx, want)
	for _, d := range differing[:min(10, len(differing))] {
		t.Error(d)
	}
	t.Logf("rows %d, events %d, users %d, items %d, kills %d, differing entities %d",
		want.rows, p.events, len(want.users), len(want.items), restarts, len(differing))
}

// TestTheComparisonNoticesOneEventTooMany is the control: the last order is published twice, and its
// customer and its items must differ, and nobody else.
func TestTheComparisonNoticesOneEventTooMany(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	const orders = `InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,APL,APPLE,2,2020-01-01 08:00:00,1.50,7,France
1,BAL,BALL,1,2020-01-01 08:00:00,2.00,7,France
2,BAL,BALL,1,2020-01-01 09:00:00,2.00,8,France
`
	path := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(path, []byte(orders), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SARTOR_KAFKA_REPEAT_HORIZON", "-1") // or the second would be taken for a producer's retry
	p := newPipeline(ctx, t, path)
	for _, args := range [][]string{nil, {"--skip", strconv.FormatInt(p.events-1, 10)}} {
		if err := p.replay(ctx, path, args...); err != nil {
			t.Fatal(err)
		}
	}
	p.events++
	child := p.ingest(ctx, 0)
	p.await(ctx, child, p.events)
	child.stop(ctx)
	want := []string{
		"user 8: got {orders:2 returns:0 spent:400 back:0 units:2 unitsBack:0}, want {orders:1 returns:0 spent:200 back:0 units:1 unitsBack:0}",
		"item BAL: got {orders:3 returns:0 spent:600 back:0 units:3 unitsBack:0}, want {orders:2 returns:0 spent:400 back:0 units:2 unitsBack:0}",
	}
	if got := p.differences(ctx, aggregate(t, path)); !slices.Equal(got, want) {
		t.Errorf("differences:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
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
	return addUp(t, records[1:])
}

// addUp adds up the rows of the file.
func addUp(t *testing.T, rows [][]string) *expectation {
	t.Helper()
	want := &expectation{rows: len(rows), users: map[string]*totals{}, items: map[string]*totals{}}
	events, eventItems := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
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

// differences reads everything back from Redis and describes the users and items that differ.
func (p *pipeline) differences(ctx context.Context, want *expectation) (list []string) {
	p.t.Helper()
	differ := func(kind, id string, got, want totals) {
		list = append(list, fmt.Sprintf("%s %s: got %+v, want %+v", kind, id, got, want))
	}
	for _, id := range slices.Sorted(maps.Keys(want.users)) {
		st, err := p.store.User(ctx, id)
		if err != nil {
			p.t.Fatal(err)
		}
		if got := stored(st); got != *want.users[id] {
			differ("user", id, got, *want.users[id])
		}
	}
	items, _, err := p.store.ChangedItems(ctx, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	got := map[string]totals{}
	for _, it := range items {
		got[it.ID] = stored(it.State)
		if want.items[it.ID] == nil && got[it.ID] != (totals{}) { // an item with a name may have no sales
			differ("item", it.ID, got[it.ID], totals{})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(want.items)) {
		if got[id] != *want.items[id] {
			differ("item", id, got[id], *want.items[id])
		}
	}
	return list
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
