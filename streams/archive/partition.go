package archive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// Partition archives the records of one partition of a topic. It gathers them until there are enough,
// or the oldest has waited long enough. It is used by one goroutine.
type Partition struct {
	archive *Archive
	topic   string
	number  int

	first   int64 // behind what is archived
	last    int64 // of what was handed over; first-1 when there is nothing
	records []streams.Record
	bytes   int
	since   time.Time // when the oldest of them came
	open    *claim    // a range that somebody began and did not finish: it must be finished as it is
}

// Partition opens the partition where the archive's files end.
func (a *Archive) Partition(ctx context.Context, topic string, partition int) (*Partition, error) {
	p := &Partition{archive: a, topic: topic, number: partition}
	keys, err := a.keys(ctx, claimPrefix(topic, partition))
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	if len(keys) > 0 {
		c, err := a.readClaim(ctx, keys[len(keys)-1])
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
		if p.first = c.Last + 1; !c.Done {
			p.first, p.open = c.First, c
		}
	}
	p.last = p.first - 1
	return p, nil
}

// Next returns the offset behind what is archived.
func (p *Partition) Next() int64 { return p.first }

// Apply takes records, which ascend by offset, and everything else up to the offset last, which is no
// event. It writes when there is enough. After an error the Partition must be opened anew.
func (p *Partition) Apply(ctx context.Context, records []streams.Record, last int64) error {
	for i := range records {
		if records[i].Offset <= p.last {
			continue
		}
		if len(p.records) == 0 {
			p.since = p.archive.options.Now()
		}
		p.records = append(p.records, records[i])
		p.bytes += sizeOf(&records[i].Event)
	}
	p.last = max(p.last, last)
	return p.Idle(ctx)
}

// Idle writes what has waited long enough.
func (p *Partition) Idle(ctx context.Context) error {
	o := &p.archive.options
	for {
		switch full := len(p.records) >= o.MaxEvents || p.bytes >= o.MaxBytes; {
		case p.open != nil:
			if p.last < p.open.Last {
				return nil
			}
		case !full && (len(p.records) == 0 || o.Now().Sub(p.since) < o.MaxAge):
			return nil
		}
		if err := p.write(ctx); err != nil {
			return err
		}
	}
}

// Flush writes everything that was handed over, however little it is. A range that another writer
// began and that reaches further is left to whoever brings the rest of it.
func (p *Partition) Flush(ctx context.Context) error {
	for len(p.records) > 0 {
		if p.open != nil && p.last < p.open.Last {
			return nil
		}
		if err := p.write(ctx); err != nil {
			return err
		}
	}
	return nil
}

// write claims the gathered range, or what another has claimed, and writes it.
func (p *Partition) write(ctx context.Context) error {
	began := p.archive.options.Now()
	redo := p.open != nil
	c := p.open
	if !redo {
		c = p.claim()
		if err := p.archive.options.step("claim"); err != nil {
			return err
		}
		err := p.archive.writeClaim(ctx, c, true)
		if errors.Is(err, errExists) {
			return p.yield(ctx, c.key())
		}
		if err != nil {
			return fmt.Errorf("archive: claim offsets %d to %d of %s/%d: %w", c.First, c.Last, p.topic, p.number, err)
		}
	}
	if err := p.writeFiles(ctx, c, redo); err != nil {
		return fmt.Errorf("archive: write offsets %d to %d of %s/%d: %w", c.First, c.Last, p.topic, p.number, err)
	}
	p.behind(c)
	p.archive.metrics.written(c, p.archive.options.Now().Sub(began))
	return nil
}

// yield gives way to the claim that is there: it is finished if it is not, else somebody is further.
func (p *Partition) yield(ctx context.Context, key string) error {
	c, err := p.archive.readClaim(ctx, key)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	if c.Done {
		return fmt.Errorf("archive: %s/%d at offset %d: %w", p.topic, p.number, p.first, ErrMoved)
	}
	p.open = c
	return nil
}

// claim describes everything that is gathered.
func (p *Partition) claim() *claim {
	c := &claim{Format: claimFormat, Topic: p.topic, Partition: p.number, First: p.first, Last: p.last, Events: len(p.records)}
	days := p.days(p.last)
	for _, day := range slices.Sorted(maps.Keys(days)) {
		c.Files = append(c.Files, file{c.fileKey(day), len(days[day])})
	}
	return c
}

