package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/sartorhq/sartor/streams"
)

// HeaderReplayed marks, in the dead-letters topic, that the message which was at this place
// (topic/partition/offset) is published again. A mark has no reason and no value.
const HeaderReplayed = "sartor-replayed"

// HeaderReplayOf is on a message that was published again: where it was before.
const HeaderReplayOf = "sartor-replay-of"

// ErrNotReplayable is what Replay's errors are, by errors.Is, for letters that cannot be published
// again whatever the state of the cluster.
var ErrNotReplayable = errors.New("the letter cannot be replayed")

// Letter is one message that was refused.
type Letter struct {
	// Position is where the letter is, Origin where the message was.
	Position, Origin streams.Position
	Reason           string
	Received         time.Time // when the origin's log received it
	Version          string    // of the consumer that refused it
	// Cut is the length of the value where it was too long to be kept whole, else 0.
	Cut        int
	Key, Value []byte
	Headers    []Header // the message's own
	Replayed   bool     // published again
	// Refused tells that the message is an event, which the store refused.
	Refused bool
}

// ReadLetters calls fn with every message that was dead-lettered, once for each even where the topic
// has it twice, in the order of their places in the topic. The topic is read twice and not kept in
// memory. An error of fn ends the reading and is returned.
func ReadLetters(ctx context.Context, options Options, fn func(Letter) error) error {
	dead := []streams.Stream{streams.DeadLetters}
	replayed := map[string]bool{}
	err := readRaw(ctx, options, dead, func(_ *part, m *message) error {
		if mark := headerOf(m, HeaderReplayed); mark != "" && headerOf(m, HeaderReason) == "" {
			replayed[mark] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the dead letters: %w", err)
	}
	seen := map[string]bool{}
	return readRaw(ctx, options, dead, func(p *part, m *message) error {
		l, ok := letterOf(p, m)
		place := placeOf(l.Origin)
		if !ok || seen[place] {
			return nil
		}
		seen[place] = true
		l.Replayed = replayed[place]
		return fn(l)
	})
}

// letterOf reads a letter; ok is false for marks and for what Sartor has not written.
func letterOf(p *part, m *message) (l Letter, ok bool) {
	l = Letter{Position: streams.Position{Topic: p.topic, Partition: p.partition, Offset: m.offset}, Key: m.key, Value: m.value}
	l.Reason, l.Version = headerOf(m, HeaderReason), headerOf(m, HeaderVersion)
	l.Origin.Topic = headerOf(m, HeaderTopic)
	var errPartition, errOffset error
	l.Origin.Partition, errPartition = strconv.Atoi(headerOf(m, HeaderPartition))
	l.Origin.Offset, errOffset = strconv.ParseInt(headerOf(m, HeaderOffset), 10, 64)
	l.Received, _ = time.Parse(time.RFC3339Nano, headerOf(m, HeaderTime))
	l.Refused = headerOf(m, HeaderRefused) != ""
	l.Cut, _ = strconv.Atoi(headerOf(m, HeaderCut))
	for _, h := range m.headers {
		if !slices.Contains(letterHeaderNames(), h.Key) {
			l.Headers = append(l.Headers, Header(h))
		}
	}
	return l, l.Origin.Topic != "" && l.Reason != "" && errPartition == nil && errOffset == nil
}

// letterHeaderNames are the headers that are not the message's own.
func letterHeaderNames() []string {
	return []string{HeaderReason, HeaderTopic, HeaderPartition, HeaderOffset, HeaderTime, HeaderVersion, HeaderCut, HeaderRefused}
}

// headerOf returns the first header of that name: ours come before the message's own.
func headerOf(m *message, name string) string {
	for _, h := range m.headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// placeOf writes a position as topic/partition/offset.
func placeOf(p streams.Position) string {
	return p.Topic + "/" + strconv.Itoa(p.Partition) + "/" + strconv.FormatInt(p.Offset, 10)
}

// CanReplay returns nil when the letter's message can be published again, else why not; the error is
// an ErrNotReplayable by errors.Is.
func (o *Options) CanReplay(l *Letter) error {
	switch {
	case o.streamOf(l.Origin.Topic) == "":
		return fmt.Errorf("%w: its topic %s is none of the configured ones", ErrNotReplayable, l.Origin.Topic)
	case l.Refused:
		return fmt.Errorf("%w: the store refused it (%s), and other parts of it may be counted: mend what the reason names, then 'sartor features rebuild' counts all of it once", ErrNotReplayable, l.Reason)
	case l.Cut > 0:
		return fmt.Errorf("%w: only %d of its %d bytes were kept", ErrNotReplayable, len(l.Value), l.Cut)
	case len(l.Key) >= letterBytes/8:
		return fmt.Errorf("%w: its key was too long to be kept whole", ErrNotReplayable)
	}
	return nil
}

// streamOf returns the stream whose topic has that name, or "" (also for the dead letters).
func (o *Options) streamOf(topic string) streams.Stream {
	for _, s := range streams.Streams() {
		if s != streams.DeadLetters && o.Topic(s) == topic {
			return s
		}
	}
	return ""
}

// Replay publishes the letters' messages again at the end of their topics, as they were, with
// HeaderReplayOf, and returns one result for each. Only when a message is acknowledged is its letter
// marked; a program that ends in between leaves the letter unmarked, so that the message may be
// published twice but never lost. An error that says "marked" means just that.
func (p *Producer) Replay(ctx context.Context, letters []Letter) []error {
	errs := make([]error, len(letters))
	if p.err != nil {
		for i := range errs {
			errs[i] = p.err
		}
		return errs
	}
	var messages, marks []kafkago.Message
	var index, marked []int
	for i := range letters {
		l := &letters[i]
		if errs[i] = p.options.CanReplay(l); errs[i] != nil {
			continue
		}
		m := kafkago.Message{Topic: l.Origin.Topic, Key: l.Key, Value: l.Value,
			Headers: []kafkago.Header{{Key: HeaderReplayOf, Value: []byte(placeOf(l.Origin))}}}
		for _, h := range l.Headers {
			if h.Key != HeaderReplayOf {
				m.Headers = append(m.Headers, kafkago.Header(h))
			}
		}
		messages, index = append(messages, m), append(index, i)
	}
	for j, err := range p.write(ctx, messages) {
		l := &letters[index[j]]
		p.count(p.options.streamOf(l.Origin.Topic), err)
		if err != nil {
			errs[index[j]] = fmt.Errorf("publish to topic %s: %w", l.Origin.Topic, err)
			continue
		}
		marks = append(marks, kafkago.Message{Topic: p.options.Topic(streams.DeadLetters), Key: l.Key,
			Headers: []kafkago.Header{{Key: HeaderReplayed, Value: []byte(placeOf(l.Origin))}}})
		marked = append(marked, index[j])
	}
	for j, err := range p.write(ctx, marks) {
		if err != nil {
			errs[marked[j]] = fmt.Errorf("the message is published, but its letter could not be marked as replayed: %w", err)
		}
	}
	return errs
}

// Superseded returns the indexes of those letters of compacted topics for whose key the topic has a
// newer message: to publish the old one again would make compaction forget the newer.
func Superseded(ctx context.Context, options Options, letters []Letter) (map[int]bool, error) {
	type entry struct{ topic, key string }
	waiting := map[entry][]int{}
	var which []streams.Stream
	for i := range letters {
		s := options.streamOf(letters[i].Origin.Topic)
		if !s.Compacted() {
			continue
		}
		if !slices.Contains(which, s) {
			which = append(which, s)
		}
		e := entry{letters[i].Origin.Topic, string(letters[i].Key)}
		waiting[e] = append(waiting[e], i)
	}
	newer := map[int]bool{}
	if len(which) == 0 {
		return newer, nil
	}
	err := readRaw(ctx, options, which, func(p *part, m *message) error {
		for _, i := range waiting[entry{p.topic, string(m.key)}] {
			o := letters[i].Origin
			if p.partition == o.Partition && m.offset > o.Offset || p.partition != o.Partition && m.time.After(letters[i].Received) {
				newer[i] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for newer messages: %w", err)
	}
	return newer, nil
}
