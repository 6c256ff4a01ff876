package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sartorhq/sartor/rules/ruleredis"
	"github.com/sartorhq/sartor/rules/rulestore"
)

// replicaTimeout bounds the question to one replica.
const replicaTimeout = 5 * time.Second

// showReplicas asks each replica which revision it serves.
func (a *app) showReplicas(ctx context.Context, archive *rulestore.Archive, addresses []string) error {
	if len(addresses) == 0 {
		return nil
	}
	id, err := archive.Current()
	if err != nil {
		return err
	}
	want := &rulestore.Revision{}
	if id != "" {
		if want, err = archive.Revision(id); err != nil {
			return err
		}
	}
	same := 0
	for _, address := range addresses {
		revision, err := replicaRevision(ctx, address)
		switch {
		case err != nil:
			fmt.Fprintf(a.stdout, "%s  %v\n", address, err)
		case revision == want.SHA256 && id != "":
			same++
		default:
			fmt.Fprintf(a.stdout, "%s  serves %q\n", address, revision)
		}
	}
	fmt.Fprintf(a.stdout, "%d of %d replicas on %s\n", same, len(addresses), id)
	if same < len(addresses) {
		return errReported
	}
	return nil
}

func replicaRevision(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+"/v1/status", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var body struct {
		Rules struct {
			Revision string `json:"revision"`
		} `json:"rules"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body); err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("answers %s: %w", resp.Status, err)
	}
	return body.Rules.Revision, nil
}

// showReported prints what the replicas of a shared archive say that they serve.
func (a *app) showReported(ctx context.Context, store *ruleredis.Store, archive *rulestore.Archive) error {
	current, err := archive.Current()
	if err != nil {
		return err
	}
	all, err := store.Replicas(ctx, time.Now().Add(-replicaForgotten))
	if err != nil {
		return err
	}
	same := 0
	for _, r := range all {
		if r.Revision == current {
			same++
			continue
		}
		fmt.Fprintf(a.stdout, "%s serves %q\n", r.Name, r.Revision)
	}
	fmt.Fprintf(a.stdout, "%d of %s on %s\n", same, plural(len(all), "replica"), current)
	return nil
}
