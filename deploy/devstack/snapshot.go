package devstack

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/proto"
)

const (
	snapshotFormat = "sartor-redis-1"
	snapshotTries  = 3
	// snapshotPipeline is how many commands are sent before their replies are read: few enough that
	// neither side's socket buffer fills while the other waits.
	snapshotPipeline = 64
)

// errMoving says that keys kept appearing while a snapshot was taken. The one before stays valid.
var errMoving = errors.New("new keys appeared while the snapshot was taken")

// savedKey is one key of a snapshot.
type savedKey struct {
	Name, Type string
	// Values is the string; the list; the set; field, value, ... ; or member, score, ...
	Values []string
	// Expires is when the key ends, in Unix milliseconds; 0 = never.
	Expires int64
}

// readers are the commands that read a whole key, by type.
var readers = map[string][]string{
	"string": {"GET", "KEY"},
	"hash":   {"HGETALL", "KEY"},
	"list":   {"LRANGE", "KEY", "0", "-1"},
	"set":    {"SMEMBERS", "KEY"},
	"zset":   {"ZRANGE", "KEY", "0", "-1", "WITHSCORES"},
}

// save writes everything in the server to path, as of one moment: a fence and the data it guards
// must match. It replaces the file only when the new one is complete. Concurrent writers are fine.
func save(server *miniredis.Miniredis, path string) error {
	for range snapshotTries {
		keys, err := readAll(server)
		if errors.Is(err, errMoving) {
			continue
		}
		if err != nil {
			return err
		}
		return writeSnapshot(path, keys)
	}
	return errMoving
}

// readAll reads all keys in one transaction, which the server runs without a pause. Keys that came
// into being after the transaction was composed would be missing from it, so it lists the keys too.
func readAll(server *miniredis.Miniredis) ([]savedKey, error) {
	keys, err := listKeys(server)
	if err != nil {
		return nil, err
	}
	commands := [][]string{{"KEYS", "*"}}
	for _, k := range keys {
		command := slices.Clone(readers[k.Type])
		command[1] = k.Name
		commands = append(commands, command)
	}
	replies, err := transaction(server.Addr(), commands)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(keys))
	for i := range keys {
		known[keys[i].Name] = true
		if keys[i].Values, err = texts(replies[i+1]); err != nil {
			return nil, errMoving // its type has changed meanwhile
		}
	}
	present, err := texts(replies[0])
	if err != nil {
		return nil, fmt.Errorf("list the keys: %w", err)
	}
	for _, name := range present {
		if !known[name] {
			return nil, errMoving
		}
	}
	return slices.DeleteFunc(keys, func(k savedKey) bool { return len(k.Values) == 0 }), nil
}

// listKeys returns the keys there are now, without their values.
func listKeys(server *miniredis.Miniredis) ([]savedKey, error) {
	db := server.DB(0)
	var keys []savedKey
	for _, name := range db.Keys() {
		k := savedKey{Name: name, Type: db.Type(name)}
		if k.Type == "" {
			continue // gone meanwhile
		}
		if readers[k.Type] == nil {
			return nil, fmt.Errorf("key %q is a %s, which a snapshot does not know", name, k.Type)
		}
		if ttl := db.TTL(name); ttl > 0 {
			k.Expires = time.Now().Add(ttl).UnixMilli()
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// transaction runs commands between MULTI and EXEC and returns their raw replies.
func transaction(addr string, commands [][]string) ([]string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil, fmt.Errorf("reach the in-process Redis: %w", err)
	}
	defer conn.Close()
	r, w := bufio.NewReaderSize(conn, 1<<20), bufio.NewWriter(conn)
	all := append([][]string{{"MULTI"}}, commands...)
	for batch := range slices.Chunk(all, snapshotPipeline) {
		for _, command := range batch {
			if err := proto.Write(w, command); err != nil {
				return nil, err
			}
		}
		if err := w.Flush(); err != nil {
			return nil, err
		}
		for range batch {
			reply, err := proto.Read(r)
			if err != nil {
				return nil, fmt.Errorf("read the in-process Redis: %w", err)
			}
			if strings.HasPrefix(reply, "-") {
				return nil, fmt.Errorf("read the in-process Redis: %s", strings.TrimSpace(reply[1:]))
			}
		}
	}
	if err := errors.Join(proto.Write(w, []string{"EXEC"}), w.Flush()); err != nil {
		return nil, err
	}
	header, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(header, "*"))); err != nil || n != len(commands) {
		return nil, fmt.Errorf("read the in-process Redis: unexpected reply %q", strings.TrimSpace(header))
	}
	replies := make([]string, len(commands))
	for i := range replies {
		if replies[i], err = proto.Read(r); err != nil {
			return nil, err
		}
	}
	return replies, nil
}

