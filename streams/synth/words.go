package synth

// category is one leaf of the catalogue.
type category struct {
	name  string   // leaf, unique
	path  []string // from the root to the leaf
	noun  string   // in titles and searches
	price int64    // a middle price, in cents
	peak  int      // month of its season, 1..12; 0 = none
}

// categories lists the leaves in order of general popularity.
var categories = []category{
	{"t-shirts", []string{"clothing", "tops", "t-shirts"}, "T-Shirt", 1900, 6},
	{"sneakers", []string{"shoes", "casual", "sneakers"}, "Sneakers", 7900, 4},
	{"headphones", []string{"electronics", "audio", "headphones"}, "Headphones", 8900, 12},
	{"jackets", []string{"clothing", "outerwear", "jackets"}, "Jacket", 11900, 11},
	{"novels", []string{"books", "fiction", "novels"}, "Novel", 1400, 7},
	{"coffee", []string{"grocery", "drinks", "coffee"}, "Coffee", 1100, 0},
	{"running-shoes", []string{"sport", "running", "running-shoes"}, "Running Shoes", 10900, 4},
	{"backpacks", []string{"outdoor", "bags", "backpacks"}, "Backpack", 6900, 8},
	{"lamps", []string{"home", "lighting", "lamps"}, "Lamp", 4900, 10},
	{"jeans", []string{"clothing", "trousers", "jeans"}, "Jeans", 6900, 9},
	{"board-games", []string{"toys", "games", "board-games"}, "Board Game", 3400, 12},
	{"skin-care", []string{"beauty", "face", "skin-care"}, "Face Cream", 2400, 1},
	{"cookware", []string{"home", "kitchen", "cookware"}, "Saucepan", 4400, 12},
	{"keyboards", []string{"electronics", "computing", "keyboards"}, "Keyboard", 9900, 11},
	{"dresses", []string{"clothing", "dresses", "dresses"}, "Dress", 5900, 5},
	{"yoga", []string{"sport", "fitness", "yoga"}, "Yoga Mat", 3900, 1},
	{"tents", []string{"outdoor", "camping", "tents"}, "Tent", 17900, 6},
	{"watches", []string{"accessories", "jewellery", "watches"}, "Watch", 14900, 12},
	{"bedding", []string{"home", "bedroom", "bedding"}, "Duvet Cover", 5400, 2},
	{"cycling", []string{"sport", "cycling", "cycling"}, "Bike Light", 2900, 5},
	{"building-sets", []string{"toys", "creative", "building-sets"}, "Building Set", 4900, 12},
	{"perfume", []string{"beauty", "fragrance", "perfume"}, "Perfume", 6400, 12},
	{"garden-tools", []string{"garden", "tools", "garden-tools"}, "Pruner", 2700, 4},
	{"cookbooks", []string{"books", "non-fiction", "cookbooks"}, "Cookbook", 2600, 11},
}

// brands are invented; a category carries six of them.
var brands = []string{
	"Alvara", "Brekka", "Corvino", "Dunmore", "Eskil", "Farrow & Finch", "Galanth", "Hollin",
	"Ivarna", "Juno Bay", "Kestral", "Lumera", "Marlow", "Nordal", "Ostra", "Pellico",
	"Quillon", "Rivetta", "Solvane", "Tarn", "Umbra Lane", "Velmont", "Wystan", "Yarrow",
}

// themes cut across categories: the hidden taste that only behaviour shows well.
var themes = []string{"classic", "sporty", "minimal", "vintage", "bold", "natural"}

// adjectives give titles variety; colours tell the options of one product apart.
var (
	adjectives = []string{"Harbour", "Meadow", "Summit", "Ember", "Drift", "Willow", "Cobalt", "Dawn",
		"Granite", "Linden", "Echo", "Saffron", "Tidal", "Aspen", "Comet", "Juniper"}
	colours = []string{"Black", "White", "Navy", "Olive", "Sand", "Red", "Grey", "Teal"}
)

// country is where users live; weight is its share of the users.
type country struct {
	code, language string
	weight         int
}

var countries = []country{
	{"DE", "de", 30}, {"FR", "fr", 18}, {"GB", "en", 16}, {"US", "en", 12},
	{"NL", "nl", 8}, {"ES", "es", 7}, {"PL", "pl", 5}, {"JP", "ja", 4},
}

// hourWeight is the traffic by hour of the day (UTC): a quiet night, a lunch bump, a busy evening.
var hourWeight = [24]int{12, 7, 5, 4, 5, 9, 20, 38, 52, 60, 62, 66,
	78, 70, 62, 60, 64, 74, 90, 108, 118, 104, 66, 28}

// dayWeight is the traffic by day of the week, from Sunday, in percent.
var dayWeight = [7]int{128, 92, 88, 90, 94, 98, 110}

// monthWeight is the traffic by month, from January, in percent.
var monthWeight = [12]int{92, 88, 94, 96, 98, 94, 90, 90, 98, 104, 126, 140}
