package rules

import (
	"slices"
	"strings"
	"sync"
)

// maxTexts is how many item fields of a set have codes for probes.
const maxTexts = 4

// probe is a quick test of `item.field in user.list`: by codes, which facts hold, it finds the candidates
// that are in the list, and those that cannot be. Others, whose text has no code of its own, are asked properly.
type probe struct {
	text  int  // number of the field among the set's texts
	list  int  // place of the list among the request's values
	whole bool // nothing else is asked
}

// probeOf finds a part of a conjunction that can be probed.
func (s *Set) probeOf(parts []*node) *probe {
	for _, n := range parts {
		if n.op != "in" || n.kids[1].op != "var" {
			continue
		}
		text, list := n.kids[0], n.kids[1]
		if list.kind != kindTextList || list.ref.item {
			continue
		}
		k, ok := s.coding(text)
		if !ok {
			continue
		}
		return &probe{text: k, list: list.ref.at, whole: len(parts) == 1}
	}
	return nil
}

// coding returns the number of an item's text field among those that have codes; it gives one as long as there is
// room.
func (s *Set) coding(n *node) (k int, ok bool) {
	if n == nil || n.op != "var" || n.kind != kindText || !n.ref.item || n.ref.at < 0 {
		return 0, false
	}
	if k = slices.Index(s.texts, n.ref.at); k >= 0 {
		return k, true
	}
	if len(s.texts) == maxTexts {
		return 0, false
	}
	s.texts = append(s.texts, n.ref.at)
	return len(s.texts) - 1, true
}

// code stands for the text of an item field: a number of its own, below ownCodes, or what is left of its hash.
type code uint16

// ownCodes is how many texts of a field get a number: more than a shop has categories or brands that matter,
// and few enough for a set of bits.
const ownCodes = 1 << 12

// own tells whether no other text has the code.
func (c code) own() bool { return c < ownCodes }

// codebook numbers the texts of one item field, in the order in which items come: the numbers differ from run
// to run, and nothing but equality is asked of them. When it is full, texts without a number have hashes. A
// text that has one keeps it.
type codebook struct {
	mu   sync.RWMutex
	of   map[string]code
	text []string // by code; what is there does not change
}

// texts returns the texts by code, which are not to be changed.
func (b *codebook) texts() []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.text
}

// code returns the code of an item's text.
func (b *codebook) code(text string) code {
	b.mu.RLock()
	c, ok := b.of[text]
	full := len(b.of) == ownCodes
	b.mu.RUnlock()
	switch {
	case ok:
		return c
	case full:
		return hashCode(text)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, ok := b.of[text]; ok {
		return c
	}
	if len(b.of) == ownCodes {
		return hashCode(text)
	}
	if b.of == nil {
		b.of = map[string]code{}
	}
	text = strings.Clone(text) // an item's texts may share the memory of many
	c = code(len(b.of))
	b.of[text], b.text = c, append(b.text, text)
	return c
}

// hashCode is ownCodes and twelve bits of the text's hash, FNV-1a with its upper half mixed into the lower one.
func hashCode(text string) code {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return ownCodes | code((h^h>>32)%ownCodes)
}

// sieve is a set of codes: of the texts of a list, and of no other text that has a number.
type sieve [2 * ownCodes / 64]uint64

// fill makes it the set of a list's texts. All items that are asked about got their codes before.
func (s *sieve) fill(list []string, book *codebook) {
	*s = sieve{}
	book.mu.RLock()
	defer book.mu.RUnlock()
	for _, text := range list {
		c, ok := book.of[text]
		if !ok { // no item has it, or those that do have its hash
			c = hashCode(text)
		}
		s[c/64] |= 1 << (c % 64)
	}
}

// bit is 1 when the set has the code.
func (s *sieve) bit(c code) uint64 { return s[c/64%code(len(s))] >> (c % 64) & 1 }

func (s *sieve) has(c code) bool { return s.bit(c) == 1 }
