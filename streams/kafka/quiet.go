package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// repeatEvery is how often the same complaint is logged while it lasts.
const repeatEvery = time.Minute

// quiet logs the first of equal complaints, and then one a minute with the number of those between: a
// broker that is down makes kafka-go and every partition complain several times a second. It is safe
// for concurrent use.
type quiet struct {
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex
	said map[string]*complaint
}

// complaint is one message's history.
type complaint struct {
	at      time.Time // when it was logged
	silence int       // how often it was not, since then
}

func newQuiet(log *slog.Logger) *quiet {
	return &quiet{log: log, now: time.Now, said: map[string]*complaint{}}
}

// say logs the message unless it did within the last minute. Messages are equal by their text alone,
// whatever their arguments.
func (q *quiet) say(level slog.Level, message string, args ...any) {
	q.sayKey(level, message, message, args...)
}

// sayKey is say for messages whose text varies: those of one key are equal. Keys are constants of the
// program or of kafka-go, so that there are few.
func (q *quiet) sayKey(level slog.Level, key, message string, args ...any) {
	q.mu.Lock()
	c, now := q.said[key], q.now()
	if c == nil {
		c = &complaint{}
		q.said[key] = c
	} else if now.Sub(c.at) < repeatEvery {
		c.silence++
		q.mu.Unlock()
		return
	}
	if c.silence > 0 {
		args = append(args, "times_meanwhile", c.silence)
	}
	c.at, c.silence = now, 0
	q.mu.Unlock()
	q.log.Log(context.Background(), level, message, args...)
}

// printf makes the logger that kafka-go wants; what it says begins with the prefix.
func (q *quiet) printf(level slog.Level, prefix string) func(string, ...any) {
	return func(format string, args ...any) {
		q.sayKey(level, prefix+format, prefix+fmt.Sprintf(format, args...))
	}
}
