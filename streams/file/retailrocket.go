package file

import (
	"fmt"
	"strconv"

	"github.com/sartorhq/sartor/streams"
)

// retailRocket reads ts, user_id, item_id, event in order of time.
type retailRocket struct {
	t    *table
	last int64
}

func openRetailRocket(path string) (reader, error) {
	path, err := locate(path, "events.csv")
	if err != nil {
		return nil, err
	}
	t, err := openTable(path, ',', "ts", "user_id", "item_id", "event")
	if err != nil {
		return nil, err
	}
	return &retailRocket{t: t}, nil
}

func (r *retailRocket) at() (string, int) { return r.t.at() }
func (r *retailRocket) close() error      { return r.t.close() }

// read takes one row: one event.
func (r *retailRocket) read(s *Source) error {
	if err := r.t.next(); err != nil {
		return err
	}
	s.row()
	when, err := r.t.seconds(0)
	if err != nil {
		return err
	}
	if when.Unix() < r.last {
		return r.t.fail(0, "is earlier than in the row before; sort the file by ts")
	}
	r.last = when.Unix()
	user, err := r.t.id(1)
	if err != nil {
		return err
	}
	item, err := r.t.id(2)
	if err != nil {
		return err
	}
	e := streams.Event{ID: "rr-" + strconv.FormatInt(r.t.rows, 10), Time: when, UserID: user,
		Items: []streams.Line{{ItemID: item}}}
	switch name := r.t.text(3); name {
	case "view":
		e.Type = streams.View
	case "addtocart":
		e.Type, e.Items[0].Quantity = streams.CartAdd, 1
	case "transaction":
		// One row is one item; the rows of one visitor in one second are one purchase.
		e.Type, e.Items[0].Quantity = streams.Order, 1
		e.OrderID = fmt.Sprintf("rr-%s-%d", user, when.Unix())
	default:
		return r.t.fail(3, fmt.Sprintf("%q is none of view, addtocart, transaction", name))
	}
	return s.emit(e)
}
