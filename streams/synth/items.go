package synth

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// item is one sellable option: a product in one colour. Everything but the document's version is
// fixed for its life.
type item struct {
	index   int
	id      string
	group   int // options of one product share it
	cat     int // index of categories
	brand   int // index of brands
	theme   int // index of themes
	level   int // price level 0..2
	adj     int
	colour  int
	price   int64 // list price in cents
	cost    int64 // cents
	weight  int64 // popularity
	created time.Time
}

// versionEvery is how often an item's document changes: stock, and sometimes a reduced price.
const versionEvery = versionHours * time.Hour

const versionHours = 7 * 24

// group numbers items so that products have one, two or three options in turn.
func group(i int) int {
	g := i / 6 * 3
	switch i % 6 {
	case 0:
		return g
	case 1, 2:
		return g + 1
	}
	return g + 2
}

// item derives item i. Options of one group differ in colour and popularity alone.
func (s *Shop) item(i int) item {
	g := group(i)
	r := rand.New(rand.NewPCG(s.derive(forGroup, uint64(g), 0), 1))
	it := item{index: i, id: itemID(i), group: g}
	it.cat = r.IntN(len(categories))
	it.brand = brandOf(it.cat, r.IntN(brandsPerCategory))
	it.theme = r.IntN(len(themes))
	it.level = r.IntN(3)
	it.adj = r.IntN(len(adjectives))
	// The three levels are about 60, 100 and 200 percent of the category's price; all end in 99 or 49.
	percent := [3]int64{60, 100, 200}[it.level] * int64(85+r.IntN(31)) / 100
	it.price = max(99, categories[it.cat].price*percent/100/50*50-1)
	it.cost = it.price * int64(40+r.IntN(31)) / 100

	r = rand.New(rand.NewPCG(s.derive(forItem, uint64(i), 0), 1))
	it.colour = (i + g) % len(colours)
	// Sorted by weight, items follow a shifted law of Zipf: rank k of 200 weighs 1/(k+8).
	it.weight = heaviest * 8 / int64(r.IntN(200)+8)
	if i < s.oldItems {
		age := time.Duration(r.Int64N(int64(300*24*time.Hour/time.Second))) * time.Second
		it.created = s.opts.Start.Add(-24*time.Hour - age)
	} else {
		it.created = s.opts.Start.Add(time.Duration(i-s.oldItems+1) * s.itemEvery)
	}
	return it
}

const brandsPerCategory = 6

// heaviest is the popularity of the best sellers; one item in 200 is one.
const heaviest = 10000

// brandOf spreads the brands over the categories so that each brand appears in several.
func brandOf(cat, k int) int { return (cat*5 + k*k + k) % len(brands) }

// version is the number of the document that is valid at t: 0 when the item is created, one more
// each week.
func (it *item) version(t time.Time) int {
	if t.Before(it.created) {
		return 0
	}
	return int(t.Sub(it.created) / versionEvery)
}

// state is what changes from version to version.
type state struct {
	price int64
	stock int64
	sale  bool
}

// state derives the stock and the price of one version: one in twenty-five is sold out, one in eight
// is reduced by a fifth.
func (s *Shop) state(it *item, version int) state {
	h := s.derive(forVersion, uint64(it.index), uint64(version))
	st := state{price: it.price, stock: int64(5 + h%296)}
	if h>>16%25 == 0 {
		st.stock = 0
	}
	if h>>32%8 == 0 && version > 0 {
		st.sale, st.price = true, it.price*80/100
	}
	return st
}

// itemUpsert is the whole document of one version, as an event at the moment it becomes valid.
func (s *Shop) itemUpsert(it *item, version int) streams.Event {
	c := &categories[it.cat]
	st := s.state(it, version)
	tags := []any{themes[it.theme]}
	if st.sale {
		tags = append(tags, "sale")
	}
	if c.peak != 0 {
		tags = append(tags, "season-"+time.Month(c.peak).String()[:3])
	}
	path := make([]any, len(c.path))
	for i, p := range c.path {
		path[i] = p
	}
	return streams.Event{
		ID:       "item-" + strconv.Itoa(it.index+1) + "-" + strconv.Itoa(version),
		Type:     streams.ItemUpsert,
		Time:     it.created.Add(time.Duration(version) * versionEvery),
		Items:    []streams.Line{{ItemID: it.id}},
		Currency: Currency,
		Attributes: map[string]any{
			"title":         it.title(),
			"category":      c.name,
			"category_path": path,
			"brand":         brands[it.brand],
			"product_group": "p-" + strconv.Itoa(it.group+1),
			"price":         float64(st.price),
			"cost":          float64(it.cost),
			"currency":      Currency,
			"stock":         float64(st.stock),
			"tags":          tags,
			"created_at":    it.created.Format(time.RFC3339),
			"colour":        colours[it.colour],
			"theme":         themes[it.theme],
		},
	}
}

func (it *item) title() string {
	return brands[it.brand] + " " + adjectives[it.adj] + " " + categories[it.cat].noun + ", " + colours[it.colour]
}
