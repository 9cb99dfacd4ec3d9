package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/client"
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

// issue makes a pair and loads it, with these authorities to believe. What is said of
// its owner may be changed.
func (a *authority) issue(name string, usage x509.ExtKeyUsage, ca string, changes ...func(*x509.Certificate)) *serve.Certificate {
	a.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{usage}}
	for _, change := range changes {
		change(template)
	}
	der, key := a.sign(template)
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

// known puts URIs into a certificate.
func known(uris ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, text := range uris {
			u, err := url.Parse(text)
			if err != nil {
				panic(err) // they are constants
			}
			c.URIs = append(c.URIs, u)
		}
	}
}

const euCentral = "spiffe://example.com/region/eu-central"

// Claims travel by TLS that both ends prove themselves by, where an operator
// wants it; whoever has no certificate is not heard, whatever they have signed.
func TestHDR06ClaimsByMutualTLS(t *testing.T) {
	w, a := newWorld(t), newAuthority(t)
	ca := filepath.Join(a.dir, "ca.pem")
	w.at.InternalCertificate = a.issue("front", x509.ExtKeyUsageServerAuth, ca)
	d := w.front()
	o := w.eu
	o.ClaimsURL = "https://" + d.Claims()
	o.ClaimsTLS = a.issue("region", x509.ExtKeyUsageClientAuth, ca, known(euCentral))
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

// HDR-06: what a region has signed is heard only from the region's own certificate:
// none that is another's, that names nobody, that has ended, or that another
// authority has signed.
func TestHDR06CertificateOfTheRegion(t *testing.T) {
	w, a, foreign := newWorld(t), newAuthority(t), newAuthority(t)
	ca := filepath.Join(a.dir, "ca.pem")
	w.at.InternalCertificate = a.issue("front", x509.ExtKeyUsageServerAuth, ca)
	d := w.front()
	post := func(caller *serve.Certificate) (status int, body string, err error) {
		signed, err := discovery.SignBatch(discovery.Batch{Region: "eu-central", FrontDoor: w.at.URL, Claims: []discovery.Claim{}, Issued: time.Now().Unix()}, w.eu.Publishing, "")
		if err != nil {
			t.Fatal(err)
		}
		res, err := caller.Client(10*time.Second).Post("https://"+d.Claims()+"/claims", "application/jose", strings.NewReader(signed))
		if err != nil {
			return 0, "", err
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text), nil
	}
	const asks = x509.ExtKeyUsageClientAuth
	for name, tt := range map[string]struct {
		change func(*x509.Certificate)
		status int
	}{
		"the region's own":        {known(euCentral), http.StatusOK},
		"in another trust domain": {known("spiffe://eu.example.org/region/eu-central"), http.StatusOK},
		"another region's":        {known("spiffe://example.com/region/us-east"), http.StatusForbidden},
		"longer":                  {known(euCentral + "-2"), http.StatusForbidden},
		"below it":                {known(euCentral + "/x"), http.StatusForbidden},
		"escaped":                 {known("spiffe://example.com/region/eu%2Dcentral"), http.StatusForbidden},
		"a query":                 {known(euCentral + "?eu-central"), http.StatusForbidden},
		"two regions'":            {known(euCentral, "spiffe://example.com/region/us-east"), http.StatusForbidden},
		"nobody's":                {known(), http.StatusForbidden},
		"no SPIFFE ID":            {known("https://example.com/region/eu-central"), http.StatusForbidden},
		"no trust domain":         {known("spiffe:///region/eu-central"), http.StatusForbidden},
		"a front door's":          {known("spiffe://example.com/front-door"), http.StatusForbidden},
		"a name only": {func(c *x509.Certificate) {
			c.Subject.CommonName, c.DNSNames = "eu-central", []string{"eu-central"}
		}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			status, body, err := post(a.issue("caller", asks, ca, tt.change))
			if err != nil || status != tt.status || (status != http.StatusOK) != strings.Contains(body, "The certificate ") {
				t.Errorf("got %d %s, %v; want %d", status, body, err, tt.status)
			}
		})
	}
	ended := func(c *x509.Certificate) {
		known(euCentral)(c)
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Minute)
	}
	notYet := func(c *x509.Certificate) { known(euCentral)(c); c.NotBefore = time.Now().Add(30 * time.Minute) }
	nothing, err := serve.LoadCertificate(serve.Files{CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	for name, caller := range map[string]*serve.Certificate{
		"ended":             a.issue("ended", asks, ca, ended),
		"not yet":           a.issue("early", asks, ca, notYet),
		"another authority": foreign.issue("foreign", asks, ca, known(euCentral)),
		"a server's":        a.issue("server", x509.ExtKeyUsageServerAuth, ca, known(euCentral)),
		"none":              nothing,
	} {
		if status, body, err := post(caller); err == nil {
			t.Errorf("%s: got %d %s, want no connection", name, status, body)
		}
	}
	if last, err := d.Store().Census(t.Context()); err != nil || len(last) != 1 || last[0].Region != "eu-central" {
		t.Errorf("who was heard: %+v, %v", last, err)
	}
}

// HDR-06: a region tells its claims to nobody but the front door: not to a server that
// has another name, whose certificate has ended, or is of another authority.
func TestHDR06FrontDoorOfTheRegion(t *testing.T) {
	w, a, foreign := newWorld(t), newAuthority(t), newAuthority(t)
	ca := filepath.Join(a.dir, "ca.pem")
	region := a.issue("region", x509.ExtKeyUsageClientAuth, ca, known(euCentral))
	const server = x509.ExtKeyUsageServerAuth
	for name, of := range map[string]*serve.Certificate{
		"another name":      a.issue("elsewhere", server, ca, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"login.example.com"} }),
		"ended":             a.issue("ended", server, ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
		"another authority": foreign.issue("foreign", server, ca),
		"a client's":        a.issue("client", x509.ExtKeyUsageClientAuth, ca),
	} {
		s, err := serve.Listen("claims", "127.0.0.1:0", of, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Errorf("%s: claims are told", name)
		}), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		o := client.Client{URL: "https://" + s.Addr().String(), Region: "eu-central", FrontDoor: w.at.URL, Key: w.eu.Publishing, HTTP: region.Client(5 * time.Second)}
		if _, err := o.Publish(t.Context(), discovery.Batch{}); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
