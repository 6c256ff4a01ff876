package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/train"
)

// itemEncoder is a model that knows new items by their documents.
type itemEncoder interface {
	EncodeItem(it *features.Item) (vec []float32, ok bool)
}

// extended is a model with further items.
type extended struct {
	models.Model
	items models.Items
}

func (x extended) Items() models.Items { return x.items }

// EncodeIn lets a model make use of the context of a request, if it can.
func (x extended) EncodeIn(u *features.User, context map[string]any, now time.Time) (vec []float32, ok bool) {
	if m, can := x.Model.(visitEncoder); can {
		return m.EncodeIn(u, context, now)
	}
	return x.Model.Encode(u, now)
}

// extend returns m with a row for each of the ids, which m does not know: what m makes of the document, or
// zeros, with which an item is as good as any other new one.
func extend(m models.Model, catalog *train.Catalog, ids []string, at time.Time) models.Model {
	it := m.Items()
	if it.Dim == 0 {
		return m
	}
	it.IDs, it.Vectors = slices.Clone(it.IDs), slices.Clone(it.Vectors)
	encoder, _ := m.(itemEncoder)
	for _, id := range ids {
		row := make([]float32, it.Dim)
		if encoder != nil {
			if vec, ok := encoder.EncodeItem(catalog.Item(id, at)); ok {
				row = vec
			}
		}
		it.IDs, it.Vectors = append(it.IDs, id), append(it.Vectors, row...)
	}
	return extended{Model: m, items: it}
}

// judgeCold judges the items that nobody had seen before the cut: each user's list holds such items only.
func (e *evaluation) judgeCold(ctx context.Context, kinds []string) error {
	if e.catalog == nil {
		return fmt.Errorf("no item has a document: new items cannot be told apart: %w", errNothingToJudge)
	}
	if err := e.prepare(); err != nil {
		return err
	}
	ids, err := e.newItems()
	if err != nil {
		return err
	}
	if err := e.fitAll(ctx, slices.DeleteFunc(slices.Clone(kinds), func(k string) bool { return k == kindContent })); err != nil {
		return err
	}
	for i := range e.entries {
		e.entries[i].model = extend(e.entries[i].model, e.catalog, ids, e.h.moment)
	}
	all := e.entries[0].model.Items().IDs
	for _, crowd := range []bool{true, false} {
		m, err := train.Content(e.h.before, e.catalog, all, e.o.Train, e.h.moment, crowd)
		if err != nil {
			return err
		}
		name := "content"
		if crowd {
			name = "popular kind"
		}
		e.entries = append(e.entries, contestant{name: name, model: m})
	}
	fresh := map[string]bool{}
	for _, id := range ids {
		fresh[id] = true
	}
	e.h.only = func(item string) bool { return fresh[item] }
	if users, _ := e.h.testUsers(); len(users) == 0 {
		return fmt.Errorf("no user with a history took up a new item: %w", errNothingToJudge)
	}
	return e.judgeEntries(ctx, fmt.Sprintf("New items: the %s items with a document that nobody had seen before; %s", thousands(int64(len(ids))), e.splitText(e.h)))
}

// newItems returns the items that are wanted in the held-out part, have no event before and a document.
func (e *evaluation) newItems() ([]string, error) {
	_, n := e.h.before.Numbers()
	seen := make([]bool, n)
	for i := range e.h.before.Len() {
		seen[e.h.before.At(i).Item] = true
	}
	var ids []string
	for i := range e.h.after.Len() {
		x := e.h.after.At(i)
		if seen[x.Item] || e.h.signal.Weights[string(x.Type)] <= 0 {
			continue
		}
		seen[x.Item] = true
		if id := e.h.before.ItemID(x.Item); e.catalog.Item(id, e.h.moment) != nil {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("every held-out item was seen before or has no document: %w", errNothingToJudge)
	}
	return ids, nil
}
