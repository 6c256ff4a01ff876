package streams

import "time"

// Touch is one item that a subject looked at, clicked, put into the cart and so on.
type Touch struct {
	Type   Type
	ItemID string
}

// VisitHorizon is how many offsets of a partition a Visits looks back.
const VisitHorizon = 10_000

// Bounds of what is remembered of one subject, and of what an event is told of it.
const (
	subjectTouches = 64
	visitTouches   = 20
)

// Visits fills in Event.Visit while the events of one partition of the behavior stream go by: what the
// same subject touched before in the same visit, among the last VisitHorizon offsets. Two events are of
// one visit when they have the same session id, or, when one has none, when their times are no further
// apart than the gap. That is a property of the log alone: a reader that starts in the middle first lets
// the horizon before its start go by. A nil Visits does nothing. It is used by one goroutine.
type Visits struct {
	gap   time.Duration
	by    map[string][]touched
	queue []remembered // ascending offsets; those before head are gone
	head  int
}

// touched is a Touch with what tells visits apart.
type touched struct {
	Touch
	offset  int64
	time    time.Time
	session string
}

type remembered struct {
	offset  int64
	subject string
}

// NewVisits returns an empty memory; nil for a stream without visits and for a gap of 0.
func NewVisits(s Stream, gap time.Duration) *Visits {
	if s != Behavior || gap <= 0 {
		return nil
	}
	return &Visits{gap: gap, by: map[string][]touched{}}
}

// Add fills in the visit of the event at an offset, and remembers the event. Offsets ascend.
func (v *Visits) Add(e *Event, offset int64) {
	if v == nil {
		return
	}
	v.forget(offset - VisitHorizon)
	subject := e.Subject()
	if subject == "" || e.Type == UserMerge || len(e.Items) == 0 {
		return
	}
	past := v.by[subject]
	for i := len(past) - 1; i >= 0 && len(e.Visit) < visitTouches; i-- {
		if t := &past[i]; v.together(e, t) && !has(e.Visit, t.Touch) {
			e.Visit = append(e.Visit, t.Touch)
		}
	}
	for _, l := range e.Items {
		if l.ItemID != "" {
			past = append(past, touched{Touch{e.Type, l.ItemID}, offset, e.Time, e.SessionID})
		}
	}
	if n := len(past) - subjectTouches; n > 0 {
		past = append(past[:0], past[n:]...)
	}
	v.by[subject] = past
	v.queue = append(v.queue, remembered{offset, subject})
}

// together tells whether the touch belongs to the event's visit.
func (v *Visits) together(e *Event, t *touched) bool {
	if e.SessionID != "" && t.session != "" {
		return e.SessionID == t.session
	}
	return e.Time.Sub(t.time).Abs() <= v.gap
}

func has(touches []Touch, t Touch) bool {
	for _, have := range touches {
		if have == t {
			return true
		}
	}
	return false
}

// forget drops what is before an offset.
func (v *Visits) forget(before int64) {
	for v.head < len(v.queue) && v.queue[v.head].offset < before {
		subject := v.queue[v.head].subject
		past := v.by[subject]
		n := 0
		for n < len(past) && past[n].offset < before {
			n++
		}
		if n == len(past) {
			delete(v.by, subject)
		} else {
			v.by[subject] = append(past[:0], past[n:]...)
		}
		v.head++
	}
	if v.head > len(v.queue)/2 {
		n := copy(v.queue, v.queue[v.head:])
		clear(v.queue[n:])
		v.queue, v.head = v.queue[:n], 0
	}
}
