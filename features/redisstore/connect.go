package redisstore

import "github.com/redis/go-redis/v9"

// Connect returns a client for the server, the Sentinel group or the Cluster of the options, for other
// things that are kept beside the features. It connects when it is first used; the caller closes it.
func Connect(opts Options) redis.UniversalClient {
	return redis.NewUniversalClient(clientOptions(opts))
}
