package codec

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sartorhq/sartor/streams/spelling"
)

// unknownField says what to do about a top-level field that does not exist.
func unknownField(name string) string {
	switch name {
	case "quantity", "price", "position":
		return `unknown here; it belongs to an item: "items":[{"item_id":"…","` + name + `":1}]`
	case "country":
		return `unknown here; it belongs to the context: "context":{"country":"DE"}`
	}
	return "unknown field" + didYouMean(name, fieldNames) + "; facts of your own go into attributes"
}

// unknownLineField says what to do about a field of an item that does not exist.
func unknownLineField(name string) string {
	return "unknown field" + didYouMean(name, lineNames) + "; an item has " + strings.Join(lineNames, ", ")
}

// unknownType says what to do about a type that does not exist.
func unknownType(name string) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	hint := didYouMean(name, names)
	if hint == "" {
		hint = "; the types are " + strings.Join(names, ", ")
	}
	return "unknown type " + quote([]byte(name)) + hint
}

// aliases are names that other event formats use.
func alias(plain string) string {
	switch plain {
	case "id", "messageid", "uuid":
		return "event_id"
	case "event", "kind", "eventtype", "action":
		return "type"
	case "timestamp", "ts", "date", "eventtime", "occurredat":
		return "time"
	case "user", "customer", "customerid", "uid":
		return "user_id"
	case "visitorid", "deviceid", "cookie":
		return "anonymous_id"
	case "sku", "product", "productid", "item", "article", "articleid":
		return "item_id"
	case "products", "lines", "lineitems":
		return "items"
	case "amount", "revenue", "value", "sum":
		return "total"
	case "qty", "count", "units":
		return "quantity"
	case "properties", "props", "traits", "metadata", "data":
		return "attributes"
	case "stars", "score":
		return "rating"
	case "placement":
		return "scenario"
	case "purchase", "buy", "checkout", "transaction":
		return "order"
	case "refund", "cancel":
		return "return"
	case "merge", "alias", "usermerged":
		return "user-merge"
	case "pageview", "impression":
		return "view"
	case "addtocart":
		return "cart-add"
	case "removefromcart":
		return "cart-remove"
	}
	return ""
}

// didYouMean returns "; did you mean X?" when one of the names is close to the one given.
func didYouMean(name string, names []string) string {
	if len(name) > MaxIDBytes {
		return ""
	}
	given := plain(name)
	if i := slices.Index(names, alias(given)); i >= 0 {
		return "; did you mean " + names[i] + "?"
	}
	if near := spelling.Nearest(name, names); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// plain drops case and separators: userId, User-ID and user_id are the same.
func plain(name string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace(strings.ToLower(name))
}

// quote shows a short value in a message, cut where it is long.
func quote(s []byte) string {
	const most = 40
	if len(s) <= most {
		return strconv.Quote(string(s))
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(string(s[:cut])) + "…"
}

// printable makes a field name from outside fit for a path.
func printable(name []byte) string {
	q := quote(name)
	if q == `"`+string(name)+`"` && len(name) > 0 {
		return string(name)
	}
	return q
}