// texts decodes a reply that is a text or an array of texts; a missing key has none.
func texts(reply string) ([]string, error) {
	switch {
	case strings.HasPrefix(reply, "$-1"):
		return nil, nil
	case strings.HasPrefix(reply, "$"):
		s, err := proto.ReadString(reply)
		return []string{s}, err
	}
	return proto.ReadStrings(reply)
}

// writeSnapshot writes the keys beside path and moves the file into place.
func writeSnapshot(path string, keys []savedKey) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	w := bufio.NewWriter(f)
	enc := gob.NewEncoder(w)
	if err := errors.Join(enc.Encode(snapshotFormat), enc.Encode(len(keys))); err != nil {
		return err
	}
	for _, k := range keys {
		if err := enc.Encode(k); err != nil {
			return err
		}
	}
	if err := errors.Join(w.Flush(), f.Sync()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return f.Close()
}

// restore fills an empty server from a snapshot. On an error the server may hold a part of it.
func restore(server *miniredis.Miniredis, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	dec := gob.NewDecoder(bufio.NewReader(f))
	var format string
	var count int
	if err := errors.Join(dec.Decode(&format), dec.Decode(&count)); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if format != snapshotFormat {
		return fmt.Errorf("read %s: format %q is not %q", path, format, snapshotFormat)
	}
	now := time.Now()
	for i := range count {
		var k savedKey
		if err := dec.Decode(&k); err != nil {
			return fmt.Errorf("read key %d of %s: %w", i, path, err)
		}
		if err := restoreKey(server.DB(0), k, now); err != nil {
			return fmt.Errorf("restore key %d of %s: %w", i, path, err)
		}
	}
	if err := dec.Decode(&format); !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: more than the %d keys it announces", path, count)
	}
	return nil
}

func restoreKey(db *miniredis.RedisDB, k savedKey, now time.Time) error {
	ttl := time.UnixMilli(k.Expires).Sub(now)
	if k.Expires != 0 && ttl <= 0 {
		return nil
	}
	if len(k.Values) == 0 || (k.Type == "hash" || k.Type == "zset") && len(k.Values)%2 != 0 {
		return fmt.Errorf("a %s of %d values", k.Type, len(k.Values))
	}
	var err error
	switch k.Type {
	case "string":
		err = db.Set(k.Name, k.Values[0])
	case "hash":
		db.HSet(k.Name, k.Values...)
	case "list":
		_, err = db.Push(k.Name, k.Values...)
	case "set":
		_, err = db.SetAdd(k.Name, k.Values...)
	case "zset":
		for pair := range slices.Chunk(k.Values, 2) {
			score, parseErr := strconv.ParseFloat(pair[1], 64)
			_, addErr := db.ZAdd(k.Name, score, pair[0])
			err = errors.Join(err, parseErr, addErr)
		}
	default:
		err = fmt.Errorf("unknown type %q", k.Type)
	}
	if k.Expires != 0 {
		db.SetTTL(k.Name, ttl)
	}
	return err
}
