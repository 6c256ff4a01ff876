package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// load runs the loader as a command would, with nothing of this process's environment.
func load(t *testing.T, a *app, yaml string) (Config, map[string]string, error) {
	t.Helper()
	if yaml != "" {
		a.configFile = filepath.Join(t.TempDir(), "sartor.yaml")
		if err := os.WriteFile(a.configFile, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a.loadConfig()
}

func TestExampleEqualsDefaults(t *testing.T) {
	path := filepath.Join(moduleRoot(t), "deploy", "config", "example.yaml")
	cfg, origins, err := (&app{configFile: path}).loadConfig()
	if err != nil {
		t.Fatal(err)
	}
	if want := defaultConfig(); !reflect.DeepEqual(cfg, want) {
		t.Errorf("example.yaml says\n%+v\nthe defaults are\n%+v", cfg, want)
	}
	for key, origin := range origins {
		if origin == "default" && !strings.HasSuffix(key, "password") && key != "trace.headers" {
			t.Errorf("example.yaml does not mention %s", key)
		}
	}
	var printed bytes.Buffer
	if err := printConfig(&printed, &cfg, func(k configKey) string { return k.Doc }); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(data), printed.String()) {
		t.Error("example.yaml is not what 'sartor config print --defaults' prints: renew it")
	}
}

func TestLayersInOrder(t *testing.T) {
	a := &app{
		environ:  []string{"SARTOR_KAFKA_GROUP=from-env", "SARTOR_HTTP_ADDR=:1", "SARTOR_DATA=ignored", "PATH=/bin"},
		settings: []string{"http.addr=:2", "rules.params.home.hot_spend=500", "rules.params.home.mode=fast"},
		bound:    map[string]string{"log.level": "debug"},
	}
	cfg, origins, err := load(t, a, `
kafka:
  group: from-file
  client_id: from-file
  brokers: [a:1, b:2]
http:
  addr: :0
  read_timeout: 1m
redis:
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		key         string
		got, want   any
		origin      string
		wholeOrigin bool
	}{
		{"kafka.partitions", cfg.Kafka.Partitions, 8, "default", true},
		{"kafka.client_id", cfg.Kafka.ClientID, "from-file", "sartor.yaml:4", false},
		{"kafka.brokers", cfg.Kafka.Brokers, []string{"a:1", "b:2"}, "sartor.yaml:5", false},
		{"http.read_timeout", cfg.HTTP.ReadTimeout, time.Minute, "sartor.yaml:8", false},
		{"kafka.group", cfg.Kafka.Group, "from-env", "env SARTOR_KAFKA_GROUP", true},
		{"http.addr", cfg.HTTP.Addr, ":2", "flag", true},
		{"log.level", cfg.Log.Level, "debug", "flag", true},
		{"rules.params", cfg.Rules.Params, map[string]map[string]any{"home": {"hot_spend": 500, "mode": "fast"}}, "flag", true},
	} {
		if !reflect.DeepEqual(tc.got, tc.want) {
			t.Errorf("%s = %v, want %v", tc.key, tc.got, tc.want)
		}
		if origin := origins[tc.key]; origin != tc.origin && (tc.wholeOrigin || !strings.HasSuffix(origin, tc.origin)) {
			t.Errorf("%s comes from %q, want %q", tc.key, origin, tc.origin)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	a := &app{
		environ:  []string{"SARTOR_KAFKA_GRUP=x", "SARTOR_KAFKA_REPLICATION=big"},
		settings: []string{"kafka.partitoins=3", "nonsense", "redis.password=hunter2"},
	}
	_, _, err := load(t, a, `
kafka: {brokers: 9092, topics: orders}
kafak: {}
http:
  read_timeout: 10
redis:
  password: hunter3
`)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"sartor.yaml:2: kafka.brokers: want a list, not 9092",
		"sartor.yaml:2: kafka.topics is a section: set kafka.topics.orders, ",
		"sartor.yaml:3: kafak: unknown key: did you mean kafka?",
		"sartor.yaml:5: http.read_timeout: want a duration such as 500ms or 1h, not 10",
		"sartor.yaml:7: redis.password: a secret must not stand in the file: set SARTOR_REDIS_PASSWORD, or redis.password_file",
		"environment variable SARTOR_KAFKA_GRUP: unknown setting: did you mean SARTOR_KAFKA_GROUP?",
		"env SARTOR_KAFKA_REPLICATION: kafka.replication: big is not a whole number",
		"flag: kafka.partitoins: unknown key: did you mean kafka.partitions?",
		"--set nonsense: write --set key=value",
		"--set redis.password: a secret must not stand on the command line",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("problems lack %q", want)
		}
	}
	if strings.Contains(err.Error(), "hunter") {
		t.Error("an error shows a secret")
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestValuesThatCannotBe(t *testing.T) {
	for name, tc := range map[string]struct{ setting, want string }{
		"profile":         {"profile=prod", `profile: "prod" is not one of development, production`},
		"level":           {"log.level=loud", `log.level: "loud"`},
		"address":         {"http.addr=8080", `http.addr: "8080" is not host:port`},
		"broker":          {"kafka.brokers=a:1,b", `kafka.brokers: "b" is not host:port`},
		"zero":            {"kafka.batch_events=0", "kafka.batch_events: must be greater than zero"},
		"twice":           {"kafka.topics.users=orders", `kafka.topics.users: "orders" is already the topic of orders`},
		"no-topic":        {"kafka.topics.users=", "kafka.topics.users: must not be empty"},
		"sasl":            {"kafka.sasl.mechanism=plain", "mechanism plain needs user and a password"},
		"mechanism":       {"kafka.sasl.mechanism=md5", `kafka.sasl.mechanism: "md5" is not one of`},
		"redis-address":   {"redis.addrs=localhost", `redis.addrs: "localhost" is neither host:port nor the path`},
		"cluster-with-db": {"redis.db=-1", "redis.db: must not be negative"},
		"half-tls":        {"redis.tls.cert_file=a.pem", "redis.tls: cert_file and key_file go together"},
		"secret-file":     {"redis.password_file=/does/not/exist", "redis.password: read the secret"},
		"no-folder":       {"data.dir=", "data.dir: must name a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := load(t, &app{settings: []string{tc.setting}}, "")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := load(t, &app{environ: []string{"SARTOR_REDIS_PASSWORD=from env"}, settings: []string{"kafka.sasl.password_file=" + file}}, "")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Redis.Password != "from env" || cfg.Kafka.SASL.Password != "from file" {
		t.Errorf("passwords = %q and %q", cfg.Redis.Password, cfg.Kafka.SASL.Password)
	}
	var out bytes.Buffer
	if err := printConfig(&out, &cfg, func(configKey) string { return "" }); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "from env") || strings.Contains(out.String(), "from file") || strings.Count(out.String(), "# password: ***") != 2 {
		t.Errorf("printed:\n%s\nwant two masked passwords", out.String())
	}
	_, _, err = load(t, &app{environ: []string{"SARTOR_REDIS_PASSWORD=x", "SARTOR_REDIS_PASSWORD_FILE=" + file}}, "")
	if err == nil || !strings.Contains(err.Error(), "set twice") {
		t.Errorf("two passwords: error = %v", err)
	}
}

// TestPrintLoads prints a configuration far from the defaults and loads it again.
func TestPrintLoads(t *testing.T) {
	cfg, _, err := load(t, &app{settings: []string{"kafka.brokers=a:1, b:2", "http.addr=[::1]:80", "rules.poll=90m",
		"kafka.client_id='quoted: #'", "redis.cluster=true", "rules.params.home.names=[a, b]"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printConfig(&out, &cfg, func(configKey) string { return "a note" }); err != nil {
		t.Fatal(err)
	}
	again, _, err := load(t, &app{}, out.String())
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !reflect.DeepEqual(again, cfg) {
		t.Errorf("printed and loaded again:\n%+v\nwas\n%+v", again, cfg)
	}
}

func TestShortDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{"10s": 10 * time.Second, "1h": time.Hour, "1m": time.Minute, "1h30m": 90 * time.Minute, "50ms": 50 * time.Millisecond, "1m30s": 90 * time.Second, "1h0m10s": time.Hour + 10*time.Second} {
		if got := shortDuration(d); got != want {
			t.Errorf("shortDuration(%s) = %s", want, got)
		}
	}
}

// runHere runs the program in this process and returns its exit code and output.
func runHere(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errOut}
	code = a.execute(t.Context(), args)
	return code, out.String(), errOut.String()
}

// TestHelpIsForPeople holds every command of the tree to the same: a sentence, and an example
// unless it only holds other commands.
func TestHelpIsForPeople(t *testing.T) {
	root := newRootCommand(&app{stdout: io.Discard, stderr: io.Discard})
	for _, c := range root.Commands() {
		for _, c := range append(c.Commands(), c) {
			if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
				continue
			}
			if c.Short == "" || strings.HasSuffix(c.Short, ".") {
				t.Errorf("%s: short help %q: want a sentence without its full stop", c.CommandPath(), c.Short)
			}
			if c.Example == "" && !c.HasSubCommands() {
				t.Errorf("%s has no example", c.CommandPath())
			}
			if code, out, _ := runHere(t, append(strings.Fields(c.CommandPath())[1:], "--help")...); code != exitOK || !strings.Contains(out, "Usage:") {
				t.Errorf("%s --help: exit code %d", c.CommandPath(), code)
			}
		}
	}
}
