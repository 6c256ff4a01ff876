package file

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
	"github.com/sartorhq/sartor/streams/foreign"
)

// Reasons for which rows of mapped files are no events.
const (
	SkipNobody   = "nobody: neither user nor visitor"
	SkipQuantity = "quantity 0"
	SkipEmpty    = "nothing in it"
)

// get returns the text of the column for a field, "" when no column is named or it is blank.
func (t *mappedTable) get(field string) (string, *rowProblem) {
	column := t.Columns[field]
	if column == "" {
		return "", nil
	}
	return clean(column, t.rows.value(column))
}

// clean returns a value as a text that is UTF-8.
func clean(column string, v any) (string, *rowProblem) {
	text, ok := textOf(v)
	if !ok {
		return "", &rowProblem{column: column, kind: "is an object or an array"}
	}
	if !utf8.ValidString(text) {
		return "", &rowProblem{column: column, kind: "is not UTF-8: say encoding: windows-1252 in the mapping, if that is what it is"}
	}
	return text, nil
}

// texts fills several fields.
func (t *mappedTable) texts(into map[string]*string) *rowProblem {
	for field, p := range into {
		text, problem := t.get(field)
		if problem != nil {
			return problem
		}
		if text != "" {
			*p = text
		}
	}
	return nil
}

// event makes the event of a row. Where the row goes on with the order before, what it leaves blank is what that said. leave says
// why the row is no event.
func (t *mappedTable) event(m *mapping, before *streams.Event) (e streams.Event, leave string, problem *rowProblem) {
	if e.Type, leave, problem = t.typeOf(); leave != "" || problem != nil {
		return e, leave, problem
	}
	if e.Type.Stream() == streams.Catalog || e.Type.Stream() == streams.Users {
		if e, problem = t.describe(m); problem == nil {
			e.Time, problem = t.time(m)
		}
		return e, "", problem
	}
	e.Currency = m.Currency
	rating, order := "", ""
	if problem = t.texts(map[string]*string{"event_id": &e.ID, "user": &e.UserID, "anonymous": &e.AnonymousID, "session": &e.SessionID, "query": &e.Query,
		"scenario": &e.Scenario, "country": &e.Country, "currency": &e.Currency, "rating": &rating, "order": &order}); problem != nil {
		return e, "", problem
	}
	e.Currency = strings.ToUpper(e.Currency)
	if e.Type.Stream() == streams.Orders {
		e.OrderID = order
	}
	if problem = t.when(m, &e, before); problem != nil {
		return e, "", problem
	}
	if e.Type == streams.Rating {
		var ok bool
		if rating, ok = readDecimal(rating, t.Decimal); ok {
			e.Rating, _ = strconv.ParseFloat(rating, 64)
		} else {
			return e, "", &rowProblem{column: t.Columns["rating"], kind: "is no number"}
		}
	}
	if e.Type != streams.Search {
		e.Query = ""
	}
	if leave, problem = t.fill(&e); leave != "" || problem != nil {
		return e, leave, problem
	}
	if e.Subject() == "" {
		if e.OrderID == "" {
			return e, SkipNobody, nil
		}
		e.AnonymousID = foreign.ID("guest", e.OrderID)
	}
	t.name(&e)
	return e, "", nil
}

// name gives the event an id that is the same each time the file is read.
func (t *mappedTable) name(e *streams.Event) {
	stem, _, _ := strings.Cut(filepath.Base(t.path), ".")
	switch {
	case e.ID != "":
	case e.OrderID != "":
		e.ID = foreign.ID(stem, string(e.Type), e.OrderID)
	default:
		e.ID = foreign.ID(stem, strconv.FormatInt(t.row, 10))
	}
}

// typeOf says what the row is.
func (t *mappedTable) typeOf() (typ streams.Type, leave string, problem *rowProblem) {
	if t.Type != "" {
		return streams.Type(t.Type), "", nil
	}
	value, problem := clean(t.TypeFrom, t.rows.value(t.TypeFrom))
	if problem != nil {
		return "", "", problem
	}
	name, ok := t.Types[value]
	if !ok {
		name, ok = t.Types["*"]
	}
	typ = streams.Type(name)
	if !ok && slices.Contains(mappedTypes, streams.Type(value)) && !(&mappedFile{Type: value}).document() {
		typ, ok = streams.Type(value), true
	}
	if !ok {
		typ, ok = foreign.TypeOf(value)
	}
	switch {
	case !ok:
		return "", "", &rowProblem{column: t.TypeFrom, value: value,
			kind: "is no type that is known: say what it is under types of the mapping, such as {" + value + ": view}, {" + value + ": skip} or {\"*\": skip}"}
	case typ == Leave:
		return "", t.TypeFrom + " " + value, nil
	}
	return typ, "", nil
}

// when sets the time; a further line of an order may leave it and the customer out.
func (t *mappedTable) when(m *mapping, e, before *streams.Event) (problem *rowProblem) {
	goesOn := before != nil && e.OrderID != "" && e.OrderID == before.OrderID
	if goesOn && e.Subject() == "" {
		e.UserID, e.AnonymousID = before.UserID, before.AnonymousID
	}
	if goesOn && e.Country == "" {
		e.Country = before.Country
	}
	if goesOn && e.Currency == m.Currency {
		e.Currency = before.Currency
	}
	if text, problem := t.get("time"); problem != nil || text != "" || !goesOn {
		if problem == nil {
			e.Time, problem = t.time(m)
		}
		return problem
	}
	e.Time = before.Time
	return nil
}

