package rules

import (
	"time"

	"github.com/sartorhq/sartor/features"
)

// kind is the type of a value inside an expression.
type kind uint8

const (
	kindNone kind = iota // an error was reported already
	kindBool
	kindInt
	kindNumber
	kindText
	kindTime
	kindDuration
	kindTextList
	kindNumberList
	kindTextMap
	kindTextSet // a named list
	kindHistory // what the user did; no author can name it
)

// plain is the kind in an author's words.
func (k kind) plain() string {
	switch k {
	case kindBool:
		return "a yes/no value"
	case kindInt, kindNumber:
		return "a number"
	case kindText:
		return "text"
	case kindTime:
		return "a time"
	case kindDuration:
		return "a time span"
	case kindTextList:
		return "a list of texts"
	case kindNumberList:
		return "a list of numbers"
	case kindTextMap:
		return "a map of texts"
	case kindTextSet:
		return "a named list"
	}
	return "nothing"
}

func (k kind) numeric() bool { return k == kindInt || k == kindNumber }

func kindOf(t features.ValueType) kind {
	switch t {
	case features.Text:
		return kindText
	case features.Int:
		return kindInt
	case features.Number, features.Money:
		return kindNumber
	case features.Bool:
		return kindBool
	case features.Time:
		return kindTime
	case features.TextList:
		return kindTextList
	case features.TextMap:
		return kindTextMap
	}
	return kindNone
}

// zero is the value of a kind when the schema gives no default.
func (k kind) zero() any {
	switch k {
	case kindBool:
		return false
	case kindInt:
		return 0
	case kindNumber:
		return float64(0)
	case kindText:
		return ""
	case kindTime:
		return time.Time{}
	case kindDuration:
		return time.Duration(0)
	case kindTextList:
		return []string(nil)
	case kindTextMap:
		return map[string]string(nil)
	}
	return nil
}

// coerce returns v as a value of the kind, or def when v is missing or of another Go type: a wrong
// value in an Env must not become a panic in the middle of a rule.
func (k kind) coerce(v, def any) any {
	switch k {
	case kindBool:
		if _, ok := v.(bool); ok {
			return v
		}
	case kindInt:
		switch x := v.(type) {
		case int:
			return v
		case int64:
			return int(x)
		}
	case kindNumber:
		switch x := v.(type) {
		case float64:
			return v
		case int:
			return float64(x)
		case int64:
			return float64(x)
		}
	case kindText:
		if _, ok := v.(string); ok {
			return v
		}
	case kindTime:
		if _, ok := v.(time.Time); ok {
			return v
		}
	case kindTextList:
		if _, ok := v.([]string); ok {
			return v
		}
	case kindTextMap:
		if _, ok := v.(map[string]string); ok {
			return v
		}
	}
	return def
}
