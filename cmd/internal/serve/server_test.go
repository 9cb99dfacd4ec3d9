package serve

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func writeCertificate(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// overTLS serves nothing with a certificate in dir, until the test ends.
func overTLS(t *testing.T, dir, name string) (*Server, *Certificate) {
	t.Helper()
	writeCertificate(t, dir, name)
	cert, err := LoadCertificate(Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Listen("public", "127.0.0.1:0", cert, http.NotFoundHandler(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	return s, cert
}

// HDR-05 (our side of it): TLS 1.2 or newer, and a certificate that can be
// changed while we serve.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	s, cert := overTLS(t, dir, "first.test")
	dial := func(max uint16) (*tls.Conn, error) {
		return tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: max})
	}
	for _, old := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if c, err := dial(old); err == nil {
			_ = c.Close()
			t.Errorf("version %x was accepted", old)
		}
	}
	named := func() string {
		c, err := dial(tls.VersionTLS13)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := named(); got != "first.test" {
		t.Errorf("certificate of %s", got)
	}
	writeCertificate(t, dir, "second.test")
	if err := cert.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := named(); got != "second.test" {
		t.Errorf("after the change: certificate of %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cert.Reload(); err == nil {
		t.Error("a bad certificate was read without complaint")
	}
	if got := named(); got != "second.test" {
		t.Errorf("after a bad change: certificate of %s", got)
	}
}

// HDR-08: nobody holds a connection for ever.
func TestTimeouts(t *testing.T) {
	s, err := Listen("public", "127.0.0.1:0", nil, http.NotFoundHandler(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop(context.Background()) }()
	h := &s.http
	if h.ReadHeaderTimeout > 5*time.Second || h.ReadTimeout > 15*time.Second || h.WriteTimeout > 30*time.Second || h.IdleTimeout > time.Minute ||
		h.ReadHeaderTimeout*h.ReadTimeout*h.WriteTimeout*h.IdleTimeout == 0 || h.MaxHeaderBytes != 32<<10 {
		t.Errorf("timeouts are not set: %+v", h)
	}
}

func TestPortInUse(t *testing.T) {
	first, err := Listen("public", "127.0.0.1:0", nil, http.NotFoundHandler(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Stop(context.Background()) }()
	if _, err := Listen("public", first.Addr().String(), nil, http.NotFoundHandler(), quiet()); err == nil {
		t.Error("one port was bound twice")
	}
}

// Stop lets a request under way finish, and cuts it off when time is up.
func TestGracefulStop(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	s, err := Listen("public", "127.0.0.1:0", nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "done")
	}), quiet())
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + s.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		answer <- string(body)
	}()
	<-arrived
	expired, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	close(release)
	if got := <-answer; got != "done" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	cancel()
	if err := s.Stop(expired); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Browsers open connections ahead of need; Stop does not wait for them.
func TestStopHangsUp(t *testing.T) {
	accepted := make(chan struct{})
	s, err := Listen("public", "127.0.0.1:0", nil, http.NotFoundHandler(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	inner := s.http.ConnState
	s.http.ConnState = func(c net.Conn, state http.ConnState) {
		inner(c, state)
		if state == http.StateNew {
			close(accepted)
		}
	}
	s.Start()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	<-accepted
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the silent connection was not closed: %v", err)
	}
}

func TestProbes(t *testing.T) {
	ready := func(context.Context) error { return errors.New("database: dial 10.0.0.3: refused") }
	h, _ := site(t, func(o *Options) { o.Ready = ready })
	res := do(h, request("GET", "/readyz", ""))
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusServiceUnavailable || strings.Contains(string(body), "10.0.0.3") {
		t.Errorf("the public hears %d %q", res.StatusCode, body)
	}
	if res := do(h, request("GET", "/healthz", "")); res.StatusCode != http.StatusOK {
		t.Errorf("healthz: %d", res.StatusCode)
	}
	w := httptest.NewRecorder()
	notes := func() []string { return []string{"redis: away\nsince noon"} }
	private := Private(prometheus.NewRegistry(), ready, notes)
	private.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "10.0.0.3") {
		t.Errorf("the operator hears %d %q", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	fine := func(context.Context) error { return nil }
	Private(prometheus.NewRegistry(), fine, notes).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	if w.Code != http.StatusOK || w.Body.String() != "ok\ndegraded: redis: away since noon\n" {
		t.Errorf("of what it does without, the operator hears %d %q", w.Code, w.Body)
	}
	h, _ = site(t, func(o *Options) { o.Ready = fine })
	if body, _ := io.ReadAll(do(h, request("GET", "/readyz", "")).Body); string(body) != "ok\n" {
		t.Errorf("and the public %q", body)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/healthz"} {
		w := httptest.NewRecorder()
		private.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
		if res := do(h, request("GET", path, "")); path != "/healthz" && res.StatusCode != http.StatusNotFound {
			t.Errorf("%s is public: %d", path, res.StatusCode)
		}
	}
}
