package train

import (
	"fmt"
	"time"

	"github.com/sartorhq/sartor/models"
)

// Content builds the baseline that knows items by their documents alone, for the given items; items without
// a document are never recommended. With crowd everybody gets what is popular by its kind.
func Content(l *Log, c *Catalog, ids []string, o Options, at time.Time, crowd bool) (*models.Content, error) {
	o = o.withDefaults()
	spec, err := c.towerSpec(ids, at)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	starts, of := []int{0}, []models.Feature(nil)
	for _, id := range ids {
		if it := c.Item(id, at); it != nil {
			of = append(of, spec.Of(it)...)
		}
		starts = append(starts, len(of))
	}
	var popularity []float64
	if crowd {
		m, err := Popularity(l, o)
		if err != nil {
			return nil, err
		}
		rows := map[string]float64{}
		for j, id := range m.Items().IDs {
			rows[id] = float64(m.Items().Vectors[j]) // log(1 + popularity)
		}
		for _, id := range ids {
			popularity = append(popularity, rows[id])
		}
	}
	return models.NewContent(meta(l, o, Report{}), o.Signal, spec, ids, starts, of, popularity)
}
