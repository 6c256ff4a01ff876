//go:build !nocloud

package main

// The drivers of s3://, gs:// and azblob:// make the binary half as large again and the first build a
// minute longer: 'make run' leaves them out.
import (
	_ "gocloud.dev/blob/azureblob"
	_ "gocloud.dev/blob/gcsblob"
	_ "gocloud.dev/blob/s3blob"
)
