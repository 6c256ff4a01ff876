package file

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// decoded reads a file as UTF-8: it takes off a byte order mark and translates Windows-1252, when it is named, and UTF-16, which
// is known by its mark.
func decoded(in io.Reader, encoding string) *bufio.Reader {
	br := bufio.NewReaderSize(in, 1<<16)
	mark, _ := br.Peek(3)
	switch {
	case bytes.HasPrefix(mark, []byte("\ufeff")):
		_, _ = br.Discard(3)
	case bytes.HasPrefix(mark, []byte{0xff, 0xfe}):
		return bufio.NewReaderSize(&recoder{in: br, take: utf16Runes(binary.LittleEndian)}, 1<<16)
	case bytes.HasPrefix(mark, []byte{0xfe, 0xff}):
		return bufio.NewReaderSize(&recoder{in: br, take: utf16Runes(binary.BigEndian)}, 1<<16)
	case encoding == "windows-1252":
		return bufio.NewReaderSize(&recoder{in: br, take: windows1252}, 1<<16)
	}
	return br
}

// recoder turns what take reads into UTF-8.
type recoder struct {
	in   *bufio.Reader
	take func(*bufio.Reader) (rune, error)
	out  []byte
	err  error
}

func (r *recoder) Read(p []byte) (int, error) {
	for len(r.out) < len(p) && r.err == nil {
		var c rune
		if c, r.err = r.take(r.in); r.err == nil {
			r.out = utf8.AppendRune(r.out, c)
		}
	}
	n := copy(p, r.out)
	r.out = r.out[:copy(r.out, r.out[n:])]
	if n == 0 {
		return 0, r.err
	}
	return n, nil
}

// utf16Runes reads UTF-16; the mark at the beginning is left out.
func utf16Runes(order binary.ByteOrder) func(*bufio.Reader) (rune, error) {
	unit := func(br *bufio.Reader) (rune, error) {
		var b [2]byte
		_, err := io.ReadFull(br, b[:])
		return rune(order.Uint16(b[:])), err
	}
	return func(br *bufio.Reader) (rune, error) {
		for {
			c, err := unit(br)
			if err != nil || c == '\ufeff' {
				if err != nil {
					return 0, err
				}
				continue
			}
			if !utf16.IsSurrogate(c) {
				return c, nil
			}
			low, err := unit(br)
			return utf16.DecodeRune(c, low), err
		}
	}
}

// windows1252 reads a byte of Windows-1252, which is Latin-1 beside the table.
func windows1252(br *bufio.Reader) (rune, error) {
	c, err := br.ReadByte()
	if c < 0x80 || c > 0x9f {
		return rune(c), err
	}
	high := [32]rune{'€', 0xfffd, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0xfffd, 'Ž', 0xfffd,
		0xfffd, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0xfffd, 'ž', 'Ÿ'}
	return high[c-0x80], err
}

// broken says where reading ended, and in words what that means.
func (in *input) broken(line int, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read %s after line %d: the file is cut off: it was not copied or packed to its end (%w)", in.name, line, err)
	}
	return fmt.Errorf("read %s after line %d: %w", in.name, line, err)
}
