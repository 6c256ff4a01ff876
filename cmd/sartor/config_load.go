package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	yamlparser "github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/sartorhq/sartor/streams/spelling"
)

const (
	envPrefix = "SARTOR_"
	envConfig = "SARTOR_CONFIG" // same as --config

	envData      = "SARTOR_DATA"  // folder of recorded data sets: tests only
	envTestKafka = "SARTOR_KAFKA" // host:port of a real broker: tests only
)

// configProblems is everything wrong with a configuration, so that one run shows all of it.
type configProblems []string

func (p configProblems) Error() string {
	if len(p) == 1 {
		return "configuration: " + p[0]
	}
	return fmt.Sprintf("configuration has %d problems:\n  %s", len(p), strings.Join(p, "\n  "))
}

// bind declares a flag that sets a configuration key.
func (a *app) bind(flags *pflag.FlagSet, flag, key, usage string) {
	flags.Var(boundFlag{a, key, flag}, flag, usage+" (config key "+key+")")
}

// boundFlag is a flag that stands for a configuration key; its value is decoded with the others.
type boundFlag struct {
	app       *app
	key, flag string
}

func (f boundFlag) String() string { return "" }
func (f boundFlag) Type() string   { return "value" }
func (f boundFlag) Set(value string) error {
	if f.app.bound == nil {
		f.app.bound = map[string]string{}
	}
	f.app.bound[f.key] = value
	return nil
}

// layer is one source of settings: dotted keys to raw values, and how to name a value's origin.
type layer struct {
	values map[string]any
	origin func(key string) string
}

// loader merges layers and collects problems on the way.
type loader struct {
	keys     map[string]configKey
	names    []string
	merged   *koanf.Koanf
	origins  map[string]string
	problems configProblems
}

// loadConfig reads all layers and returns the merged configuration with the origin of each key. The
// error is a configProblems that lists every problem, as a usageError when the command line has one of them.
func (a *app) loadConfig() (Config, map[string]string, error) {
	cfg := defaultConfig()
	l := &loader{keys: map[string]configKey{}, merged: koanf.New("."), origins: map[string]string{}}
	for _, k := range configKeys(&cfg) {
		l.keys[k.Name] = k
		l.names = append(l.names, k.Name)
		l.origins[k.Name] = "default"
		if err := l.merged.Load(confmap.Provider(map[string]any{k.Name: k.Value.Interface()}, "."), nil); err != nil {
			return Config{}, nil, fmt.Errorf("load the default of %s: %w", k.Name, err)
		}
	}
	if path := a.configPath(); path != "" {
		l.addFile(path)
	}
	l.addEnv(a.environ)
	l.addFlags(a.settings, a.bound)
	if len(l.problems) == 0 {
		if err := l.merged.Unmarshal("", &cfg); err != nil {
			l.problemf("%v", err)
		}
		l.problems = append(l.problems, cfg.validate()...)
	}
	if len(l.problems) > 0 {
		if slices.ContainsFunc(l.problems, l.fromFlag) {
			return Config{}, nil, usageError{l.problems}
		}
		return Config{}, nil, l.problems
	}
	return cfg, l.origins, nil
}

// originFlag is the origin of what the command line says.
const originFlag = "flag"

// fromFlag tells whether a problem is the command line's fault, by the setting that it begins with.
func (l *loader) fromFlag(problem string) bool {
	where, _, _ := strings.Cut(problem, ": ")
	if where == originFlag || strings.HasPrefix(where, "--set ") {
		return true
	}
	for name, origin := range l.origins { // a problem may be one of a whole section
		if origin == originFlag && (name == where || strings.HasPrefix(name, where+".")) {
			return true
		}
	}
	return false
}

// configPath returns --config, else SARTOR_CONFIG, else "".
func (a *app) configPath() string {
	if a.configFile != "" {
		return a.configFile
	}
	for _, kv := range a.environ {
		if v, ok := strings.CutPrefix(kv, envConfig+"="); ok {
			return v
		}
	}
	return ""
}

func (l *loader) problemf(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

func (l *loader) addFile(path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		l.problemf("read the config file: %v", err)
		return
	}
	tree, err := yamlparser.Parser().Unmarshal(data)
	if err != nil {
		l.problemf("%s: %v", path, err)
		return
	}
	file := koanf.New(".")
	if err := file.Load(confmap.Provider(tree, ""), nil); err != nil {
		l.problemf("%s: %v", path, err)
		return
	}
	var root yaml.Node
	lines := map[string]int{}
	if err := yaml.Unmarshal(data, &root); err == nil && len(root.Content) == 1 {
		nodeLines(root.Content[0], "", lines)
	}
	at := func(key string) string { return fmt.Sprintf("%s:%d", path, lines[key]) }
	values := file.All()
	for key := range values {
		if l.keys[key].Secret {
			l.problemf("%s: %s: a secret must not stand in the file: set %s, or %s_file",
				at(key), key, l.keys[key].env(), key)
			delete(values, key)
		}
	}
	l.add(layer{values: values, origin: at})
}

