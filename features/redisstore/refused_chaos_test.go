package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/streams"
)

// TestRefusedIsToldFromBusy spoils one user's key: only the batch with that user is refused, for good,
// and an error of the network is not a refusal.
func TestRefusedIsToldFromBusy(t *testing.T) {
	ctx := t.Context()
	server := startRedis(t, t.TempDir())
	store := openStore(t, redisstore.Options{Addrs: []string{server.addr}, Shards: 1})
	client := redis.NewClient(&redis.Options{Addr: server.addr})
	defer client.Close()
	apply := func(p *redisstore.Partition, offset int64, user string) error {
		e := shopEvent(streams.View, user, "sku", 0)
		return p.Apply(ctx, []redisstore.Folded{{Offset: offset, Deltas: features.Default().Fold(&e)}}, offset)
	}
	p := openPartition(t, store)
	if err := apply(p, 0, "good"); err != nil {
		t.Fatal(err)
	}
	spoiled := 0
	for _, key := range client.Keys(ctx, "*").Val() {
		if strings.Contains(key, "good") {
			spoiled++
			name := strings.Replace(key, "good", "bad", 1)
			if err := client.Set(ctx, name, "not ours", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if spoiled == 0 {
		t.Fatal("no key holds the user's name: the test does not test")
	}
	for range 2 {
		if err := apply(p, 1, "bad"); err == nil || !redisstore.Refused(err) {
			t.Fatalf("the spoiled user: %v", err)
		}
	}
	if err := p.Apply(ctx, nil, 1); err != nil {
		t.Fatal(err)
	}
	if err := apply(p, 2, "good"); err != nil {
		t.Fatalf("behind the spoiled user: %v", err)
	}
	server.kill()
	if err := apply(p, 3, "good"); err == nil || redisstore.Refused(err) {
		t.Errorf("a server that is gone: %v", err)
	}
	for _, err := range []error{nil, context.Canceled, redisstore.ErrFenced, errors.New("WRONGTYPE "), fmt.Errorf("x: %w", redis.ErrClosed)} {
		if redisstore.Refused(err) {
			t.Errorf("%v is no refusal", err)
		}
	}
}
