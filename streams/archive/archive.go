// Package archive keeps the log as Parquet files in a folder or a bucket, and reads it back as it was:
// the same events at the same offsets. It knows nothing of Kafka: whoever consumes the log hands its
// records over, and the archive remembers how far it has them. ARCHIVE.md describes the files.
package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
)

// ErrMoved is returned, wrapped, by Partition.Apply and Partition.Idle when another writer has taken
// the partition further: it must be opened again and read from its new Next.
var ErrMoved = errors.New("another writer has archived further")

// Options says how events are gathered into files. The zero value is usable.
type Options struct {
	// MaxEvents is how many events of a partition are gathered before they are written: it bounds the
	// memory of writing and of reading. 50,000 when zero; one Apply more may come on top.
	MaxEvents int
	// MaxBytes does the same by an estimate of their size; 64 MiB when zero.
	MaxBytes int
	// MaxAge is how long an event waits at most to be written; 15 minutes when zero.
	MaxAge time.Duration
	// Visits is the gap that ends a visit, for whoever reads and wants Event.Visit of the topic that
	// VisitTopic names; 0 = nobody does.
	Visits     time.Duration
	VisitTopic string
	// Existing refuses a folder that is not there instead of making it: what reads has mistyped it.
	Existing bool
	// Now is the clock of MaxAge; time.Now when nil.
	Now func() time.Time
	// Logger is silent when nil.
	Logger *slog.Logger
	// Registerer receives the metrics; nil keeps them unpublished.
	Registerer prometheus.Registerer

	// step, in tests, is told what is about to happen and may fail it.
	step func(name string) error
}

// Archive is a folder or bucket of files. It is safe for concurrent use; each Partition is not.
type Archive struct {
	bucket  *blob.Bucket
	folder  string // when the bucket is a local folder: writes go past fileblob, see put
	options Options
	metrics *metrics
}

// Open opens the archive at a URL: file:///path, a plain path, s3://bucket/prefix, gs://bucket/prefix
// or azblob://container/prefix. A folder is made when it is not there, unless Existing. The drivers of the clouds are
// the program's choice: it imports them, or s3:// is refused with an explanation. Credentials are the
// ones that the cloud's own tools find.
func Open(ctx context.Context, where string, options Options) (*Archive, error) {
	if where == "" {
		return nil, errors.New("archive: no place is given: use a folder or a URL such as s3://bucket/prefix")
	}
	u, err := url.Parse(where)
	if err != nil {
		return nil, fmt.Errorf("archive: %q is no URL: %w", where, err)
	}
	if u.Scheme == "" || u.Scheme == "file" {
		return openFolder(cmp.Or(u.Path, where), options)
	}
	if !blob.DefaultURLMux().ValidBucketScheme(u.Scheme) {
		return nil, refuseScheme(u.Scheme)
	}
	prefix := strings.Trim(u.Path, "/")
	u.Path = ""
	bucket, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("archive: open %s: %w", u.Redacted(), err)
	}
	if prefix != "" {
		bucket = blob.PrefixedBucket(bucket, prefix+"/")
	}
	return New(bucket, options), nil
}

// refuseScheme says why a URL cannot be opened.
func refuseScheme(scheme string) error {
	clouds := []string{"s3", "gs", "azblob"}
	if slices.Contains(clouds, scheme) {
		return fmt.Errorf("archive: this binary was built without the cloud drivers (-tags nocloud), so that %s:// cannot be opened: "+
			"build it without that tag ('make build'), or use a folder", scheme)
	}
	return fmt.Errorf("archive: there is no driver for %s://; use file, %s", scheme, strings.Join(clouds, ", "))
}

func openFolder(dir string, options Options) (*Archive, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{CreateDir: !options.Existing, NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		return nil, fmt.Errorf("archive: open the folder %s: %w", dir, err)
	}
	a := New(bucket, options)
	a.folder = dir
	return a, nil
}

// New makes an archive of an open bucket, which it closes with Close.
func New(bucket *blob.Bucket, options Options) *Archive {
	options.MaxEvents = cmp.Or(options.MaxEvents, 50_000)
	options.MaxBytes = cmp.Or(options.MaxBytes, 64<<20)
	options.MaxAge = cmp.Or(options.MaxAge, 15*time.Minute)
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.step == nil {
		options.step = func(string) error { return nil }
	}
	return &Archive{bucket: bucket, options: options, metrics: newMetrics(options.Registerer)}
}

// Close releases the bucket. What Partitions hold unwritten is read from the log again next time.
func (a *Archive) Close() error { return a.bucket.Close() }

// put writes an object in one step: whoever reads it sees all or nothing of it. With once it fails with
// errExists when the object is there. In a folder it is written by hand, because fileblob neither syncs
// nor looks for the object in the same step as it renames.
func (a *Archive) put(ctx context.Context, key string, data []byte, once bool) error {
	if a.folder != "" {
		return putFile(filepath.Join(a.folder, filepath.FromSlash(key)), data, once)
	}
	err := a.bucket.WriteAll(ctx, key, data, &blob.WriterOptions{IfNotExist: once})
	if once && isThere(err) {
		return errExists
	}
	return err
}

// errExists says that an object that must be new is there.
var errExists = errors.New("the object is there")

// putFile writes a file and makes it durable before it gets its name.
func putFile(path string, data []byte, once bool) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after a rename it is gone
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if once {
		if err = os.Link(f.Name(), path); errors.Is(err, os.ErrExist) {
			return errExists
		}
	} else {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
