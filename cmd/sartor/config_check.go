package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// validate returns what is wrong with the values themselves; it reads secret files and nothing else.
// A secret that came from a file is put in place of the empty value.
func (c *Config) validate() configProblems {
	var p configProblems
	bad := func(key, format string, args ...any) { p = append(p, key+": "+fmt.Sprintf(format, args...)) }
	oneOf := func(key, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			bad(key, "%q is not one of %s", value, strings.Join(allowed, ", "))
		}
	}
	positive := func(key string, value int64) {
		if value <= 0 {
			bad(key, "must be greater than zero")
		}
	}
	oneOf("profile", c.Profile, "development", "production")
	var level slog.Level
	if level.UnmarshalText([]byte(c.Log.Level)) != nil {
		bad("log.level", "%q is not one of debug, info, warn, error", c.Log.Level)
	}
	oneOf("log.format", c.Log.Format, "auto", "text", "json")
	if !isHostPort(c.HTTP.Addr) {
		bad("http.addr", "%q is not host:port", c.HTTP.Addr)
	}
	if c.HTTP.AdminAddr != "" && !isHostPort(c.HTTP.AdminAddr) {
		bad("http.admin_addr", "%q is not host:port", c.HTTP.AdminAddr)
	}
	if c.HTTP.MaxInFlight < 0 {
		bad("http.max_in_flight", "must not be negative")
	}
	if c.HTTP.MaxConnsPerIP < 0 {
		bad("http.max_conns_per_ip", "must not be negative")
	}
	if c.HTTP.Drain < 0 {
		bad("http.drain", "must not be negative")
	}
	c.validateAccess(bad, oneOf)
	c.validateTrace(bad)
	positive("http.read_timeout", int64(c.HTTP.ReadTimeout))
	positive("http.budget", int64(c.HTTP.Budget))
	positive("http.shutdown_timeout", int64(c.HTTP.ShutdownTimeout))
	c.validateKafka(bad, oneOf, positive)
	c.validateArchive(bad, positive)
	c.validateRedis(bad, positive)
	positive("rules.poll", int64(c.Rules.Poll))
	c.validateRules(bad)
	positive("models.poll", int64(c.Models.Poll))
	oneOf("models.index", c.Models.Index, "auto", "exact", "ivf")
	if c.Data.Dir == "" {
		bad("data.dir", "must name a folder")
	}
	return p
}

type report = func(key, format string, args ...any)

func (c *Config) validateRules(bad report) {
	switch c.Rules.Store {
	case ruleFolder:
		return
	case ruleArchive:
	case ruleRedis:
		if len(c.Redis.Addrs) == 0 {
			bad("rules.store", "redis needs redis.addrs")
		}
	default:
		bad("rules.store", "%q is not one of archive, redis; leave it empty when rules.dir is the source", c.Rules.Store)
		return
	}
	if c.Rules.Dir == "" {
		bad("rules.store", "%s needs rules.dir, the folder of the archive or of this replica's copy", c.Rules.Store)
	}
}

func (c *Config) validateKafka(bad report, oneOf func(key, value string, allowed ...string), positive func(string, int64)) {
	k := &c.Kafka
	for _, b := range k.Brokers {
		if !isHostPort(b) {
			bad("kafka.brokers", "%q is not host:port", b)
		}
	}
	if k.Group == "" {
		bad("kafka.group", "must not be empty")
	}
	positive("kafka.batch_events", int64(k.BatchEvents))
	if k.RepeatHorizon == 0 {
		bad("kafka.repeat_horizon", "must be greater than zero, or negative for none")
	}
	positive("kafka.partitions", int64(k.Partitions))
	positive("kafka.replication", int64(k.Replication))
	seen := map[string]string{}
	for _, t := range []struct{ key, name string }{
		{"orders", k.Topics.Orders}, {"behavior", k.Topics.Behavior}, {"catalog", k.Topics.Catalog},
		{"users", k.Topics.Users}, {"exposures", k.Topics.Exposures}, {"dead_letters", k.Topics.DeadLetters}} {
		switch {
		case t.name == "":
			bad("kafka.topics."+t.key, "must not be empty")
		case seen[t.name] != "":
			bad("kafka.topics."+t.key, "%q is already the topic of %s", t.name, seen[t.name])
		default:
			seen[t.name] = t.key
		}
	}
	for _, f := range []struct{ key, value string }{{"orders", k.Formats.Orders}, {"behavior", k.Formats.Behavior},
		{"catalog", k.Formats.Catalog}, {"users", k.Formats.Users}, {"exposures", k.Formats.Exposures}} {
		oneOf("kafka.formats."+f.key, f.value, "auto", "native", "segment", "cloudevents")
	}
	oneOf("kafka.sasl.mechanism", k.SASL.Mechanism, "", "plain", "scram-sha-256", "scram-sha-512")
	secret, err := readSecret(k.SASL.Password, k.SASL.PasswordFile)
	if err != nil {
		bad("kafka.sasl.password", "%v", err)
	}
	k.SASL.Password = secret
	if k.SASL.Mechanism != "" && (k.SASL.User == "" || secret == "") {
		bad("kafka.sasl", "mechanism %s needs user and a password (SARTOR_KAFKA_SASL_PASSWORD or password_file)", k.SASL.Mechanism)
	}
	k.TLS.validate("kafka.tls", bad)
}

func (c *Config) validateArchive(bad report, positive func(string, int64)) {
	if c.Archive.Group == "" {
		bad("archive.group", "must not be empty")
	}
	if c.Archive.Group == c.Kafka.Group {
		bad("archive.group", "%q is the group of 'sartor ingest': each must read everything", c.Archive.Group)
	}
	if _, err := url.Parse(c.Archive.URL); err != nil {
		bad("archive.url", "%q is no URL", c.Archive.URL)
	}
	positive("archive.max_events", int64(c.Archive.MaxEvents))
	positive("archive.max_age", int64(c.Archive.MaxAge))
}

func (c *Config) validateRedis(bad report, positive func(string, int64)) {
	r := &c.Redis
	for _, addr := range r.Addrs {
		if !filepath.IsAbs(addr) && !isHostPort(addr) {
			bad("redis.addrs", "%q is neither host:port nor the path of a unix socket", addr)
		}
	}
	if r.DB < 0 {
		bad("redis.db", "must not be negative")
	}
	if r.Cluster && r.DB != 0 {
		bad("redis.db", "must be 0 on a cluster")
	}
	positive("redis.user_ttl", int64(r.UserTTL))
	positive("redis.shards", int64(r.Shards))
	positive("redis.read_timeout", int64(r.ReadTimeout))
	secret, err := readSecret(r.Password, r.PasswordFile)
	if err != nil {
		bad("redis.password", "%v", err)
	}
	r.Password = secret
	r.TLS.validate("redis.tls", bad)
}

func (t *TLSConfig) validate(section string, bad report) {
	if (t.CertFile == "") != (t.KeyFile == "") {
		bad(section, "cert_file and key_file go together")
	}
	if !t.Enabled && (t.CAFile != "" || t.CertFile != "") {
		bad(section+".enabled", "is false, yet files are named: set it to true")
	}
}

func isHostPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port != ""
}
