package discovery

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/domicile-sso/domicile/regions"
)

// What a region signs for the front door: compact JWS (RFC 7515), EdDSA by one
// of its publishing keys, which the header's kid names. The typ keeps one kind
// from being taken for the other.
const (
	typClaims = "domicile-claims+jwt"
	typProof  = "domicile-proof+jwt"
)

// Limits of what a region may send.
const (
	// MaxBatch is the longest signed batch, in bytes.
	MaxBatch = 4 << 20
	// MaxClaims is the most claims in one batch.
	MaxClaims = 5000
	// MaxAge is how far a batch's Issued may lie from our clock.
	MaxAge = 5 * time.Minute

	maxProof = 2048
)

// A Proof is a region's word that whoever holds it has just signed in at a
// portal, so that the front door may remember the portal in that browser. It
// says nothing about who they are.
type Proof struct {
	Region    string `json:"region"`
	Portal    string `json:"portal"`
	FrontDoor string `json:"front_door"` // its public URL: a proof for one front door is none for another
	Issued    int64  `json:"issued"`     // Unix seconds
}

// ProofLife is how long a Proof can be used.
const ProofLife = 5 * time.Minute

// SignBatch signs b as its region. An empty keyID means regions.KeyID of the key.
func SignBatch(b Batch, key ed25519.PrivateKey, keyID string) (string, error) {
	s, err := sign(typClaims, b, key, keyID)
	if err != nil {
		return "", fmt.Errorf("sign batch: %w", err)
	}
	return s, nil
}

// SignProof signs p as its region. An empty keyID means regions.KeyID of the key.
func SignProof(p Proof, key ed25519.PrivateKey, keyID string) (string, error) {
	s, err := sign(typProof, p, key, keyID)
	if err != nil {
		return "", fmt.Errorf("sign proof: %w", err)
	}
	return s, nil
}

func sign(typ string, payload any, key ed25519.PrivateKey, keyID string) (string, error) {
	if len(key) != ed25519.PrivateKeySize {
		return "", errors.New("not an Ed25519 key")
	}
	if keyID == "" {
		keyID = regions.KeyID(key.Public().(ed25519.PublicKey))
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key, KeyID: keyID}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(body)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// OpenBatch verifies a signed batch against the publishing keys of the regions
// in known, and returns it with the record of the region that signed it. The
// error is an *Error: Forbidden for whatever is not a fresh batch of a known
// region, Invalid for one that breaks the rules of batches.
func OpenBatch(jws string, known []regions.Record, now time.Time) (Batch, regions.Record, error) {
	if len(jws) > MaxBatch {
		return Batch{}, regions.Record{}, &Error{Kind: TooLarge, Code: "claims_too_large"}
	}
	b, record, err := open(typClaims, jws, known, func(b Batch) string { return b.Region })
	if err != nil {
		return Batch{}, regions.Record{}, forbidden("claims_refused", err)
	}
	if age := now.Sub(time.Unix(b.Issued, 0)); age > MaxAge || age < -MaxAge {
		return Batch{}, regions.Record{}, forbidden("claims_stale", fmt.Errorf("region %q issued this batch %v ago", b.Region, age))
	}
	if err := b.check(); err != nil {
		return Batch{}, regions.Record{}, &Error{Kind: Invalid, Field: "claims", Code: "claims_invalid",
			Say: "The batch breaks a rule: %s.", Args: []any{err.Error()}}
	}
	return b, record, nil
}

// For reports as an *Error that b is not made out to the front door at that
// public URL.
func (b Batch) For(frontDoor string) error {
	if strings.TrimSuffix(b.FrontDoor, "/") != strings.TrimSuffix(frontDoor, "/") {
		return forbidden("claims_elsewhere", fmt.Errorf("region %q made this batch out to another front door: its front_door.public_url is not ours", b.Region))
	}
	return nil
}

// check holds a batch to its form. What its claims say is judged one by one.
func (b Batch) check() error {
	if len(b.Claims) > MaxClaims {
		return fmt.Errorf("a batch has at most %d claims", MaxClaims)
	}
	last := int64(0)
	for _, c := range b.Claims {
		if c.Seq <= last {
			return errors.New("sequences start above zero and rise within a batch")
		}
		last = c.Seq
	}
	return nil
}

// OpenProof verifies a proof made out to this front door. The error is always
// an *Error of Kind Forbidden.
func OpenProof(jws string, known []regions.Record, frontDoor string, now time.Time) (Proof, error) {
	if len(jws) > maxProof {
		return Proof{}, forbidden("proof_refused", errors.New("too long"))
	}
	p, _, err := open(typProof, jws, known, func(p Proof) string { return p.Region })
	if err != nil {
		return Proof{}, forbidden("proof_refused", err)
	}
	if strings.TrimSuffix(p.FrontDoor, "/") != strings.TrimSuffix(frontDoor, "/") {
		return Proof{}, forbidden("proof_refused", errors.New("made out to another front door"))
	}
	if age := now.Sub(time.Unix(p.Issued, 0)); age > ProofLife || age < -time.Minute {
		return Proof{}, forbidden("proof_expired", fmt.Errorf("issued %v ago", age))
	}
	return p, nil
}

// open verifies jws under the key that its kid names and decodes what was
// signed, which must name the very region the key belongs to.
func open[T any](typ, jws string, known []regions.Record, region func(T) string) (payload T, by regions.Record, err error) {
	parsed, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return payload, by, fmt.Errorf("not a signed statement: %w", err)
	}
	if len(parsed.Signatures) != 1 {
		return payload, by, errors.New("not signed exactly once")
	}
	header := parsed.Signatures[0].Protected
	if got, _ := header.ExtraHeaders[jose.HeaderType].(string); got != typ {
		return payload, by, errors.New("typ is not " + typ)
	}
	for _, record := range known {
		for _, key := range record.PublishingKeys {
			if key.ID != header.KeyID || len(key.Public) != ed25519.PublicKeySize {
				continue
			}
			body, err := parsed.Verify(key.Public)
			if err != nil {
				continue
			}
			var said T
			if err := decodeStrict(body, &said); err != nil {
				return payload, by, err
			}
			if region(said) == record.Region {
				return said, record, nil
			}
			// One key may serve two regions; neither speaks for the other.
		}
	}
	return payload, by, errors.New("no known region's key verifies it")
}

func decodeStrict(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("signed statement: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("signed statement: more than one value")
	}
	return nil
}

func forbidden(code string, err error) error {
	return &Error{Kind: Forbidden, Code: code, Err: err}
}
