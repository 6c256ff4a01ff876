package file

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

// retailFixture is made up: the columns of online-retail and each of its traps.
const retailFixture = `
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
100,10A,BLUE CUP ,6,2020-01-01 08:00:00,2.55,7001,United Kingdom
100,10A,BLUE CUP ,6,2020-01-01 08:00:00,2.55,7001,United Kingdom
100,20,"TRAY, ROUND",1,2020-01-01 08:00:00,0.125,7001,United Kingdom
100,POST,POSTAGE,2,2020-01-01 08:00:00,1.5,7001,United Kingdom
100,30,,1,2020-01-01 08:00:00,0.0,7001,United Kingdom
101,10a,CUP again,1,2020-01-01 08:05:00,3,,Unspecified
102,40,check,-9,2020-01-01 08:06:00,0.0,,United Kingdom
103,40,found,9,2020-01-01 08:07:00,0.0,,United Kingdom
104,AMAZONFEE,AMAZON FEE,1,2020-01-01 08:08:00,99.0,,United Kingdom
A105,B,Adjust bad debt,1,2020-01-01 08:09:00,-11.0,,United Kingdom
C106,10A,BLUE CUP,-2,2020-01-01 08:10:00,2.55,7001,United Kingdom
C106,M,Manual,-1,2020-01-01 08:10:00,0.45,7001,United Kingdom
107,DOT,DOTCOM POSTAGE,1,2020-01-01 08:11:00,12.34,,EIRE
100,50,LATE BOWL,1,2020-01-01 08:12:00,1,7001,United Kingdom
C108,D,Discount,-1,2020-01-01 08:13:00,5.0,7002,France
C109,10A,BLUE CUP,2,2020-01-01 08:14:00,2.55,7001,United Kingdom
110,PADS,PADS TO MATCH,1,2020-01-01 08:15:00,0.001,7001,United Kingdom
111,10A,sold by mistake,-3,2020-01-01 08:16:00,2.55,7001,United Kingdom
112,10A,BLUE CUP,1,2020-01-01 08:17:00,-2.55,7001,United Kingdom
`

