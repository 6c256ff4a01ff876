package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxUserLine is the longest line of a file of users.
const maxUserLine = 1 << 20

// gzipMagic is what a gzip file begins with.
const gzipMagic = "\x1f\x8b"

// mailingUser is one line of the file.
type mailingUser struct {
	UserID      string         `json:"user_id"`
	AnonymousID string         `json:"anonymous_id"`
	Context     map[string]any `json:"context"`
	Exclude     []string       `json:"exclude"`

	where string // file and line, for errors
}

// userFile reads users, a line at a time.
type userFile struct {
	name  string
	lines *bufio.Scanner
	line  int
	file  *os.File // nil for standard input
	total int64    // lines that hold a user; -1 = not known
}

// openUsers opens a file of users and counts its lines, so that progress has an end.
func openUsers(name string, stdin io.Reader) (*userFile, error) {
	if name == "-" {
		return newUserFile("standard input", stdin, nil, -1), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--users: %w", err)
	}
	total := int64(-1)
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		counting := newUserFile(name, f, nil, 0)
		for total = 0; counting.scan(); total++ {
		}
		if err := counting.lines.Err(); err != nil {
			return nil, errors.Join(counting.fail(err), f.Close())
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, errors.Join(fmt.Errorf("--users: %w", err), f.Close())
		}
	}
	return newUserFile(name, f, f, total), nil
}

func newUserFile(name string, r io.Reader, file *os.File, total int64) *userFile {
	u := &userFile{name: name, lines: bufio.NewScanner(r), file: file, total: total}
	u.lines.Buffer(make([]byte, 0, 4096), maxUserLine)
	return u
}

// scan goes to the next line that is not blank.
func (u *userFile) scan() bool {
	for u.lines.Scan() {
		if u.line++; len(bytes.TrimSpace(u.lines.Bytes())) > 0 {
			return true
		}
	}
	return false
}

// next returns the next user, or io.EOF.
func (u *userFile) next() (mailingUser, error) {
	if !u.scan() {
		if err := u.lines.Err(); err != nil {
			return mailingUser{}, u.fail(err)
		}
		return mailingUser{}, io.EOF
	}
	where := fmt.Sprintf("%s:%d", u.name, u.line)
	text := strings.TrimSpace(strings.TrimPrefix(u.lines.Text(), "\ufeff"))
	if u.line == 1 && strings.HasPrefix(u.lines.Text(), gzipMagic) {
		return mailingUser{}, fmt.Errorf("%s: the file is compressed: give what zcat %s prints to --users -", u.name, u.name)
	}
	if !strings.HasPrefix(text, "{") {
		return mailingUser{UserID: text, where: where}, nil
	}
	user := mailingUser{where: where}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&user); err != nil {
		return user, fmt.Errorf("%s: not a user: %w: write a user id, or {\"user_id\": \"u1\", \"context\": {...}, \"exclude\": [...]}", where, err)
	}
	if dec.More() {
		return user, fmt.Errorf("%s: more than one user on a line", where)
	}
	if user.UserID == "" && user.AnonymousID == "" {
		return user, fmt.Errorf("%s: user_id is missing", where)
	}
	return user, nil
}

// fail says what keeps the file from being read.
func (u *userFile) fail(err error) error {
	if errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%s:%d: a line of more than %d bytes: one user a line is wanted", u.name, u.line+1, maxUserLine)
	}
	return fmt.Errorf("read %s: %w", u.name, err)
}

func (u *userFile) close() error {
	if u.file == nil {
		return nil
	}
	return u.file.Close()
}
