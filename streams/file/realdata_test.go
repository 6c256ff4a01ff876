package file

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

// dataset returns the folder of a real data set, or skips the test: the sets are not in the repository.
func dataset(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: leaves the real data out")
	}
	root := os.Getenv("SARTOR_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no data set %s (set SARTOR_DATA): %v", name, err)
	}
	return dir
}

// rows calls f with every row of a file, by column name. It shares nothing with the package.
func rows(t *testing.T, path string, comma rune, f func(row func(string) string)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(z)
	r.Comma, r.ReuseRecord = comma, true
	header, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	index := map[string]int{}
	for i, h := range header {
		index[h] = i
	}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		f(func(name string) string { return record[index[name]] })
	}
}

// hundredths is exact rational arithmetic, rounded half away from zero.
func hundredths(t *testing.T, s string) int64 {
	t.Helper()
	x, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	x.Mul(x, big.NewRat(100, 1))
	half := big.NewRat(1, 2)
	if x.Sign() < 0 {
		half.Neg(half)
	}
	x.Add(x, half)
	return new(big.Int).Quo(x.Num(), x.Denom()).Int64()
}

func count(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sums are totals by entity.
type sums struct {
	orders, returns, spend, back, units, unitsBack map[string]int64
}

func newSums() sums {
	m := func() map[string]int64 { return map[string]int64{} }
	return sums{m(), m(), m(), m(), m(), m()}
}

func (s sums) equal(t *testing.T, want sums) {
	t.Helper()
	for name, pair := range map[string][2]map[string]int64{"orders": {s.orders, want.orders}, "returns": {s.returns, want.returns},
		"spend": {s.spend, want.spend}, "returned amounts": {s.back, want.back}, "units": {s.units, want.units},
		"returned units": {s.unitsBack, want.unitsBack}} {
		if !maps.Equal(pair[0], pair[1]) {
			t.Errorf("%s differ from the file: %d entities, the file has %d", name, len(pair[0]), len(pair[1]))
		}
	}
}

// Every user's orders, units and spend and every item's units and money equal an aggregation of the
// file that knows the rules of FORMATS.md and nothing of this package's code.
func TestOnlineRetailEqualsTheFile(t *testing.T) {
	dir := dataset(t, "online-retail")
	wantUsers, wantItems := newSums(), newSums()
	seen := map[string]bool{}
	var total, skipped, charged int64
	rows(t, filepath.Join(dir, "orders.csv.gz"), ',', func(row func(string) string) {
		total++
		invoice, code, customer := row("InvoiceNo"), row("StockCode"), row("CustomerID")
		quantity, price := count(t, row("Quantity")), hundredths(t, row("UnitPrice"))
		cancelled := invoice[0] == 'C'
		free := strings.Trim(row("UnitPrice"), "0.") == ""
		noGoods := map[string]bool{"POST": true, "DOT": true, "C2": true, "D": true, "S": true, "M": true, "m": true}[code]
		if code == "B" || code == "AMAZONFEE" || code == "CRUK" || code == "BANK CHARGES" || free && customer == "" || quantity < 0 && !cancelled {
			skipped++
			return
		}
		user := customer
		if user == "" {
			user = "anon:guest-" + invoice
		}
		run := invoice + " " + row("InvoiceDate")
		events, money, units := wantUsers.orders, wantUsers.spend, wantUsers.units
		itemMoney, itemUnits := wantItems.spend, wantItems.units
		if cancelled {
			quantity = -quantity
			events, money, units = wantUsers.returns, wantUsers.back, wantUsers.unitsBack
			itemMoney, itemUnits = wantItems.back, wantItems.unitsBack
		}
		if !seen[run] {
			seen[run] = true
			events[user]++
		}
		money[user] += quantity * price
		units[user] += 0
		if noGoods {
			charged++
			return
		}
		units[user] += quantity
		itemMoney[code] += quantity * price
		itemUnits[code] += quantity
	})
	events, stats, err := drain(t, OnlineRetail, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sound(t, events)
	users, items := newSums(), newSums()
	var lines, named int64
	for _, e := range events {
		money, units, n, itemMoney, itemUnits := users.spend, users.units, users.orders, items.spend, items.units
		switch e.Type {
		case streams.ItemUpsert:
			named++
			continue
		case streams.Return:
			money, units, n, itemMoney, itemUnits = users.back, users.unitsBack, users.returns, items.back, items.unitsBack
		}
		n[e.Subject()]++
		money[e.Subject()] += e.Amount()
		units[e.Subject()] += 0
		for _, l := range e.Items {
			lines++
			units[e.Subject()] += l.Quantity
			itemMoney[l.ItemID] += l.Quantity * l.Price
			itemUnits[l.ItemID] += l.Quantity
		}
	}
	users.equal(t, wantUsers)
	items.equal(t, wantItems)
	if total != 541909 || stats.Rows != total || lines+skipped+charged != total || stats.Reduced[ReducedCharge] != charged {
		t.Errorf("%d rows, stats %+v, %d lines, the file's own count %d skipped, %d charges", total, stats, lines, skipped, charged)
	}
	t.Logf("%d rows: %d events, %d lines, %d items named, %d users, skipped %v, reduced %v",
		stats.Rows, stats.Events, lines, named, len(users.orders), stats.Skipped, stats.Reduced)
}

func TestRetailRocketEqualsTheFile(t *testing.T) {
	dir := dataset(t, "retailrocket-mb")
	want := map[string]int{}
	rows(t, filepath.Join(dir, "events.csv.gz"), ',', func(row func(string) string) {
		want[row("event")+" "+row("user_id")+" "+row("item_id")+" "+row("ts")]++
	})
	events, _, err := drain(t, RetailRocket, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sound(t, events)
	names := map[streams.Type]string{streams.View: "view", streams.CartAdd: "addtocart", streams.Order: "transaction"}
	got, n := map[string]int{}, map[streams.Type]int{}
	for _, e := range events {
		got[names[e.Type]+" "+e.UserID+" "+e.Items[0].ItemID+" "+strconv.FormatInt(e.Time.Unix(), 10)]++
		n[e.Type]++
	}
	if !maps.Equal(got, want) {
		t.Error("the events are not those of the file")
	}
	if n[streams.View] != 75374 || n[streams.CartAdd] != 12456 || n[streams.Order] != 9551 {
		t.Errorf("events by type %v, published: 75,374 views, 12,456 carts, 9,551 transactions", n)
	}
}

func TestREES46EqualsTheFile(t *testing.T) {
	dir := dataset(t, "rees46-2day")
	want := map[string]int{}
	odd := int64(0)
	for _, name := range []string{"events.csv.gz", "history.csv.gz"} {
		rows(t, filepath.Join(dir, name), ',', func(row func(string) string) {
			if row("event_code") != "2" {
				odd++
				return
			}
			price := strconv.FormatInt(hundredths(t, row("price")), 10)
			want[row("ts")+" "+row("user_id")+" "+row("product_id")+" "+price]++
		})
	}
	events, stats, err := drain(t, REES46, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sound(t, events)
	got, items := map[string]int{}, map[string]bool{}
	for _, e := range events {
		if e.Type == streams.ItemUpsert {
			items[e.Items[0].ItemID] = true
			continue
		}
		got[strconv.FormatInt(e.Time.Unix(), 10)+" "+e.UserID+" "+e.Items[0].ItemID+" "+strconv.FormatInt(e.Items[0].Price, 10)]++
	}
	if !maps.Equal(got, want) {
		t.Error("the views are not those of the files")
	}
	if stats.Rows != 327696 || stats.Skipped[SkipCode] != odd {
		t.Errorf("stats %+v, want 327,696 rows and %d odd codes", stats, odd)
	}
	t.Logf("%d rows, %d events, %d items, skipped %v", stats.Rows, stats.Events, len(items), stats.Skipped)
}

func TestCompleteJourneyEqualsTheFile(t *testing.T) {
	dir := dataset(t, "completejourney")
	want := newSums()
	baskets := map[string]bool{}
	products := 0
	rows(t, filepath.Join(dir, "products.csv.gz"), ',', func(func(string) string) { products++ })
	rows(t, filepath.Join(dir, "transactions_sample.csv.gz"), ',', func(row func(string) string) {
		quantity, value := count(t, row("quantity")), hundredths(t, row("sales_value"))
		household := row("household_id")
		if quantity > 0 || value > 0 {
			if !baskets[row("basket_id")] {
				baskets[row("basket_id")] = true
				want.orders[household]++
			}
			want.spend[household] += value
			want.units[household] += quantity
		}
	})
	events, stats, err := drain(t, CompleteJourney, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sound(t, events)
	got := newSums()
	upserts := map[streams.Type]int{}
	first := map[string]bool{}
	for _, e := range events {
		if e.Type != streams.Order {
			upserts[e.Type]++
			first[e.Key()] = true
			continue
		}
		got.orders[e.UserID]++
		got.spend[e.UserID] += e.Amount()
		got.units[e.UserID] += 0
		for _, l := range e.Items {
			got.units[e.UserID] += l.Quantity
		}
	}
	got.equal(t, want)
	if stats.Rows != int64(75000+products+801) || upserts[streams.UserUpsert] != 801 || upserts[streams.ItemUpsert] <= products {
		t.Errorf("stats %+v, documents %v, %d products", stats, upserts, products)
	}
	t.Logf("stats %+v, documents %v", stats, upserts)
}

func TestMovieLensEqualsTheFile(t *testing.T) {
	dir := dataset(t, "ml-1m")
	events, stats, err := drain(t, MovieLens1M, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sound(t, events)
	stars := map[float64]int{}
	place := map[string]int32{} // of each user: how many ratings so far
	order := map[string]int32{}
	for _, e := range events {
		if e.Type == streams.Rating {
			stars[e.Rating]++
			place[e.UserID]++
			order[e.UserID+" "+e.Items[0].ItemID] = place[e.UserID]
		}
	}
	if want := map[float64]int{1: 56174, 2: 107557, 3: 261197, 4: 348971, 5: 226310}; !maps.Equal(stars, want) {
		t.Errorf("ratings by stars %v, published %v", stars, want)
	}
	wrong := 0
	rows(t, filepath.Join(dir, "ratings.csv.gz"), ',', func(row func(string) string) {
		if int64(order[row("user_id")+" "+row("movie_id")]) != count(t, row("user_seq")) {
			wrong++
		}
	})
	if wrong != 0 || stats.Rows != 1000209+6040+3883 {
		t.Errorf("%d ratings are not in their user's order; stats %+v", wrong, stats)
	}
}

func TestLightGCNEqualsTheFile(t *testing.T) {
	for name, want := range map[string]int{"gowalla": 810128, "yelp2018": 1237259} {
		dir := dataset(t, name)
		s, err := Open(LightGCN, dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		rows(t, filepath.Join(dir, "train.tsv.gz"), '\t', func(row func(string) string) {
			e, err := s.Next()
			if err != nil || e.UserID != row("user_id") || e.Items[0].ItemID != row("item_id") {
				t.Fatalf("row %d: event %+v, %v", n+1, e, err)
			}
			n++
		})
		if _, err := s.Next(); !errors.Is(err, io.EOF) || n != want {
			t.Errorf("%s: %d pairs, then %v; published: %d", name, n, err, want)
		}
		s.Close()
	}
}
