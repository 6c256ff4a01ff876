package main

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// configKey is one leaf of Config.
type configKey struct {
	Name   string // dotted, such as "kafka.tls.ca_file"
	Doc    string
	Secret bool
	Type   reflect.Type
	Value  reflect.Value // in the Config that configKeys walked
}

// open tells whether the key is a map whose own keys are the operator's.
func (k configKey) open() bool { return k.Type.Kind() == reflect.Map }

// env returns the name of the environment variable of a key: SARTOR_KAFKA_TLS_CA_FILE.
func (k configKey) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.Name, ".", "_"))
}

// configKeys lists the leaves of cfg, a pointer to a Config, in the order of the struct.
func configKeys(cfg *Config) []configKey {
	var keys []configKey
	var walk func(v reflect.Value, prefix string)
	walk = func(v reflect.Value, prefix string) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name := prefix + f.Tag.Get("koanf")
			if f.Type.Kind() == reflect.Struct {
				walk(v.Field(i), name+".")
				continue
			}
			keys = append(keys, configKey{Name: name, Doc: f.Tag.Get("doc"), Secret: f.Tag.Get("secret") != "",
				Type: f.Type, Value: v.Field(i)})
		}
	}
	walk(reflect.ValueOf(cfg).Elem(), "")
	return keys
}

// decode turns a value as a layer holds it (text from flags and the environment, anything YAML
// knows from the file) into the Go type of the key. It converts text to other types and nothing
// else, so that "brokers: 9092" is an error rather than a surprise.
func (k configKey) decode(raw any) (any, error) {
	text, isText := raw.(string)
	if isText {
		text = strings.TrimSpace(text)
	}
	switch {
	case k.Type == reflect.TypeFor[time.Duration]():
		if !isText {
			return nil, fmt.Errorf("want a duration such as 500ms or 1h, not %v", raw)
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a duration: write 500ms, 10s or 1h", text)
		}
		return d, nil
	case k.Type.Kind() == reflect.String && isText:
		return text, nil
	case k.Type.Kind() == reflect.Int:
		if n, ok := raw.(int); ok {
			return n, nil
		}
		n, err := strconv.Atoi(text)
		if err != nil || !isText {
			return nil, fmt.Errorf("%v is not a whole number", raw)
		}
		return n, nil
	case k.Type.Kind() == reflect.Float64:
		switch n := raw.(type) {
		case float64:
			return n, nil
		case int:
			return float64(n), nil
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !isText {
			return nil, fmt.Errorf("%v is not a number", raw)
		}
		return n, nil
	case k.Type.Kind() == reflect.Bool:
		if b, ok := raw.(bool); ok {
			return b, nil
		}
		b, err := strconv.ParseBool(text)
		if err != nil || !isText {
			return nil, fmt.Errorf("%v is not true or false", raw)
		}
		return b, nil
	case k.Type.Kind() == reflect.Slice:
		return decodeList(raw, text, isText)
	}
	return nil, fmt.Errorf("want a text, not %v", raw)
}

func decodeList(raw any, text string, isText bool) (any, error) {
	list := []string{}
	if isText {
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		return list, nil
	}
	values, ok := raw.([]any)
	if !ok {
		return nil, fmt.Errorf("want a list, not %v", raw)
	}
	for _, v := range values {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("want a list of texts; %v is not a text (put it in quotes)", v)
		}
		list = append(list, s)
	}
	return list, nil
}

// scalar reads a value written on the command line below an open key: 5 is a number, "5" a text.
func scalar(text string) any {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return text
	}
	return v
}