func TestOnlineRetail(t *testing.T) {
	events, stats, err := drain(t, OnlineRetail, write(t, map[string]string{"orders.csv.gz": retailFixture}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	sound(t, events)
	same(t, events, `
2020-01-01T08:00:00 item-upsert item-10A [10A 0x0] {"currency":"GBP","price":255,"title":"BLUE CUP"}
2020-01-01T08:00:00 item-upsert item-20 [20 0x0] {"currency":"GBP","price":13,"title":"TRAY, ROUND"}
2020-01-01T08:00:00 order 100 by 7001 order 100 [10A 6x255] [10A 6x255] [20 1x13] [30 1x0] total 3373 GBP/United Kingdom
2020-01-01T08:05:00 item-upsert item-10a [10a 0x0] {"currency":"GBP","price":300,"title":"CUP again"}
2020-01-01T08:05:00 order 101 by anon:guest-101 order 101 [10a 1x300] GBP/
2020-01-01T08:10:00 return C106 by 7001 order C106 [10A 2x255] total 555 GBP/United Kingdom
2020-01-01T08:11:00 order 107 by anon:guest-107 order 107 total 1234 GBP/EIRE
2020-01-01T08:12:00 item-upsert item-50 [50 0x0] {"currency":"GBP","price":100,"title":"LATE BOWL"}
2020-01-01T08:12:00 order 100-2 by 7001 order 100 [50 1x100] GBP/United Kingdom
2020-01-01T08:13:00 return C108 by 7002 order C108 total 500 GBP/France
2020-01-01T08:15:00 item-upsert item-PADS [PADS 0x0] {"title":"PADS TO MATCH"}
2020-01-01T08:15:00 order 110 by 7001 order 110 [PADS 1x0] GBP/United Kingdom
`)
	wantSkipped := map[string]int64{SkipStock: 3, SkipBookkeeping: 2, SkipSign: 2}
	if !maps.Equal(stats.Skipped, wantSkipped) || stats.Reduced[ReducedCharge] != 4 {
		t.Errorf("skipped %v, want %v; reduced %v, want 4 charges", stats.Skipped, wantSkipped, stats.Reduced)
	}
	lines := 0
	for _, e := range events {
		if e.Type.Stream() == streams.Orders {
			lines += len(e.Items)
		}
	}
	if total := int64(lines) + 3 + 2 + 2 + 4; total != stats.Rows {
		t.Errorf("lines, skipped and reduced rows are %d, the file has %d", total, stats.Rows)
	}
}

func TestOnlineRetailSplitsLongOrders(t *testing.T) {
	var b strings.Builder
	b.WriteString("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n")
	for i := range 7 {
		fmt.Fprintf(&b, "1,%d,,1,2020-01-01 08:00:00,1.00,5,France\n", i)
	}
	b.WriteString("1,POST,POSTAGE,1,2020-01-01 08:00:00,4.00,5,France\n")
	events, _, err := drain(t, OnlineRetail, write(t, map[string]string{"orders.csv": b.String()}), Options{MaxLines: 3})
	if err != nil {
		t.Fatal(err)
	}
	same(t, events, `
2020-01-01T08:00:00 order 1 by 5 order 1 [0 1x100] [1 1x100] [2 1x100] GBP/France
2020-01-01T08:00:00 order 1-2 by 5 order 1 [3 1x100] [4 1x100] [5 1x100] GBP/France
2020-01-01T08:00:00 order 1-3 by 5 order 1 [6 1x100] total 500 GBP/France
`)
}

func TestOnlineRetailFaults(t *testing.T) {
	const header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
	for name, c := range map[string]struct{ rows, want string }{
		"no-invoice":   {",1,,1,2020-01-01 08:00:00,1,5,F", "orders.csv:2: column InvoiceNo: is empty"},
		"no-stock":     {"1,,,1,2020-01-01 08:00:00,1,5,F", "orders.csv:2: column StockCode: is empty"},
		"quantity":     {"1,1,,1.5,2020-01-01 08:00:00,1,5,F", `orders.csv:2: column Quantity: "1.5" is not a whole number`},
		"date":         {"1,1,,1,01/02/2020 08:00,1,5,F", `orders.csv:2: column InvoiceDate: "01/02/2020 08:00" is not a time like 2006-01-02 15:04:05`},
		"price":        {"1,1,,1,2020-01-01 08:00:00,£1,5,F", `orders.csv:2: column UnitPrice: "£1" is not an amount`},
		"order":        {"1,1,,1,2020-01-01 08:00:00,1,5,F\n2,1,,1,2020-01-01 07:59:00,1,5,F", "orders.csv:3: column InvoiceDate: is earlier than in the row before; sort the file by InvoiceDate"},
		"big-quantity": {"1,1,,1000001,2020-01-01 08:00:00,1,5,F", "items[0].quantity: must be from 1 to 1000000; got 1000001"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := drain(t, OnlineRetail, write(t, map[string]string{"orders.csv": header + c.rows + "\n"}), Options{})
			if err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

// TestOnlineRetailOrdersAreApart: rows are one order when number, customer, country and time are the same.
func TestOnlineRetailOrdersAreApart(t *testing.T) {
	const header, first = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n", "1,a,,1,2020-01-01 08:00:00,1,5,France\n"
	for name, c := range map[string]struct {
		second string
		orders int
	}{
		"another-item":     {"1,b,,1,2020-01-01 08:00:00,1,5,France", 1},
		"another-number":   {"2,b,,1,2020-01-01 08:00:00,1,5,France", 2},
		"another-customer": {"1,b,,1,2020-01-01 08:00:00,1,6,France", 2},
		"another-country":  {"1,b,,1,2020-01-01 08:00:00,1,5,Germany", 2},
		"another-time":     {"1,b,,1,2020-01-01 08:00:01,1,5,France", 2},
	} {
		t.Run(name, func(t *testing.T) {
			events, _, err := drain(t, OnlineRetail, write(t, map[string]string{"orders.csv": header + first + c.second + "\n"}), Options{})
			if err != nil || len(events) != c.orders {
				t.Errorf("%v: %d orders, want %d:\n%s", err, len(events), c.orders, lines(t, events))
			}
		})
	}
}
