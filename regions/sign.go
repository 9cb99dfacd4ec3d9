package regions

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	recordType = "domicile-region+jwt"

	// maxRecord bounds a signed record: room for eight post-quantum keys and
	// several hundred host names.
	maxRecord = 64 << 10

	// maxSkew is how far the clock of whoever signs may run ahead of ours.
	maxSkew = time.Minute

	// maxLife bounds how long a record can be replayed.
	maxLife = 400 * 24 * time.Hour
)

// KeyID names a public key, or a root key in a header: the first 8 bytes of the
// key's SHA-256, in hexadecimal.
func KeyID(public []byte) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}

// payload is the record on the wire. A record has exactly one accepted text:
// the one encoding/json writes for this struct, members in this order.
type payload struct {
	Region         string   `json:"region"`
	Jurisdiction   string   `json:"jurisdiction"`
	Name           string   `json:"name"`
	Version        int64    `json:"version"`
	Issued         int64    `json:"issued"`  // Unix seconds
	Expires        int64    `json:"expires"` // Unix seconds
	Hosts          []string `json:"hosts"`
	Standbys       []string `json:"standbys,omitempty"`
	TicketKeys     []string `json:"ticket_keys"`     // base64url
	PublishingKeys []string `json:"publishing_keys"` // base64url
}

// header is the protected header, in its one accepted text.
type header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
}

// Sign makes the compact JWS of r with the operator's root key. The IDs of keys
// are computed and times are cut to whole seconds; a record that Verify would
// refuse for its content is not signed.
func Sign(r Record, root ed25519.PrivateKey) (string, error) {
	if len(root) != ed25519.PrivateKeySize {
		return "", fmt.Errorf("sign region record: the root key is not an Ed25519 private key")
	}
	p := payload{
		Region:       r.Region,
		Jurisdiction: r.Jurisdiction,
		Name:         r.Name,
		Version:      r.Version,
		Issued:       r.Issued.Unix(),
		Expires:      r.Expires.Unix(),
		Hosts:        r.Hosts,
		Standbys:     r.Standbys,
	}
	for _, k := range r.TicketKeys {
		p.TicketKeys = append(p.TicketKeys, base64.RawURLEncoding.EncodeToString(k.Public))
	}
	for _, k := range r.PublishingKeys {
		p.PublishingKeys = append(p.PublishingKeys, base64.RawURLEncoding.EncodeToString(k.Public))
	}
	if _, err := p.record(); err != nil {
		return "", fmt.Errorf("sign region record: %w", err)
	}
	body, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("sign region record: %w", err)
	}

	kid := KeyID(root.Public().(ed25519.PublicKey))
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: root},
		(&jose.SignerOptions{}).WithType(recordType).WithHeader("kid", kid))
	if err != nil {
		return "", fmt.Errorf("sign region record: %w", err)
	}
	jws, err := signer.Sign(body)
	if err != nil {
		return "", fmt.Errorf("sign region record: %w", err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("sign region record: %w", err)
	}
	if len(text) > maxRecord {
		return "", fmt.Errorf("sign region record: %d bytes, and %d are the most", len(text), maxRecord)
	}
	return text, nil
}

// Verify reads a signed record: its type, its signature by one of roots, its
// content, and that it was issued and has not expired at now. Every failure is
// a [*Refusal].
func Verify(jws string, roots []ed25519.PublicKey, now time.Time) (Record, error) {
	r, err := Inspect(jws, roots)
	if err != nil {
		return Record{}, err
	}
	if err := r.Current(now); err != nil {
		return Record{}, err
	}
	return r, nil
}

// Current reports why r says nothing at now, or nil.
func (r Record) Current(now time.Time) error {
	switch {
	case r.Issued.After(now.Add(maxSkew)):
		return &Refusal{r.Region, NotYet, "issued " + r.Issued.Format(time.RFC3339) + ", in the future: compare the clocks"}
	case !now.Before(r.Expires):
		return &Refusal{r.Region, Expired, "expired " + r.Expires.Format(time.RFC3339)}
	}
	return nil
}

