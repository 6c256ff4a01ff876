package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// redisFigure is what a Redis says of itself; 0 = it does not (the in-process one).
type redisFigure struct {
	memory int64         // bytes of data and what goes with it
	cpu    time.Duration // user and system time
}

// redisFigures asks a server for its memory and process time. It speaks the protocol itself, because
// the client library stays behind the feature store.
func redisFigures(ctx context.Context, network, addr string) (f redisFigure, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return f, fmt.Errorf("ask redis for its figures: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return f, err
	}
	r := bufio.NewReader(conn)
	for _, section := range []string{"memory", "cpu"} {
		text, err := redisInfo(conn, r, section)
		if err != nil {
			return f, fmt.Errorf("ask redis for its figures: %w", err)
		}
		f.read(text)
	}
	return f, nil
}

// redisInfo sends INFO and returns the text; "" when the server does not know the section.
func redisInfo(w io.Writer, r *bufio.Reader, section string) (string, error) {
	if _, err := fmt.Fprintf(w, "*2\r\n$4\r\nINFO\r\n$%d\r\n%s\r\n", len(section), section); err != nil {
		return "", err
	}
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	length, ok := strings.CutPrefix(strings.TrimSpace(line), "$")
	if !ok {
		return "", nil // an error in one line
	}
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || n > 1<<20 {
		return "", fmt.Errorf("the answer to INFO begins with %q", line)
	}
	text := make([]byte, n+2)
	_, err = io.ReadFull(r, text)
	return string(text[:n]), err
}

// read takes what is wanted out of the text of INFO.
func (f *redisFigure) read(text string) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "used_memory":
			f.memory, _ = strconv.ParseInt(value, 10, 64)
		case "used_cpu_sys", "used_cpu_user":
			seconds, _ := strconv.ParseFloat(value, 64)
			f.cpu += time.Duration(seconds * float64(time.Second))
		}
	}
}
