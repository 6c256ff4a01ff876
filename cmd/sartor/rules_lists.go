package main

import (
	"context"
	"strings"
	"time"

	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/rules/rulefile"
)

// ruleListTimeout bounds the reading of one list: rules are reloaded again soon.
const ruleListTimeout = 2 * time.Second

// ruleLists reads the lists that rule files name by `source: redis:KEY`; nil without a store.
func ruleLists(store *redisstore.Store) func(ctx context.Context, name string) ([]byte, error) {
	if store == nil {
		return nil
	}
	return func(ctx context.Context, name string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, ruleListTimeout)
		defer cancel()
		return store.RuleList(ctx, strings.TrimPrefix(name, rulefile.RedisSource))
	}
}
