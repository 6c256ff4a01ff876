package file

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"
)

// mappedFolder writes the files and returns the path of the mapping among them.
func mappedFolder(t *testing.T, mapping string, files map[string]string) string {
	t.Helper()
	files["shop.yaml"] = mapping
	return filepath.Join(write(t, files), "shop.yaml")
}

// counted checks that rows = lines and events + skipped, which holds where no line is reduced.
func counted(t *testing.T, stats Stats, lines int64) {
	t.Helper()
	for _, n := range stats.Skipped {
		lines += n
	}
	if lines != stats.Rows {
		t.Errorf("%d lines and skipped rows of %d rows: %+v", lines, stats.Rows, stats)
	}
}

// TestMappedOrders reads what a shop system exports: newest first, one row a line, what belongs to the order in its first line only,
// a byte order mark, CRLF, line breaks in quotes, refunds, gaps.
func TestMappedOrders(t *testing.T) {
	path := mappedFolder(t, `
currency: EUR
zone: Europe/Berlin
files:
- path: orders.csv
  type: order
  columns: {order: Name, user: Email, time: Created at, item: SKU, quantity: Qty, price: Price, country: Country}
  skip: {Status: [voided]}
- path: products.csv
  type: item-upsert
  columns: {item: Handle}
  attributes: {title: Title, price: Price, tags: Tags, stock: Stock}
  lists: {tags: ","}
  numbers: [stock]
`, map[string]string{
		"orders.csv": strings.ReplaceAll("\ufeff"+`Name,Email,Created at,Status,SKU,Qty,Price,Country,Note
#5,e@x,2024-07-05 10:00:00 +0100,paid,S/1 ü,-2,$12.50,,back
#4,,2024-07-04 10:00,paid,0042,1,"1,299.00",,"two
lines, ""quoted"""
#3,c@x,2024-07-03 09:00,voided,0042,1,5,,
#3,,,,0043,1,5,,
#2,b@x,2024-07-02 09:00,paid,0042,2,5,DE,
#2,,,,0043,1,€ 6,,
#2,,,,0044,0,7,,
#1,a@x,2024-07-01,paid,0042,1,.5,,
`, "\n", "\r\n"),
		"products.csv": "Handle;Title;Price;Tags;Stock\n0042;\"Cup; blue\";5;a, b;7\n0043;Tray;;;\n",
	})
	events, stats, err := drain(t, Mapped, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, events, `
2024-06-30T22:00:00 item-upsert item-upsert-0042 [0042 0x0] {"currency":"EUR","price":500,"stock":7,"tags":["a","b"],"title":"Cup; blue"}
2024-06-30T22:00:00 item-upsert item-upsert-0043 [0043 0x0] {"title":"Tray"}
2024-06-30T22:00:00 order orders-order-#1 by a@x order #1 [0042 1x50] EUR/
2024-07-02T07:00:00 order orders-order-#2 by b@x order #2 [0042 2x500] [0043 1x600] EUR/DE
2024-07-04T08:00:00 order orders-order-#4 by anon:guest-#4 order #4 [0042 1x129900] EUR/
2024-07-05T09:00:00 return orders-return-#5 by e@x order #5 [S/1 ü 2x1250] EUR/
`)
	if want := map[string]int64{"Status voided": 2, SkipQuantity: 1}; !maps.Equal(stats.Skipped, want) {
		t.Errorf("skipped %v, want %v", stats.Skipped, want)
	}
	counted(t, stats, 5+2) // lines of orders, documents
}

