package file

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/foreign"
)

// describe makes the document of an item or a user.
func (t *mappedTable) describe(m *mapping) (e streams.Event, problem *rowProblem) {
	e.Type, e.Attributes = streams.Type(t.Type), map[string]any{}
	var item string
	currency := m.Currency
	if problem = t.texts(map[string]*string{"event_id": &e.ID, "user": &e.UserID, "item": &item, "currency": &currency}); problem != nil {
		return e, problem
	}
	id := item
	if e.Type == streams.UserUpsert {
		id = e.UserID
	} else {
		e.UserID = ""
		e.Items = []streams.Line{{ItemID: item}}
	}
	if id == "" {
		return e, &rowProblem{column: t.Columns[map[bool]string{true: "user", false: "item"}[e.Type == streams.UserUpsert]], kind: "is empty"}
	}
	for name, column := range t.Document {
		v, problem := t.attribute(name, column, strings.ToUpper(currency))
		if problem != nil {
			return e, problem
		}
		if v != nil {
			e.Attributes[name] = v
		}
	}
	if _, priced := e.Attributes["price"]; priced && currency != "" && e.Attributes["currency"] == nil {
		e.Attributes["currency"] = strings.ToUpper(currency)
	}
	if e.ID == "" {
		e.ID = foreign.ID(string(e.Type), id)
		if t.Columns["time"] != "" {
			t.name(&e)
		}
	}
	return e, nil
}

// attribute reads one attribute of a document: nil when it is not there.
func (t *mappedTable) attribute(name, column, currency string) (any, *rowProblem) {
	v := t.rows.value(column)
	text, problem := clean(column, v)
	switch v.(type) {
	case []any, map[string]any:
		return plain(v), nil
	}
	if problem != nil || text == "" {
		return nil, problem
	}
	if mark := t.Lists[name]; mark != "" {
		var list []any
		for part := range strings.SplitSeq(text, mark) {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		return list, nil
	}
	switch {
	case name == "price":
		n, problem := t.amount("", text, currency)
		return float64(n), problem
	case slices.Contains(t.Numbers, name):
		number, ok := readDecimal(text, t.Decimal)
		f, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil {
			return nil, &rowProblem{column: column, kind: "is no number", value: text}
		}
		return f, nil
	}
	if _, isText := v.(string); isText {
		return text, nil
	}
	return plain(v), nil
}
