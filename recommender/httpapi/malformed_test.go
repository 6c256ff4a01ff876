package httpapi_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/recommender/httpapi"
)

const (
	postHead = "POST /v1/recommend HTTP/1.1\r\nHost: x\r\n"
	smuggled = "DELETE /v1/users/victim HTTP/1.1\r\nHost: x\r\n\r\n"
)

// malformed is HTTP as it must not be, with how many answers may come: one that is no success and the end of
// the connection, unless it says otherwise. Nothing of it may be taken for a second request.
var malformed = map[string]struct {
	request string
	ok      bool // it is odd, and all right: answered with success
}{
	// Where does the body end? (request smuggling)
	"length-and-chunked":       {request: postHead + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled},
	"chunked-and-length":       {request: postHead + "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n" + smuggled},
	"length-and-CHUNKED":       {request: postHead + "content-length: 6\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n" + smuggled},
	"two-lengths":              {request: postHead + "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}" + smuggled},
	"two-equal-lengths":        {request: postHead + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + smuggled},
	"a-list-of-lengths":        {request: postHead + "Content-Length: 2, 2\r\n\r\n{}" + smuggled},
	"two-encodings":            {request: postHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled},
	"unknown-encoding":         {request: postHead + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled},
	"gzip-chunked":             {request: postHead + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + smuggled},
	"space-before-the-colon":   {request: postHead + "Content-Length : 2\r\n\r\n{}" + smuggled},
	"folded-encoding":          {request: postHead + "Transfer-Encoding:\r\n chunked\r\nContent-Length: 2\r\n\r\n{}" + smuggled},
	"tab-in-encoding":          {request: postHead + "Transfer-Encoding:\tchunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n" + smuggled},
	"length-with-plus":         {request: postHead + "Content-Length: +2\r\n\r\n{}" + smuggled},
	"length-below-zero":        {request: postHead + "Content-Length: -2\r\n\r\n{}" + smuggled},
	"length-in-hex":            {request: postHead + "Content-Length: 0x2\r\n\r\n{}" + smuggled},
	"length-beyond-64-bits":    {request: postHead + "Content-Length: 18446744073709551618\r\n\r\n{}" + smuggled},
	"length-that-is-a-word":    {request: postHead + "Content-Length: two\r\n\r\n{}" + smuggled},
	"chunk-beyond-64-bits":     {request: postHead + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n" + smuggled},
	"chunk-of-words":           {request: postHead + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n" + smuggled},
	"chunk-below-zero":         {request: postHead + "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n" + smuggled},
	"chunk-longer-than-said":   {request: postHead + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}{}\r\n0\r\n\r\n" + smuggled},
	"chunk-that-ends-by-lf":    {request: postHead + "Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n" + smuggled},
	"chunk-too-large":          {request: postHead + "Transfer-Encoding: chunked\r\n\r\n200000\r\n" + strings.Repeat("x", 0x200000) + "\r\n0\r\n\r\n" + smuggled},
	"chunked-in-http-1.0":      {request: "POST /v1/recommend HTTP/1.0\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}" + smuggled},
	"get-with-both":            {request: "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled},
	"unknown-path-with-both":   {request: "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled},
	"wrong-method-with-both":   {request: "PATCH /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled},
	"unknown-path-two-lengths": {request: "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}" + smuggled},

	// Who is asked?
	"no-host":         {request: "GET /livez HTTP/1.1\r\n\r\n"},
	"two-hosts":       {request: "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
	"host-with-space": {request: "GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n"},

	// The first line and the header.
	"http-0.9":             {request: "GET /livez\r\n\r\n"},
	"http-2-preface":       {request: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	"http-9":               {request: "GET /livez HTTP/9.9\r\nHost: x\r\n\r\n"},
	"tls":                  {request: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"},
	"no-method":            {request: " /livez HTTP/1.1\r\nHost: x\r\n\r\n"},
	"method-of-signs":      {request: "G\x00T /livez HTTP/1.1\r\nHost: x\r\n\r\n"},
	"connect":              {request: "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n"},
	"trace":                {request: "TRACE /livez HTTP/1.1\r\nHost: x\r\n\r\n"},
	"nul-in-header":        {request: "GET /livez HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n"},
	"nul-in-path":          {request: "GET /livez\x00 HTTP/1.1\r\nHost: x\r\n\r\n"},
	"space-in-a-name":      {request: "GET /livez HTTP/1.1\r\nHost: x\r\nX Y: z\r\n\r\n"},
	"name-without-colon":   {request: "GET /livez HTTP/1.1\r\nHost: x\r\nNoColon\r\n\r\n"},
	"huge-header":          {request: "GET /livez HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 64<<10) + "\r\n\r\n"},
	"thousands-of-headers": {request: "GET /livez HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 5000) + "\r\n"},
	"huge-path":            {request: "GET /" + strings.Repeat("p", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n"},
	"path-out-of-here":     {request: "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"},
	"encoded-path-out":     {request: "GET /v1/items/..%2f..%2fmetrics/similar/../../../../nowhere HTTP/1.1\r\nHost: x\r\n\r\n"},
	"only-newlines":        {request: strings.Repeat("\r\n", 1000) + "x\r\n\r\n"},
	"body-too-large":       {request: postHead + "Content-Length: 9999999\r\n\r\n" + strings.Repeat("x", 100_000)},
	"headers-never-end":    {request: "GET /livez HTTP/1.1\r\nHost: x\r\nX: y\r\n"},
	"body-never-ends":      {request: postHead + "Content-Length: 10\r\n\r\n{"},

	// Odd, and all right.
	"http-1.0":          {request: "GET /livez HTTP/1.0\r\nHost: x\r\n\r\n", ok: true},
	"absolute-form":     {request: "GET http://x/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", ok: true},
	"chunked-extension": {request: postHead + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2;a=b\r\n{}\r\n0\r\n\r\n", ok: true},
}

var statusLine = regexp.MustCompile(`HTTP/1\.[01] (\d{3}) `)

// answers sends bytes as they are, closes its side, and returns the statuses of all that comes back.
func (s *service) answers(t testing.TB, request string) (statuses []string, whole string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, request) // whoever refuses a request may hang up before it is whole
	_ = conn.(*net.TCPConn).CloseWrite()
	var out bytes.Buffer
	_, err = io.Copy(&out, conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the connection is held open")
	}
	for _, m := range statusLine.FindAllStringSubmatch(out.String(), -1) {
		statuses = append(statuses, m[1])
	}
	return statuses, out.String()
}

// TestMalformedHTTP sends what no client should. No panic, no 5xx, no second request out of a body, and the
// server goes on.
func TestMalformedHTTP(t *testing.T) {
	s := serve(t, func(o *httpapi.Options) { o.ReadTimeout, o.IdleTimeout = 20*time.Second, 20*time.Second })
	for name, tc := range malformed {
		t.Run(name, func(t *testing.T) {
			statuses, whole := s.answers(t, tc.request)
			switch {
			case tc.ok && (len(statuses) != 1 || statuses[0] != "200"):
				t.Errorf("answers %v, want one 200: %.300s", statuses, whole)
			case !tc.ok && len(statuses) > 1:
				t.Errorf("%d answers to one request: %v", len(statuses), statuses)
			case !tc.ok && len(statuses) == 1 && !strings.HasPrefix(statuses[0], "4"):
				t.Errorf("answers %s: %.300s", statuses[0], whole)
			}
		})
	}
	for _, e := range s.log.written() {
		t.Errorf("a request out of a body was obeyed: %s %s", e.Type, e.Key())
	}
	if resp, _ := s.do(t, "GET", "/livez", "", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("afterwards /livez answers %d", resp.StatusCode)
	}
	if _, figures := s.do(t, "GET", "/metrics", "", nil); !strings.Contains(figures, "sartor_http_panics_total 0") {
		t.Error("something panicked")
	}
}

// TestPipelined: requests that come at once are answered in order, up to the one that is broken.
func TestPipelined(t *testing.T) {
	s := serve(t, nil)
	good := "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
	statuses, _ := s.answers(t, good+good+postHead+"Content-Length: 2\r\n\r\n{}"+postHead+"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"+good)
	if fmt.Sprint(statuses) != "[200 200 200 400]" {
		t.Errorf("answers %v", statuses)
	}
}

// FuzzHTTP sends any bytes: whatever comes back is no 5xx, no panic, and not for ever.
func FuzzHTTP(f *testing.F) {
	for _, tc := range malformed {
		if len(tc.request) < 2000 {
			f.Add([]byte(tc.request))
		}
	}
	s := serve(f, func(o *httpapi.Options) { o.ReadTimeout, o.IdleTimeout = 20*time.Second, 20*time.Second })
	f.Fuzz(func(t *testing.T, request []byte) {
		statuses, whole := s.answers(t, string(request))
		for _, status := range statuses {
			if strings.HasPrefix(status, "5") {
				// Events that are well-formed are refused by a log that is away; there is one here.
				t.Fatalf("%q answers %v: %s", request, statuses, whole)
			}
		}
	})
}
