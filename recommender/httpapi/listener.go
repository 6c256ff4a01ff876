package httpapi

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// patient is a listener that goes on when the system has no room for a connection at the moment. fasthttp
// takes such an error for the end of the listener, and whoever opens enough connections would end the server.
type patient struct {
	net.Listener
	logger *slog.Logger
	failed prometheus.Counter
}

// The pauses after a failed accept, doubled each time.
const (
	acceptPause    = 5 * time.Millisecond
	acceptPauseMax = 250 * time.Millisecond
)

// Accept returns the next connection, or the error of a listener that is closed or broken for good.
func (p *patient) Accept() (net.Conn, error) {
	for pause := acceptPause; ; pause = min(2*pause, acceptPauseMax) {
		conn, err := p.Listener.Accept()
		if err == nil || !passing(err) {
			return conn, err
		}
		p.failed.Inc()
		if pause == acceptPause {
			p.logger.Warn("a connection could not be taken: is the limit of open files (ulimit -n) high enough?", "error", err)
		}
		time.Sleep(pause)
	}
}

// passing tells whether an accept may succeed a moment later.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
