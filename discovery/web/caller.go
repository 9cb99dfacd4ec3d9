package web

import (
	"crypto/tls"
	"errors"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
)

// regionPath is what stands in a region's certificate behind the operator's trust
// domain: spiffe://example.com/region/eu-central.
const regionPath = "/region/"

var (
	errNoCertificate = errors.New("the connection has no client certificate")
	errNoRegion      = errors.New("the client certificate has not one URI of the form spiffe://example.com/region/NAME")
	errOtherRegion   = errors.New("the client certificate is another region's")
)

// certified reports why the certificate of a connection does not speak for a region,
// or nil. Its authority was looked at in the handshake; this is for what one region
// could carry in another's name with a key that it has got hold of.
func certified(c *tls.ConnectionState, region string) error {
	refuse := func(why error) error {
		return &discovery.Error{Kind: discovery.Forbidden, Code: "claims_certificate", Err: why,
			Say: "The certificate does not name the region that has signed."}
	}
	if c == nil || len(c.PeerCertificates) == 0 {
		return refuse(errNoCertificate)
	}
	names := c.PeerCertificates[0].URIs
	if len(names) != 1 { // SPIFFE X.509-SVID 2: exactly one
		return refuse(errNoRegion)
	}
	u := names[0]
	name, ok := strings.CutPrefix(u.EscapedPath(), regionPath)
	switch {
	case !strings.EqualFold(u.Scheme, "spiffe") || !ok || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return refuse(errNoRegion)
	case name != region:
		return refuse(errOtherRegion)
	}
	return nil
}
