package main

import "time"

// Config is everything an operator can set, with its keys as koanf tags. Values come from flags,
// SARTOR_* variables, the YAML file and defaultConfig, in that order. Only this package knows it:
// wire.go turns it into the small Options of each package.
//
// A field tagged secret is taken from the environment or from the file that its *_file sibling
// names, never from a flag or from the YAML file, and is never printed.
type Config struct {
	Profile   string          `koanf:"profile" doc:"development, or production: refuses embedded servers"`
	Log       LogConfig       `koanf:"log"`
	HTTP      HTTPConfig      `koanf:"http"`
	Trace     TraceConfig     `koanf:"trace"`
	Kafka     KafkaConfig     `koanf:"kafka"`
	Archive   ArchiveConfig   `koanf:"archive"`
	Redis     RedisConfig     `koanf:"redis"`
	Schema    SchemaConfig    `koanf:"schema"`
	Rules     RulesConfig     `koanf:"rules"`
	Models    ModelsConfig    `koanf:"models"`
	Data      DataConfig      `koanf:"data"`
	Scenarios ScenariosConfig `koanf:"scenarios"`
}

// LogConfig says what is logged and how.
type LogConfig struct {
	Level  string `koanf:"level" doc:"debug, info, warn or error"`
	Format string `koanf:"format" doc:"auto (text on a terminal, else json), text or json"`
}

// HTTPConfig is the API's listener.
type HTTPConfig struct {
	Addr            string        `koanf:"addr" doc:"host:port to listen on"`
	ReadTimeout     time.Duration `koanf:"read_timeout" doc:"longest time to read a request"`
	Budget          time.Duration `koanf:"budget" doc:"longest time for one answer; what is late is left out of it"`
	Drain           time.Duration `koanf:"drain" doc:"time between being told to stop, when /readyz begins to say 503, and taking no more connections; 5s to 10s on Kubernetes"`
	ShutdownTimeout time.Duration `koanf:"shutdown_timeout" doc:"time given to running requests when stopping"`
	KeysFile        string        `koanf:"keys_file" doc:"API keys, made by 'sartor serve key', watched; empty = none are asked for"`
	Insecure        bool          `koanf:"insecure" doc:"serve other machines without API keys"`
	AdminAddr       string        `koanf:"admin_addr" doc:"host:port for metrics, status and profiles; empty = the first two at addr"`
	MaxInFlight     int           `koanf:"max_in_flight" doc:"recommendations worked at once, more get 503; 0 = 16 to 64 per CPU, by how fast they are answered"`
	MaxConnsPerIP   int           `koanf:"max_conns_per_ip" doc:"connections of one address at once, more are closed with 429; 0 = no limit, as behind a load balancer"`
	Adapters        []string      `koanf:"adapters" doc:"APIs of other systems to answer as well: gorse, metarank"`
	OIDC            OIDCConfig    `koanf:"oidc"`
}

// OIDCConfig is the company's identity provider, whose tokens people show at the admin address.
type OIDCConfig struct {
	Issuer     string            `koanf:"issuer" doc:"URL of the OpenID Connect provider; empty = no people, keys only"`
	Audience   string            `koanf:"audience" doc:"client id, or name of the API, that tokens must be for"`
	RolesClaim string            `koanf:"roles_claim" doc:"where roles or groups are, such as realm_access.roles"`
	Roles      map[string]string `koanf:"roles" doc:"roles by group: {shop-admins: admin}; empty = viewer, editor, publisher, admin as they are"`
	Skew       time.Duration     `koanf:"skew" doc:"by how much its clock may differ from ours"`
}

// TraceConfig says where traces go.
type TraceConfig struct {
	Endpoint    string  `koanf:"endpoint" doc:"URL of an OTLP/HTTP collector, such as http://127.0.0.1:4318; empty = no traces"`
	Sample      float64 `koanf:"sample" doc:"share of the requests that are traced, 0 to 1, unless the caller has decided"`
	Headers     string  `koanf:"headers" secret:"true" doc:"name=value,... for the collector, by environment only"`
	HeadersFile string  `koanf:"headers_file" doc:"file that holds the headers"`
}

