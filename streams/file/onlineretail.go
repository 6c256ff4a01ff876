package file

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// The reasons of online-retail.
const (
	// SkipStock: no customer and no price, or a negative quantity outside a cancellation: the shop
	// corrected its stock.
	SkipStock = "stock correction"
	// SkipBookkeeping: fees, commissions and bad debts, by stock code.
	SkipBookkeeping = "bookkeeping"
	// SkipSign: a cancellation whose quantity is positive, or a price below zero.
	SkipSign = "contradictory sign"
	// ReducedCharge: postage, carriage, discount, manual amounts: in the total, not among the lines.
	ReducedCharge = "charge without goods"
)

// onlineRetail reads the orders of UCI's "Online Retail": one row per line, rows of an invoice
// together, in order of time.
type onlineRetail struct {
	t *table
	// invoices counts the events of each invoice: an id is the invoice number, -2 and so on for what
	// follows under the same number.
	invoices map[string]int
	items    map[string]bool // items that have a document
	run      *invoice
}

// invoice is the run of rows that becomes one event.
type invoice struct {
	number, customer, country string
	time                      time.Time
	lines                     []streams.Line
	charges                   int64 // pence that no line carries
	charged                   bool
}

func (v *invoice) cancels() bool { return strings.HasPrefix(v.number, "C") }

// The columns of online-retail.
const (
	orInvoice = iota
	orStock
	orDescription
	orQuantity
	orDate
	orPrice
	orCustomer
	orCountry
)

func openOnlineRetail(path string) (reader, error) {
	path, err := locate(path, "orders.csv", "online-retail.csv")
	if err != nil {
		return nil, err
	}
	t, err := openTable(path, ',', "InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate",
		"UnitPrice", "CustomerID", "Country")
	if err != nil {
		return nil, err
	}
	return &onlineRetail{t: t, invoices: map[string]int{}, items: map[string]bool{}}, nil
}

func (r *onlineRetail) at() (string, int) { return r.t.at() }
func (r *onlineRetail) close() error      { return r.t.close() }

// read takes one row.
func (r *onlineRetail) read(s *Source) error {
	if err := r.t.next(); err != nil {
		if errors.Is(err, io.EOF) && r.run != nil {
			if err := r.flush(s); err != nil {
				return err
			}
		}
		return err
	}
	s.row()
	number, err := r.t.id(orInvoice)
	if err != nil {
		return err
	}
	when, err := r.t.time(orDate, time.DateTime)
	if err != nil {
		return err
	}
	customer, country := r.t.text(orCustomer), r.t.text(orCountry)
	if run := r.run; run != nil {
		if when.Before(run.time) {
			return r.t.fail(orDate, "is earlier than in the row before; sort the file by InvoiceDate")
		}
		if run.number != number || run.customer != customer || run.country != country || !run.time.Equal(when) {
			if err := r.flush(s); err != nil {
				return err
			}
			r.run = nil
		}
	}
	if r.run == nil {
		r.run = &invoice{number: number, customer: customer, country: country, time: when}
	}
	return r.add(s)
}

// add puts the current row into the run.
func (r *onlineRetail) add(s *Source) error {
	v := r.run
	code, err := r.t.id(orStock)
	if err != nil {
		return err
	}
	quantity, err := r.t.integer(orQuantity)
	if err != nil {
		return err
	}
	price, err := r.t.cents(orPrice)
	if err != nil {
		return err
	}
	switch kind := kindOf(code); {
	case kind == bookkeeping || strings.HasPrefix(v.number, "A"):
		s.skip(SkipBookkeeping)
		return nil
	case quantity == 0, quantity < 0 && !v.cancels(), v.customer == "" && isZero(r.t.text(orPrice)):
		s.skip(SkipStock)
		return nil
	case price < 0, quantity > 0 && v.cancels():
		s.skip(SkipSign)
		return nil
	case kind == charge:
		v.charges, v.charged = v.charges+abs(quantity)*price, true
		s.reduced(ReducedCharge)
		return nil
	}
	if len(v.lines) == s.maxLines {
		if err := r.flush(s); err != nil {
			return err
		}
	}
	v.lines = append(v.lines, streams.Line{ItemID: code, Quantity: abs(quantity), Price: price})
	return r.describe(s, code, price)
}

// describe emits the item's document when the item is seen with a name for the first time.
func (r *onlineRetail) describe(s *Source, code string, price int64) error {
	title := strings.TrimSpace(r.t.text(orDescription))
	if title == "" || r.items[code] {
		return nil
	}
	r.items[strings.Clone(code)] = true
	attributes := map[string]any{"title": title}
	if price > 0 {
		attributes["price"], attributes["currency"] = float64(price), "GBP"
	}
	return s.emit(streams.Event{ID: "item-" + code, Type: streams.ItemUpsert, Time: r.run.time,
		Items: []streams.Line{{ItemID: code}}, Attributes: attributes})
}

// flush emits the event of the run, if any row of it counts, and empties the run.
func (r *onlineRetail) flush(s *Source) error {
	v := r.run
	if len(v.lines) == 0 && !v.charged {
		return nil
	}
	e := streams.Event{ID: v.number, Type: streams.Order, Time: v.time, UserID: v.customer, OrderID: v.number,
		Items: v.lines, Currency: "GBP", Country: v.country}
	if v.cancels() {
		e.Type = streams.Return
	}
	if v.country == "Unspecified" {
		e.Country = ""
	}
	if v.customer == "" {
		e.AnonymousID = "guest-" + v.number
	}
	if v.charged {
		total := e.Amount() + v.charges
		e.Total = &total
	}
	n := r.invoices[v.number] + 1
	r.invoices[strings.Clone(v.number)] = n
	if n > 1 {
		e.ID += "-" + strconv.Itoa(n)
	}
	v.lines, v.charges, v.charged = nil, 0, false
	if err := s.emit(e); err != nil {
		return fmt.Errorf("invoice %s: %w", v.number, err)
	}
	return nil
}

// stockKind says what a stock code stands for.
type stockKind int

const (
	goods stockKind = iota
	charge
	bookkeeping
)

// kindOf knows the stock codes that are no products. PADS, gift_0001_* (vouchers) and DCGS* are goods.
func kindOf(code string) stockKind {
	switch code {
	case "POST", "DOT", "C2", "D", "S", "M", "m":
		return charge
	case "B", "BANK CHARGES", "AMAZONFEE", "CRUK":
		return bookkeeping
	}
	return goods
}

// isZero tells whether a decimal number is exactly zero; 0.001 is not, although it rounds to 0 pence.
func isZero(s string) bool { return strings.Trim(s, "-0.") == "" }

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
