package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/sartorhq/sartor/streams"
)

func TestEnsureTopics(t *testing.T) {
	onEach(t, func(t *testing.T, o Options) {
		ctx := testContext(t)
		if err := EnsureTopics(ctx, o, TopicSpec{Partitions: 3, Replication: 1, Retention: time.Hour, Config: map[string]string{"segment.bytes": "16777216"}}); err != nil {
			t.Fatal(err)
		}
		if err := EnsureTopics(ctx, o, TopicSpec{Partitions: 8}); err != nil { // keeps what is there
			t.Fatal(err)
		}
		a := &admin{options: o, wait: limit}
		defer a.close()
		there, err := a.partitions(ctx, []string{o.Topic(streams.Orders), o.Topic(streams.Catalog), o.Topic(streams.DeadLetters)})
		if err != nil || len(there) != 3 || there[o.Topic(streams.Orders)] != 3 {
			t.Errorf("got %v, %v", there, err)
		}
		// A catalog that forgets and orders that are compacted are refused, both at once.
		swapped := o
		swapped.Topics = map[streams.Stream]string{streams.Catalog: o.Topic(streams.Orders), streams.Orders: o.Topic(streams.Users),
			streams.Users: o.Topic(streams.Catalog), streams.Behavior: o.Topic(streams.Behavior),
			streams.Exposures: o.Topic(streams.Exposures), streams.DeadLetters: o.Topic(streams.DeadLetters)}
		err = EnsureTopics(ctx, swapped, TopicSpec{})
		if err == nil || !strings.Contains(err.Error(), "topic "+o.Topic(streams.Orders)+" has cleanup.policy=delete, which forgets items and users by age; set it to compact") ||
			!strings.Contains(err.Error(), "topic "+o.Topic(streams.Users)+" has cleanup.policy=compact, which keeps only the last event of each user; set it to delete") {
			t.Errorf("got %v", err)
		}
	})
}

func TestEnsureTopicsGivesUp(t *testing.T) {
	err := EnsureTopics(testContext(t), Options{Brokers: []string{"127.0.0.1:1"}}, TopicSpec{Wait: 50 * time.Millisecond})
	if err == nil || !strings.HasPrefix(err.Error(), "ask Kafka for its topics: no success within 50ms (is the address right, does the listener want TLS or a login?): ") {
		t.Errorf("got %v", err)
	}
	c := fake(t)
	o := testOptions(t, c.ListenAddrs())
	if err := EnsureTopics(testContext(t), o, TopicSpec{Replication: 7}); err == nil || !strings.Contains(err.Error(), "Invalid Replication Factor") {
		t.Errorf("replication: %v", err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	if err := EnsureTopics(ctx, o, TopicSpec{}); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("canceled: %v", err)
	}
}

func TestOptionsValidate(t *testing.T) {
	b := []string{"x:1"}
	tests := map[string]struct {
		o    Options
		want string
	}{
		"no-broker":   {Options{}, "kafka: no broker address is configured"},
		"mechanism":   {Options{Brokers: b, SASL: &SASL{Mechanism: "GSSAPI"}}, `kafka: unknown SASL mechanism "GSSAPI"; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512`},
		"password":    {Options{Brokers: b, SASL: &SASL{ScramSHA256, "u", "\u0000secret"}}, "kafka: the SASL user or password has characters that SCRAM does not allow"},
		"compression": {Options{Brokers: b, Compression: "rar"}, `kafka: unknown compression "rar"; use none, gzip, snappy, lz4 or zstd`},
		"same-topic":  {Options{Brokers: b, Topics: map[streams.Stream]string{streams.Behavior: "orders"}}, "kafka: the streams orders and behavior share the topic orders"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for what, err := range map[string]error{
				"Validate": tt.o.Validate(),
				"producer": NewProducer(tt.o).Write(testContext(t), view("u", 1)),
				"raw":      NewProducer(tt.o).WriteRaw(testContext(t), streams.Orders, nil, nil),
				"consumer": NewConsumer(tt.o, ConsumerOptions{Group: "g"}).Run(testContext(t), nil),
				"topics":   EnsureTopics(testContext(t), tt.o, TopicSpec{}),
			} {
				if err == nil || err.Error() != tt.want {
					t.Errorf("%s: got %v, want %s", what, err, tt.want)
				}
			}
			if err := NewProducer(tt.o).Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPasswordIsNeverPrinted(t *testing.T) {
	s := &SASL{Plain, "me", "secret"}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "sasl", *s, "pointer", s)
	fmt.Fprintf(&b, "%v %+v %#v %s", s, *s, *s, s)
	if strings.Contains(b.String(), "secret") || !strings.Contains(b.String(), "PLAIN me:***") {
		t.Error(b.String())
	}
}

func TestLogin(t *testing.T) {
	for _, m := range []Mechanism{Plain, ScramSHA256, ScramSHA512} {
		t.Run(string(m), func(t *testing.T) {
			certificate, roots := certificate(t)
			c := fake(t, kfake.EnableSASL(), kfake.Superuser(string(m), "me", "secret"), kfake.TLS(certificate))
			o := testOptions(t, c.ListenAddrs())
			o.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
			o.SASL = &SASL{m, "me", "secret"}
			ctx := testContext(t)
			makeTopics(t, o, 1)
			all := views(2, 0, 10)
			if err := newTestProducer(t, o).Write(ctx, all...); err != nil {
				t.Fatal(err)
			}
			mem := newMemory()
			stop := member(t, o, ConsumerOptions{Streams: []streams.Stream{streams.Behavior}}, mem.open)
			mem.await(t, ctx, "all", func() bool { return len(mem.effects) == len(all) })
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, o, streams.Behavior); len(got) != len(all) {
				t.Errorf("%d events read", len(got))
			}
			o.SASL = &SASL{m, "me", "wrong"}
			if err := EnsureTopics(ctx, o, TopicSpec{Wait: 100 * time.Millisecond}); err == nil || strings.Contains(err.Error(), "wrong") {
				t.Errorf("wrong password: %v", err)
			}
		})
	}
}

// certificate makes a certificate for the loopback address and the pool that trusts it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}
