package httpapi

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/sartorhq/sartor/streams/spelling"
)

// inPlainWords says what to do about something that the document's judge found at a place of a body.
func (d *document) inPlainWords(schema *huma.Schema, place, found string) fieldError {
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	if name, ok := strings.CutPrefix(found, before); ok {
		if name, ok = strings.CutSuffix(name, after); ok {
			return fieldError{Field: strings.TrimPrefix(place+"."+name, "."), Message: "is missing"}
		}
	}
	switch found {
	case validation.MsgUnexpectedProperty:
		inner, name := d.inner(schema, place)
		return fieldError{Field: place, Message: unknownName("field", name, inner)}
	case validation.MsgExpectedString:
		found = "must be a text in quotes"
	case validation.MsgExpectedInteger:
		found = "must be a whole number, such as 10"
	case validation.MsgExpectedNumber:
		found = "must be a number, such as 0.5"
	case validation.MsgExpectedBoolean:
		found = "must be true or false"
	case validation.MsgExpectedArray:
		found = "must be a list: [...]"
	case validation.MsgExpectedObject:
		found = "must be an object: {...}"
	default:
		found = limitInPlainWords(d.at(schema, place), found)
	}
	return fieldError{Field: place, Message: found}
}

// limitInPlainWords says which limit of a field's schema was not kept, in the words that package recommender has
// for the same.
func limitInPlainWords(schema *huma.Schema, found string) string {
	is := func(message string) bool {
		before, _, _ := strings.Cut(message, "%")
		return strings.HasPrefix(found, before)
	}
	switch {
	case schema == nil:
	case (is(validation.MsgExpectedMinimumNumber) || is(validation.MsgExpectedMaximumNumber)) && schema.Minimum != nil && schema.Maximum != nil:
		return fmt.Sprintf("must be between %v and %v", *schema.Minimum, *schema.Maximum)
	case is(validation.MsgExpectedMaxLength) && schema.MaxLength != nil:
		return fmt.Sprintf("longer than %d characters", *schema.MaxLength)
	case (is(validation.MsgExpectedMinItems) || is(validation.MsgExpectedMaxItems)) && schema.MinItems != nil && schema.MaxItems != nil:
		return fmt.Sprintf("must hold between %d and %d", *schema.MinItems, *schema.MaxItems)
	case is(validation.MsgExpectedMaxItems) && schema.MaxItems != nil:
		return fmt.Sprintf("must hold at most %d", *schema.MaxItems)
	case is(validation.MsgExpectedMatchPattern) && schema.Pattern == namePattern:
		return "must be 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit"
	}
	return found
}

// namePattern is the pattern of scenarios, placements and channels in the document.
const namePattern = "^[a-z0-9][a-z0-9_-]*$"

// unknownName says what may have been meant by a name of a request, or else what there is.
func unknownName(what, name string, known []string) string {
	if near := spelling.Nearest(name, known); near != "" {
		return "unknown " + what + "; did you mean " + near + "?"
	}
	if len(known) == 0 {
		return "unknown " + what
	}
	return "unknown " + what + "; there are " + strings.Join(known, ", ")
}

// inner returns the fields that the object around a place has, and the place's own name.
func (d *document) inner(schema *huma.Schema, place string) (known []string, name string) {
	parts := placeParts(place)
	if len(parts) == 0 {
		return nil, place
	}
	last := len(parts) - 1
	return propertiesOf(d.follow(schema, parts[:last])), parts[last]
}

// at returns the schema of a place, nil for one that the document does not have.
func (d *document) at(schema *huma.Schema, place string) *huma.Schema {
	return d.follow(schema, placeParts(place))
}

func placeParts(place string) []string {
	return strings.FieldsFunc(place, func(r rune) bool { return r == '.' || r == '[' })
}

func (d *document) follow(schema *huma.Schema, parts []string) *huma.Schema {
	for schema = d.resolved(schema); schema != nil && len(parts) > 0; parts = parts[1:] {
		if strings.HasSuffix(parts[0], "]") {
			schema = d.resolved(schema.Items)
		} else {
			schema = d.resolved(schema.Properties[parts[0]])
		}
	}
	return schema
}

// propertiesOf lists the fields of an object's schema, none of no schema.
func propertiesOf(schema *huma.Schema) []string {
	if schema == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(schema.Properties))
}

// resolved follows a reference into the document.
func (d *document) resolved(schema *huma.Schema) *huma.Schema {
	if schema != nil && schema.Ref != "" {
		return d.registry().SchemaFromRef(schema.Ref)
	}
	return schema
}

// jsonKind names what JSON is read into a type of ours.
func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text in quotes"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number, such as 10"
	case reflect.Float32, reflect.Float64:
		return "a number, such as 0.5"
	case reflect.Slice, reflect.Array:
		return "a list: [...]"
	case reflect.Pointer:
		return jsonKind(t.Elem())
	}
	return "an object: {...}"
}

// namesOf lists the JSON fields of a struct.
func namesOf(t reflect.Type) []string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
