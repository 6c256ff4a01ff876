package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxListValues bounds a list that rules name: it is held in memory, and read again at every reload.
const maxListValues = 500_000

// ErrNoList says that a key of Redis holds no list: it does not exist, or is of another type.
var ErrNoList = errors.New("the key holds no list")

// RuleList reads a list that rules name by `source: redis:KEY`: the members of a set, sorted, or the
// values of a list, in their order; one a line, as rule files read them. A key that is gone is an error
// and no empty list, since a list of recalled goods must not become empty by accident; one that may be
// empty holds the value "#", which counts for nothing.
func (s *Store) RuleList(ctx context.Context, key string) ([]byte, error) {
	kind, err := s.client.Type(ctx, key).Result()
	if err != nil {
		return nil, fmt.Errorf("read the list %s: %w", key, err)
	}
	var values []string
	switch kind {
	case "set":
		values, err = s.client.SMembers(ctx, key).Result()
		slices.Sort(values)
	case "list":
		values, err = s.client.LRange(ctx, key, 0, maxListValues).Result()
	default:
		return nil, fmt.Errorf("read the list %s: %w: it is of type %s", key, ErrNoList, kind)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the list %s: %w", key, err)
	case len(values) > maxListValues:
		return nil, fmt.Errorf("read the list %s: more than %d values", key, maxListValues)
	}
	values = slices.DeleteFunc(values, func(v string) bool { return strings.ContainsAny(v, "\r\n") })
	return []byte(strings.Join(values, "\n")), nil
}
