package file

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sartorhq/sartor/streams"
)

// SkipCode is an event code of rees46 that its publisher does not explain.
const SkipCode = "unexplained event code"

// The values by which rees46 says that the shop named no category group or brand.
const (
	noCategoryCode = "128"
	noBrand        = "3425"
)

// rees46 merges the session events with the earlier views of the same users (history) by time.
type rees46 struct {
	tables []*table // events, then history when it is there
	ready  []bool   // tables[i] stands on a row that has not been taken
	ts     []int64
	now    int // the table that was read last
	items  map[string]rees46Item
}

// rees46Item is the last document of an item.
type rees46Item struct {
	price    int64
	versions int
}

// The columns of rees46; the history has no session.
const (
	rsTime = iota
	rsUser
	rsCode
	rsProduct
	rsCategory
	rsCategoryCode
	rsBrand
	rsPrice
	rsSession
)

func openREES46(path string) (reader, error) {
	path, err := locate(path, "events.csv")
	if err != nil {
		return nil, err
	}
	columns := []string{"ts", "user_id", "event_code", "product_id", "category_id", "category_code_id", "brand_id", "price"}
	r := &rees46{items: map[string]rees46Item{}}
	events, err := openTable(path, ',', append(columns, "session_id")...)
	if err != nil {
		return nil, err
	}
	r.tables = append(r.tables, events)
	if history := sibling(path, "history.csv"); history != "" && history != path {
		t, err := openTable(history, ',', columns...)
		if err != nil {
			_ = events.close()
			return nil, err
		}
		r.tables = append(r.tables, t)
	}
	r.ready, r.ts = make([]bool, len(r.tables)), make([]int64, len(r.tables))
	return r, nil
}

func (r *rees46) at() (string, int) { return r.tables[r.now].at() }

func (r *rees46) close() error {
	var first error
	for _, t := range r.tables {
		if err := t.close(); first == nil {
			first = err
		}
	}
	return first
}

// read takes the earliest row of all tables; at equal times the session events come first.
func (r *rees46) read(s *Source) error {
	best := -1
	for i, t := range r.tables {
		if t == nil {
			continue
		}
		if !r.ready[i] {
			if err := r.advance(i); errors.Is(err, io.EOF) {
				continue
			} else if err != nil {
				return err
			}
		}
		if best < 0 || r.ts[i] < r.ts[best] {
			best = i
		}
	}
	if best < 0 {
		return io.EOF
	}
	r.now, r.ready[best] = best, false
	s.row()
	return r.view(s, r.tables[best], best == 0)
}

// advance reads the next row of table i and its time. At the end of the table the row stays away.
func (r *rees46) advance(i int) error {
	r.now = i
	t := r.tables[i]
	if err := t.next(); err != nil {
		return err
	}
	n, err := t.integer(rsTime)
	if err != nil {
		return err
	}
	if n < r.ts[i] {
		return t.fail(rsTime, "is earlier than in the row before; sort the file by ts")
	}
	r.ts[i], r.ready[i] = n, true
	return nil
}

func (r *rees46) view(s *Source, t *table, session bool) error {
	if t.text(rsCode) != "2" {
		s.skip(SkipCode)
		return nil
	}
	when, err := t.seconds(rsTime)
	if err != nil {
		return err
	}
	user, err := t.id(rsUser)
	if err != nil {
		return err
	}
	product, err := t.id(rsProduct)
	if err != nil {
		return err
	}
	price, err := t.cents(rsPrice)
	if err != nil {
		return err
	}
	e := streams.Event{Type: streams.View, Time: when, UserID: user, Currency: "USD",
		Items: []streams.Line{{ItemID: product, Price: price}}}
	if session {
		e.ID, e.SessionID = "rees46-e"+strconv.FormatInt(t.rows, 10), t.text(rsSession)
	} else {
		e.ID = "rees46-h" + strconv.FormatInt(t.rows, 10)
	}
	if err := r.describe(s, t, &e); err != nil {
		return err
	}
	return s.emit(e)
}

// describe emits the item's document the first time and whenever its price has changed. A price of 0
// is unknown and changes nothing.
func (r *rees46) describe(s *Source, t *table, view *streams.Event) error {
	line := view.Items[0]
	it := r.items[line.ItemID]
	if it.versions > 0 && (line.Price == 0 || line.Price == it.price) {
		return nil
	}
	it.price, it.versions = line.Price, it.versions+1
	r.items[strings.Clone(line.ItemID)] = it
	category := "category-" + t.text(rsCategory)
	path := []any{category}
	if group := t.text(rsCategoryCode); group != noCategoryCode {
		path = []any{"group-" + group, category}
	}
	attributes := map[string]any{"title": "Product " + line.ItemID, "category": category, "category_path": path}
	if brand := t.text(rsBrand); brand != noBrand {
		attributes["brand"] = "brand-" + brand
	}
	if line.Price > 0 {
		attributes["price"], attributes["currency"] = float64(line.Price), "USD"
	}
	return s.emit(streams.Event{ID: fmt.Sprintf("rees46-item-%s-%d", line.ItemID, it.versions), Type: streams.ItemUpsert,
		Time: view.Time, Items: []streams.Line{{ItemID: line.ItemID}}, Attributes: attributes})
}
