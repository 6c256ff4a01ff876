package rules

import "slices"

// maxTexts is how many item fields of a set are hashed for probes.
const maxTexts = 4

// probe is a quick test of `item.field in user.list`: by hashes, which facts hold, it finds the candidates
// that cannot be in the list. Whatever passes is asked properly.
type probe struct {
	text int // number of the field among the set's texts
	list int // place of the list among the request's values
}

// probeOf finds a part of a conjunction that can be probed.
func (s *Set) probeOf(parts []*node) *probe {
	for _, n := range parts {
		if n.op != "in" || n.kids[0].op != "var" || n.kids[1].op != "var" {
			continue
		}
		text, list := n.kids[0], n.kids[1]
		if text.kind != kindText || !text.ref.item || text.ref.at < 0 || list.kind != kindTextList || list.ref.item {
			continue
		}
		k := slices.Index(s.texts, text.ref.at)
		if k < 0 {
			if len(s.texts) == maxTexts {
				continue
			}
			k, s.texts = len(s.texts), append(s.texts, text.ref.at)
		}
		return &probe{text: k, list: list.ref.at}
	}
	return nil
}

// textHash is FNV-1a, with its upper half mixed into the lower one.
func textHash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h ^ h>>32
}

// sieve is a set of hashes that forgets all but twelve bits: what is in it is found, and little else.
type sieve [1 << 12 / 64]uint64

func (s *sieve) fill(list []string) {
	*s = sieve{}
	for _, text := range list {
		h := textHash(text)
		s[h>>6%uint64(len(s))] |= 1 << (h % 64)
	}
}

func (s *sieve) may(h uint64) bool { return s[h>>6%uint64(len(s))]>>(h%64)&1 == 1 }
