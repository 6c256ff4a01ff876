package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/recommender/httpapi"
)

func newOpenAPICommand(a *app) *cobra.Command {
	version := "3.1"
	cmd := &cobra.Command{
		Use:   "openapi",
		Short: "Print the OpenAPI document of the HTTP API",
		Long: `Prints what GET /openapi.json of a running server answers, without adapters, and with it what the
listener of operators (http.admin_addr) answers there of the archive of rules: it is what clients are
generated from ('make clients').`,
		Example: `  sartor serve openapi > openapi.json
  sartor serve openapi --version 3.0      for generators that do not know 3.1`,
		Annotations: map[string]string{skipConfig: "the document does not depend on the configuration"},
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			document, err := openAPIDocument(version)
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(document)
			return err
		},
	}
	cmd.Flags().StringVar(&version, "version", version, "of OpenAPI: 3.1 or 3.0")
	return cmd
}

// openAPIDocument is the document, indented so that changes of it can be read.
func openAPIDocument(version string) ([]byte, error) {
	var data []byte
	var err error
	switch version {
	case "3.1":
		data = httpapi.OpenAPI()
	case "3.0":
		data, err = httpapi.OpenAPI30()
	default:
		return nil, usagef("--version %s: there are 3.1 and 3.0", version)
	}
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return nil, fmt.Errorf("indent the document: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
