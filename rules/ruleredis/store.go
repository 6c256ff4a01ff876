// Package ruleredis shares an archive of rule revisions through Redis: records and files in hashes, the
// audit log in a stream, one step for each change. It judges neither rules nor people.
package ruleredis

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/rules/rulestore"
)

//go:embed push.lua
var pushLua string

// Store is an archive in Redis, a rulestore.Remote. It is safe for concurrent use. All its keys carry one
// hash tag, so that a Cluster keeps them together:
//
//	PREFIX rules:{rules}:head       string  the hash of the last audit line
//	PREFIX rules:{rules}:audit      stream  an entry N-0 for line N, the field l holds the line
//	PREFIX rules:{rules}:revisions  hash    a record by id
//	PREFIX rules:{rules}:files      hash    a JSON object of texts by file name, by id
//	PREFIX rules:{rules}:replicas   hash    what a replica serves, by its name
//	PREFIX rules:{rules}:changed    channel a message for each change
type Store struct {
	client redis.UniversalClient
	prefix string
	push   *redis.Script
}

// New returns a store over a client, which stays the caller's. prefix goes before every key.
func New(client redis.UniversalClient, prefix string) *Store {
	return &Store{client: client, prefix: prefix + "rules:{rules}:", push: redis.NewScript(pushLua)}
}

func (s *Store) key(name string) string { return s.prefix + name }

// chunk is how many lines or fields are read at once.
const chunk = 500

// Pull implements rulestore.Remote.
func (s *Store) Pull(ctx context.Context, seq int, hash string) (*rulestore.Bundle, error) {
	head, err := s.client.Get(ctx, s.key("head")).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read the head of the rules: %w", err)
	}
	if head == hash {
		return nil, nil
	}
	b := &rulestore.Bundle{Whole: true, Records: map[string]string{}, Trees: map[string]rulestore.Tree{}}
	from := 1
	if seq > 0 {
		line, err := s.lines(ctx, seq, seq)
		if err != nil {
			return nil, err
		}
		if len(line) == 1 && hashOf(line[0]) == hash {
			b.Whole, from = false, seq+1
		}
	}
	if b.Lines, err = s.lines(ctx, from, 0); err != nil {
		return nil, err
	}
	return b, s.fill(ctx, b)
}

// lines returns the audit lines from one number to another, 0 = to the end.
func (s *Store) lines(ctx context.Context, from, to int) ([]string, error) {
	var out []string
	stop := "+"
	if to > 0 {
		stop = strconv.Itoa(to) + "-0"
	}
	for {
		messages, err := s.client.XRangeN(ctx, s.key("audit"), strconv.Itoa(from)+"-0", stop, chunk).Result()
		if err != nil {
			return nil, fmt.Errorf("read the audit log of the rules: %w", err)
		}
		for _, m := range messages {
			line, ok := m.Values["l"].(string)
			if !ok || m.ID != strconv.Itoa(from)+"-0" {
				return nil, fmt.Errorf("the audit log in %s has no line %d", s.key("audit"), from)
			}
			out = append(out, line)
			from++
		}
		if len(messages) < chunk {
			return out, nil
		}
	}
}

// entry is what is looked at in an audit line.
type entry struct {
	Action   string `json:"action"`
	Revision string `json:"revision"`
	Hash     string `json:"hash"`
}

func hashOf(line string) string {
	var e entry
	if json.Unmarshal([]byte(line), &e) != nil {
		return ""
	}
	return e.Hash
}

