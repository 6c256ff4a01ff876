// Package streams is the event contract: what can happen in a shop, in which order, and on which
// stream it travels. It knows no wire format, no broker and no consumer, and uses the standard
// library only.
package streams

import (
	"strings"
	"time"
)

// Type says what happened. The set is closed: a codec refuses a type that is not listed here.
type Type string

// The event types, by the stream that carries them.
const (
	View       Type = "view"
	Click      Type = "click"
	CartAdd    Type = "cart-add"
	CartRemove Type = "cart-remove"
	Search     Type = "search"
	Wishlist   Type = "wishlist"
	Rating     Type = "rating"

	// Order adds units and spend; Return (goods given back, or an order cancelled) takes them away.
	// Quantities are positive in both.
	Order  Type = "order"
	Return Type = "return"

	// ItemUpsert replaces the whole item document: the catalog topic is compacted, so that the last
	// message of a key must be complete.
	ItemUpsert Type = "item-upsert"
	ItemDelete Type = "item-delete"

	// UserUpsert replaces the whole attribute document of a user.
	UserUpsert Type = "user-upsert"
	UserDelete Type = "user-delete"

	// UserMerge says that a visitor (AnonymousID) turned out to be a known user (UserID): what the
	// visitor did is the user's. It travels behind the visitor's own behaviour, under the visitor's key.
	UserMerge Type = "user-merge"

	// Exposure records what was shown, in which position, under which recommendation id.
	Exposure Type = "exposure"
)

// Stream is a logical topic. Configuration maps it to the topic's real name.
type Stream string

// The streams. DeadLetters is written by consumers, never by shops.
const (
	Orders      Stream = "orders"
	Behavior    Stream = "behavior"
	Catalog     Stream = "catalog"
	Users       Stream = "users"
	Exposures   Stream = "exposures"
	DeadLetters Stream = "dead-letters"
)

// Streams lists all logical topics in a fixed order.
func Streams() []Stream {
	return []Stream{Orders, Behavior, Catalog, Users, Exposures, DeadLetters}
}

// Compacted tells whether the topic keeps only the last message of each key.
func (s Stream) Compacted() bool { return s == Catalog || s == Users }

// Types lists every event type in a fixed order.
func Types() []Type {
	return []Type{View, Click, CartAdd, CartRemove, Search, Wishlist, Rating, Order, Return,
		ItemUpsert, ItemDelete, UserUpsert, UserDelete, Exposure, UserMerge}
}

// Stream returns the stream that carries events of this type, or "" for an unknown type.
func (t Type) Stream() Stream {
	switch t {
	case View, Click, CartAdd, CartRemove, Search, Wishlist, Rating, UserMerge:
		return Behavior
	case Order, Return:
		return Orders
	case ItemUpsert, ItemDelete:
		return Catalog
	case UserUpsert, UserDelete:
		return Users
	case Exposure:
		return Exposures
	}
	return ""
}

// Line is one item of an event.
type Line struct {
	ItemID string
	// Quantity is in units, >= 1 for orders, returns and cart events; 0 elsewhere.
	Quantity int64
	// Price is the price of one unit in minor units (cents) of Event.Currency.
	Price int64
	// Position is the 1-based place in the list that was shown; 0 when unknown.
	Position int
}

// Event is one thing that happened. It is a plain value: whoever receives one may keep it, but must
// not change the slices and maps in it.
type Event struct {
	// ID names the event for deduplication and attribution; unique per producer.
	ID   string
	Type Type
	// Time is when it happened (event time), UTC, in whole milliseconds. Features depend on it and
	// never on the time of arrival.
	Time time.Time

	UserID      string
	AnonymousID string
	SessionID   string

	Items    []Line
	Currency string // ISO 4217, upper case; "" = the shop's only currency

	OrderID string
	// Total is the order's amount in minor units; nil means the sum of the lines. An order may have
	// a total and no lines ("no order details").
	Total *int64

	Query  string  // search
	Rating float64 // rating, in the producer's own scale

	// Country is the ISO 3166 alpha-2 code or name of the context in which the event happened.
	Country          string
	Scenario         string // placement, for exposures and clicks
	RecommendationID string // attribution

	// Attributes is the document of an item or user upsert, or free-form facts about the event.
	// Values are string, float64, bool, nil, []any or map[string]any, as encoding/json decodes them.
	Attributes map[string]any

	// Visit is what the same subject touched before in the same visit, newest first, each once. It is no
	// part of the event as it travels: readers of the log fill it in when they are asked to (Visits).
	Visit []Touch
}

// anonymousPrefix keeps anonymous ids and user ids apart in one key space.
const anonymousPrefix = "anon:"

// AnonymousSubject returns the subject under which an anonymous visitor's features are kept.
func AnonymousSubject(anonymousID string) string { return anonymousPrefix + anonymousID }

// IsAnonymous tells whether a subject stands for an anonymous visitor.
func IsAnonymous(subject string) bool { return strings.HasPrefix(subject, anonymousPrefix) }

// Subject returns the entity whose user features the event changes: the user id, else the
// anonymous visitor, else "".
func (e *Event) Subject() string {
	switch {
	case e.UserID != "":
		return e.UserID
	case e.AnonymousID != "":
		return AnonymousSubject(e.AnonymousID)
	}
	return ""
}

// Key returns the partition key: the item id on the catalog stream, the visitor of a merge, the
// subject elsewhere. Events of one key stay in order.
func (e *Event) Key() string {
	if e.Type == UserMerge && e.AnonymousID != "" {
		return AnonymousSubject(e.AnonymousID)
	}
	if e.Type.Stream() == Catalog && len(e.Items) > 0 {
		return e.Items[0].ItemID
	}
	return e.Subject()
}

// Amount returns the value of the event in minor units: the total when the producer gave one, else
// the sum of quantity times price over the lines.
func (e *Event) Amount() int64 {
	if e.Total != nil {
		return *e.Total
	}
	var sum int64
	for _, l := range e.Items {
		sum += l.Quantity * l.Price
	}
	return sum
}

// Position is the place of a record in the log.
type Position struct {
	Topic     string
	Partition int
	Offset    int64
}

// Record is an event with its place in the log.
type Record struct {
	Position
	Event Event
}
