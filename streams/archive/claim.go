package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// claimFolder holds the claims: a name that Spark and DuckDB pass over.
const claimFolder = "_log"

// claimFormat is the version of a claim; a reader refuses one that it does not know.
const claimFormat = 1

// claim says which offsets of a partition are in which files. The claims of a partition are a chain:
// each begins where the one before it ends, and its name is its first offset. It is written, only if
// it is not there yet, before its files, and again when they are all there: so two writers can never
// cut the log differently, and one that was killed is finished by whoever comes next.
type claim struct {
	Format    int    `json:"format"`
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	First     int64  `json:"first"`
	Last      int64  `json:"last"`
	Events    int    `json:"events"`
	Files     []file `json:"files"`
	Done      bool   `json:"done"`
}

// file is one Parquet file: what happened on one day.
type file struct {
	Key    string `json:"key"`
	Events int    `json:"events"`
}

// claimPrefix is what the names of a partition's claims start with.
func claimPrefix(topic string, partition int) string {
	return fmt.Sprintf("%s/%s/%05d/", claimFolder, topic, partition)
}

func (c *claim) key() string {
	return fmt.Sprintf("%s%020d.json", claimPrefix(c.Topic, c.Partition), c.First)
}

// fileKey is the name of the claim's file for a day: the same whoever writes it.
func (c *claim) fileKey(day string) string {
	return fmt.Sprintf("%s/day=%s/part-%05d-%020d-%020d.parquet", c.Topic, day, c.Partition, c.First, c.Last)
}

// partitionOf reads the number out of a claim's folder; ok is false for what is none.
func partitionOf(topic, key string) (partition int, ok bool) {
	rest, ok := strings.CutPrefix(key, claimFolder+"/"+topic+"/")
	number, name, ok2 := strings.Cut(rest, "/")
	n, err := strconv.Atoi(number)
	return n, ok && ok2 && err == nil && n >= 0 && strings.HasSuffix(name, ".json")
}

// writeClaim writes a claim; when once, errExists says that another one has its first offset.
func (a *Archive) writeClaim(ctx context.Context, c *claim, once bool) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("encode a claim: %w", err)
	}
	return a.put(ctx, c.key(), append(data, '\n'), once)
}

// readClaim reads the claim of that name.
func (a *Archive) readClaim(ctx context.Context, key string) (*claim, error) {
	data, err := a.bucket.ReadAll(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read the claim %s: %w", key, err)
	}
	c := &claim{}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("the claim %s: %w", key, err)
	}
	if c.Format != claimFormat {
		return nil, fmt.Errorf("the claim %s has format %d: this program reads format %d", key, c.Format, claimFormat)
	}
	if c.key() != key || c.Last < c.First {
		return nil, fmt.Errorf("the claim %s says that it is %s of offsets %d to %d: it was moved or edited", key, c.key(), c.First, c.Last)
	}
	return c, nil
}

// keys lists the claims that start with the prefix, in order. What a killed writer left half done in a
// folder begins with a dot.
func (a *Archive) keys(ctx context.Context, prefix string) ([]string, error) {
	var out []string
	it := a.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", prefix, err)
		}
		if !o.IsDir && !strings.HasPrefix(path.Base(o.Key), ".") {
			out = append(out, o.Key)
		}
	}
}

// isThere tells whether a conditional write failed because the object exists.
func isThere(err error) bool { return gcerrors.Code(err) == gcerrors.FailedPrecondition }
