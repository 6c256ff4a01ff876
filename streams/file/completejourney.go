package file

import (
	"errors"
	"io"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// The reasons of completejourney, for rows with quantity 0.
const (
	SkipEmptyLine   = "quantity 0 and value 0"
	ReducedQuantity = "quantity 0" // the value is in the order's total
)

// journeyStart is the moment of the catalogue and the demographics of completejourney, which carry no
// time: the first day of the year that it covers.
var journeyStart = time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC)

// completeJourney reads the demographics, the products, and then the transactions: one row per line,
// rows of a basket together, in order of time.
type completeJourney struct {
	t        *table // transactions
	users    *table // nil when absent or finished
	products *table // nil when absent or finished
	now      *table
	docs     map[string]map[string]any // of the products that have not been sold yet
	run      *basket
}

// basket is the run of rows that becomes one order.
type basket struct {
	id, household string
	time          time.Time
	parts         int
	lines         []streams.Line
	value         int64 // cents received, over all rows
	any           bool  // some row counts
}

// The columns of the transactions and of the products.
const (
	cjHousehold = iota
	cjBasket
	cjProduct
	cjQuantity
	cjSales
	cjRetailDisc
	cjMatchDisc
	cjTime
)

const (
	cpID = iota
	cpManufacturer
	cpDepartment
	cpBrand
	cpCategory
	cpType
	cpSize
)

func openCompleteJourney(path string) (reader, error) {
	path, err := locate(path, "transactions.csv", "transactions_sample.csv")
	if err != nil {
		return nil, err
	}
	r := &completeJourney{docs: map[string]map[string]any{}}
	if r.t, err = openTable(path, ',', "household_id", "basket_id", "product_id", "quantity", "sales_value",
		"retail_disc", "coupon_match_disc", "transaction_timestamp"); err != nil {
		return nil, err
	}
	if p := sibling(path, "demographics.csv"); p != "" {
		if r.users, err = openTable(p, ',', demographics...); err != nil {
			_ = r.close()
			return nil, err
		}
	}
	if p := sibling(path, "products.csv"); p != "" {
		if r.products, err = openTable(p, ',', "product_id", "manufacturer_id", "department", "brand",
			"product_category", "product_type", "package_size"); err != nil {
			_ = r.close()
			return nil, err
		}
	}
	return r, nil
}

func (r *completeJourney) at() (string, int) { return r.now.at() }
func (r *completeJourney) close() error      { return closeAll(r.t, r.users, r.products) }

// read takes one row of the first table that has any left.
func (r *completeJourney) read(s *Source) error {
	if r.users != nil {
		return r.step(s, &r.users, r.user)
	}
	if r.products != nil {
		return r.step(s, &r.products, r.product)
	}
	r.now = r.t
	if err := r.t.next(); err != nil {
		if errors.Is(err, io.EOF) && r.run != nil {
			if err := r.flush(s); err != nil {
				return err
			}
		}
		return err
	}
	s.row()
	return r.transaction(s)
}

// step reads a row of a side table and closes the table at its end.
func (r *completeJourney) step(s *Source, t **table, row func(*Source) error) error {
	r.now = *t
	err := (*t).next()
	if errors.Is(err, io.EOF) {
		err = (*t).close()
		*t = nil
		return err
	}
	if err != nil {
		return err
	}
	s.row()
	return row(s)
}

// demographics are the columns of the users' table; all but the first go into the user's document.
var demographics = []string{"household_id", "age", "income", "home_ownership", "marital_status",
	"household_size", "household_comp", "kids_count"}

func (r *completeJourney) user(s *Source) error {
	id, err := r.users.id(0)
	if err != nil {
		return err
	}
	attributes := map[string]any{}
	for i, name := range demographics[1:] {
		if v := r.users.text(i + 1); v != "" {
			attributes[name] = v
		}
	}
	return s.emit(streams.Event{ID: "cj-user-" + id, Type: streams.UserUpsert, Time: journeyStart, UserID: id, Attributes: attributes})
}

