package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/synth"
)

const (
	shopFile = "shop.json"
	// shopBatch is how many events are produced in one write.
	shopBatch = 2000
	// livePace is how much busier the shop is while it is watched: about two events a second.
	livePace = 40
)

// shopOptions choose the synthetic shop of 'sartor dev'.
type shopOptions struct {
	Seed               uint64
	Users, Items, Days int
}

// shopState is what the data folder remembers of its shop. A folder has one shop for good: the log
// holds its history.
type shopState struct {
	Seed  uint64    `json:"seed"`
	Users int       `json:"users"`
	Items int       `json:"items"`
	Days  int       `json:"days"`
	Start time.Time `json:"start"`
	// Produced tells that the whole history is in the log. A folder without it was interrupted.
	Produced bool `json:"produced"`
}

func (s shopState) shop() *synth.Shop {
	return synth.New(synth.Options{Seed: s.Seed, Users: s.Users, Items: s.Items, Days: s.Days, Start: s.Start, LiveFactor: livePace})
}

func readShop(dir string) (shopState, error) {
	var s shopState
	data, err := os.ReadFile(filepath.Join(dir, shopFile))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("read %s: %w; delete the data folder to start afresh", filepath.Join(dir, shopFile), err)
	}
	return s, nil
}

func (s shopState) write(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", shopFile, err)
	}
	path := filepath.Join(dir, shopFile)
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// dropUnfinished empties a folder whose history was interrupted half-way: producing the rest would
// need to know which events the log already holds, and nothing in it is worth that. Rules are kept.
func dropUnfinished(dir string) error {
	s, err := readShop(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || s.Produced {
		return err
	}
	for _, name := range []string{"kafka", "redis", "redis.snapshot", "models", shopFile} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// eventWriter is the producer, as the shop needs it.
type eventWriter interface {
	Write(ctx context.Context, events ...streams.Event) error
}

// openShop returns the folder's shop; a new one first produces its history, which ends now, and
// shows that on progress.
func openShop(ctx context.Context, dir string, opts shopOptions, out eventWriter, progress io.Writer) (*synth.Shop, error) {
	state, err := readShop(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		return state.shop(), nil
	}
	now := time.Now().UTC()
	state = shopState{Seed: opts.Seed, Users: opts.Users, Items: opts.Items, Days: opts.Days,
		Start: now.Add(-time.Duration(opts.Days) * 24 * time.Hour).Truncate(time.Hour)}
	if err := state.write(dir); err != nil {
		return nil, err
	}
	shop := state.shop()
	bar := newStep(progress, "history", "events", -1)
	if err := produceHistory(ctx, shop, now, out, bar); err != nil {
		return nil, fmt.Errorf("produce the shop's history: %w", err)
	}
	bar.done()
	state.Produced = true
	return shop, state.write(dir)
}

func produceHistory(ctx context.Context, shop *synth.Shop, until time.Time, out eventWriter, bar *step) error {
	batch := make([]streams.Event, 0, shopBatch)
	flush := func() error {
		if err := out.Write(ctx, batch...); err != nil {
			return err
		}
		bar.add(len(batch))
		batch = batch[:0]
		return nil
	}
	for _, part := range []func(func(streams.Event) bool){
		shop.Catalog(shop.Start()), shop.Users(shop.Start()), shop.History(until)} {
		for e := range part {
			if batch = append(batch, e); len(batch) == shopBatch {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return flush()
}

// live produces what happens in the shop from now on, each event when it happens, until ctx is done.
func live(ctx context.Context, shop *synth.Shop, out eventWriter, c complainer) {
	next := shop.Live(time.Now().UTC())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		e := next()
		timer.Reset(time.Until(e.Time))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		c.note(ctx, out.Write(ctx, e))
	}
}

// planted is a user whose taste is known, and an item that is not to it: what to try first.
type planted struct {
	user  string
	taste synth.Taste
	item  string
	truth synth.ItemTruth
}

// findPlanted picks the first user with favourite categories who leaves traces, and an item from
// another category.
func findPlanted(shop *synth.Shop) planted {
	var p planted
	for i := 1; p.user == ""; i++ {
		id := "u" + strconv.Itoa(i)
		if t, ok := shop.Taste(id); !ok || (!t.Silent && len(t.Categories) > 0) {
			p.user, p.taste = id, t
		}
	}
	for i := 1; p.item == ""; i++ {
		id := "sku-" + strconv.Itoa(i)
		if t, ok := shop.ItemTruth(id); !ok || !slices.Contains(p.taste.Categories, t.Category) {
			p.item, p.truth = id, t
		}
	}
	return p
}
