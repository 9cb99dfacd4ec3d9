package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
)

// An authority of the operator's own, for the way between region and front door.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "operator"}, IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, key := a.sign(a.cert)
	a.key = key
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) sign(template *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	return der, key
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue makes a pair and loads it, with these authorities to believe.
func (a *authority) issue(name string, usage x509.ExtKeyUsage, ca string) *serve.Certificate {
	a.t.Helper()
	der, key := a.sign(&x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{usage}})
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := serve.LoadCertificate(serve.Files{Cert: a.write(name+".pem", "CERTIFICATE", der), Key: a.write(name+".key", "PRIVATE KEY", secret), CA: ca})
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// Claims travel by TLS that both ends prove themselves by, where an operator
// wants it; whoever has no certificate is not heard, whatever they have signed.
func TestHDR06ClaimsByMutualTLS(t *testing.T) {
	w, a := newWorld(t), newAuthority(t)
	ca := filepath.Join(a.dir, "ca.pem")
	w.at.InternalCertificate = a.issue("front", x509.ExtKeyUsageServerAuth, ca)
	d := w.front()
	o := w.eu
	o.ClaimsURL = "https://" + d.Claims()
	o.ClaimsTLS = a.issue("region", x509.ExtKeyUsageClientAuth, ca)
	p, err := NewPortal(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, p) })
	p.Start()
	open(t, p)
	w.where(d, "ada@acme.example", "acme")

	onlyBelieves, err := serve.LoadCertificate(serve.Files{CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	if res, err := onlyBelieves.Client(10*time.Second).Post(o.ClaimsURL+"/claims", "application/jose", strings.NewReader("x")); err == nil {
		_ = res.Body.Close()
		t.Errorf("without a certificate, the answer is %s", res.Status)
	}
	if res, err := http.Get(o.ClaimsURL); err == nil {
		_ = res.Body.Close()
		t.Error("the system's authorities vouch for the front door")
	}
	_, metrics := get(t, "http://"+p.Addr("private")+"/metrics", "")
	if !strings.Contains(metrics, `domicile_tls_certificate_expiry_timestamp_seconds{listener="claims_client"}`) {
		t.Error("nobody is told when the region's certificate ends")
	}
}
