package saml

import (
	"time"

	"github.com/domicile-sso/domicile/federation"
)

// MetadataOption loosens [ParseMetadata].
type MetadataOption func(*metadataPolicy)

type metadataPolicy struct{ loopback bool }

// DangerouslyAllowLoopback accepts http: locations on localhost, *.localhost
// and loopback addresses. It is for the demo and for tests: an IdP reached
// without TLS can be anybody.
func DangerouslyAllowLoopback() MetadataOption {
	return func(p *metadataPolicy) { p.loopback = true }
}

// ParseMetadata reads an IdP's metadata. entityID picks one of an aggregate and
// may be empty when there is just one IdP.
func ParseMetadata(doc []byte, entityID string, now time.Time, options ...MetadataOption) (federation.SAMLSettings, error) {
	return federation.SAMLSettings{}, nil
}

// Metadata is our own metadata for c: what the IdP's administrator uploads.
func Metadata(c federation.Connection, key KeyPair) ([]byte, error) {
	return nil, nil
}
