package file

import (
	"fmt"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/foreign"
)

// Leave is the type to which a kind of feedback is mapped that is left out.
const Leave streams.Type = "skip"

// feedback maps kinds of feedback to types.
type feedback map[string]streams.Type

// typeOf returns the type of a kind, Leave for one that is left out, or what is wrong.
func (f feedback) typeOf(kind string) (t streams.Type, problem string) {
	t, ok := f[kind]
	if !ok {
		t, ok = foreign.TypeOf(kind)
	}
	if !ok {
		return "", fmt.Sprintf("%q is a kind of feedback that is not known: say what it is, --map %s=view say, or --map %s=skip, which 'sartor replay' has; other commands read such a file by a mapping (streams/file/FORMATS.md, section mapped)", kind, kind, kind)
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
