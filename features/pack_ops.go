package features

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/sartorhq/sartor/streams"
)

// Origin says which part of which log operations come from: those with offsets above From and up to To,
// which is never below From. Parts of one source do not overlap, and come in ascending order. When they
// do overlap, the later one is right: see Schema.Unpack.
type Origin struct {
	Source   uint64 // of the log; the lower 40 bits count
	From, To int64
}

const sourceBytes = 5

// Operations are packed behind their origin, in groups of one event time: the time since the group before, how many there
// are, and each as a tag byte and what the tag does not say. Tags of counters: code, how the bucket's
// index is known (2 bits), how the value is known (2 bits), whether the name is that of the counter
// before. Tags of list entries: code, how the text is known.
const (
	tagCode = 0b111

	tagBucket = 3 // shift; 0 = no bucket, 1 and 2 = the hour and the day of the event, 3 = what follows
	tagValue  = 5 // shift
	tagSame   = 1 << 7

	tagText = 3 // shift
)

// How a counter's value is known.
const (
	valueOne = iota
	valueTime
	valueAgain
	valueGiven
)

// How the text of a list's entry is known.
const (
	textGiven   = iota // a text
	textHistory        // type, the event's time, and an item that is given
	textAgain          // an item that the part named before
	textBoth           // type, the event's time, and an item that the part named before
)

// How a Remove or Put is known.
const (
	fieldNone = iota
	fieldDocument
	fieldGiven
)

// opsPacker is the state of packing operations.
type opsPacker struct {
	packer
	items  []string
	base   string // name of the counter before
	value  int64  // its value
	before int64  // time of the group before
}

// itemsBack is how many of a part's items are looked through for a repeated one.
const itemsBack = 64

// PackOps appends the operations as one part. They come out again as they went in, in the same order.
func PackOps(dst []byte, from Origin, batches ...[]Op) []byte {
	p := opsPacker{packer: packer{b: append(dst, packedOps)}}
	for i := range sourceBytes {
		p.b = append(p.b, byte(from.Source>>(8*i)))
	}
	p.int(from.To)
	p.uint(uint64(from.To - from.From))
	for _, ops := range batches {
		p.groups(ops)
	}
	return p.b
}

func (p *opsPacker) groups(ops []Op) {
	for len(ops) > 0 {
		n := 1
		for n < len(ops) && ops[n].Time == ops[0].Time {
			n++
		}
		p.int(ops[0].Time - p.before) // may wrap around, and back when it is read
		p.before = ops[0].Time
		p.uint(uint64(n))
		for i := range ops[:n] {
			p.op(&ops[i])
		}
		ops = ops[n:]
	}
}

func (p *opsPacker) op(op *Op) {
	switch op.Code {
	case Push:
		p.push(op)
	case Put, Remove:
		form := byte(fieldGiven)
		switch op.Field {
		case "":
			form = fieldNone
		case DocumentField:
			form = fieldDocument
		}
		p.b = append(p.b, byte(op.Code)|form<<tagText)
		if form == fieldGiven {
			p.name(op.Field)
		}
		if op.Code == Put {
			p.text(op.Text)
		}
	default:
		p.counter(op)
	}
}

func (p *opsPacker) counter(op *Op) {
	tag := byte(op.Code)
	base, u, index, rest, bucketed := splitBucket(op.Field)
	form := byte(0)
	if bucketed {
		form = 3
		if n := unitNumber(u); u != country && rest == "" && index == bucketOf(u, op.Time) {
			form = n
		}
	} else {
		base = op.Field
	}
	value := byte(valueGiven)
	switch op.Value {
	case 1:
		value = valueOne
	case op.Time:
		value = valueTime
	case p.value:
		value = valueAgain
	}
	tag |= form<<tagBucket | value<<tagValue
	if base == p.base && base != "" {
		p.b = append(p.b, tag|tagSame)
	} else {
		p.b = append(p.b, tag)
		p.name(base)
	}
	if form == 3 {
		p.b = append(p.b, byte(u))
		p.int(bucketOf(u, op.Time) - index)
		p.name(rest)
	}
	if value == valueGiven {
		p.int(op.Value)
	}
	p.base, p.value = base, op.Value
}

func (p *opsPacker) push(op *Op) {
	kind, item, ok := splitHistory(op.Text, op.Time)
	form := byte(textGiven)
	if ok {
		form = textHistory
	} else {
		item = op.Text
	}
	from := max(0, len(p.items)-itemsBack)
	at := slices.Index(p.items[from:], item)
	if at >= 0 {
		form += textAgain
	}
	p.b = append(p.b, byte(Push)|form<<tagText)
	p.name(op.Field)
	if ok {
		p.typ(kind)
	}
	if at >= 0 {
		p.uint(uint64(from + at))
		return
	}
	p.items = append(p.items, item)
	p.text(item)
}

