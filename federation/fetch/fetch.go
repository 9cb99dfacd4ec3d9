// Package fetch is the only client that talks to addresses a customer typed:
// issuers, metadata documents, key sets, token endpoints.
//
// Whoever sets up a connection chooses where this process connects to, so the
// client assumes the worst of every address. It speaks HTTPS on port 443 to
// public addresses and nothing else; it looks at every address a name resolves
// to, and then dials what it looked at, so that a name cannot change its mind
// in between. It follows no redirect, uses no proxy, keeps no cookie and no
// connection, takes no compressed answer, reads at most 1 MiB in at most 5
// seconds, and tells nobody but the log why it failed: to the outside every
// failure reads the same, or it would be a port scanner for hire.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	// MaxBytes is the largest body that is read.
	MaxBytes = 1 << 20
	// Timeout bounds one exchange, from the look-up of the name to the last byte.
	Timeout = 5 * time.Second
)

// Options of a client. The zero value is the only one for production.
type Options struct {
	// DangerouslyAllowLoopback lets localhost, names under .localhost and
	// loopback addresses be reached, on any port and without TLS. It is for the
	// demo and for tests: with it, every customer can reach whatever listens on
	// this machine.
	DangerouslyAllowLoopback bool

	// Dial leads localhost names to listeners, "idp.localhost:8080" to
	// "127.0.0.1:8080". A localhost name that is not in it is dialled at
	// 127.0.0.1 and its own port. It means nothing unless
	// DangerouslyAllowLoopback is set.
	Dial map[string]string

	// RootCAs replaces the system's certificate authorities when it is not nil.
	RootCAs *x509.CertPool

	// Log hears why a fetch failed. Nil is silent.
	Log *slog.Logger

	// lookup stands for the resolver in tests of this package.
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Error is the one thing a failed fetch says. Its text is constant; the reason
// underneath is for the log and must not reach whoever typed the address.
type Error struct {
	reason error
}

func (e *Error) Error() string { return "the address could not be read" }

// Unwrap gives the reason to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.reason }

// LogValue makes the reason appear in logs, and only there.
func (e *Error) LogValue() slog.Value { return slog.StringValue(e.reason.Error()) }

// Reasons for refusing before or after anything was sent.
var (
	ErrAddress  = errors.New("address refused")
	ErrRedirect = errors.New("redirect refused")
	ErrTooLarge = errors.New("answer too large")
	ErrEncoding = errors.New("compressed answer refused")
	ErrStatus   = errors.New("status is not 200")
	ErrType     = errors.New("content type refused")
)

// New returns a client that is safe to point at anything. It may be shared by
// all tenants: no state of one exchange outlives it.
func New(o Options) *http.Client {
	if o.lookup == nil {
		o.lookup = net.DefaultResolver.LookupNetIP
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	g := &guarded{options: o}
	g.transport = &http.Transport{
		Proxy:                  nil, // HTTP_PROXY would dial for us, past every check
		DialContext:            g.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		TLSHandshakeTimeout:    Timeout,
		ResponseHeaderTimeout:  Timeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return &http.Client{
		Transport: g,
		Timeout:   Timeout,
		// guarded refuses redirects already; this keeps the client from even
		// preparing a second request.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// guarded is the RoundTripper under the client.
type guarded struct {
	options   Options
	transport *http.Transport
}

// RoundTrip refuses what must not be sent and what must not be read.
func (g *guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.options.check(req.URL.String()); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, g.fail(req, err)
	}
	res, err := g.transport.RoundTrip(req)
	if err != nil {
		return nil, g.fail(req, err)
	}
	if err := answer(res); err != nil {
		res.Body.Close()
		return nil, g.fail(req, err)
	}
	res.Body = &capped{body: res.Body, left: MaxBytes}
	return res, nil
}

// fail logs the reason and hides it. Only the host is logged: paths and queries
// of some providers carry identifiers.
func (g *guarded) fail(req *http.Request, reason error) error {
	g.options.Log.LogAttrs(req.Context(), slog.LevelWarn, "fetch failed",
		slog.String("host", req.URL.Host), slog.String("reason", reason.Error()))
	return &Error{reason}
}

// answer looks at a response before its body is read.
func answer(res *http.Response) error {
	if res.StatusCode >= 300 && res.StatusCode < 400 {
		return ErrRedirect
	}
	// The transport never asks for compression, so an answer that comes
	// compressed anyway is a server at odds with HTTP, or a bomb.
	if enc := res.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return ErrEncoding
	}
	if res.ContentLength > MaxBytes {
		return ErrTooLarge
	}
	return nil
}

// capped is a body that fails, rather than ends, when it is too large: half a
// document must never look like a whole one.
type capped struct {
	body io.ReadCloser
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left < 0 {
		return 0, &Error{ErrTooLarge}
	}
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.body.Read(p)
	c.left -= int64(n)
	if c.left < 0 {
		return 0, &Error{ErrTooLarge}
	}
	return n, err
}

func (c *capped) Close() error { return c.body.Close() }

// Get reads the document at url with a client made by New. Where types are
// given, the answer must be declared as one of these media types ("+json" stands
// for every type with that suffix), and an image must also look like one. Every
// failure is an *Error.
func Get(ctx context.Context, client *http.Client, url string, types ...string) ([]byte, error) {
	// As it was typed: parsing already drops an empty fragment.
	if err := Check(client, url); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, &Error{ErrAddress}
	}
	return Do(client, req, types...)
}

// Do is Get for a request that needs headers of its own.
func Do(client *http.Client, req *http.Request, types ...string) ([]byte, error) {
	res, err := client.Do(req)
	if err != nil {
		return nil, hide(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, &Error{fmt.Errorf("%w: %d", ErrStatus, res.StatusCode)}
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, hide(err)
	}
	if len(types) > 0 {
		if err := typed(res.Header.Get("Content-Type"), body, types); err != nil {
			return nil, &Error{err}
		}
	}
	return body, nil
}

// hide turns whatever net/http says into the one error there is.
func hide(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{err}
}

func typed(declared string, body []byte, types []string) error {
	media, _, err := mime.ParseMediaType(declared)
	if err != nil {
		return ErrType
	}
	ok := slices.ContainsFunc(types, func(t string) bool {
		return media == t || strings.HasPrefix(t, "+") && strings.HasSuffix(media, t)
	})
	if !ok {
		return ErrType
	}
	if strings.HasPrefix(media, "image/") && http.DetectContentType(body) != media {
		return ErrType
	}
	return nil
}
