//go:build !nocloud

package main

import (
	"testing"

	"gocloud.dev/blob"
)

func TestCloudDriversAreBuiltIn(t *testing.T) {
	for _, scheme := range []string{"s3", "gs", "azblob"} {
		if !blob.DefaultURLMux().ValidBucketScheme(scheme) {
			t.Errorf("the full binary cannot open %s://", scheme)
		}
	}
}
