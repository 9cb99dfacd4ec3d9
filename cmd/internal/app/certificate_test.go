package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
)

// A certificate that is renewed in its files is served, without a signal.
func TestRenewedCertificateIsServed(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	issue(t, certFile, keyFile, 1)
	cert, err := serve.LoadCertificate(serve.Files{Cert: certFile, Key: keyFile})
	if err != nil {
		t.Fatal(err)
	}
	p := newProcess(Common{})
	t.Cleanup(func() { _ = p.Stop(t.Context()) })
	if err := p.listen("public", "127.0.0.1:0", cert, http.NotFoundHandler()); err != nil {
		t.Fatal(err)
	}
	issue(t, certFile, keyFile, 2)
	p.Start()
	for serial, end := int64(0), time.Now().Add(10*time.Second); serial != 2; {
		if time.Now().After(end) {
			t.Fatalf("certificate %d is served, and 2 lies in the file", serial)
		}
		conn, err := tls.Dial("tcp", p.Addr("public"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		serial = conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
		_ = conn.Close()
	}
}

// issue writes a certificate of that number and its key.
func issue(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert},
		keyFile:  {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
