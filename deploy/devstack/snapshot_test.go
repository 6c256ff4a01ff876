package devstack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// fill stores a key of every type, with values that a careless format would break.
func fill(ctx context.Context, t *testing.T, c *redis.Client) {
	t.Helper()
	binary := "a\r\nb\x00\xff€"
	pipe := c.TxPipeline()
	pipe.Set(ctx, "string", binary, 0)
	pipe.Set(ctx, "empty", "", 0)
	pipe.Set(ctx, "ends", "soon", time.Hour)
	pipe.HSet(ctx, "{v1}:fence", "orders:0", "41", "orders:1", "-1")
	pipe.HSet(ctx, "hash", "field", binary, binary, "value", "empty", "")
	pipe.RPush(ctx, "list", "first", binary, "", "last")
	pipe.SAdd(ctx, "set", "a", binary)
	pipe.ZAdd(ctx, "zset", redis.Z{Score: 1767225600123, Member: "time"}, redis.Z{Score: -0.1, Member: binary})
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
}

// contents renders everything in a Redis, in a fixed order.
func contents(ctx context.Context, t *testing.T, c *redis.Client) []string {
	t.Helper()
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	var lines []string
	for _, k := range keys {
		command := slices.Clone(readers[c.Type(ctx, k).Val()])
		command[1] = k
		args := make([]any, len(command))
		for i, a := range command {
			args[i] = a
		}
		value, err := c.Do(ctx, args...).Result()
		if err != nil {
			t.Fatal(err)
		}
		if set, ok := value.([]any); ok && command[0] == "SMEMBERS" {
			slices.SortFunc(set, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		}
		lines = append(lines, fmt.Sprintf("%s expires=%v %q", k, c.TTL(ctx, k).Val() > 0, value))
	}
	return lines
}

func TestSnapshotKeepsTTLs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.snapshot")
	a := miniredis.RunT(t)
	if err := a.Set("lives", "x"); err != nil {
		t.Fatal(err)
	}
	a.SetTTL("lives", time.Hour)
	if err := a.Set("dies", "x"); err != nil {
		t.Fatal(err)
	}
	a.SetTTL("dies", time.Nanosecond)
	if err := save(a, path); err != nil {
		t.Fatal(err)
	}
	b := miniredis.NewMiniRedis()
	if err := restore(b, path); err != nil {
		t.Fatal(err)
	}
	if ttl := b.TTL("lives"); ttl <= 59*time.Minute || ttl > time.Hour {
		t.Errorf("time to live = %v, want an hour or a little less", ttl)
	}
	if b.Exists("dies") {
		t.Error("a key that was over came back")
	}
}

// TestSnapshotIsOneMoment writes a fence and the data it guards in one transaction, again and again
// and with new keys each time, while snapshots are taken. In each snapshot they must match.
func TestSnapshotIsOneMoment(t *testing.T) {
	ctx, cancel := context.WithCancel(testContext(t))
	server := miniredis.RunT(t)
	c := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer c.Close()
	var writer sync.WaitGroup
	wrote := make(chan struct{}, 1)
	writer.Go(func() {
		for i := int64(1); ctx.Err() == nil; i++ {
			pipe := c.TxPipeline()
			pipe.HSet(ctx, "{v0}:fence", "orders:0", i)
			pipe.IncrBy(ctx, "{v0}:sum", 1)
			if i%50 == 0 {
				pipe.Set(ctx, "{v0}:new:"+strconv.FormatInt(i, 10), "x", 0)
			}
			if _, err := pipe.Exec(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			select {
			case wrote <- struct{}{}:
			default:
			}
		}
	})
	taken := 0
	for range 40 {
		<-wrote
		keys, err := readAll(server)
		if err != nil {
			continue // keys appeared: the snapshot before stays valid
		}
		taken++
		values := map[string][]string{}
		for _, k := range keys {
			values[k.Name] = k.Values
		}
		fence, sum := values["{v0}:fence"], values["{v0}:sum"]
		if len(fence) != 2 || len(sum) != 1 || fence[1] != sum[0] {
			t.Errorf("fence %v, sum %v: a replay from here would count wrong", fence, sum)
		}
		last, err := strconv.Atoi(sum[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := len(keys) - 2; got != last/50 {
			t.Errorf("%d of the %d keys below fence %d are in the snapshot", got, last/50, last)
		}
	}
	cancel()
	writer.Wait()
	if taken == 0 {
		t.Error("no snapshot was taken at all")
	}
}

func TestBrokenSnapshotIsPutAside(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good")
	a := miniredis.RunT(t)
	a.HSet("h", "f", "v")
	if err := save(a, good); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"cut": data[:len(data)-3], "long": append(slices.Clone(data), data...), "other": []byte("hello"), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			opts := Options{Dir: t.TempDir(), NoRedisServer: true}
			path := filepath.Join(opts.Dir, "redis.snapshot")
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
			s := start(t, opts)
			defer stop(t, s)
			if n := client(t, s).DBSize(testContext(t)).Val(); n != 0 {
				t.Errorf("%d keys came out of a broken snapshot: a fence without its data would lose events", n)
			}
			if _, err := os.Stat(path + ".broken"); err != nil {
				t.Errorf("the broken snapshot is gone: %v", err)
			}
		})
	}
}

func TestUnknownTypeIsAnError(t *testing.T) {
	server := miniredis.RunT(t)
	if _, err := server.XAdd("stream", "1-1", []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "redis.snapshot")
	if err := save(server, path); err == nil || !strings.Contains(err.Error(), "stream") {
		t.Errorf("error = %v, want one that names the type", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("a snapshot with a hole in it was written")
	}
}
