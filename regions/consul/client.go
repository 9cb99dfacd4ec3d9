// Package consul carries region records and the health of regions' processes
// through HashiCorp Consul.
//
// Signed records lie in the key/value store below "domicile/regions/", one a
// region. Portal processes register as the service "domicile-portal-" and their
// region's name, so that an access token can be confined to one region, and say
// every half second whether they are ready. A front door follows both with
// blocking queries.
//
// Nothing that comes from here is an authority. A record is worth its signature,
// which [regions.Catalogue] verifies; health may take a region out of rotation
// and sends nobody anywhere that signed records do not name; an address that
// somebody registered is shown to operators and is nowhere to go. With Consul
// away, what was last known stays.
//
// Three policies, one for each role, are all that is needed:
//
//	front door   key_prefix "domicile/regions/" { policy = "read" }
//	             service_prefix "domicile-portal-" { policy = "read" }
//	             node_prefix "" { policy = "read" }
//	portal       service "domicile-portal-eu-central" { policy = "write" }
//	signer       key_prefix "domicile/regions/" { policy = "write" }
package consul

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/regions"
)

// Options say where Consul is and what the client is for.
type Options struct {
	Address    string // "https://consul.internal:8501", or "http://127.0.0.1:8500" for the agent on this machine
	Token      string // ACL token; empty: none is sent
	Prefix     string // of keys and service names; empty: "domicile"
	Datacenter string // empty: the agent's own
	CA         *x509.CertPool

	// Regions are whose jurisdictions a registered process is held to; only
	// WatchHealth needs them.
	Regions *regions.Catalogue
	// Roots verify what Publish writes and what it finds; nothing else needs them.
	Roots []ed25519.PublicKey

	// DangerouslyAllowOpen takes what is wrong with Consul's access control for
	// granted, on a laptop.
	DangerouslyAllowOpen bool

	Log     *slog.Logger          // nil: none
	Metrics prometheus.Registerer // nil: none
	Now     func() time.Time
}

// A Client talks to one Consul. It is safe for use by many goroutines.
type Client struct {
	o         Options
	api       *api.Client
	anonymous *api.Client // the same Consul, as somebody without a token sees it

	// What the library has no call for.
	asking, stranger *http.Client
	at               *url.URL

	health  atomic.Pointer[map[string]condition]
	metrics metrics
}

// Bounds on what is believed to be an answer. A hostile key/value store must not
// fill the memory of every front door.
const (
	maxAnswer  = 16 << 20
	maxRecords = 1000
)

var validPrefix = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// New prepares a client. It does not connect.
func New(o Options) (*Client, error) {
	if o.Prefix == "" {
		o.Prefix = "domicile"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	u, err := url.Parse(o.Address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("consul: address %q: want https://host:port or http://127.0.0.1:8500", o.Address)
	case !validPrefix.MatchString(o.Prefix):
		return nil, fmt.Errorf("consul: prefix %q: want lower-case letters, digits and hyphens, at most 40", o.Prefix)
	case o.Now == nil:
		return nil, errors.New("consul: no clock")
	}
	transport := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 5 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.CA},
		TLSHandshakeTimeout:    2 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        time.Minute,
	}
	c := &Client{o: o, metrics: newMetrics(o.Metrics)}
	c.at, c.asking, c.stranger = u, within(guard{transport, o.Token}), within(guard{transport, ""})
	if c.api, err = newAPI(u, o, c.asking); err != nil {
		return nil, err
	}
	if c.anonymous, err = newAPI(u, o, c.stranger); err != nil {
		return nil, err
	}
	c.health.Store(&map[string]condition{})
	return c, nil
}

// within is an HTTP client that goes nowhere else.
func within(g guard) *http.Client {
	return &http.Client{
		Transport:     g,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func newAPI(u *url.URL, o Options, by *http.Client) (*api.Client, error) {
	c, err := api.NewClient(&api.Config{
		Address: u.Host, Scheme: u.Scheme, Datacenter: o.Datacenter,
		// Something must stand here, or the library looks for a token in the
		// environment. What is sent is the guard's business.
		Token: "-", HttpClient: by,
	})
	if err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	return c, nil
}

// A guard puts the token on a request and a bound on its answer.
type guard struct {
	next  http.RoundTripper
	token string
}

const tokenHeader = "X-Consul-Token"

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del(tokenHeader)
	if g.token != "" {
		r.Header.Set(tokenHeader, g.token)
	}
	res, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	most := int64(maxAnswer)
	if res.StatusCode != http.StatusOK {
		most = 4 << 10 // the library makes an error of the whole of it
	}
	res.Body = &bounded{ReadCloser: res.Body, left: most}
	return res, nil
}

var errTooLarge = fmt.Errorf("the answer has more than %d bytes", maxAnswer)

type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

// problem is an error of the library's as it may be logged: Consul might repeat
// a token that it was sent.
func (c *Client) problem(err error) error {
	if err == nil {
		return nil
	}
	if text := err.Error(); c.o.Token != "" && strings.Contains(text, c.o.Token) {
		return errors.New(strings.ReplaceAll(text, c.o.Token, "<secret>"))
	}
	return err
}

// denied reports whether Consul answered that the token does not suffice.
func denied(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == http.StatusForbidden
}

func (c *Client) records() string { return c.o.Prefix + "/regions/" }

func (c *Client) service(region string) string { return c.o.Prefix + "-portal-" + region }

type metrics struct {
	answered  *prometheus.GaugeVec
	failures  *prometheus.CounterVec
	up        *prometheus.GaugeVec
	unmatched prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		answered: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "domicile_consul_answered_timestamp_seconds",
			Help: "When Consul last answered, by what it was asked for: regions, health, registration.",
		}, []string{"watch"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "domicile_consul_failures_total",
			Help: "Questions that Consul did not answer or did not permit, by what it was asked for.",
		}, []string{"watch"}),
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "domicile_consul_region_up",
			Help: "1 while a process of the region is ready, 0 while none is; standby/home are processes that stand in. Absent: nothing is known.",
		}, []string{"region"}),
		unmatched: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "domicile_consul_unmatched_processes",
			Help: "Registered processes that do not count because no signed record covers the region and jurisdiction they claim.",
		}),
	}
	if r != nil {
		r.MustRegister(m.answered, m.failures, m.up, m.unmatched)
	}
	return m
}
