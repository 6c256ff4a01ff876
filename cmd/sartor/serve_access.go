package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/recommender/identity"
)

// keyFile is the file of http.keys_file. It holds no secret: a hash opens nothing.
type keyFile struct {
	Keys []keyEntry `yaml:"keys"`
}

type keyEntry struct {
	ID      string          `yaml:"id"`
	Client  string          `yaml:"client,omitempty"`
	SHA256  string          `yaml:"sha256"`
	Scopes  []httpapi.Scope `yaml:"scopes,flow"`
	Expires time.Time       `yaml:"expires,omitempty"`
	Rate    float64         `yaml:"rate,omitempty"`
	Burst   int             `yaml:"burst,omitempty"`
}

// loadKeys reads the API keys; a name of "" is no keys. Everything that is wrong is one error.
func loadKeys(name string, now time.Time) ([]httpapi.Key, error) {
	if name == "" {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("http.keys_file: %w", err)
	}
	keys, wrong := parseKeys(data, now)
	if len(wrong) > 0 {
		return nil, fmt.Errorf("http.keys_file: %s:\n  %s", name, strings.Join(wrong, "\n  "))
	}
	return keys, nil
}

func parseKeys(data []byte, now time.Time) (keys []httpapi.Key, wrong []string) {
	var file keyFile
	var into any = &file
	// What 'sartor serve key' prints, put into a new file, is a list without "keys:" above it.
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err == nil && len(root.Content) == 1 && root.Content[0].Kind == yaml.SequenceNode {
		into = &file.Keys
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return nil, []string{err.Error()}
	}
	if len(file.Keys) == 0 {
		return nil, []string{"no key is listed: 'sartor serve key' makes one"}
	}
	for i, e := range file.Keys {
		k := httpapi.Key{ID: e.ID, Client: e.Client, Scopes: e.Scopes, Expires: e.Expires, Rate: e.Rate, Burst: e.Burst}
		hash, err := hex.DecodeString(e.SHA256)
		if err != nil || len(hash) != len(k.SHA256) {
			wrong = append(wrong, fmt.Sprintf("key %d: sha256 is not 64 hex digits", i+1))
		}
		copy(k.SHA256[:], hash)
		keys = append(keys, k)
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return keys, httpapi.CheckKeys(keys, now)
}

// access says whom the API serves: keys, people and the clients of other systems.
func (w *wiring) access(api *httpapi.Options) {
	api.Keys, api.ConnsPerIP = w.keys, w.config.HTTP.MaxConnsPerIP
	for _, name := range w.config.HTTP.Adapters {
		api.Adapters = append(api.Adapters, httpapi.Adapter(name))
	}
	if w.config.HTTP.OIDC.Issuer != "" {
		api.People = identity.New(w.config.HTTP.OIDC.options())
	}
}

// keysPoll is how often the file of keys is looked at: a key that is taken away must not open for long.
const keysPoll = time.Second

// keyWatch is the file of API keys while it is served by.
type keyWatch struct {
	name string
	last []byte // its content when it was last used
	good prometheus.Gauge
}

// newKeyWatch returns nil without a file.
func newKeyWatch(w *wiring) *keyWatch {
	if w.config.HTTP.KeysFile == "" {
		return nil
	}
	k := &keyWatch{name: w.config.HTTP.KeysFile, good: promauto.With(w.metrics).NewGauge(prometheus.GaugeOpts{
		Name: "sartor_keys_reload_success", Help: "1 while the newest file of API keys is in use."})}
	k.good.Set(1)
	return k
}

// look uses the file when it has changed. One that is broken or gone changes nothing.
func (k *keyWatch) look(use func([]httpapi.Key) error) (changed bool, err error) {
	defer func() {
		if err != nil {
			k.good.Set(0)
		}
	}()
	data, err := os.ReadFile(k.name)
	if err != nil {
		return false, err
	}
	if bytes.Equal(data, k.last) {
		k.good.Set(1) // it may have been broken in between
		return false, nil
	}
	keys, wrong := parseKeys(data, time.Now())
	if len(wrong) > 0 {
		return false, fmt.Errorf("http.keys_file: %s:\n  %s", k.name, strings.Join(wrong, "\n  "))
	}
	if err := use(keys); err != nil {
		return false, err
	}
	k.last = data
	k.good.Set(1)
	return true, nil
}

// watchKeys serves by the file's newest keys.
func (s *serving) watchKeys(ctx context.Context) {
	c := complainer{logger: s.logger, what: "the file of API keys cannot be used: the keys read before go on"}
	first := true // what is read at the first look was read at start already
	look := func() bool {
		changed, err := s.keys.look(s.server.SetKeys)
		if c.note(ctx, err); changed && !first {
			s.logger.Info("API keys read anew", "file", s.keys.name)
		}
		first = false
		return false
	}
	look()
	every(ctx, keysPoll, look)
}

// checkExposed refuses to serve other machines without keys: whoever reaches the port could read
// recommendations of anybody and write events.
func checkExposed(key string, addr net.Addr, cfg HTTPConfig) error {
	tcp, ok := addr.(*net.TCPAddr)
	signedIn := key == "http.admin_addr" && cfg.OIDC.Issuer != ""
	if !ok || tcp.IP.IsLoopback() || cfg.KeysFile != "" || cfg.Insecure || signedIn {
		return nil
	}
	return fmt.Errorf("%s: %s can be reached from other machines and no API keys are set: "+
		"set http.keys_file ('sartor serve key' makes keys), listen on 127.0.0.1, or say --insecure", key, addr)
}

// openAdmin opens the listener of operators, nil when none is configured.
func (a *app) openAdmin(ctx context.Context) (net.Listener, error) {
	if a.config.HTTP.AdminAddr == "" {
		return nil, nil
	}
	ln, err := listen(ctx, a.config.HTTP.AdminAddr)
	if err != nil {
		return nil, fmt.Errorf("http.admin_addr: %w", err)
	}
	if err := checkExposed("http.admin_addr", ln.Addr(), a.config.HTTP); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// serveAdmin answers operators until ctx is done.
func (s *serving) serveAdmin(ctx context.Context) error {
	server := &http.Server{Handler: s.server.AdminHandler(), ReadTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		stopped <- server.Close()
	}()
	if err := server.Serve(s.parts.admin); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve operators on %s: %w", s.parts.admin.Addr(), err)
	}
	return <-stopped
}

func newKeyCommand() *cobra.Command {
	var e keyEntry
	var scopes []string
	var lasts time.Duration
	cmd := &cobra.Command{
		Use:   "key --id ID --scope SCOPE[,SCOPE]",
		Short: "Make an API key",
		Long: `Prints a new API key, which is shown this once, to standard error, and the entry for the file of
http.keys_file to standard output. The file holds hashes only. A client may have two live keys, so that a
new one can be handed out before the old one is taken away. A running server reads the file again when
it changes.`,
		Example: `  sartor serve key --id shop-2026 --client shop --scope recommend,events:write >> keys.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if e.ID == "" || len(scopes) == 0 {
				return usagef("--id and --scope are needed: which key, and what it may do, some of %v", httpapi.Scopes())
			}
			for _, s := range scopes {
				e.Scopes = append(e.Scopes, httpapi.Scope(s))
			}
			if lasts > 0 {
				e.Expires = time.Now().Add(lasts).UTC().Truncate(time.Second)
			}
			return printKey(cmd.OutOrStdout(), cmd.ErrOrStderr(), e)
		},
	}
	cmd.Flags().StringVar(&e.ID, "id", "", "id of the key: 1 to 32 of a-z, 0-9 and -")
	cmd.Flags().StringVar(&e.Client, "client", "", "whose key it is; the id by default")
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, fmt.Sprintf("what it may do: %v", httpapi.Scopes()))
	cmd.Flags().DurationVar(&lasts, "expires", 0, "how long it lasts, such as 8760h; 0 = until it is taken away")
	cmd.Flags().Float64Var(&e.Rate, "rate", 0, "requests a second; 0 = no limit")
	return cmd
}

func printKey(out, errOut io.Writer, e keyEntry) error {
	text, hash := httpapi.NewKey(e.ID)
	e.SHA256 = hex.EncodeToString(hash[:])
	key := httpapi.Key{ID: e.ID, SHA256: hash, Scopes: e.Scopes, Rate: e.Rate}
	if wrong := httpapi.CheckKeys([]httpapi.Key{key}, time.Now()); len(wrong) > 0 {
		return usagef("%s", strings.ReplaceAll(strings.Join(wrong, "; "), "key 1: ", "")) // there is only this one
	}
	entry, err := yaml.Marshal([]keyEntry{e})
	if err != nil {
		return fmt.Errorf("write the entry: %w", err)
	}
	if _, err := fmt.Fprintf(errOut, "The key, shown this once: %s\nIn the file of http.keys_file, below \"keys:\" if that has one:\n", text); err != nil {
		return err
	}
	_, err = out.Write(entry)
	return err
}