// Inspect is Verify without the clock: what was signed, whether or not it holds
// today. It is for listing and renewing records; whoever acts on one wants
// [Verify].
func Inspect(text string, roots []ed25519.PublicKey) (Record, error) {
	if len(text) > maxRecord {
		return Record{}, &Refusal{"", TooLarge, fmt.Sprintf("%d bytes, and %d are the most", len(text), maxRecord)}
	}
	head, body, err := split(text)
	if err != nil {
		return Record{}, err
	}
	claimed := claimedRegion(body)
	refuse := func(code Code, why string) (Record, error) {
		return Record{}, &Refusal{claimed, code, why}
	}
	if head.Alg != string(jose.EdDSA) {
		return refuse(WrongAlgorithm, "only EdDSA is accepted")
	}
	if head.Typ != recordType {
		return refuse(WrongType, "not a region record")
	}
	root := rootByID(roots, head.Kid)
	if root == nil {
		return refuse(ForeignKey, "signed by a key that is not one of our root keys")
	}

	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return refuse(Malformed, "not a compact JWS")
	}
	signed, err := jws.Verify(root)
	if err != nil {
		return refuse(BadSignature, "the signature does not fit")
	}
	var p payload
	if err := exactly(signed, &p); err != nil {
		return refuse(Malformed, "payload: "+err.Error())
	}
	r, err := p.record()
	if err != nil {
		return refuse(Invalid, err.Error())
	}
	return r, nil
}

// split checks the outer form, before any cryptography. Strict base64url means
// that a record has one text, so that "same version, other content" is a
// comparison of strings.
func split(text string) (header, []byte, error) {
	malformed := func(why string) (header, []byte, error) {
		return header{}, nil, &Refusal{"", Malformed, why}
	}
	parts := bytes.Split([]byte(text), []byte("."))
	if len(parts) != 3 {
		return malformed("not a compact JWS of three parts")
	}
	var raw [3][]byte
	for i, part := range parts {
		// The decoder skips line breaks; they are not base64url.
		if bytes.ContainsAny(part, "\r\n") {
			return malformed("not base64url")
		}
		b, err := base64.RawURLEncoding.Strict().DecodeString(string(part))
		if err != nil {
			return malformed("not base64url")
		}
		raw[i] = b
	}
	var h header
	if err := exactly(raw[0], &h); err != nil {
		var loose struct{ Alg string }
		if json.Unmarshal(raw[0], &loose) == nil && loose.Alg == "none" {
			return header{}, nil, &Refusal{claimedRegion(raw[1]), Unsigned, "the record is not signed"}
		}
		return malformed("header: " + err.Error())
	}
	if h.Alg == "none" || len(raw[2]) == 0 {
		return header{}, nil, &Refusal{claimedRegion(raw[1]), Unsigned, "the record is not signed"}
	}
	return h, raw[1], nil
}

// exactly decodes data into v and insists that it is the very text encoding/json
// would write for it. That refuses unknown and duplicate members, members in
// other case, blanks, and broken UTF-8, all of which decoders of different
// makers read differently.
func exactly(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("not the JSON of this type")
	}
	again, err := json.Marshal(v)
	if err != nil || !bytes.Equal(again, data) {
		return fmt.Errorf("not in its one canonical form")
	}
	return nil
}

// claimedRegion is what an unverified payload calls itself, so that an operator
// reading a refusal knows which line of the catalogue is meant.
func claimedRegion(body []byte) string {
	var p struct {
		Region string `json:"region"`
	}
	if json.Unmarshal(body, &p) != nil || !validRegion(p.Region) {
		return ""
	}
	return p.Region
}

func rootByID(roots []ed25519.PublicKey, id string) ed25519.PublicKey {
	for _, root := range roots {
		if len(root) == ed25519.PublicKeySize && KeyID(root) == id {
			return root
		}
	}
	return nil
}

// record turns the wire form into a Record, checking every member.
func (p payload) record() (Record, error) {
	r := Record{
		Region:       p.Region,
		Jurisdiction: p.Jurisdiction,
		Name:         p.Name,
		Version:      p.Version,
		Issued:       time.Unix(p.Issued, 0).UTC(),
		Expires:      time.Unix(p.Expires, 0).UTC(),
		Hosts:        p.Hosts,
		Standbys:     p.Standbys,
	}
	for i, text := range p.TicketKeys {
		b, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil {
			return Record{}, fmt.Errorf("ticket_keys[%d]: not base64url", i)
		}
		r.TicketKeys = append(r.TicketKeys, TicketKey{ID: KeyID(b), Public: b})
	}
	for i, text := range p.PublishingKeys {
		b, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil {
			return Record{}, fmt.Errorf("publishing_keys[%d]: not base64url", i)
		}
		r.PublishingKeys = append(r.PublishingKeys, PublishingKey{ID: KeyID(b), Public: b})
	}
	if err := r.check(); err != nil {
		return Record{}, err
	}
	return r, nil
}
