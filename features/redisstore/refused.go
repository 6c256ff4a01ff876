package redisstore

import (
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Refused tells whether an error of Apply is the server's answer to what was sent and would be the
// same next time: a key that holds something else than ours, or a script that stumbles over a value.
// Errors of the network, of a server that is loading, full, read-only, in failover or without
// permission are none of these: they pass, or a person ends them.
func Refused(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	text := reply.Error()
	if strings.HasPrefix(text, "WRONGTYPE ") {
		return true
	}
	// A run-time error of the script itself reads "ERR user_script:12: attempt to ..."; what a command in it
	// answers keeps its own first word.
	return strings.HasPrefix(text, "ERR user_script:") || strings.HasPrefix(text, "ERR Error running script")
}