// KafkaConfig is the broker, the topics and the consumer group.
type KafkaConfig struct {
	Brokers       []string      `koanf:"brokers" doc:"host:port list; empty = no Kafka (serve) or embedded (dev)"`
	ClientID      string        `koanf:"client_id" doc:"name shown in the broker's logs"`
	Group         string        `koanf:"group" doc:"consumer group of 'sartor ingest'"`
	BatchEvents   int           `koanf:"batch_events" doc:"most events applied to Redis at once"`
	RepeatHorizon int           `koanf:"repeat_horizon" doc:"offsets looked back for an event written again; negative = none"`
	Partitions    int           `koanf:"partitions" doc:"partitions of topics that are created"`
	Replication   int           `koanf:"replication" doc:"replicas of topics that are created"`
	Create        bool          `koanf:"create_topics" doc:"create missing topics at start"`
	Topics        TopicsConfig  `koanf:"topics"`
	Formats       FormatsConfig `koanf:"formats"`
	TLS           TLSConfig     `koanf:"tls"`
	SASL          SASLConfig    `koanf:"sasl"`
}

// FormatsConfig says in which format each topic's events are written.
type FormatsConfig struct {
	Orders    string `koanf:"orders" doc:"auto (by message), native, segment or cloudevents"`
	Behavior  string `koanf:"behavior" doc:"the same"`
	Catalog   string `koanf:"catalog" doc:"the same"`
	Users     string `koanf:"users" doc:"the same"`
	Exposures string `koanf:"exposures" doc:"the same"`
}

// TopicsConfig maps the streams to the names of their topics.
type TopicsConfig struct {
	Orders      string `koanf:"orders" doc:"orders and returns"`
	Behavior    string `koanf:"behavior" doc:"views, clicks, carts, searches, wishlists, ratings"`
	Catalog     string `koanf:"catalog" doc:"items (compacted)"`
	Users       string `koanf:"users" doc:"user attributes (compacted)"`
	Exposures   string `koanf:"exposures" doc:"what was shown"`
	DeadLetters string `koanf:"dead_letters" doc:"messages that could not be used, with the reason"`
}

// TLSConfig is the client side of a TLS connection.
type TLSConfig struct {
	Enabled    bool   `koanf:"enabled" doc:"connect with TLS"`
	CAFile     string `koanf:"ca_file" doc:"PEM file of trusted authorities; empty = the system's"`
	CertFile   string `koanf:"cert_file" doc:"PEM file of the client certificate"`
	KeyFile    string `koanf:"key_file" doc:"PEM file of the client key"`
	ServerName string `koanf:"server_name" doc:"name to verify; empty = the host"`
}

// SASLConfig is how the Kafka client signs in.
type SASLConfig struct {
	Mechanism    string `koanf:"mechanism" doc:"plain, scram-sha-256, scram-sha-512; empty = none"`
	User         string `koanf:"user" doc:"user name"`
	Password     string `koanf:"password" secret:"true" doc:"by environment only"`
	PasswordFile string `koanf:"password_file" doc:"file that holds the password"`
}

// ArchiveConfig is where 'sartor archive' keeps the log.
type ArchiveConfig struct {
	URL       string        `koanf:"url" doc:"folder, s3://, gs:// or azblob:// URL; empty = none"`
	Group     string        `koanf:"group" doc:"consumer group of 'sartor archive'"`
	MaxEvents int           `koanf:"max_events" doc:"events of a partition that are gathered into one range of files, at most"`
	MaxAge    time.Duration `koanf:"max_age" doc:"longest time an event waits to be written"`
}