// TestMappedFormats reads one event written as well-known exports write it.
func TestMappedFormats(t *testing.T) {
	utf16le := func(s string) string {
		b := []byte{0xff, 0xfe}
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, byte(u), byte(u>>8))
		}
		return string(b)
	}
	for name, c := range map[string]struct{ file, mapping, data, want string }{
		"taobao": {"u.csv.gz", "header: false, type_from: 4, types: {pv: view, fav: wishlist}, columns: {user: 1, item: 2, time: 5}",
			"1,268,465,pv,1511544070\n1,269,465,buy,1511544071\n2,3,4,fav,1511544072\n", `
2017-11-24T17:21:10 view u-1 by 1 [268 0x0]
2017-11-24T17:21:11 order u-2 by 1 [269 1x0]
2017-11-24T17:21:12 wishlist u-3 by 2 [3 0x0]`},
		"diginetica": {"v.csv", "type: view, columns: {anonymous: sessionId, session: sessionId, item: itemId, time: eventdate, time_offset_ms: timeframe}",
			"sessionId;userId;itemId;timeframe;eventdate\n1;NA;81766;526309;2016-05-09\n", `
2016-05-09T00:08:46 view v-1 by anon:1 in 1 [81766 0x0]`},
		"lastfm": {"p.tsv", "header: false, quotes: false, type: view, columns: {user: 1, time: 2, item: 4}",
			"user_1\t2009-05-04T23:08:57Z\tf1\t\"Weird Al\" Y\n", `
2009-05-04T23:08:57 view p-1 by user_1 ["Weird Al" Y 0x0]`},
		"yoochoose": {"c.dat", "header: false, type: click, columns: {anonymous: 1, time: 2, item: 3}",
			"1,2014-04-07T10:51:09.277Z,214536502,0\n", `
2014-04-07T10:51:09 click c-1 by anon:1 [214536502 0x0]`},
		"retailrocket": {"e.csv", "type_from: event, columns: {user: visitorid, item: itemid, time: timestamp, order: transactionid}",
			"timestamp,visitorid,event,itemid,transactionid\n1433221332117,7,addtocart,5,\n1433221332118,7,transaction,5,99\n", `
2015-06-02T05:02:12 cart-add e-1 by 7 [5 1x0]
2015-06-02T05:02:12 order e-order-99 by 7 order 99 [5 1x0]`},
		"h&m": {"t.csv", "type: order, columns: {user: customer_id, item: article_id, price: price, time: t_dat}",
			"t_dat,customer_id,article_id,price,sales_channel_id\n2018-09-20,a,0663713001,0.050830508474576264,2\n2018-09-20,a,0541518023,0.0304,2\n", `
2018-09-20T00:00:00 order t-1 by a [0663713001 1x5] [0541518023 1x3]`},
		"amazon": {"r.jsonl", "type: rating, columns: {user: user_id, item: parent_asin, rating: rating, time: timestamp}",
			`{"rating":4.5,"title":"a \"b\"","parent_asin":"B0","user_id":"A1","timestamp":1588687728923}`, `
2020-05-05T14:08:48 rating r-1 by A1 [B0 0x0] 4.5 stars`},
		"ga4": {"g.json", `type_from: event_name, types: {view_item: view, purchase: order, "*": skip}, lines: items, columns: {user: user_id, anonymous: user_pseudo_id, time: event_timestamp, item: item_id, price: price, quantity: quantity, order: ecommerce.transaction_id, country: geo.country}`,
			`{"event_name":"session_start","event_timestamp":"1514764800000005","user_pseudo_id":"1.2","items":[]}
{"event_name":"purchase","event_timestamp":"1514764800000005","user_id":null,"user_pseudo_id":"1.2","geo":{"country":"Germany"},"ecommerce":{"transaction_id":"t1"},"items":[{"item_id":"a","price":12.5,"quantity":"2"},{"item_id":"b","quantity":0},{"item_id":"c"}]}`, `
2018-01-01T00:00:00 order g-order-t1 by anon:1.2 order t1 [a 2x1250] [c 1x0] /Germany`},
		"german": {"b.csv", `encoding: windows-1252, decimal: ",", type: order, columns: {order: Nr, user: Kunde, time: Datum, item: Artikel, amount: Summe, quantity: Menge}`,
			"Nr;Datum;Kunde;Artikel;Menge;Summe\n1;05.02.2018 10:00;7;T\xfcr \x80;2;2.599,00 \x80\n", `
2018-02-05T10:00:00 order b-order-1 by 7 order 1 [Tür € 2x129950]`},
		"excel": {"x.txt", "type: view, time_format: MM/DD/YY hh:mm AM, columns: {user: who, item: what, time: when}",
			utf16le("who\twhat\twhen\r\nzoë 😀\t1\t02/05/18 01:30 PM\r\n"), `
2018-02-05T13:30:00 view x-1 by zoë 😀 [1 0x0]`},
		"totals": {"o.csv", "type: order, columns: {order: id, user: u, time: t, total: sum, currency: c}",
			"id,u,t,sum,c\n1,a,1600000000.5,1500,jpy\n2,a,1600000001,(20.00),eur\n", `
2020-09-13T12:26:40 order o-order-1 by a order 1 total 1500 JPY/
2020-09-13T12:26:41 return o-return-2 by a order 2 total 2000 EUR/`},
	} {
		t.Run(name, func(t *testing.T) {
			events, _, err := drain(t, Mapped, mappedFolder(t, "files:\n- {path: "+c.file+", "+c.mapping+"}\n", map[string]string{c.file: c.data}), Options{})
			if err != nil {
				t.Fatal(err)
			}
			same(t, events, c.want)
		})
	}
}