// days groups the records up to an offset by the day on which they happened, UTC.
func (p *Partition) days(last int64) map[string][]streams.Record {
	out := map[string][]streams.Record{}
	for _, r := range p.records {
		if r.Offset <= last {
			day := r.Event.Time.UTC().Format(time.DateOnly)
			out[day] = append(out[day], r)
		}
	}
	return out
}

// writeFiles writes the files of a claim and then says that they are there. On a second attempt the
// files that are there stay, because the log may have lost since what they hold.
func (p *Partition) writeFiles(ctx context.Context, c *claim, redo bool) error {
	days := p.days(c.Last)
	var files []file
	for _, day := range slices.Sorted(maps.Keys(days)) {
		files = append(files, file{c.fileKey(day), len(days[day])})
	}
	for _, f := range c.Files {
		if !slices.ContainsFunc(files, func(have file) bool { return have.Key == f.Key }) {
			files = append(files, file{Key: f.Key})
		}
	}
	done := *c
	done.Done, done.Events, done.Files = true, 0, nil
	for _, f := range files {
		n, err := p.writeFile(ctx, c, f, days, redo)
		if err != nil {
			return err
		}
		if n > 0 {
			done.Files, done.Events = append(done.Files, file{f.Key, n}), done.Events+n
		}
	}
	if lost := c.Events - done.Events; lost > 0 {
		p.archive.metrics.lost.WithLabelValues(p.topic).Add(float64(lost))
		p.archive.options.Logger.Error("events are lost: a writer was killed before it wrote them, and the log has dropped them since",
			"topic", p.topic, "partition", p.number, "first", c.First, "last", c.Last, "events", lost)
	}
	if err := p.archive.options.step("done"); err != nil {
		return err
	}
	*c = done
	return p.archive.writeClaim(ctx, c, false)
}

// writeFile writes one file unless an attempt before has, and returns how many events are in it.
func (p *Partition) writeFile(ctx context.Context, c *claim, f file, days map[string][]streams.Record, redo bool) (int, error) {
	if redo {
		there, err := p.archive.bucket.Exists(ctx, f.Key)
		if err != nil {
			return 0, fmt.Errorf("look for %s: %w", f.Key, err)
		}
		if i := slices.IndexFunc(c.Files, func(g file) bool { return g.Key == f.Key }); there && i >= 0 {
			return c.Files[i].Events, nil
		}
	}
	if f.Events == 0 {
		return 0, nil // the log has lost it
	}
	for day, records := range days {
		if c.fileKey(day) != f.Key {
			continue
		}
		data, err := encode(records)
		if err != nil {
			return 0, err
		}
		if err := p.archive.options.step("file"); err != nil {
			return 0, err
		}
		if err := p.archive.put(ctx, f.Key, data, false); err != nil {
			return 0, fmt.Errorf("write %s: %w", f.Key, err)
		}
		p.archive.metrics.bytes.Add(float64(len(data)))
	}
	return f.Events, nil
}

// behind goes on after a claim that is done.
func (p *Partition) behind(c *claim) {
	rest := p.records[:0]
	p.bytes = 0
	for _, r := range p.records {
		if r.Offset > c.Last {
			rest = append(rest, r)
			p.bytes += sizeOf(&r.Event)
		}
	}
	clear(p.records[len(rest):]) // lets go of the events
	p.records, p.first, p.last, p.open = rest, c.Last+1, max(p.last, c.Last), nil
}

// sizeOf estimates the memory of an event.
func sizeOf(e *streams.Event) int {
	n := 400 + 48*len(e.Items) + len(e.ID) + len(e.UserID) + len(e.AnonymousID) + len(e.SessionID) + len(e.Query) + len(e.OrderID)
	for _, l := range e.Items {
		n += len(l.ItemID)
	}
	for k, v := range e.Attributes {
		n += 64 + len(k) + sizeOfValue(v)
	}
	return n
}

func sizeOfValue(v any) int {
	switch x := v.(type) {
	case string:
		return len(x)
	case []any:
		n := 24
		for _, y := range x {
			n += 16 + sizeOfValue(y)
		}
		return n
	case map[string]any:
		n := 48
		for k, y := range x {
			n += 64 + len(k) + sizeOfValue(y)
		}
		return n
	}
	return 8
}