// RedisConfig is the feature store.
type RedisConfig struct {
	Addrs        []string      `koanf:"addrs" doc:"host:port list, or one path of a unix socket; empty = none (serve) or embedded (dev)"`
	Username     string        `koanf:"username" doc:"ACL user"`
	Password     string        `koanf:"password" secret:"true" doc:"by environment only"`
	PasswordFile string        `koanf:"password_file" doc:"file that holds the password"`
	DB           int           `koanf:"db" doc:"database number; 0 on a cluster"`
	MasterName   string        `koanf:"master_name" doc:"Sentinel master name; addrs are then the sentinels"`
	Cluster      bool          `koanf:"cluster" doc:"addrs are nodes of a Redis Cluster"`
	Prefix       string        `koanf:"prefix" doc:"put before every key"`
	Shards       int           `koanf:"shards" doc:"virtual shards; fixed once data is stored"`
	UserTTL      time.Duration `koanf:"user_ttl" doc:"a user without events for so long is forgotten"`
	ReadTimeout  time.Duration `koanf:"read_timeout" doc:"longest wait of a request for its user's features"`
	TLS          TLSConfig     `koanf:"tls"`
}

// SchemaConfig names the feature schema.
type SchemaConfig struct {
	File string `koanf:"file" doc:"schema.yaml; empty = the built-in schema"`
}

// RulesConfig is where rule files live.
type RulesConfig struct {
	Dir      string                    `koanf:"dir" doc:"folder of rule files, watched, or of what rules.store says; empty = no rules"`
	Store    string                    `koanf:"store" doc:"empty = rules.dir is the source; archive = it is an archive of 'sartor rules publish'; redis = it is a copy of the archive in Redis"`
	Poll     time.Duration             `koanf:"poll" doc:"how often the folder is looked at"`
	LastGood string                    `koanf:"last_good" doc:"file that keeps the last good rules over a restart; empty = none"`
	Params   map[string]map[string]any `koanf:"params" doc:"params by rule set: {home: {hot_spend: 50000}}"`
}

// ModelsConfig is where models live.
type ModelsConfig struct {
	Dir   string        `koanf:"dir" doc:"registry folder, watched; empty = no model"`
	Poll  time.Duration `koanf:"poll" doc:"how often the registry is looked at"`
	Index string        `koanf:"index" doc:"over item vectors: auto (by size), exact, or ivf (approximate)"`
}

// ScenariosConfig is where scenario files live.
type ScenariosConfig struct {
	Dir string `koanf:"dir" doc:"folder of scenario files, watched for their candidate sources; empty = none"`
}

// DataConfig is what is kept in local files.
type DataConfig struct {
	Dir           string `koanf:"dir" doc:"data folder of 'sartor dev'"`
	CatalogueFile string `koanf:"catalogue_file" doc:"file of 'sartor serve' that keeps the catalogue for a start without Redis; empty = none"`
	ExposuresFile string `koanf:"exposures_file" doc:"file of 'sartor serve' that keeps exposures while Kafka is away; empty = they are dropped"`
}

func defaultConfig() Config {
	return Config{
		Profile: "development",
		Log:     LogConfig{Level: "info", Format: "auto"},
		HTTP: HTTPConfig{Addr: "127.0.0.1:8080", ReadTimeout: 5 * time.Second, Budget: 60 * time.Millisecond, ShutdownTimeout: 5 * time.Second,
			Adapters: []string{}, OIDC: OIDCConfig{RolesClaim: "roles", Roles: map[string]string{}, Skew: time.Minute}},
		Trace: TraceConfig{Sample: 1},
		Kafka: KafkaConfig{Brokers: []string{}, ClientID: "sartor", Group: "sartor-features", BatchEvents: 2000, RepeatHorizon: 10000,
			Partitions: 8, Replication: 1, Create: true,
			Topics: TopicsConfig{Orders: "orders", Behavior: "behavior", Catalog: "catalog", Users: "users",
				Exposures: "exposures", DeadLetters: "dead-letters"},
			Formats: FormatsConfig{Orders: "auto", Behavior: "auto", Catalog: "auto", Users: "auto", Exposures: "auto"}},
		Archive: ArchiveConfig{Group: "sartor-archive", MaxEvents: 50_000, MaxAge: 15 * time.Minute},
		Redis:   RedisConfig{Addrs: []string{}, Shards: 256, UserTTL: 180 * 24 * time.Hour, ReadTimeout: 25 * time.Millisecond},
		Rules:   RulesConfig{Poll: time.Second, Params: map[string]map[string]any{}},
		Models:  ModelsConfig{Poll: time.Second, Index: "auto"},
		Data:    DataConfig{Dir: "sartor-data"},
	}
}
