package train

import (
	"slices"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

// Examples reads a log and tells, for each event, what was known just before it: the features that the
// online store would have answered in that moment, made by the same fold (the test compares the two).
// It keeps the state of every user and the document of every item, about 10 kB for an active user, and
// nothing of the log itself. It is used by one goroutine.
type Examples struct {
	schema  *features.Schema
	options ExampleOptions
	reader  *features.UserReader // of the fields; nil = all
	users   map[string]*features.State
	items   map[string]*pastItem
}

// ExampleOptions says which examples there are.
type ExampleOptions struct {
	// Types are the events that become examples; all of the behavior and orders streams when nil. What
	// others do to features counts all the same.
	Types []streams.Type
	// ItemCounters keeps what was counted about items as well, for Example.Item: as much memory for an
	// item as for a user. Without it items are what their documents say.
	ItemCounters bool
	// Fields are the fields of users that Example.User has, which then must not be kept; all when nil.
	Fields []string
}

// pastItem is what is known about an item so far.
type pastItem struct {
	state features.State
	// document is the item by its document alone, made when it is asked for and forgotten when another
	// document comes: users' favourite categories need no more, and need it for a hundred items each.
	document *features.Item
}

// NewExamples returns a builder that knows nothing yet.
func NewExamples(schema *features.Schema, o ExampleOptions) *Examples {
	var reader *features.UserReader
	if o.Fields != nil {
		reader = schema.UserReader(o.Fields)
	}
	return &Examples{schema: schema, options: o, reader: reader, users: map[string]*features.State{}, items: map[string]*pastItem{}}
}

// Example is an event with what was known just before it. It is valid until the builder goes on; User
// may be kept.
type Example struct {
	Event   *streams.Event
	Subject string
	// User is what the online store knew of the subject, joined with the visitors that the user turned
	// out to be, with windows that end at the event.
	User *features.User

	from *Examples
}

// Item returns what was known about an item just before the event; nil when nothing was.
func (x *Example) Item(id string) *features.Item {
	p := x.from.items[id]
	if p == nil {
		return nil
	}
	return x.from.schema.Item(id, &p.state, x.Event.Time)
}

// Add takes the next event. Events must come in the order in which they were applied online: that of
// their time, but for those that were late. If it is an example, each is called before the event counts;
// its error ends Add and is returned.
func (b *Examples) Add(e *streams.Event, each func(*Example) error) error {
	if b.wanted(e) {
		x := &Example{Event: e, Subject: e.Subject(), from: b}
		x.User = b.user(x.Subject, e.Time)
		if err := each(x); err != nil {
			return err
		}
	}
	for _, d := range b.schema.Fold(e) {
		if d.Entity.Kind == features.UserEntity {
			st := b.users[d.Entity.ID]
			if st == nil {
				st = &features.State{}
				b.users[d.Entity.ID] = st
			}
			st.Apply(b.schema, d.Ops)
			continue
		}
		b.applyItem(d)
	}
	return nil
}

// user is what the online store would answer about the subject now.
func (b *Examples) user(subject string, now time.Time) *features.User {
	if b.reader != nil {
		return b.reader.Read(subject, b.joined(subject), b.document, now)
	}
	return b.schema.User(subject, b.joined(subject), b.document, now)
}

// wanted tells whether the event is an example.
func (b *Examples) wanted(e *streams.Event) bool {
	if e.Subject() == "" {
		return false
	}
	if b.options.Types != nil {
		return slices.Contains(b.options.Types, e.Type)
	}
	s := e.Type.Stream()
	return (s == streams.Behavior || s == streams.Orders) && e.Type != streams.UserMerge
}

// joined is the subject's state as the store answers it; nil when nothing is stored.
func (b *Examples) joined(subject string) *features.State {
	st := b.users[subject]
	visitors := st.Visitors()
	if len(visitors) == 0 {
		return st
	}
	out := st.Clone()
	for _, v := range visitors {
		out.Join(b.schema, b.users[v])
	}
	return out
}

// applyItem changes an item, or its document alone.
func (b *Examples) applyItem(d features.Delta) {
	ops := d.Ops
	if !b.options.ItemCounters {
		ops = slices.DeleteFunc(slices.Clone(ops), func(op features.Op) bool { return op.Code != features.Put && op.Code != features.Remove })
		if len(ops) == 0 {
			return
		}
	}
	p := b.items[d.Entity.ID]
	if p == nil {
		p = &pastItem{}
		b.items[d.Entity.ID] = p
	}
	before := p.state.DocTime
	p.state.Apply(b.schema, ops)
	if p.state.DocTime != before || ops[0].Code == features.Put {
		p.document = nil
	}
}

// document is the features.ItemLookup of users' favourites.
func (b *Examples) document(id string) *features.Item {
	p := b.items[id]
	if p == nil {
		return nil
	}
	if p.document == nil {
		st := features.State{Doc: p.state.Doc, DocTime: p.state.DocTime}
		p.document = b.schema.Item(id, &st, st.Time())
	}
	return p.document
}

// Size returns how many users and items are remembered.
func (b *Examples) Size() (users, items int) { return len(b.users), len(b.items) }
