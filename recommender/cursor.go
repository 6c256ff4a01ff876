package recommender

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"strconv"
	"strings"
)

// A cursor carries what the pages before it showed, so that no replica keeps a list between two pages
// and the same cursor gives the same page as long as user, model, rules and catalogue stay. Items are
// kept as 64-bit hashes: a cursor holds no id of an item or a user. It is not signed: a made-up one can do no
// more than the exclude list can.
//
// In bytes: format, fingerprint of the request (8), page (2), length of the root id (1), root id, hashes
// of items (8 each). In text: URL-safe base64.
const (
	cursorFormat = 1
	// maxPaged bounds the items that one cursor may have shown.
	maxPaged     = MaxExclude
	maxRootBytes = 64
	cursorHead   = 1 + 8 + 2 + 1
	// MaxCursorBytes is the longest cursor.
	MaxCursorBytes = (cursorHead+maxRootBytes+8*maxPaged)*4/3 + 4
)

type cursor struct {
	fingerprint uint64
	page        int    // of the page that is asked for; the first is 1
	root        string // recommendation id of the first page
	shown       []uint64
}

var errCursor = errors.New("is not a next_cursor of this service")

func itemHash(id string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * prime
	}
	return h
}

func (c *cursor) String() string {
	b := make([]byte, 0, cursorHead+len(c.root)+8*len(c.shown))
	b = append(b, cursorFormat)
	b = binary.LittleEndian.AppendUint64(b, c.fingerprint)
	b = binary.LittleEndian.AppendUint16(b, uint16(c.page))
	b = append(b, byte(len(c.root)))
	b = append(b, c.root...)
	for _, h := range c.shown {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(text string) (*cursor, error) {
	if len(text) > MaxCursorBytes {
		return nil, errCursor
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < cursorHead || b[0] != cursorFormat {
		return nil, errCursor
	}
	c := &cursor{fingerprint: binary.LittleEndian.Uint64(b[1:]), page: int(binary.LittleEndian.Uint16(b[9:]))}
	n := int(b[11])
	if b = b[cursorHead:]; n > maxRootBytes || len(b) < n || (len(b)-n)%8 != 0 || (len(b)-n)/8 > maxPaged || c.page < 2 {
		return nil, errCursor
	}
	c.root = string(b[:n])
	if strings.IndexFunc(c.root, func(r rune) bool { return r <= ' ' || r >= 0x7f }) >= 0 {
		return nil, errCursor
	}
	for b = b[n:]; len(b) > 0; b = b[8:] {
		c.shown = append(c.shown, binary.LittleEndian.Uint64(b))
	}
	return c, nil
}

// fingerprint tells requests apart whose pages must not be mixed. It holds no secret.
func (q *Request) fingerprint(subject string) uint64 {
	h := fnv.New64a()
	for _, part := range []string{subject, q.Scenario, q.Placement, q.Channel, q.Query, q.SourceItem, q.Filter} {
		h.Write([]byte(part)) // a hash never fails
		h.Write([]byte{0})
	}
	return h.Sum64()
}

// turn opens the cursor of a request.
func (c *checked) turn(p *problems) {
	if c.Cursor == "" {
		return
	}
	cur, err := parseCursor(c.Cursor)
	switch {
	case err != nil:
		p.add("cursor", "%v", err)
		return
	case cur.fingerprint != c.fingerprint(c.subject):
		p.add("cursor", "belongs to another request: user, scenario, placement, channel, query, source item and filter stay the same over all pages")
		return
	}
	c.cursor = cur
	c.shown = make(map[uint64]bool, len(cur.shown))
	for _, h := range cur.shown {
		c.shown[h] = true
	}
}

// recommendationID is a new id, or for a later page one that follows from the first page's: asking for
// a page again writes the same exposure.
func (w *work) recommendationID() string {
	if c := w.q.cursor; c != nil {
		return c.root + "." + strconv.Itoa(c.page)
	}
	return w.r.opts.NewID()
}

// nextCursor is the cursor of the page after this answer, "" when there is none to expect.
func (w *work) nextCursor(resp *Response) string {
	paging := w.q.Paging || w.q.cursor != nil
	if !paging || len(resp.Items) < w.q.Count {
		return ""
	}
	next := cursor{page: 2, root: resp.RecommendationID}
	if c := w.q.cursor; c != nil {
		next.page, next.root, next.shown = c.page+1, c.root, c.shown
	}
	if len(next.root) > maxRootBytes || len(next.shown)+len(resp.Items) > maxPaged {
		return ""
	}
	next.fingerprint = w.q.fingerprint(w.q.subject)
	next.shown = next.shown[:len(next.shown):len(next.shown)]
	for i := range resp.Items {
		next.shown = append(next.shown, itemHash(resp.Items[i].ItemID))
	}
	return next.String()
}
