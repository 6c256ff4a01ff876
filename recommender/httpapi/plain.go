package httpapi

import "strings"

// plainBody reads the bodies that nearly all clients send: an object of plain texts, none empty, short whole numbers and
// booleans, with a context of plain texts and booleans, each key once. ok is false for all else, right or
// wrong: the strict decoder then judges it. What it reads, it reads as that decoder would.
func plainBody(body []byte) (out recommendBody, ok bool) {
	p := plain{text: string(body)} // one copy, which all texts share: the body's own memory is used again
	seen := 0
	ok = p.object(func(key string) bool {
		if seen++; seen > maxPlain {
			return false
		}
		switch key {
		case "user_id":
			return p.set(&out.UserID)
		case "anonymous_id":
			return p.set(&out.AnonymousID)
		case "scenario":
			return p.set(&out.Scenario)
		case "placement":
			return p.set(&out.Placement)
		case "channel":
			return p.set(&out.Channel)
		case "source_item":
			return p.set(&out.SourceItem)
		case "filter":
			return p.set(&out.Filter)
		case "count":
			n, ok := p.number()
			ok = ok && out.Count == nil
			out.Count = &n
			return ok
		case "context":
			if out.Context != nil {
				return false
			}
			out.Context = make(map[string]any, 4)
			return p.object(func(key string) bool { return p.into(out.Context, key) })
		}
		return false
	})
	if p.space(); !ok || p.at != len(p.text) {
		return recommendBody{}, false
	}
	return out, true
}

// maxPlain bounds the keys of a plain object.
const maxPlain = 32

// plain is a position in a JSON text.
type plain struct {
	text string
	at   int
}

func (p *plain) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// next steps over the byte after white space if it is this one.
func (p *plain) next(b byte) bool {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == b {
		p.at++
		return true
	}
	return false
}

// object reads an object whose values member reads.
func (p *plain) object(member func(key string) bool) bool {
	if !p.next('{') {
		return false
	}
	if p.next('}') {
		return true
	}
	for {
		key, ok := p.string()
		if !ok || !p.next(':') || !member(key) {
			return false
		}
		if p.next('}') {
			return true
		}
		if !p.next(',') {
			return false
		}
	}
}

// string reads a text of printable ASCII without escapes.
func (p *plain) string() (string, bool) {
	if !p.next('"') {
		return "", false
	}
	for i := p.at; i < len(p.text); i++ {
		switch b := p.text[i]; {
		case b == '"':
			s := p.text[p.at:i]
			p.at = i + 1
			return s, true
		case b == '\\' || b < ' ' || b > '~':
			return "", false
		}
	}
	return "", false
}

// set reads a text that is not empty into a field that has none yet.
func (p *plain) set(field *string) bool {
	s, ok := p.string()
	ok = ok && *field == "" && s != ""
	*field = s
	return ok
}

// number reads a whole number of at most four digits.
func (p *plain) number() (n int, ok bool) {
	p.space()
	from := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' && p.at-from < 5 {
		n = 10*n + int(p.text[p.at]-'0')
		p.at++
	}
	digits := p.at - from
	if digits == 0 || digits > 4 || digits > 1 && p.text[from] == '0' {
		return 0, false
	}
	return n, p.at == len(p.text) || strings.IndexByte(" \t\r\n,}", p.text[p.at]) >= 0
}

// into reads a text or a boolean into a map that does not have the key yet.
func (p *plain) into(m map[string]any, key string) bool {
	if _, twice := m[key]; twice || len(m) == maxPlain {
		return false
	}
	p.space()
	switch rest := p.text[p.at:]; {
	case strings.HasPrefix(rest, "true"):
		p.at += len("true")
		m[key] = true
		return true
	case strings.HasPrefix(rest, "false"):
		p.at += len("false")
		m[key] = false
		return true
	}
	s, ok := p.string()
	m[key] = s
	return ok
}
