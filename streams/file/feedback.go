package file

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// Leave is the type to which a kind of feedback is mapped that is left out.
const Leave streams.Type = "skip"

// feedbackTypes says what the kinds of feedback of other systems mean here, unless the caller says
// otherwise. Kinds are compared without regard to case and separators.
func feedbackTypes(kind string) (streams.Type, bool) {
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

// feedback maps kinds of feedback to types.
type feedback map[string]streams.Type

// typeOf returns the type of a kind, Leave for one that is left out, or what is wrong.
func (f feedback) typeOf(kind string) (t streams.Type, problem string) {
	t, ok := f[kind]
	if !ok {
		t, ok = feedbackTypes(kind)
	}
	if !ok {
		return "", fmt.Sprintf("%q is a kind of feedback that is not known: say what it is, --map %s=view say, or --map %s=skip", kind, kind, kind)
	}
	return t, ""
}

// checkFeedback refuses mappings to what is not done by a person to an item.
func checkFeedback(f map[string]streams.Type) error {
	for kind, t := range f {
		switch t {
		case streams.View, streams.Click, streams.CartAdd, streams.CartRemove, streams.Order, streams.Return, streams.Wishlist, streams.Rating, Leave:
		default:
			return fmt.Errorf("feedback %q cannot be %q: it can be view, click, cart-add, cart-remove, wishlist, rating, order, return or skip", kind, t)
		}
	}
	return nil
}

// countedType tells whether lines of the type have a quantity.
func countedType(t streams.Type) bool {
	return t == streams.Order || t == streams.Return || t == streams.CartAdd || t == streams.CartRemove
}

// joinID makes an event id of parts that name the event together; a hash where that is too long.
func joinID(parts ...string) string {
	id := strings.Join(parts, "-")
	if len(id) <= codec.MaxIDBytes {
		return id
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return parts[0] + "-" + hex.EncodeToString(sum[:])
}
