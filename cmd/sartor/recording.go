package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/file"
)

// fromFileUsage is the help of --from-file.
const fromFileUsage = "read a recording instead of Kafka: `FORMAT:PATH`, such as mapped:shop.yaml for tables of your own; 'sartor replay --help' has the formats"

// parseRecording reads the value of --from-file.
func parseRecording(from string) (file.Format, string, error) {
	name, path, ok := strings.Cut(from, ":")
	format, err := file.ParseFormat(name)
	if err != nil || !ok || path == "" {
		return "", "", usagef("--from-file %s: need FORMAT:PATH (%v)", from, errors.Join(err))
	}
	return format, path, nil
}

// fileEvents reads a recording.
func fileEvents(format file.Format, path string) func(context.Context, func(*streams.Event)) error {
	return recordedEvents(format, path, io.Discard)
}

// recordedEvents reads a recording, and the first time tells w which of its rows are no events: nobody should believe
// that a model has learned from rows that were left out.
func recordedEvents(format file.Format, path string, w io.Writer) func(context.Context, func(*streams.Event)) error {
	told := false
	return func(ctx context.Context, add func(*streams.Event)) error {
		source, err := file.Open(format, path, file.Options{})
		if err != nil {
			return err
		}
		defer source.Close()
		for ctx.Err() == nil {
			e, err := source.Next()
			if errors.Is(err, io.EOF) {
				if !told {
					told = true
					tellRows(w, source.Stats())
				}
				return nil
			}
			if err != nil {
				return err
			}
			add(&e)
		}
		return ctx.Err()
	}
}

// tellRows says what became of the rows that are not, or not wholly, in events; nothing where there are none.
func tellRows(w io.Writer, stats file.Stats) {
	for _, part := range []struct {
		what   string
		counts map[string]int64
	}{{"rows that are no events", stats.Skipped}, {"rows of which only a part counts", stats.Reduced}} {
		for _, reason := range slices.Sorted(maps.Keys(part.counts)) {
			fmt.Fprintf(w, "%s: %s of %s (%s)\n", part.what, grouped(part.counts[reason]), grouped(stats.Rows), reason)
		}
	}
}

// sameFile tells whether two names are of one file that is there.
func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// mayReplace refuses an --out of 'data prepare' that is the recording it reads, or holds something else than a Parquet file: a
// mistyped name must not cost anybody their data.
func mayReplace(out, from string) error {
	if _, path, ok := strings.Cut(from, ":"); ok {
		path, _, _ = strings.Cut(path, "@")
		if sameFile(path, out) {
			return usagef("--out %s is what is read: name another file", out)
		}
	}
	f, err := os.Open(out)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	const magic = "PAR1"
	begin := make([]byte, len(magic))
	if n, err := io.ReadFull(f, begin); n == 0 && errors.Is(err, io.EOF) || string(begin) == magic {
		return nil
	}
	return usagef("--out %s is there and no Parquet file: name a new one", out)
}
