package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A Certificate is a TLS certificate in files, and whom its owner trusts at the
// other end. Reload reads all of it again.
type Certificate struct {
	files Files
	now   atomic.Pointer[identity]

	mu      sync.Mutex
	callers []*http.Transport
}

// Files name what a Certificate is made of, in PEM form.
type Files struct {
	Cert, Key string // chain and private key; a caller may have neither
	// CA are the authorities of the other end. A server with it takes only callers
	// with a certificate of theirs; a caller without it believes the system's.
	CA string
}

// An identity is what was in the files at one time.
type identity struct {
	pair *tls.Certificate
	ca   *x509.CertPool // nil: none named
}

// LoadCertificate reads what f names.
func LoadCertificate(f Files) (*Certificate, error) {
	c := &Certificate{files: f}
	return c, c.Reload()
}

// Authorities reads whom to believe from a file in PEM form.
func Authorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

// Reload reads the files again. What was read before stays when any of them is
// bad.
func (c *Certificate) Reload() error {
	if c == nil {
		return nil
	}
	var next identity
	if c.files.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
		if err != nil {
			return fmt.Errorf("read TLS certificate: %w", err)
		}
		next.pair = &pair
	}
	if c.files.CA != "" {
		var err error
		if next.ca, err = Authorities(c.files.CA); err != nil {
			return fmt.Errorf("read TLS authorities: %w", err)
		}
	}
	c.now.Store(&next)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.callers {
		t.CloseIdleConnections() // the next question is asked with what was just read
	}
	return nil
}

// Expires is when the certificate ends; zero where there is none.
func (c *Certificate) Expires() time.Time {
	if c == nil || c.now.Load() == nil || c.now.Load().pair == nil {
		return time.Time{}
	}
	return c.now.Load().pair.Leaf.NotAfter
}

// AsksCallers reports whether a listener with this certificate takes only callers
// that show one themselves.
func (c *Certificate) AsksCallers() bool { return c != nil && c.files.CA != "" }

// server is the configuration of a listener. Certificate and authorities are
// looked up at each handshake.
func (c *Certificate) server() *tls.Config {
	config := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load().pair, nil },
	}
	if c.AsksCallers() {
		// VerifyConnection, and not ClientCAs, because that would be one pool for
		// good, and because it runs for resumed sessions as well.
		config.ClientAuth = tls.RequireAnyClientCert
		config.VerifyConnection = c.admit
	}
	return config
}

// admit takes a caller whose certificate leads to one of our authorities.
func (c *Certificate) admit(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("no client certificate")
	}
	between := x509.NewCertPool()
	for _, cert := range s.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: c.now.Load().ca, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// Client is an HTTP client that shows this certificate and believes these
// authorities, both as they are when it connects. It follows no redirect and
// asks no proxy.
func (c *Certificate) Client(timeout time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	t := &http.Transport{
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return (&tls.Dialer{NetDialer: dialer, Config: c.caller()}).DialContext(ctx, network, addr)
		},
		IdleConnTimeout:     time.Minute,
		MaxIdleConnsPerHost: 2,
	}
	c.mu.Lock()
	c.callers = append(c.callers, t)
	c.mu.Unlock()
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     t,
	}
}

func (c *Certificate) caller() *tls.Config {
	id := c.now.Load()
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: id.ca}
	if id.pair != nil {
		config.Certificates = []tls.Certificate{*id.pair}
	}
	return config
}
