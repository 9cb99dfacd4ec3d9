package serve

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An authority signs certificates and lies in a file.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue writes a pair for 127.0.0.1 into dir and names it.
func (a *authority) issue(dir string, usage x509.ExtKeyUsage) Files {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	f := Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem")}
	a.write(f.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	return f
}

func (a *authority) write(name string, text []byte) {
	a.t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func load(t *testing.T, f Files) *Certificate {
	t.Helper()
	c, err := LoadCertificate(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A listener with authorities takes only callers whom they vouch for, and a
// caller with authorities only such a listener; what is trusted can be changed
// while both run, and a resumed session is judged like a new one.
func TestHDR06MutualTLS(t *testing.T) {
	front, region, stranger := newAuthority(t), newAuthority(t), newAuthority(t)
	serverFiles := front.issue(t.TempDir(), x509.ExtKeyUsageServerAuth)
	front.write(serverFiles.CA, region.pem)
	server := load(t, serverFiles)
	s, err := Listen("claims", "127.0.0.1:0", server, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}), quiet())
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() { _ = s.Stop(t.Context()) }()

	clientFiles := region.issue(t.TempDir(), x509.ExtKeyUsageClientAuth)
	region.write(clientFiles.CA, front.pem)
	caller := load(t, clientFiles)
	client := caller.Client(10 * time.Second)
	ask := func(c *http.Client) error {
		res, err := c.Get("https://" + s.Addr().String())
		if err == nil {
			_ = res.Body.Close()
		}
		return err
	}
	if err := ask(client); err != nil {
		t.Fatalf("the region: %v", err)
	}

	other := stranger.issue(t.TempDir(), x509.ExtKeyUsageClientAuth)
	stranger.write(other.CA, front.pem)
	if ask(load(t, other).Client(10*time.Second)) == nil {
		t.Error("a certificate of somebody else's authority is taken")
	}
	asServer := region.issue(t.TempDir(), x509.ExtKeyUsageServerAuth)
	region.write(asServer.CA, front.pem)
	if ask(load(t, asServer).Client(10*time.Second)) == nil {
		t.Error("a server's certificate is taken for a caller's")
	}
	if ask(load(t, Files{CA: clientFiles.CA}).Client(10*time.Second)) == nil {
		t.Error("a caller without a certificate is taken")
	}
	if ask(load(t, Files{Cert: clientFiles.Cert, Key: clientFiles.Key}).Client(10*time.Second)) == nil {
		t.Error("the system's authorities vouch for a front door of ours")
	}

	// The front door changes its authorities; a session from before is worth nothing.
	resuming := caller.caller()
	resuming.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	visit := func() (bool, error) {
		c, err := tls.Dial("tcp", s.Addr().String(), resuming)
		if err != nil {
			return false, err
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			return false, err
		}
		_, err = io.ReadAll(c)
		return c.ConnectionState().DidResume, err
	}
	if _, err := visit(); err != nil {
		t.Fatal(err)
	}
	if resumed, err := visit(); err != nil || !resumed {
		t.Fatalf("no session was resumed: %v", err)
	}
	front.write(serverFiles.CA, stranger.pem)
	if err := server.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := visit(); err == nil {
		t.Error("a session outlives the trust it was made with")
	}
	if client.CloseIdleConnections(); ask(client) == nil {
		t.Error("an authority that was taken out is still believed")
	}
	front.write(serverFiles.CA, []byte("nonsense"))
	if server.Reload() == nil {
		t.Error("a file without a certificate was read without complaint")
	}
	if ask(load(t, other).Client(10*time.Second)) != nil {
		t.Error("after a bad change, what was good before is gone")
	}

	// And the caller, its own.
	front.write(clientFiles.CA, stranger.pem)
	if err := caller.Reload(); err != nil {
		t.Fatal(err)
	}
	front.write(serverFiles.CA, region.pem)
	if err := server.Reload(); err != nil {
		t.Fatal(err)
	}
	if ask(client) == nil {
		t.Error("the caller believes an authority that was taken out")
	}
}

func TestSecondProtocol(t *testing.T) {
	s, cert := overTLS(t, t.TempDir(), "portal.test")
	if left := time.Until(cert.Expires()); left <= 0 || left > time.Hour {
		t.Errorf("expires in %v", left)
	}
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := client.Get("https://" + s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Errorf("spoken: %s", res.Proto)
	}
	if h := s.http.HTTP2; h == nil || h.MaxConcurrentStreams == 0 || h.MaxConcurrentStreams > 100 {
		t.Errorf("HTTP/2 is not bounded: %+v", h)
	}
}

// HDR-01: what net/http answers before any handler of ours says nothing of what
// was asked, and ends the connection: there is nothing to protect in it.
func TestAnswersBeforeUs(t *testing.T) {
	s, err := Listen("public", "127.0.0.1:0", nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a handler was reached")
	}), quiet())
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() { _ = s.Stop(t.Context()) }()
	for name, asked := range map[string]string{
		"malformed line":  "GET /canary\r\n\r\n",
		"two hosts":       "GET / HTTP/1.1\r\nHost: canary.test\r\nHost: b.test\r\n\r\n",
		"no host":         "GET /canary HTTP/1.1\r\n\r\n",
		"bad header":      "GET / HTTP/1.1\r\nHost: a.test\r\nCana ry: canary\r\n\r\n",
		"large header":    "GET / HTTP/1.1\r\nHost: a.test\r\nX: " + strings.Repeat("canary", 10<<10) + "\r\n\r\n",
		"unknown version": "GET /canary HTTP/3.7\r\nHost: a.test\r\n\r\n",
		"unknown coding":  "POST /canary HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: canary\r\n\r\n",
		"expectation":     "GET /canary HTTP/1.1\r\nHost: a.test\r\nExpect: canary\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if _, err := io.WriteString(c, asked); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil && !strings.Contains(err.Error(), "reset") {
				t.Fatal(err)
			}
			// Of text, and not guessed at; or of nothing.
			plain := strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") || len(body) == 0
			if res.StatusCode < 400 || !res.Close || strings.Contains(string(body), "canary") || !plain {
				t.Errorf("%s %v %q", res.Status, res.Header, body)
			}
		})
	}
}
