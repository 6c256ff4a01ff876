package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
	"github.com/sartorhq/sartor/streams/kafka"
)

// wiring is the configuration turned into what each package wants: one road, written from its start
// to its end. Building it reads files and connects to nothing.
type wiring struct {
	config  Config
	logger  *slog.Logger
	metrics *prometheus.Registry
	schema  *features.Schema
	kafka   kafka.Options
	redis   redisstore.Options
	keys    []httpapi.Key
}

func (a *app) newWiring() (*wiring, error) {
	schema, err := loadSchema(a.config.Schema)
	if err != nil {
		return nil, err
	}
	kafkaOptions, err := a.kafkaOptions()
	if err != nil {
		return nil, err
	}
	redisOptions, err := a.redisOptions()
	if err != nil {
		return nil, err
	}
	kafkaOptions.Visits = schema.VisitGap()
	keys, err := loadKeys(a.config.HTTP.KeysFile, time.Now())
	if err != nil {
		return nil, err
	}
	return &wiring{config: a.config, logger: a.logger, metrics: a.metrics, schema: schema,
		kafka: kafkaOptions, redis: redisOptions, keys: keys}, nil
}

// kafkaOptions is the kafka section as every user of Kafka takes it.
func (a *app) kafkaOptions() (kafka.Options, error) {
	k := a.config.Kafka
	secure, err := clientTLS(k.TLS)
	if err != nil {
		return kafka.Options{}, fmt.Errorf("kafka.tls: %w", err)
	}
	opts := kafka.Options{Brokers: k.Brokers, ClientID: k.ClientID, Topics: k.Topics.names(), Formats: k.Formats.formats(), Horizon: k.RepeatHorizon, TLS: secure,
		Logger: a.logger, Registerer: a.metrics}
	if k.SASL.Mechanism != "" {
		opts.SASL = &kafka.SASL{Mechanism: kafka.Mechanism(strings.ToUpper(k.SASL.Mechanism)), User: k.SASL.User, Password: k.SASL.Password}
	}
	return opts, nil
}

// redisOptions is the redis section as the feature store takes it.
func (a *app) redisOptions() (redisstore.Options, error) {
	r := a.config.Redis
	secure, err := clientTLS(r.TLS)
	if err != nil {
		return redisstore.Options{}, fmt.Errorf("redis.tls: %w", err)
	}
	opts := redisstore.Options{Addrs: r.Addrs, Username: r.Username, Password: r.Password, DB: r.DB,
		MasterName: r.MasterName, Cluster: r.Cluster, TLS: secure, Prefix: r.Prefix, Shards: r.Shards,
		UserTTL: r.UserTTL, Logger: a.logger, Registerer: a.metrics}
	if len(r.Addrs) == 1 && filepath.IsAbs(r.Addrs[0]) {
		opts.Network = "unix"
	}
	return opts, nil
}

// needServers says in one line what a command that cannot do without is missing.
func (a *app) needServers(command string) error {
	var errs []error
	if len(a.config.Kafka.Brokers) == 0 {
		errs = append(errs, fmt.Errorf("%s needs Kafka: set kafka.brokers in the --config file or SARTOR_KAFKA_BROKERS", command))
	}
	if len(a.config.Redis.Addrs) == 0 {
		errs = append(errs, fmt.Errorf("%s needs Redis: set redis.addrs in the --config file or SARTOR_REDIS_ADDRS", command))
	}
	if errs == nil {
		return nil
	}
	return usageError{errors.Join(errs...)}
}

func loadSchema(cfg SchemaConfig) (*features.Schema, error) {
	if cfg.File == "" {
		return features.Default(), nil
	}
	data, err := os.ReadFile(cfg.File)
	if err != nil {
		return nil, fmt.Errorf("schema.file: %w", err)
	}
	return features.Parse(cfg.File, data)
}

func (t TopicsConfig) names() map[streams.Stream]string {
	return map[streams.Stream]string{streams.Orders: t.Orders, streams.Behavior: t.Behavior, streams.Catalog: t.Catalog,
		streams.Users: t.Users, streams.Exposures: t.Exposures, streams.DeadLetters: t.DeadLetters}
}

func (f FormatsConfig) formats() map[streams.Stream]codec.Format {
	return map[streams.Stream]codec.Format{streams.Orders: codec.Format(f.Orders), streams.Behavior: codec.Format(f.Behavior),
		streams.Catalog: codec.Format(f.Catalog), streams.Users: codec.Format(f.Users), streams.Exposures: codec.Format(f.Exposures)}
}

func (w *wiring) ensureTopics(ctx context.Context) error {
	err := kafka.EnsureTopics(ctx, w.kafka, kafka.TopicSpec{Partitions: w.config.Kafka.Partitions, Replication: w.config.Kafka.Replication})
	if err != nil {
		return fmt.Errorf("create the topics: %w", err)
	}
	return nil
}

// clientTLS returns nil when TLS is off.
func clientTLS(cfg TLSConfig) (*tls.Config, error) {
	if !cfg.Enabled {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.ServerName}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s holds no certificate", cfg.CAFile)
		}
	}
	if cfg.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cert_file: %w", err)
		}
		out.Certificates = []tls.Certificate{cert}
	}
	return out, nil
}

// ignoreCanceled drops an error that only says that the program was asked to stop.
func ignoreCanceled(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
