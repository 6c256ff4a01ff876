package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
)

// reply is what the load generator looks at in an answer.
type reply struct {
	code   int
	length int  // of the body
	close  bool // the server takes no more on this connection
}

// maxReplyHead is the longest head of an answer.
const maxReplyHead = 64 << 10

// parseReply reads an answer of HTTP/1.1 that is all of b. It is not whole yet when there is neither an
// answer nor an error. A server that is measured is held to say exactly what it says it does: an answer that
// is longer, or of which that is not known beforehand, is an error.
func parseReply(b []byte) (r reply, whole bool, err error) {
	head, body, ended := bytes.Cut(b, []byte("\r\n\r\n"))
	if len(head) > maxReplyHead {
		return r, false, fmt.Errorf("a head of more than %d bytes", maxReplyHead)
	}
	if !ended {
		return r, false, nil
	}
	lines := bytes.Count(head, []byte("\r\n"))
	if bytes.Count(head, []byte("\r")) != lines || bytes.Count(head, []byte("\n")) != lines {
		return r, false, errors.New("a line of the head that has half an end")
	}
	status, fields, _ := bytes.Cut(head, []byte("\r\n"))
	if r.code, err = statusCode(status); err != nil {
		return r, false, err
	}
	if err := r.readFields(fields); err != nil {
		return r, false, err
	}
	if len(body) > r.length {
		return r, false, fmt.Errorf("%d bytes more than the answer's %d", len(body)-r.length, r.length)
	}
	return r, len(body) == r.length, nil
}

// statusCode reads a status line, of final answers only.
func statusCode(line []byte) (int, error) {
	rest, found := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	if !found || len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' {
		return 0, fmt.Errorf("status line %q", line)
	}
	code, ok := digits(rest[:3])
	if !ok || code < 200 || code > 599 {
		return 0, fmt.Errorf("status line %q", line)
	}
	return code, nil
}

// readFields reads the length of the body and whether the connection ends.
func (r *reply) readFields(fields []byte) error {
	r.length = -1
	for len(fields) > 0 {
		var line []byte
		line, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found || len(name) == 0 {
			return fmt.Errorf("field %q", line)
		}
		switch value = bytes.Trim(value, " \t"); {
		case named(name, "content-length"):
			n, ok := digits(value)
			if !ok || r.length >= 0 {
				return fmt.Errorf("content length %q", line)
			}
			r.length = n
		case named(name, "transfer-encoding"):
			return errors.New("an answer in chunks, whose length is not known beforehand")
		case named(name, "connection"):
			r.close = named(value, "close")
		}
	}
	if r.length >= 0 {
		return nil
	}
	if r.code != http.StatusNoContent && r.code != http.StatusNotModified {
		return errors.New("an answer without a length")
	}
	r.length = 0
	return nil
}

// named tells whether a name is the one in small letters. It looks at the lengths first, since it is asked
// about every field of every answer.
func named(name []byte, lower string) bool {
	return len(name) == len(lower) && bytes.EqualFold(name, []byte(lower))
}

// digits reads a number of at most nine digits.
func digits(b []byte) (n int, ok bool) {
	if len(b) == 0 || len(b) > 9 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}