// fill reads the records and files that the lines speak of. A publication changes the record of the
// revision before it, too: all records are read, for they are small. Some may be newer than the lines:
// they are said again with the next pull.
func (s *Store) fill(ctx context.Context, b *rulestore.Bundle) error {
	if len(b.Lines) == 0 {
		return nil
	}
	records, err := s.client.HGetAll(ctx, s.key("revisions")).Result()
	if err != nil {
		return fmt.Errorf("read the revisions of the rules: %w", err)
	}
	b.Records = records
	var drafts []string
	for _, line := range b.Lines {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return fmt.Errorf("read an audit line: %w", err)
		}
		if e.Action == rulestore.ActionDraft {
			drafts = append(drafts, e.Revision)
		}
	}
	for ids := range slices.Chunk(drafts, chunk) {
		texts, err := s.client.HMGet(ctx, s.key("files"), ids...).Result()
		if err != nil {
			return fmt.Errorf("read the files of the rules: %w", err)
		}
		for i, text := range texts {
			data, ok := text.(string)
			if !ok {
				return fmt.Errorf("the files of revision %s are missing", ids[i])
			}
			tree := rulestore.Tree{}
			if err := json.Unmarshal([]byte(data), &tree); err != nil {
				return fmt.Errorf("read the files of revision %s: %w", ids[i], err)
			}
			b.Trees[ids[i]] = tree
		}
	}
	return nil
}

// Push implements rulestore.Remote.
func (s *Store) Push(ctx context.Context, before string, b *rulestore.Bundle) error {
	if len(b.Lines) == 0 {
		return nil
	}
	keys := []string{s.key("head"), s.key("audit"), s.key("revisions"), s.key("files")}
	head, err := b.Head()
	if err != nil {
		return err
	}
	args := []any{before, head, s.key("changed"), len(b.Lines), len(b.Records)}
	for _, line := range b.Lines {
		var e struct {
			Seq int `json:"seq"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return fmt.Errorf("read an audit line: %w", err)
		}
		args = append(args, strconv.Itoa(e.Seq)+"-0", line)
	}
	for _, id := range slices.Sorted(maps.Keys(b.Records)) {
		args = append(args, id, b.Records[id])
	}
	for _, id := range slices.Sorted(maps.Keys(b.Trees)) {
		data, err := json.Marshal(b.Trees[id])
		if err != nil {
			return err
		}
		args = append(args, id, string(data))
	}
	done, err := s.push.Run(ctx, s.client, keys, args...).Int()
	if err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	if done == 0 {
		return rulestore.ErrMoved
	}
	return nil
}

// Changes calls fn after each change of the archive, until ctx ends: sooner than polling would, and not
// instead of it, for messages are lost while the connection is.
func (s *Store) Changes(ctx context.Context, fn func()) error {
	sub := s.client.Subscribe(ctx, s.key("changed"))
	defer sub.Close()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, open := <-sub.Channel():
			if !open {
				return errors.New("the subscription has ended")
			}
			fn()
		}
	}
}

// Replica is what one replica serves.
type Replica struct {
	Name     string    `json:"name"`
	Revision string    `json:"revision"` // id, or the content hash of an ordinary folder
	SHA256   string    `json:"sha256"`
	OK       bool      `json:"ok"`
	At       time.Time `json:"at"`
}

// Report notes what a replica serves. Call it again before it is old: see Replicas.
func (s *Store) Report(ctx context.Context, r Replica) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := s.client.HSet(ctx, s.key("replicas"), r.Name, string(data)).Err(); err != nil {
		return fmt.Errorf("report the live rules: %w", err)
	}
	return nil
}

// Replicas returns those that have reported since the moment given, by name, and forgets the others.
func (s *Store) Replicas(ctx context.Context, since time.Time) ([]Replica, error) {
	all, err := s.client.HGetAll(ctx, s.key("replicas")).Result()
	if err != nil {
		return nil, fmt.Errorf("read the replicas: %w", err)
	}
	var out []Replica
	var gone []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		var r Replica
		if err := json.Unmarshal([]byte(all[name]), &r); err != nil || r.At.Before(since) {
			gone = append(gone, name)
			continue
		}
		out = append(out, r)
	}
	if len(gone) > 0 {
		if err := s.client.HDel(ctx, s.key("replicas"), gone...).Err(); err != nil {
			return nil, fmt.Errorf("forget replicas: %s: %w", strings.Join(gone, ", "), err)
		}
	}
	return out, nil
}
