// Package foreign says what the records of other recommenders, Gorse and Metarank, mean as events: for their
// recorded exports and for their clients' requests alike. It reads no bytes and no clock; how a time is
// written is its caller's to say, because exports and clients differ in that. All functions are pure.
package foreign

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// Kinds tells people which kinds of feedback TypeOf knows.
const Kinds = "view, click, cart, purchase, return, star, rating and their like"

// TypeOf says what a kind of feedback means here, false for one that is not known. Kinds are compared without
// regard to case and separators.
func TypeOf(kind string) (streams.Type, bool) {
	switch strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(kind)) {
	case "read", "view", "visit", "watch", "play", "impression":
		return streams.View, true
	case "click":
		return streams.Click, true
	case "cart", "addtocart", "cartadd", "basket":
		return streams.CartAdd, true
	case "removefromcart", "cartremove":
		return streams.CartRemove, true
	case "purchase", "buy", "order", "transaction", "checkout":
		return streams.Order, true
	case "return", "refund":
		return streams.Return, true
	case "star", "like", "favorite", "favourite", "bookmark", "wishlist", "save", "follow":
		return streams.Wishlist, true
	case "rating", "rate":
		return streams.Rating, true
	}
	return "", false
}

// ID makes an event id of parts that name the event together; a hash where that is too long. The same parts
// are the same id on every machine, so that what is sent twice counts once.
func ID(parts ...string) string {
	id := strings.Join(parts, "-")
	if len(id) <= codec.MaxIDBytes {
		return id
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return parts[0] + "-" + hex.EncodeToString(sum[:])
}

// counted tells whether lines of the type have a quantity.
func counted(t streams.Type) bool {
	return t == streams.Order || t == streams.Return || t == streams.CartAdd || t == streams.CartRemove
}

// line is an item without more, one piece of it where pieces count.
func line(t streams.Type, item string) streams.Line {
	if counted(t) {
		return streams.Line{ItemID: item, Quantity: 1}
	}
	return streams.Line{ItemID: item}
}
