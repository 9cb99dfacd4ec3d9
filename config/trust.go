package config

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"time"
)

// CallerTLS is how a region speaks TLS to the front door's internal listener.
type CallerTLS struct {
	CAFile            string // whom to believe; empty: the system's authorities
	CertFile, KeyFile string // what to show; empty: nothing
}

// callerTLS reads the tls section below front_door, or returns nil when there is
// none.
func callerTLS(s *section, to *url.URL, now time.Time) *CallerTLS {
	sub := s.sub("tls", false)
	if sub.absent {
		return nil
	}
	defer sub.done()
	c := &CallerTLS{CAFile: get(sub, "ca_file", authorities, "")}
	cert, shown := sub.take("cert_file")
	key, keyed := sub.take("key_file")
	switch {
	case shown && keyed:
		c.CertFile, c.KeyFile = pair(cert, key, now)
	case shown:
		sub.missing("key_file", "the path of the certificate's private key")
	case keyed:
		sub.missing("cert_file", "the path of a certificate chain in PEM form")
	}
	if len(sub.keys) == 0 {
		sub.wrong("it is empty: set ca_file, or cert_file and key_file, or take the section out")
	}
	if to != nil && to.Scheme != "https" {
		s.keys["tls"].wrong("internal_url does not begin with https://, so none of this would be used")
	}
	return c
}

// authorities reads the path of a file with certificates.
func authorities(v value) string {
	path := readableFile(v)
	if path == "" {
		return ""
	}
	data, err := readFile(path)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(data) {
		v.wrong("%s holds no certificate in PEM form", path)
	}
	return path
}

// pair reads a certificate chain and its key, and complains where they are not
// one, or no longer.
func pair(certAt, keyAt value, now time.Time) (cert, key string) {
	secret, ok := secretFile(keyAt)
	cert, key = readableFile(certAt), keyAt.r.absolute(text(keyAt))
	chain, err := readFile(cert)
	if err != nil || !ok {
		return cert, key // and has been reported
	}
	p, err := tls.X509KeyPair(chain, []byte(secret))
	if err != nil {
		certAt.wrong("certificate and key do not make a pair: check that both are PEM and belong together")
		return cert, key
	}
	switch left := p.Leaf.NotAfter.Sub(now); {
	case left <= 0:
		certAt.wrong("the certificate expired on %s: renew it", p.Leaf.NotAfter.Format(time.DateOnly))
	case left < 14*24*time.Hour:
		certAt.warn("the certificate expires on %s: renew it", p.Leaf.NotAfter.Format(time.DateOnly))
	}
	return cert, key
}