// splitHistory takes an entry of a list apart that is written as the event's time says.
func splitHistory(text string, ms int64) (streams.Type, string, bool) {
	kind, rest, ok := strings.Cut(text, " ")
	stamp, item, ok2 := strings.Cut(rest, " ")
	var space [24]byte
	if !ok || !ok2 || string(strconv.AppendInt(space[:0], ms, 10)) != stamp {
		return "", "", false
	}
	return streams.Type(kind), item, true
}

// opsUnpacker is the reader of packed operations.
type opsUnpacker struct {
	unpacker
	items  []string
	base   string
	value  int64
	before int64
	// expanded is how many bytes of items were copied.
	expanded int
}

// origin reads the head of a part.
func (u *unpacker) origin() Origin {
	if u.byte() != packedOps || len(u.s) < sourceBytes {
		u.fail()
		return Origin{}
	}
	var o Origin
	for i := range sourceBytes {
		o.Source |= uint64(u.s[i]) << (8 * i)
	}
	u.s = u.s[sourceBytes:]
	o.To = u.int()
	span := u.uint()
	if o.From = o.To - int64(span); o.From > o.To {
		u.fail()
	}
	return o
}

// UnpackOps appends the operations of a part.
func UnpackOps(dst []Op, part string) ([]Op, error) {
	u := opsUnpacker{unpacker: unpacker{s: part}}
	u.origin()
	for len(u.s) > 0 {
		u.before += u.int()
		for range u.count(1) {
			dst = append(dst, u.op())
		}
	}
	if u.failed {
		return dst, unpackError("change", part)
	}
	return dst, nil
}

func (u *opsUnpacker) op() Op {
	tag := u.byte()
	op := Op{Code: OpCode(tag & tagCode), Time: u.before}
	switch op.Code {
	case Add, Min, Max:
		u.counter(&op, tag)
	case Push:
		u.push(&op, tag>>tagText)
	case Put, Remove:
		switch tag >> tagText {
		case fieldNone:
		case fieldDocument:
			op.Field = DocumentField
		case fieldGiven:
			op.Field = u.name()
		default:
			u.fail()
		}
		if op.Code == Put {
			op.Text = u.text()
		}
	default:
		u.fail()
	}
	return op
}

func (u *opsUnpacker) counter(op *Op, tag byte) {
	base := u.base
	if tag&tagSame == 0 {
		base = u.name()
	}
	op.Field = base
	switch form := tag >> tagBucket & 3; form {
	case 0:
	case 3:
		unit := unit(u.byte())
		if unit != hourly && unit != daily && unit != country {
			u.fail()
		}
		index := bucketOf(unit, op.Time) - u.int()
		op.Field = bucketName(base, unit, index) + u.name()
	default:
		op.Field = bucketName(base, bucketUnits[form], bucketOf(bucketUnits[form], op.Time))
	}
	switch tag >> tagValue & 3 {
	case valueOne:
		op.Value = 1
	case valueTime:
		op.Value = op.Time
	case valueAgain:
		op.Value = u.value
	default:
		op.Value = u.int()
	}
	u.base, u.value = base, op.Value
}

func (u *opsUnpacker) push(op *Op, form byte) {
	if form > textBoth {
		u.fail()
		return
	}
	op.Field = u.name()
	var kind streams.Type
	if form&textHistory != 0 {
		kind = u.typ()
	}
	item := ""
	if form >= textAgain {
		i := u.uint()
		if i >= uint64(len(u.items)) {
			u.fail()
			return
		}
		item = u.items[i]
	} else {
		item = u.text()
		u.items = append(u.items, item)
	}
	op.Text = item
	if form&textHistory != 0 {
		if u.expanded += len(item); u.expanded > maxExpanded {
			u.fail()
			return
		}
		op.Text = historyMember(kind, op.Time, item)
	}
}

// MergeOps returns what the operations on an item do together, with one operation for each counter. It must
// not be used for users: an erasure takes the sums of some events and leaves others. What is older than the
// retention stays visible by its time, the least one of each sum.
func MergeOps(batches ...[]Op) []Op {
	ops := slices.Concat(batches...)
	at, out := make(map[string]int, len(ops)), ops[:0]
	for _, op := range ops {
		if op.Code > Max {
			out = append(out, op)
			continue
		}
		i, ok := at[op.Field]
		if !ok || out[i].Code != op.Code {
			at[op.Field] = len(out)
			out = append(out, op)
			continue
		}
		switch was := &out[i]; {
		case op.Code == Add:
			was.Value, was.Time = addSaturated(was.Value, op.Value), min(was.Time, op.Time)
		case op.Code == Min && op.Value < was.Value, op.Code == Max && op.Value > was.Value:
			was.Value, was.Time = op.Value, op.Time
		}
	}
	slices.SortStableFunc(out, func(a, b Op) int { return cmp.Compare(a.Time, b.Time) })
	return out
}