// TestMappedRefuses names what is wrong with files and mappings.
func TestMappedRefuses(t *testing.T) {
	const head = "u,i,t\n"
	for name, c := range map[string]struct{ mapping, data, want string }{
		"no yaml":            {"u,i,t\n1,2,3\n", head, "a mapping says what the columns of your files mean"},
		"empty":              {" ", head, "is empty: it needs files"},
		"unknown key":        {"files:\n- {path: d.csv, type: view, column: {}}", head, "field column not found: a file has path, rows, separator"},
		"no columns":         {"files:\n- {path: d.csv, type: view}", head, "columns: time is needed; files[0] d.csv: columns: item is needed; files[0] d.csv: columns: user or anonymous is needed"},
		"wrong column":       {"files:\n- {path: d.csv, type: view, columns: {user: u, item: sku, time: t}}", head, `d.csv has no column sku; it has ["u" "i" "t"], with "," between`},
		"wrong field":        {"files:\n- {path: d.csv, type: view, columns: {user: u, item: i, time: t, prize: x}}", head, `columns: "prize" is nothing that an event has; there are amount, anonymous`},
		"wrong type":         {"files:\n- {path: d.csv, type: purchase, columns: {user: u, item: i, time: t}}", head, `type "purchase": use one of view, click`},
		"wrong encoding":     {"files:\n- {path: d.csv, encoding: latin1, type: view, columns: {user: u, item: i, time: t}}", head, `files[0] d.csv: encoding "latin1": use "utf-8" or "windows-1252"`},
		"wrong decimal":      {"files:\n- {path: d.csv, decimal: comma, type: view, columns: {user: u, item: i, time: t}}", head, `decimal "comma": use "." or ","`},
		"wrong rows":         {"files:\n- {path: d.csv, rows: xml, type: view, columns: {user: u, item: i, time: t}}", head, `rows "xml": use "csv" or "json"`},
		"no path":            {"files:\n- {type: view, columns: {user: u, item: i, time: t}}", head, "files[0] : path: which file?"},
		"no files":           {"zone: UTC", head, "files: name at least one"},
		"row without quotes": {"files:\n- {path: d.csv, quotes: false, type: view, columns: {user: u, item: i, time: t}}", head + "1,\"2,2018-01-01\n\n1,2\n", "d.csv:4: has 2 columns, where the first line has 3"},
		"row of two lines":   {"files:\n- {path: d.csv, type: view, columns: {user: u, item: i, time: t}}", head + "\"1\n2\",3,soon\n", "d.csv:2: column t"},
		"no file":            {"files:\n- {path: nosuch.csv, type: view, columns: {user: u, item: i, time: t}}", head, "there is no "},
		"no data":            {"files:\n- {path: d.csv, type: view, columns: {user: u, item: i, time: t}}", "", "d.csv is empty"},
		"two-way date":       {"files:\n- {path: d.csv, type: view, columns: {user: u, item: i, time: t}}", head + "1,2,01/02/2018\n", `d.csv:2: column t: "01/02/2018" is no time that can be read in one way only`},
		"two-way amount":     {"files:\n- {path: d.csv, type: order, columns: {user: u, price: i, item: i, time: t}}", head + "1,\"12,99\",2018-01-01\n", `column i: "12,99" is no amount: decimal: ","`},
		"unknown value":      {"files:\n- {path: d.csv, type_from: i, columns: {user: u, item: i, time: t}}", head + "1,pv,2018-01-01\n", `"pv" is no type that is known: say what it is under types of the mapping, such as {pv: view}`},
		"short row":          {"files:\n- {path: d.csv, type: view, columns: {user: u, item: i, time: t}}", head + "1,2\n", "d.csv:2: has 2 columns, where the first line has 3"},
		"latin-1":            {"files:\n- {path: d.csv, type: view, columns: {user: u, item: i, time: t}}", head + "1,\xfcber,2018-01-01\n", "column i: is not UTF-8: say encoding: windows-1252"},
		"control":            {"files:\n- {path: d.csv, type: view, columns: {user: u, item: i, time: t}}", head + "1,a\x00b,2018-01-01\n", "the row makes no valid event: items[0].item_id"},
		"back in time":       {"sorted: true\nfiles:\n- {path: d.csv, type: view, columns: {user: u, item: i, time: t}}", head + "1,2,2018-01-02\n1,2,2018-01-01\n", "is earlier than in the row before; leave sorted out"},
		"bad time format":    {"files:\n- {path: d.csv, type: view, time_format: nonsense, columns: {user: u, item: i, time: t}}", head, `time_format: "nonsense": write it with YYYY`},
		"one quote":          {"files:\n- {path: d.csv, type: view, columns: {user: u, item: i, time: t}}", head + "1,\"a\" b,2018-01-01\n", "quotes: false in the mapping"},
		"two signs":          {"files:\n- {path: d.csv, type: order, rows: json, lines: l, columns: {user: u, item: i, quantity: q, time: t}}", `{"u":"a","t":1,"l":[{"i":"x","q":1},{"i":"y","q":-1}]}`, "is below 0 in one line and above in another"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := drain(t, Mapped, mappedFolder(t, c.mapping, map[string]string{"d.csv": c.data}), Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestMappedJSONRowsAreApart: what an object does not say is absent, whatever the one before it said.
func TestMappedJSONRowsAreApart(t *testing.T) {
	path := mappedFolder(t, "files:\n- {path: d.json, type: view, rows: json, columns: {user: u, item: i, time: t, scenario: s}}\n", map[string]string{
		"d.json": `{"u":"a","i":"x","t":1600000000,"s":"home"}{"u":"b","i":"y","t":1600000001}`})
	events, _, err := drain(t, Mapped, path, Options{})
	if err != nil || len(events) != 2 || events[0].Scenario != "home" || events[1].Scenario != "" || events[1].UserID != "b" {
		t.Errorf("%+v, %v", events, err)
	}
}

// TestMappedSkipsBadRows leaves each of the bad rows out, counts it with the reason, and keeps the others.
func TestMappedSkipsBadRows(t *testing.T) {
	path := mappedFolder(t, "bad_rows: skip\nfiles:\n- {path: d.csv, type: order, columns: {user: u, item: i, time: t, price: p}}\n", map[string]string{
		"d.csv": "u,i,t,p\na,1,2018-01-01,1\nb,,2018-01-01,1\nc,1,soon,1\nd,1,2018-01-01,much\ne,1,2018-01-01\n,1,2018-01-01,1\nf,1,2018-01-01,-1\na,2,2018-01-02,\n"})
	events, stats, err := drain(t, Mapped, path, Options{})
	if err != nil || len(events) != 2 {
		t.Fatal(events, err)
	}
	want := map[string]int64{"i is empty": 1, "t is no time that can be read in one way only": 1, "p is no amount": 1, "broken row": 1, SkipNobody: 1, "p is below 0": 1}
	if !maps.Equal(stats.Skipped, want) {
		t.Errorf("skipped %v, want %v", stats.Skipped, want)
	}
	counted(t, stats, 2)
}

// TestMappedSortedEqualsUnsorted reads files that are in order both ways, whole and split at any limit of lines.
func TestMappedSortedEqualsUnsorted(t *testing.T) {
	var want string
	for _, sorted := range []string{"", "sorted: true\n"} {
		path := mappedFolder(t, sorted+`files:
- {path: "part-*.csv", type: order, columns: {order: o, user: u, item: i, time: t}}
- {path: items.csv, type: item-upsert, columns: {item: i}, attributes: {title: n}}
`, map[string]string{"part-1.csv": "o,u,i,t\n1,a,x,1600000000\n1,a,y,1600000000\n1,a,z,1600000000\n", "part-2.csv": "o,u,i,t\n1,a,x,1600000000\n2,b,x,1600000001\n",
			"items.csv": "i,n\nx,X\n"})
		events, stats, err := drain(t, Mapped, path, Options{MaxLines: 2})
		if err != nil {
			t.Fatal(err)
		}
		sound(t, events)
		counted(t, stats, 5+1)
		if got := lines(t, events); want == "" {
			want = got
		} else if got != want {
			t.Errorf("sorted:\n%sunsorted:\n%s", got, want)
		}
		if len(events) != 1+2+1+1 {
			t.Errorf("%d events:\n%s", len(events), lines(t, events))
		}
	}
}

func TestReadTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"1514764800": "2018-01-01T00:00:00Z", "1514764800.25": "2018-01-01T00:00:00.25Z", "1514764800123": "2018-01-01T00:00:00.123Z",
		"1514764800123456": "2018-01-01T00:00:00.123456Z", "1514764800123456789": "2018-01-01T00:00:00.123456789Z", "20180101": "2017-12-31T23:00:00Z",
		"2018-07-01": "2018-06-30T22:00:00Z", "2018-07-01 10:00:00": "2018-07-01T08:00:00Z", "2018-07-01T10:00:00+05:30": "2018-07-01T04:30:00Z",
		"2018-07-01 10:00:00 -0400": "2018-07-01T14:00:00Z", "2018-07-01 10:00:00 UTC": "2018-07-01T10:00:00Z", "1.7.2018": "", "01.07.2018": "2018-06-30T22:00:00Z",
		"01/07/2018": "", "-5": "", "0": "", "NaN": "", "1e9": "", "tomorrow": "", "2018-02-30": "",
	} {
		got := ""
		zone := berlin
		if strings.HasSuffix(text, "UTC") {
			zone = time.UTC
		}
		if when, ok := readTime(text, "", zone); ok {
			got = when.UTC().Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestReadDecimal(t *testing.T) {
	for _, c := range []struct{ text, mark, want string }{
		{"12.99", "", "12.99"}, {"$1,299.00", "", "1299.00"}, {"12,99", "", ""}, {"12,99 €", ",", "12.99"}, {"1.299,5", ",", "1299.5"}, {"1.299", ",", "1299"},
		{"1.29", ",", ""}, {"(5.00)", "", "-5.00"}, {"(5", "", ""}, {"-5", "", "-5"}, {"€ -5", "", "-5"}, {"-$5", "", "-5"}, {"1 000,5", ",", "1000.5"}, {"1'000", "", "1000"},
		{".5", "", "0.5"}, {"5.", "", "5"}, {"", "", ""}, {"-", "", ""}, {"1e3", "", "1e3"}, {"5.1e-05", "", "5.1e-05"}, {"1-2", "", ""}, {"free", "", ""}, {"1,2,3", "", ""}, {",5", "", ""}, {"1.2.3", "", ""},
		{"12.99 EUR", "", "12.99"}, {"--5", "", ""}, {"99999999999999999999", "", ""},
	} {
		got, ok := readDecimal(c.text, c.mark)
		if !ok {
			got = ""
		}
		if got != c.want {
			t.Errorf("%q with %q is %q, want %q", c.text, c.mark, got, c.want)
		}
	}
}

// TestFormatsExamplesAreMappings checks the examples of the manual.
func TestFormatsExamplesAreMappings(t *testing.T) {
	manual, err := os.ReadFile("FORMATS.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(manual, -1)
	if len(examples) != 2 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, x := range examples {
		m := &mapping{}
		dec := yaml.NewDecoder(bytes.NewReader(x[1]))
		dec.KnownFields(true)
		if err := dec.Decode(m); err != nil {
			t.Errorf("%s: %v", x[1], err)
		}
		if problems := m.check(); problems != nil {
			t.Errorf("%s: %v", x[1], problems)
		}
	}
}

// TestCutFilesAreNamed wants to hear of a copy that did not get to its end.
func TestCutFilesAreNamed(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for i := range 5000 {
		io.WriteString(z, strings.Repeat(string(rune('a'+i%26)), i%7+1)+",2,2018-01-01\n")
	}
	z.Close()
	for _, n := range []int{5, packed.Len() / 2, packed.Len() - 4} {
		path := mappedFolder(t, "files:\n- {path: d.csv.gz, header: false, type: view, columns: {user: 1, item: 2, time: 3}}\n", map[string]string{})
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "d.csv.gz"), packed.Bytes()[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := drain(t, Mapped, path, Options{})
		if err == nil || !strings.Contains(err.Error(), "to its end") {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

// FuzzMapped reads arbitrary bytes by several mappings: the source ends, returns only events that the codec accepts, accounts for
// the rows, and keeps its error.
func FuzzMapped(f *testing.F) {
	mappings := []string{
		"type: view, columns: {user: u, item: i, time: t}",
		"header: false, quotes: false, type_from: 1, types: {\"*\": order}, columns: {user: 1, item: 2, time: 3, price: 2, quantity: 1, order: 3}",
		"type_from: e, types: {v: view, \"*\": skip}, lines: l, columns: {user: u.id, item: i, time: t, price: p, quantity: q, order: o, total: s}",
		"type: item-upsert, columns: {item: i}, attributes: {price: p, tags: t, stock: s}, lists: {tags: \"|\"}, numbers: [stock], decimal: \",\"",
		"encoding: windows-1252, type: rating, columns: {user: u, item: i, time: t, rating: r}",
	}
	for i, seed := range []string{
		"u,i,t\na,b,2018-01-01\n", "1,x,1514764800\n1,y,1514764800\n",
		`{"u":{"id":"a"},"e":"order","t":"2018-01-01","o":5,"s":"5.00","l":[{"i":"x","q":-1,"p":1.5}]}`,
		"i;p;t;s\nx;1,50;a|b;7\n", "\xff\xfeu\x00,\x00i\x00", "u,i,t,r\na,\xfc,2018-01-01,5\n",
	} {
		f.Add(uint8(i), i%2 == 0, []byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, which uint8, sorted bool, data []byte) {
		text := "bad_rows: skip\nfiles:\n- {path: data, " + mappings[int(which)%len(mappings)] + "}\n"
		if sorted {
			text = "sorted: true\n" + text
		}
		path := filepath.Join(dir, "shop.yaml")
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "data"), data, 0o600)); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Mapped, path, Options{MaxLines: 3})
		if err != nil {
			return
		}
		defer s.Close()
		readAll(t, s)
	})
}

// FuzzMapping reads arbitrary bytes as a mapping: it is refused, or whole.
func FuzzMapping(f *testing.F) {
	f.Add([]byte("currency: EUR\nzone: Europe/Berlin\nfiles:\n- {path: a.csv, type: view, time_format: DD/MM/YYYY, columns: {user: u, item: i, time: t}}\n"))
	f.Add([]byte("files:\n- {path: a, type_from: x, types: {a: skip}, skip: {s: [a]}, lists: {a: b}}"))
	path := filepath.Join(f.TempDir(), "shop.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := readMapping(path)
		if err == nil && (len(m.Files) == 0 || m.zone == nil) {
			t.Fatalf("accepted %q as %+v", data, m)
		}
	})
}