// time reads when it happened.
func (t *mappedTable) time(m *mapping) (time.Time, *rowProblem) {
	column := t.Columns["time"]
	text, problem := t.get("time")
	if problem != nil {
		return time.Time{}, problem
	}
	if text == "" {
		return time.Time{}, &rowProblem{column: column, kind: "is empty"}
	}
	when, ok := readTime(text, t.layout, m.zone)
	if !ok {
		kind := "is no time that can be read in one way only: say its time_format in the mapping, such as DD/MM/YYYY HH:mm"
		if t.layout != "" {
			kind = "is no time like " + t.Time
		}
		return time.Time{}, &rowProblem{column: column, kind: kind, value: text}
	}
	offset, problem := t.get("time_offset_ms")
	if problem != nil {
		return time.Time{}, problem
	}
	if offset != "" {
		ms, err := strconv.ParseInt(offset, 10, 64)
		if err != nil || ms < -1e13 || ms > 1e13 {
			return time.Time{}, &rowProblem{column: t.Columns["time_offset_ms"], kind: "is no whole number", value: offset}
		}
		when = when.Add(time.Duration(ms) * time.Millisecond)
	}
	return time.UnixMilli(when.UnixMilli()).UTC(), nil
}

// fill sets the lines and the total.
func (t *mappedTable) fill(e *streams.Event) (leave string, problem *rowProblem) {
	total, problem := t.get("total")
	if problem != nil {
		return "", problem
	}
	if total != "" && e.Type.Stream() == streams.Orders {
		amount, problem := t.amount("total", total, e.Currency)
		if problem != nil {
			return "", problem
		}
		if amount < 0 {
			amount, e.Type = -amount, streams.Return
		}
		e.Total = &amount
	}
	if t.Lines == "" {
		leave, problem = t.line(e, t.rows.value)
		return leave, problem
	}
	declared, sign := e.Type, streams.Type("")
	for _, row := range t.rows.lines(t.Lines) {
		e.Type = declared
		if leave, problem = t.line(e, row.at); problem != nil {
			return "", problem
		}
		switch {
		case leave != "":
			t.emptyLines++
		case sign == "":
			sign = e.Type
		case sign != e.Type:
			return "", &rowProblem{column: t.Columns["quantity"], kind: "is below 0 in one line and above in another"}
		}
	}
	if sign != "" {
		e.Type = sign
	}
	if len(e.Items) == 0 && e.Total == nil && e.Type != streams.Search {
		return SkipEmpty, nil
	}
	return "", nil
}

// line appends one line, whose columns value knows.
func (t *mappedTable) line(e *streams.Event, value func(string) any) (leave string, problem *rowProblem) {
	get := func(field string) string {
		if problem != nil || t.Columns[field] == "" {
			return ""
		}
		var text string
		text, problem = clean(t.Columns[field], value(t.Columns[field]))
		return text
	}
	item, quantity, price, amount := get("item"), get("quantity"), get("price"), get("amount")
	if problem != nil {
		return "", problem
	}
	if item == "" {
		if e.Total != nil || e.Type == streams.Search {
			return "", nil
		}
		return "", &rowProblem{column: t.Columns["item"], kind: "is empty"}
	}
	l := streams.Line{ItemID: item}
	counted := e.Type.Stream() == streams.Orders || e.Type == streams.CartAdd || e.Type == streams.CartRemove
	if counted {
		n, problem := t.quantity(quantity)
		if problem != nil {
			return "", problem
		}
		switch {
		case n == 0:
			return SkipQuantity, nil
		case n < 0: // what is taken back
			n = -n
			switch e.Type {
			case streams.Order:
				e.Type = streams.Return
			case streams.CartAdd:
				e.Type = streams.CartRemove
			}
		}
		l.Quantity = n
	}
	field, text := "price", price
	if price == "" && amount != "" {
		field, text = "amount", amount
	}
	if text != "" {
		if l.Price, problem = t.amount(field, text, e.Currency); problem != nil {
			return "", problem
		}
		if e.Type == streams.Return && l.Price < 0 {
			l.Price = -l.Price
		}
		if field == "amount" && l.Quantity > 1 {
			l.Price = perUnit(l.Price, l.Quantity)
		}
		if l.Price < 0 {
			return "", &rowProblem{column: t.Columns[field], kind: "is below 0", value: text}
		}
	}
	e.Items = append(e.Items, l)
	return "", nil
}

// quantity reads how many; one when that is not said.
func (t *mappedTable) quantity(text string) (int64, *rowProblem) {
	if text == "" {
		return 1, nil
	}
	number, ok := readDecimal(text, t.Decimal)
	whole, fraction, _ := strings.Cut(number, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if !ok || err != nil || strings.Trim(fraction, "0") != "" {
		return 0, &rowProblem{column: t.Columns["quantity"], kind: "is no whole number", value: text}
	}
	return n, nil
}

// amount reads money as minor units.
func (t *mappedTable) amount(field, text, currency string) (int64, *rowProblem) {
	column := t.Columns[field]
	if field == "" {
		column = t.Document["price"]
	}
	number, ok := readDecimal(text, t.Decimal)
	if !ok {
		return 0, &rowProblem{column: column, kind: "is no amount: decimal: \",\" or \".\" in the mapping says how decimals are written", value: text}
	}
	if t.Minor {
		currency = "JPY" // whose minor units are its major ones
	}
	v, ok := codec.MinorUnits(number, currency)
	if !ok {
		return 0, &rowProblem{column: column, kind: "is too large an amount", value: text}
	}
	return v, nil
}
