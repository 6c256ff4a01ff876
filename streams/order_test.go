package streams

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// made is a source of events at the given seconds.
func made(name string, end error, seconds ...int64) Source {
	return Source{Topic: name, Next: int64(len(seconds)), Read: func(_ context.Context, fn func(*Record) error) error {
		for i, s := range seconds {
			if err := fn(&Record{Position: Position{Topic: name, Offset: int64(i)}, Event: Event{Time: time.Unix(s, 0)}}); err != nil {
				return err
			}
		}
		return end
	}}
}

func order(t *testing.T, sources ...Source) (string, error) {
	t.Helper()
	var got []string
	err := InOrder(t.Context(), sources, func(r *Record) error {
		got = append(got, fmt.Sprint(r.Topic, r.Offset))
		return nil
	})
	return strings.Join(got, " "), err
}

func TestInOrder(t *testing.T) {
	bad := errors.New("bad")
	for name, tc := range map[string]struct {
		sources []Source
		want    string
		err     error
	}{
		"none":          {nil, "", nil},
		"empty":         {[]Source{made("a", nil), made("b", nil, 1)}, "b0", nil},
		"merged":        {[]Source{made("a", nil, 1, 4, 5), made("b", nil, 2, 3, 6)}, "a0 b0 b1 a1 a2 b2", nil},
		"equal-times":   {[]Source{made("b", nil, 1, 1), made("a", nil, 1, 1)}, "b0 b1 a0 a1", nil},
		"late-is-late":  {[]Source{made("a", nil, 5, 1, 7), made("b", nil, 2, 6)}, "b0 a0 a1 b1 a2", nil},
		"broken-source": {[]Source{made("a", bad, 1), made("b", nil, 2, 3)}, "a0", bad},
		"broken-first":  {[]Source{made("a", nil, 1), made("b", bad)}, "", bad},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := order(t, tc.sources...)
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("got %s, %v; want %s, %v", got, err, tc.want, tc.err)
			}
		})
	}
}

func TestInOrderOfMany(t *testing.T) {
	var sources []Source
	var all []int64
	for n := range 7 {
		var seconds []int64
		for i := range int64(1000) {
			seconds = append(seconds, i*7+int64(n))
		}
		all = append(all, seconds...)
		sources = append(sources, made(fmt.Sprint(n), nil, seconds...))
	}
	slices.Sort(all)
	var got []int64
	if err := InOrder(t.Context(), sources, func(r *Record) error { got = append(got, r.Event.Time.Unix()); return nil }); err != nil || !slices.Equal(got, all) {
		t.Errorf("%d of %d records, %v", len(got), len(all), err)
	}
	stop, n := errors.New("stop"), 0
	err := InOrder(t.Context(), sources, func(*Record) error {
		if n++; n == 500 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := InOrder(canceled, sources, func(*Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
