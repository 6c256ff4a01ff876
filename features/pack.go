package features

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/streams"
)

// What is stored about an entity is a sequence of packed parts: a state, when there is one, and the
// operations of the batches since, in the order in which they were applied. Folding the parts with
// Schema.Unpack gives the state; writing that state in place of the parts changes nothing but their
// length. So writers append and need not read, and there is one fold, in Go.
//
// A part is a format byte and then whole numbers in base 128 (zigzag where they may be negative), and
// texts as their length and bytes. Names that this version knows are one byte; others are written out
// the first time a part names them.

// The formats. A change that this version's reader would misunderstand needs a new one.
const (
	packedState byte = 0x11
	packedOps   byte = 0x21
)

// knownNames are the names with a number of their own: 1 and up, by place. Only append.
var knownNames = [...]string{
	"first", "last", "seen", historyList, shownList, "last_viewed", "last_items", "last_carted", "last_wishlisted",
	"n:view", "n:click", "n:cart-add", "n:cart-remove", "n:search", "n:wishlist", "n:rating", "n:order", "n:return", "n:exposure",
	"u:order", "u:return", "u:cart-add", "a:order", "a:return", "a:cart-add", "r:rating",
	"last:view", "last:click", "last:cart-add", "last:order", "last:return", "last:exposure", "first:order", "first:view",
	"xa:order", "ma:order", "xu:order", "mu:order",
}

// maxExpanded bounds the bytes that repeated texts of one part become, far above what a schema's lists
// can hold, so that a damaged part does not fill the memory.
const maxExpanded = 16 << 20

// firstLocal is the number of the first name that a part itself introduces.
const firstLocal = 128

// knownTypes are the event types with a number of their own: 1 and up, by place. Only append.
var knownTypes = [...]streams.Type{
	streams.View, streams.Click, streams.CartAdd, streams.CartRemove, streams.Search, streams.Wishlist, streams.Rating,
	streams.Order, streams.Return, streams.Exposure,
}

// ErrPacked says that a stored part cannot be read: it is damaged, or a newer version wrote it.
var ErrPacked = errors.New("it is damaged or was written by a newer version; run 'sartor features rebuild' to compute it anew from the log, with the newest version that writes into this store")

// packer writes a part.
type packer struct {
	b     []byte
	names []string // introduced by this part
}

func (p *packer) uint(v uint64) { p.b = binary.AppendUvarint(p.b, v) }

func (p *packer) int(v int64) { p.b = binary.AppendVarint(p.b, v) }

func (p *packer) text(s string) {
	p.uint(uint64(len(s)))
	p.b = append(p.b, s...)
}

// name writes a name's number, and the name where it has none yet.
func (p *packer) name(s string) {
	if i := knownNumbers[s]; i > 0 {
		p.uint(uint64(i))
		return
	}
	if i := slices.Index(p.names, s); i >= 0 {
		p.uint(uint64(firstLocal + i))
		return
	}
	p.names = append(p.names, s)
	p.uint(0)
	p.text(s)
}

// knownNumbers are the numbers of the known names.
var knownNumbers = func() map[string]int {
	out := make(map[string]int, len(knownNames))
	for i, name := range knownNames {
		out[name] = i + 1
	}
	return out
}()

func (p *packer) typ(t streams.Type) {
	i := slices.Index(knownTypes[:], t) + 1
	p.uint(uint64(i))
	if i == 0 {
		p.text(string(t))
	}
}

// unpacker reads a part. After the first thing that cannot be read all values are zero and failed is set.
type unpacker struct {
	s      string
	names  []string
	failed bool
}

func (u *unpacker) fail() {
	u.s, u.failed = "", true
}

func (u *unpacker) byte() byte {
	if len(u.s) == 0 {
		u.fail()
		return 0
	}
	b := u.s[0]
	u.s = u.s[1:]
	return b
}

// uint reads a whole number in its shortest form, so that equal parts have equal bytes.
func (u *unpacker) uint() uint64 {
	if len(u.s) > 0 && u.s[0] < 0x80 { // as most are
		v := u.s[0]
		u.s = u.s[1:]
		return uint64(v)
	}
	return u.long()
}

// long is uint for a number of several bytes.
func (u *unpacker) long() uint64 {
	var v uint64
	for i := 0; i < len(u.s) && i < binary.MaxVarintLen64; i++ {
		b := u.s[i]
		if b < 0x80 {
			if i == binary.MaxVarintLen64-1 && b > 1 || i > 0 && b == 0 {
				break
			}
			u.s = u.s[i+1:]
			return v | uint64(b)<<(7*i)
		}
		v |= uint64(b&0x7f) << (7 * i)
	}
	u.fail()
	return 0
}

func (u *unpacker) int() int64 {
	v := u.uint()
	return int64(v>>1) ^ -int64(v&1)
}

// count reads how many things follow, each of which takes at least size bytes.
func (u *unpacker) count(size int) int {
	n := u.uint()
	if n > uint64(len(u.s)/size) {
		u.fail()
		return 0
	}
	return int(n)
}

func (u *unpacker) text() string {
	n := u.count(1)
	s := u.s[:n]
	u.s = u.s[n:]
	return s
}

func (u *unpacker) name() string {
	switch i := u.uint(); {
	case u.failed:
	case i == 0:
		s := u.text()
		u.names = append(u.names, s)
		return s
	case i <= uint64(len(knownNames)):
		return knownNames[i-1]
	case i >= firstLocal && i-firstLocal < uint64(len(u.names)):
		return u.names[i-firstLocal]
	default:
		u.fail()
	}
	return ""
}

func (u *unpacker) typ() streams.Type {
	switch i := u.uint(); {
	case u.failed:
	case i == 0:
		return streams.Type(u.text())
	case i <= uint64(len(knownTypes)):
		return knownTypes[i-1]
	default:
		u.fail()
	}
	return ""
}

// unpackError names what could not be read.
func unpackError(what, part string) error {
	if part == "" {
		return fmt.Errorf("a stored %s is empty: %w", what, ErrPacked)
	}
	return fmt.Errorf("a stored %s of %d bytes, format %#02x, cannot be read: %w", what, len(part), part[0], ErrPacked)
}

// splitBucket splits the name of a bucket as bucketName wrote it: "u:order@c20089/DE" is "u:order",
// country, 20089 and "/DE". A name that is not written so is no bucket.
func splitBucket(name string) (base string, u unit, index int64, rest string, ok bool) {
	at := strings.IndexByte(name, '@')
	if at < 0 || at+2 >= len(name) || name[at+2] == '0' && at+3 < len(name) && name[at+3] >= '0' && name[at+3] <= '9' {
		return "", 0, 0, "", false
	}
	if u, index, rest, ok = parseBucket(name); !ok || rest != "" && u != country {
		return "", 0, 0, "", false
	}
	return name[:at], u, index, rest, true
}

// bucketUnits are the units by their number in packed parts.
var bucketUnits = [...]unit{0, hourly, daily, country}

func unitNumber(u unit) byte { return byte(slices.Index(bucketUnits[:], u)) }

// bucketOf returns the bucket of a unit that a time falls into.
func bucketOf(u unit, ms int64) int64 {
	if u == hourly {
		return floorDiv(ms, hourMillis)
	}
	return floorDiv(ms, dayMillis)
}
