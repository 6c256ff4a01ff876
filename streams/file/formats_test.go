package file

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestRetailRocket(t *testing.T) {
	dir := write(t, map[string]string{"events.csv": `
ts,user_id,item_id,event
1600000000,9,51,view
1600000005,9,51,addtocart
1600000060,9,51,transaction
1600000060,9,52,transaction
`})
	events, _, err := drain(t, RetailRocket, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sound(t, events)
	same(t, events, `
2020-09-13T12:26:40 view rr-1 by 9 [51 0x0]
2020-09-13T12:26:45 cart-add rr-2 by 9 [51 1x0]
2020-09-13T12:27:40 order rr-3 by 9 order rr-9-1600000060 [51 1x0]
2020-09-13T12:27:40 order rr-4 by 9 order rr-9-1600000060 [52 1x0]
`)
}

func TestREES46(t *testing.T) {
	files := map[string]string{"events.csv": `
ts,user_id,session_id,event_code,product_id,category_id,category_code_id,brand_id,price,source_split
1600000000,9,-77,2,51,3,128,3425,0.00,0001_valid
1600000010,9,-77,2,51,3,128,3425,10.50,0001_valid
1600000010,9,-77,4,52,3,2,7,1.00,0001_valid
1600000020,9,-77,2,51,3,128,3425,10.50,0001_valid
1600000030,8,12,2,51,3,128,3425,9.99,0002_test
`, "history.csv": `
ts,user_id,event_code,product_id,category_id,category_code_id,brand_id,price
1599999990,9,2,52,4,2,7,1.00
1600000010,9,2,52,4,2,7,1.00
1600000040,9,3,52,4,2,7,1.00
`}
	dir := write(t, files)
	events, stats, err := drain(t, REES46, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sound(t, events)
	same(t, events, `
2020-09-13T12:26:30 item-upsert rees46-item-52-1 [52 0x0] {"brand":"brand-7","category":"category-4","category_path":["group-2","category-4"],"currency":"USD","price":100,"title":"Product 52"}
2020-09-13T12:26:30 view rees46-h1 by 9 [52 0x100] USD/
2020-09-13T12:26:40 item-upsert rees46-item-51-1 [51 0x0] {"category":"category-3","category_path":["category-3"],"title":"Product 51"}
2020-09-13T12:26:40 view rees46-e1 by 9 in -77 [51 0x0] USD/
2020-09-13T12:26:50 item-upsert rees46-item-51-2 [51 0x0] {"category":"category-3","category_path":["category-3"],"currency":"USD","price":1050,"title":"Product 51"}
2020-09-13T12:26:50 view rees46-e2 by 9 in -77 [51 0x1050] USD/
2020-09-13T12:26:50 view rees46-h2 by 9 [52 0x100] USD/
2020-09-13T12:27:00 view rees46-e4 by 9 in -77 [51 0x1050] USD/
2020-09-13T12:27:10 item-upsert rees46-item-51-3 [51 0x0] {"category":"category-3","category_path":["category-3"],"currency":"USD","price":999,"title":"Product 51"}
2020-09-13T12:27:10 view rees46-e5 by 8 in 12 [51 0x999] USD/
`)
	if stats.Rows != 8 || stats.Skipped[SkipCode] != 2 {
		t.Errorf("stats %+v, want 8 rows, 2 of them with an unexplained code", stats)
	}
	delete(files, "history.csv")
	if events, _, err = drain(t, REES46, filepath.Join(write(t, files), "events.csv"), Options{}); err != nil || len(events) != 7 {
		t.Errorf("without history %d events and %v, want 7", len(events), err)
	}
}

func TestREES46Faults(t *testing.T) {
	const events = "ts,user_id,session_id,event_code,product_id,category_id,category_code_id,brand_id,price\n"
	const history = "ts,user_id,event_code,product_id,category_id,category_code_id,brand_id,price\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"history-header": {map[string]string{"events.csv": events, "history.csv": "ts\n"}, "history.csv has no column user_id"},
		"history-order":  {map[string]string{"events.csv": events, "history.csv": history + "2,1,2,1,1,1,1,1\n1,1,2,1,1,1,1,1\n"}, "history.csv:3: column ts: is earlier"},
		"time":           {map[string]string{"events.csv": events + "x,1,1,2,1,1,1,1,1\n"}, `events.csv:2: column ts: "x"`},
		"user":           {map[string]string{"events.csv": events + "1,,1,2,1,1,1,1,1\n"}, "events.csv:2: column user_id: is empty"},
		"product":        {map[string]string{"events.csv": events + "1,1,1,2,,1,1,1,1\n"}, "events.csv:2: column product_id: is empty"},
		"price":          {map[string]string{"events.csv": events + "1,1,1,2,1,1,1,1,free\n"}, `events.csv:2: column price: "free"`},
		"negative-price": {map[string]string{"events.csv": events + "1,1,1,2,1,1,1,1,-1\n"}, "must be from 0"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := drain(t, REES46, write(t, c.files), Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

const journeyTransactions = `
household_id,store_id,basket_id,product_id,quantity,sales_value,retail_disc,coupon_disc,coupon_match_disc,week,transaction_timestamp
9,3,500,71,3,1,0.2,0.5,0.05,1,2017-01-01T12:30:27Z
9,3,500,72,0,0,0,0,0,1,2017-01-01T12:30:27Z
9,3,500,73,0,2.5,0,0,0,1,2017-01-01T12:30:27Z
8,3,501,71,1,0.0000000000000004440892,0,0,0,1,2017-01-02T12:30:27Z
8,3,502,99,2,4,0,0,0,1,2017-01-03T12:30:27Z
8,3,503,72,0,0,0,0,0,1,2017-01-03T12:30:28Z
8,3,504,73,0,7,0,0,0,1,2017-01-03T12:30:29Z
`

func TestCompleteJourney(t *testing.T) {
	dir := write(t, map[string]string{
		"transactions_sample.csv.gz": journeyTransactions,
		"products.csv": `
product_id,manufacturer_id,department,brand,product_category,product_type,package_size
71,2,GROCERY,National,ICE,ICE - CUBED,22 LB
72,3,MISC,Private,,,
`, "demographics.csv": `
household_id,age,income,home_ownership,marital_status,household_size,household_comp,kids_count
9,65+,35-49K,,Married,2,2 Adults No Kids,0
`})
	events, stats, err := drain(t, CompleteJourney, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sound(t, events)
	same(t, events, `
2017-01-01T00:00:00 user-upsert cj-user-9 by 9 {"age":"65+","household_comp":"2 Adults No Kids","household_size":"2","income":"35-49K","kids_count":"0","marital_status":"Married"}
2017-01-01T00:00:00 item-upsert cj-item-71 [71 0x0] {"brand":"manufacturer-2","category":"ICE","category_path":["GROCERY","ICE","ICE - CUBED"],"package_size":"22 LB","tags":["National"],"title":"ICE - CUBED, 22 LB"}
2017-01-01T00:00:00 item-upsert cj-item-72 [72 0x0] {"brand":"manufacturer-3","category":"MISC","category_path":["MISC"],"tags":["Private"],"title":"MISC"}
2017-01-01T12:30:27 item-upsert cj-item-71-2 [71 0x0] {"brand":"manufacturer-2","category":"ICE","category_path":["GROCERY","ICE","ICE - CUBED"],"currency":"USD","package_size":"22 LB","price":42,"tags":["National"],"title":"ICE - CUBED, 22 LB"}
2017-01-01T12:30:27 order cj-500 by 9 order 500 [71 3x33] total 350 USD/
2017-01-02T12:30:27 order cj-501 by 8 order 501 [71 1x0] total 0 USD/
2017-01-03T12:30:27 order cj-502 by 8 order 502 [99 2x200] total 400 USD/
2017-01-03T12:30:29 order cj-504 by 8 order 504 total 700 USD/
`)
	if stats.Rows != 10 || stats.Skipped[SkipEmptyLine] != 2 || stats.Reduced[ReducedQuantity] != 2 {
		t.Errorf("stats %+v, want 10 rows, 2 empty lines, 2 reduced", stats)
	}
	events, _, err = drain(t, CompleteJourney, write(t, map[string]string{"transactions.csv": journeyTransactions}), Options{MaxLines: 1})
	if err != nil || len(events) != 4 {
		t.Errorf("transactions alone give %d events and %v, want 4 orders", len(events), err)
	}
}

func TestCompleteJourneyFaults(t *testing.T) {
	const header = "household_id,basket_id,product_id,quantity,sales_value,retail_disc,coupon_match_disc,transaction_timestamp\n"
	row := "1,2,3,1,1,0,0,2017-01-01T00:00:05Z\n"
	product := "product_id,manufacturer_id,department,brand,product_category,product_type,package_size\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"basket":        {map[string]string{"transactions.csv": header + "1,,3,1,1,0,0,2017-01-01T00:00:05Z\n"}, "transactions.csv:2: column basket_id: is empty"},
		"household":     {map[string]string{"transactions.csv": header + ",2,3,1,1,0,0,2017-01-01T00:00:05Z\n"}, "column household_id: is empty"},
		"product":       {map[string]string{"transactions.csv": header + "1,2,,1,1,0,0,2017-01-01T00:00:05Z\n"}, "column product_id: is empty"},
		"quantity":      {map[string]string{"transactions.csv": header + "1,2,3,-1,1,0,0,2017-01-01T00:00:05Z\n"}, "column quantity: is negative"},
		"value":         {map[string]string{"transactions.csv": header + "1,2,3,1,?,0,0,2017-01-01T00:00:05Z\n"}, `column sales_value: "?"`},
		"order":         {map[string]string{"transactions.csv": header + row + "1,9,3,1,1,0,0,2017-01-01T00:00:04Z\n"}, "transactions.csv:3: column transaction_timestamp: is earlier"},
		"discount":      {map[string]string{"transactions.csv": header + "1,2,3,1,1,0,x,2017-01-01T00:00:05Z\n", "products.csv": product + "3,1,D,N,,,\n"}, `column coupon_match_disc: "x"`},
		"product-id":    {map[string]string{"transactions.csv": header, "products.csv": product + ",1,D,N,,,\n"}, "products.csv:2: column product_id: is empty"},
		"product-table": {map[string]string{"transactions.csv": header, "products.csv": "a\n"}, "products.csv has no column product_id"},
		"user-table":    {map[string]string{"transactions.csv": header, "demographics.csv": "a\n"}, "demographics.csv has no column household_id"},
		"user-id":       {map[string]string{"transactions.csv": header, "demographics.csv": strings.Join(demographics, ",") + "\n,,,,,,,\n"}, "demographics.csv:2: column household_id: is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := drain(t, CompleteJourney, write(t, c.files), Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

func TestMovieLens(t *testing.T) {
	dir := write(t, map[string]string{
		"ratings.csv": `
user_id,movie_id,rating,ts,ts_err,user_seq
1,20,5,1000000010,0,3
1,10,3,1000000010,-1,2
2,10,4,1000000000,0,1
1,30,1,1000000005,0,1
`, "movies.csv": `
movie_id,title,genres
10,Made Up (1995),Drama|War
30,No Year,
`, "users.csv": `
user_id,gender,age,occupation,zip_code
1,F,25,10,00000
`})
	events, stats, err := drain(t, MovieLens1M, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sound(t, events)
	same(t, events, `
2001-09-09T01:46:40 item-upsert ml-movie-10 [10 0x0] {"category":"Drama","category_path":["Drama"],"tags":["Drama","War"],"title":"Made Up (1995)","year":"1995"}
2001-09-09T01:46:40 item-upsert ml-movie-30 [30 0x0] {"title":"No Year"}
2001-09-09T01:46:40 user-upsert ml-user-1 by 1 {"age":"25","gender":"F","occupation":"10","zip_code":"00000"}
2001-09-09T01:46:40 rating ml-2-10 by 2 [10 0x0] 4 stars
2001-09-09T01:46:45 rating ml-1-30 by 1 [30 0x0] 1 stars
2001-09-09T01:46:50 rating ml-1-10 by 1 [10 0x0] 3 stars
2001-09-09T01:46:50 rating ml-1-20 by 1 [20 0x0] 5 stars
`)
	if stats.Rows != 7 || stats.Events != 7 {
		t.Errorf("stats %+v, want 7 rows and events", stats)
	}
}

func TestMovieLensFaults(t *testing.T) {
	const header = "user_id,movie_id,rating,ts,user_seq\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"stars":  {map[string]string{"ratings.csv": header + "1,1,6,5,1\n"}, "ratings.csv:2: column rating: is not from 1 to 5"},
		"time":   {map[string]string{"ratings.csv": header + "1,1,5,0,1\n"}, "column ts: is not a time"},
		"seq":    {map[string]string{"ratings.csv": header + "1,1,5,5,-1\n"}, "column user_seq: is not an order number"},
		"number": {map[string]string{"ratings.csv": header + "u,1,5,5,1\n"}, `column user_id: "u" is not a whole number`},
		"row":    {map[string]string{"ratings.csv": header + "1\n"}, "ratings.csv:2: wrong number of fields"},
		"movies": {map[string]string{"ratings.csv": header, "movies.csv": "a\n"}, "movies.csv has no column movie_id"},
		"users":  {map[string]string{"ratings.csv": header, "users.csv": "a\n"}, "users.csv has no column user_id"},
		"movie":  {map[string]string{"ratings.csv": header, "movies.csv": "movie_id,title,genres\n,x,\n"}, "movies.csv:2: column movie_id: is empty"},
		"user":   {map[string]string{"ratings.csv": header, "users.csv": "user_id,gender,age,occupation,zip_code\n,,,,\n"}, "users.csv:2: column user_id: is empty"},
		"sided":  {map[string]string{"ratings.csv": header, "movies.csv": "movie_id,title,genres\n1\n"}, "movies.csv:2: wrong number of fields"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := drain(t, MovieLens1M, write(t, c.files), Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

func TestLightGCN(t *testing.T) {
	dir := write(t, map[string]string{"train.tsv.gz": "user_id\titem_id\n0\t7\n0\t8\n1\t7\n", "test.tsv": "user_id\titem_id\n0\t9\n"})
	events, _, err := drain(t, LightGCN, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sound(t, events)
	same(t, events, `
2010-01-01T00:00:01 view train-1 by 0 [7 0x0]
2010-01-01T00:00:02 view train-2 by 0 [8 0x0]
2010-01-01T00:00:03 view train-3 by 1 [7 0x0]
`)
	events, _, err = drain(t, LightGCN, filepath.Join(dir, "test.tsv"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, events, "2010-01-01T00:00:01 view test-1 by 0 [9 0x0]")
}

func TestSASRec(t *testing.T) {
	dir := write(t, map[string]string{"sasrec_sequences.csv": "user_id,is_val_user,movie_ids\n7,0,3 1\n8,1, 2\n"})
	events, stats, err := drain(t, SASRec, dir, Options{})
	if err != nil || stats.Rows != 2 {
		t.Fatal(stats, err)
	}
	sound(t, events)
	same(t, events, `
2010-01-01T00:00:01 rating sasrec-1 by 7 [3 0x0]
2010-01-01T00:00:02 rating sasrec-2 by 7 [1 0x0]
2010-01-01T00:00:03 rating sasrec-3 by 8 [2 0x0]
`)
	for _, text := range []string{"user_id,movie_ids\n7, \n", "user_id,movie_ids\n,1\n", "user_id\n7\n"} {
		if _, _, err := drain(t, SASRec, write(t, map[string]string{"sasrec_sequences.csv": text}), Options{}); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestNDJSON(t *testing.T) {
	const lines = "\ufeff" + `{"event_id":"a","type":"view","time":"2026-01-02T03:04:05Z","user_id":"u","item_id":"i"}

{"type":"order","time":"2026-01-02T03:04:06Z","user_id":"u","items":[{"item_id":"i","price":5}]}`
	events, stats, err := drain(t, NDJSON, write(t, map[string]string{"events.ndjson.gz": lines}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, events, `
2026-01-02T03:04:05 view a by u [i 0x0]
2026-01-02T03:04:06 order events.ndjson.gz-3 by u [i 1x5]
`)
	if stats.Rows != 2 {
		t.Errorf("%d rows, want 2", stats.Rows)
	}
	for name, c := range map[string]struct{ content, want string }{
		"malformed": {"{\"type\":1}\n", "x.ndjson:2: "},
		"long":      {strings.Repeat(" ", 300<<10) + "\n", "x.ndjson:2: the line is longer than 262144 bytes"},
	} {
		path := filepath.Join(write(t, map[string]string{"x.ndjson": " \n" + c.content}), "x.ndjson")
		if _, _, err := drain(t, NDJSON, path, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", name, err, c.want)
		}
	}
}