func (r *completeJourney) product(s *Source) error {
	t := r.products
	id, err := t.id(cpID)
	if err != nil {
		return err
	}
	doc := map[string]any{"tags": []any{t.text(cpBrand)}, "brand": "manufacturer-" + t.text(cpManufacturer)}
	title, path := "", []any{}
	for _, level := range []int{cpDepartment, cpCategory, cpType} {
		if v := t.text(level); v != "" {
			title, path = v, append(path, v)
		}
	}
	if t.text(cpCategory) != "" {
		doc["category"] = t.text(cpCategory)
	} else {
		doc["category"] = t.text(cpDepartment)
	}
	if size := t.text(cpSize); size != "" {
		title += ", " + size
		doc["package_size"] = size
	}
	doc["title"], doc["category_path"] = title, path
	r.docs[strings.Clone(id)] = doc
	return s.emit(streams.Event{ID: "cj-item-" + id, Type: streams.ItemUpsert, Time: journeyStart,
		Items: []streams.Line{{ItemID: id}}, Attributes: doc})
}

// transaction puts the current row into its basket.
func (r *completeJourney) transaction(s *Source) error {
	basketID, err := r.t.id(cjBasket)
	if err != nil {
		return err
	}
	household, err := r.t.id(cjHousehold)
	if err != nil {
		return err
	}
	when, err := r.t.time(cjTime, time.RFC3339)
	if err != nil {
		return err
	}
	if run := r.run; run != nil {
		if when.Before(run.time) {
			return r.t.fail(cjTime, "is earlier than in the row before; sort the file by transaction_timestamp")
		}
		if run.id != basketID || run.household != household || !run.time.Equal(when) {
			if err := r.flush(s); err != nil {
				return err
			}
			r.run = nil
		}
	}
	if r.run == nil {
		r.run = &basket{id: basketID, household: household, time: when}
	}
	return r.line(s)
}

// line adds the current row to the basket.
func (r *completeJourney) line(s *Source) error {
	b := r.run
	product, err := r.t.id(cjProduct)
	if err != nil {
		return err
	}
	quantity, err := r.t.integer(cjQuantity)
	if err != nil {
		return err
	}
	if quantity < 0 {
		return r.t.fail(cjQuantity, "is negative")
	}
	value, err := r.t.cents(cjSales)
	if err != nil {
		return err
	}
	if quantity == 0 && value == 0 {
		s.skip(SkipEmptyLine)
		return nil
	}
	if quantity == 0 {
		b.value, b.any = b.value+value, true
		s.reduced(ReducedQuantity)
		return nil
	}
	if len(b.lines) == s.maxLines {
		if err := r.flush(s); err != nil {
			return err
		}
	}
	b.value, b.any = b.value+value, true
	b.lines = append(b.lines, streams.Line{ItemID: product, Quantity: quantity, Price: perUnit(value, quantity)})
	return r.priced(s, product, quantity, value)
}

// priced emits the product's document once more when it is sold for the first time, now with the shelf
// price of a unit.
func (r *completeJourney) priced(s *Source, product string, quantity, value int64) error {
	doc := r.docs[product]
	if doc == nil {
		return nil
	}
	for _, column := range []int{cjRetailDisc, cjMatchDisc} {
		discount, err := r.t.cents(column)
		if err != nil {
			return err
		}
		value += discount
	}
	if value <= 0 {
		return nil
	}
	delete(r.docs, product)
	priced := maps.Clone(doc) // the event that was returned keeps its own
	priced["price"], priced["currency"] = float64(perUnit(value, quantity)), "USD"
	return s.emit(streams.Event{ID: "cj-item-" + product + "-2", Type: streams.ItemUpsert, Time: r.run.time,
		Items: []streams.Line{{ItemID: product}}, Attributes: priced})
}

// flush emits the basket's order. The total is what the retailer received, to the cent, which the
// rounded unit prices cannot always express.
func (r *completeJourney) flush(s *Source) error {
	b := r.run
	if !b.any {
		return nil
	}
	b.parts++
	total := b.value
	e := streams.Event{ID: "cj-" + b.id, Type: streams.Order, Time: b.time, UserID: b.household, OrderID: b.id,
		Items: b.lines, Currency: "USD", Total: &total}
	if b.parts > 1 {
		e.ID += "-" + strconv.Itoa(b.parts)
	}
	b.lines, b.value, b.any = nil, 0, false
	return s.emit(e)
}
