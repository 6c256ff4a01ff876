package redisstore

import (
	"errors"
	"testing"
)

// Sets come sorted, lists in their order; whatever else a key holds, or nothing, is an error.
func TestRuleList(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		s := open(t, opts)
		ctx := t.Context()
		key := func(name string) string { return opts.Prefix + "lists:" + name }
		for _, err := range []error{
			s.client.SAdd(ctx, key("recalled"), "sku-9", "sku-1", "a\nb").Err(),
			s.client.RPush(ctx, key("gifts"), "vase", "lamp").Err(),
			s.client.Set(ctx, key("text"), "x", 0).Err(),
			s.client.SAdd(ctx, key("empty"), "#").Err(),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for name, want := range map[string]string{"recalled": "sku-1\nsku-9", "gifts": "vase\nlamp", "empty": "#"} {
			if got, err := s.RuleList(ctx, key(name)); err != nil || string(got) != want {
				t.Errorf("%s: %q %v, want %q", name, got, err, want)
			}
		}
		for _, name := range []string{"gone", "text"} {
			if _, err := s.RuleList(ctx, key(name)); !errors.Is(err, ErrNoList) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