// nodeLines notes the line of each dotted key of a YAML mapping.
func nodeLines(n *yaml.Node, prefix string, lines map[string]int) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := prefix + n.Content[i].Value
		lines[key] = n.Content[i].Line
		nodeLines(n.Content[i+1], key+".", lines)
	}
}

func (l *loader) addEnv(environ []string) {
	byEnv, envNames := map[string]string{}, []string{}
	for _, name := range l.names {
		if !l.keys[name].open() {
			byEnv[l.keys[name].env()] = name
			envNames = append(envNames, l.keys[name].env())
		}
	}
	vars := koanf.New(".")
	err := vars.Load(env.Provider("", env.Opt{Prefix: envPrefix, EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			key, known := byEnv[name]
			switch {
			case known:
				return key, value
			case name == envConfig || name == envData || name == envTestKafka:
			default:
				l.problemf("environment variable %s: unknown setting%s", name, suggest(name, envNames))
			}
			return "", nil
		}}), nil)
	if err != nil {
		l.problemf("read the environment: %v", err)
	}
	l.add(layer{values: vars.All(), origin: func(key string) string { return "env " + l.keys[key].env() }})
}

func (l *loader) addFlags(settings []string, bound map[string]string) {
	values := map[string]any{}
	for _, s := range settings {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			l.problemf("--set %s: write --set key=value", s)
			continue
		}
		values[key] = value
		if l.openPrefix(key) != "" {
			values[key] = scalar(value)
		}
	}
	for key, value := range bound {
		values[key] = value
	}
	for key := range values {
		if l.keys[key].Secret {
			l.problemf("--set %s: a secret must not stand on the command line: set %s, or %s_file",
				key, l.keys[key].env(), key)
			delete(values, key)
		}
	}
	l.add(layer{values: values, origin: func(string) string { return originFlag }})
}

// add checks and decodes a layer and puts it on top of the ones before it.
func (l *loader) add(in layer) {
	out := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(in.values)) {
		raw := in.values[key]
		if open := l.openPrefix(key); open != "" {
			out[key] = raw
			l.origins[open] = in.origin(key)
			continue
		}
		k, known := l.keys[key]
		switch {
		case !known && l.isSection(key) && isEmpty(raw): // "kafka:" with everything below it commented out
		case !known && l.isSection(key):
			l.problemf("%s: %s is a section: set %s", in.origin(key), key, strings.Join(l.under(key), ", "))
		case !known:
			l.problemf("%s: %s: unknown key%s", in.origin(key), key, suggest(key, append(l.sections(), l.names...)))
		case k.open() && isEmpty(raw):
			l.origins[key] = in.origin(key)
		default:
			value, err := k.decode(raw)
			if err != nil {
				l.problemf("%s: %s: %v", in.origin(key), key, err)
				continue
			}
			out[key] = value
			l.origins[key] = in.origin(key)
		}
	}
	if err := l.merged.Load(confmap.Provider(out, "."), nil); err != nil {
		l.problemf("%v", err)
	}
}

// openPrefix returns the open key above key, or "".
func (l *loader) openPrefix(key string) string {
	for _, name := range l.names {
		if l.keys[name].open() && strings.HasPrefix(key, name+".") {
			return name
		}
	}
	return ""
}

// isEmpty tells whether a section or an open key has nothing below it.
func isEmpty(raw any) bool {
	m, isMap := raw.(map[string]any)
	return raw == nil || isMap && len(m) == 0
}

// sections lists the top sections.
func (l *loader) sections() []string {
	var names []string
	for _, name := range l.names {
		if section, _, ok := strings.Cut(name, "."); ok && !slices.Contains(names, section) {
			names = append(names, section)
		}
	}
	return names
}

func (l *loader) isSection(key string) bool { return len(l.under(key)) > 0 }

// under lists the keys of a section.
func (l *loader) under(section string) []string {
	var names []string
	for _, name := range l.names {
		if strings.HasPrefix(name, section+".") {
			names = append(names, name)
		}
	}
	return names
}

// suggest returns ": did you mean x?" or a pointer to the list of keys.
func suggest(name string, candidates []string) string {
	if near := spelling.Nearest(name, candidates); near != "" {
		return fmt.Sprintf(": did you mean %s?", near)
	}
	return ": 'sartor config print --defaults' lists them all"
}

// readSecret returns the secret from its variable or its file.
func readSecret(value, file string) (string, error) {
	switch {
	case file == "":
		return value, nil
	case value != "":
		return "", errors.New("is set twice: by the environment and by " + file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}
