package codec

import (
	"strings"

	"github.com/sartorhq/sartor/streams"
)

// event makes our event of a call; what is wrong with it is noted.
func (s *segmentCall) event(typ streams.Type) streams.Event {
	e := streams.Event{ID: s.messageID, Type: typ, UserID: s.userID, AnonymousID: s.anonymousID}
	if badText(s.session, MaxIDBytes) == "" {
		e.SessionID = s.session
	}
	if badText(s.country, 64) == "" {
		e.Country = s.country
	}
	switch typ {
	case streams.UserMerge:
		e.AnonymousID = s.previousID
		if s.previousID == "" || s.userID == "" {
			s.problem("previousId", "alias needs the previousId of the visitor and the userId that the visitor turned out to be")
		}
		return e
	case streams.UserUpsert:
		e.Attributes = s.document()
	default:
		s.shop(&e)
	}
	if e.Subject() == "" {
		s.problem("userId", "one of userId and anonymousId is required")
	}
	return e
}

// document reads the traits of an identify call.
func (s *segmentCall) document() map[string]any {
	if len(s.traits) == 0 {
		return nil
	}
	d := decoder{parser: parser{data: s.traits, depth: 1}}
	if d.null() {
		return nil
	}
	if d.next() != '{' {
		s.problem("traits", "must be an object")
		return nil
	}
	m, _ := d.object("traits")
	s.problems = append(s.problems, d.problems...)
	s.unnoted += d.unnoted
	if len(m) == 0 {
		return nil
	}
	return m
}

// shop fills in what a track call tells.
func (s *segmentCall) shop(e *streams.Event) {
	e.Currency = strings.ToUpper(s.currency)
	e.Scenario, e.RecommendationID = s.scenario, s.recommendationID
	digits := streams.Exponent(e.Currency)
	ordered := e.Type.Stream() == streams.Orders
	switch {
	case s.listed:
		for n := range s.products {
			e.Items = append(e.Items, s.line(e, n, &s.products[n], digits))
		}
	case ordered:
	case e.Type != streams.Search || s.flat.id != "" || s.flat.sku != "":
		e.Items = []streams.Line{s.line(e, -1, &s.flat, digits)}
	}
	if e.Type == streams.Search {
		if e.Query = s.query; s.query == "" {
			s.problem("properties.query", "Products Searched needs the text that was searched for")
		}
	} else if len(e.Items) == 0 && !ordered {
		s.problem("properties.products", "is empty; name at least one product")
	}
	if !ordered {
		return
	}
	e.OrderID = s.orderID
	for _, amount := range []struct{ field, text string }{{"properties.total", s.total}, {"properties.revenue", s.revenue}} {
		if amount.text == "" {
			continue
		}
		if v, ok := s.money(amount.field, amount.text, digits, MaxAmount); ok {
			e.Total = &v
		}
		break
	}
	s.needed(e)
}

// needed refuses orders and returns that would leave counts or revenue wrong.
func (s *segmentCall) needed(e *streams.Event) {
	switch {
	case len(e.Items) > 0:
	case strings.EqualFold(s.name, "Order Cancelled"):
		s.problem("properties.products", "Order Cancelled needs the products of the order, as Order Completed had them: orders are not looked up, and the items' counts could not be taken back")
	case e.Total != nil || s.total != "" || s.revenue != "":
	case e.Type == streams.Return:
		s.problem("properties.products", "Order Refunded needs the products that were given back, or the total that was refunded")
	default:
		s.problem("properties.products", "Order Completed needs products, or a total when the details are not known")
	}
}

// line makes the line of the n-th product, or of the properties when n is negative.
func (s *segmentCall) line(e *streams.Event, n int, p *segmentProduct, digits int) streams.Line {
	l := streams.Line{ItemID: p.id}
	if l.ItemID == "" {
		l.ItemID = p.sku
	}
	if l.ItemID == "" {
		s.problem(productPath(n, "product_id"), "is required (or sku)")
	}
	if p.price != "" {
		l.Price, _ = s.money(productPath(n, "price"), p.price, digits, MaxPrice)
	}
	if counted(e.Type) {
		l.Quantity = 1
		if p.quantity != "" {
			v, exact, ok := decimal(p.quantity, 0)
			if !ok || !exact || v < 1 || v > MaxQuantity {
				s.problem(productPath(n, "quantity"), "must be a whole number from 1 to %d; got %s", MaxQuantity, quote([]byte(p.quantity)))
			} else {
				l.Quantity = v
			}
		}
	}
	if v, exact, ok := decimal(p.position, 0); ok && exact && v >= 1 && v <= MaxPosition {
		l.Position = int(v)
	}
	return l
}

// money turns an amount in major units into minor units.
func (s *segmentCall) money(field, text string, digits int, most int64) (int64, bool) {
	v, _, ok := decimal(text, digits)
	switch {
	case !ok:
		s.problem(field, "must be an amount in major units, like 12.99; got %s", quote([]byte(text)))
	case v < 0:
		s.problem(field, "must not be negative; got %s", quote([]byte(text)))
	case v > most:
		s.problem(field, "is more than %d minor units; got %s", most, quote([]byte(text)))
	default:
		return v, true
	}
	return 0, false
}
