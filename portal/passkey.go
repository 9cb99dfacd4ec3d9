package portal

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/domicile-sso/domicile/discovery"
)

// ByPasskey is how somebody has signed in with a passkey alone. It is the
// portal's own word: the front door names no passkeys, since which person has
// one is nobody's business before they are known.
const ByPasskey discovery.SignIn = "passkey"

const (
	// CeremonyLife is how long a challenge waits for its answer.
	CeremonyLife = 5 * time.Minute

	// maxAnswer bounds what a browser sends back: some 1,500 bytes as a rule.
	maxAnswer = 12 << 10
)

// A Passkey is what a portal keeps of one, whose private half a person's
// device keeps. It is both factors in one: the device, and the finger, face or
// number that opens it.
type Passkey struct {
	ID         string // of the factor
	Account    string
	Name       string // as its owner calls it
	RPID       string // the host it was made for: it works at no other
	Maker      string // the account it was made for, where that has become part of Account since; the device knows no other
	Credential webauthn.Credential
	Created    time.Time
	Used       time.Time // zero: never
}

// Handle is what a passkey is found by. Nothing else can be found with it, also
// by who reads the database.
func (p Passkey) Handle() []byte { return passkeyHandle(p.Credential.ID) }

func passkeyHandle(id []byte) []byte {
	d := sha256.Sum256(append([]byte("domicile passkey "), id...))
	return d[:]
}

// PasskeyName keeps the name a person gives a passkey on one line and within 40
// characters.
func PasskeyName(s string) string {
	if r := []rune(PersonName(s)); len(r) > 40 {
		return strings.TrimSpace(string(r[:40]))
	} else if len(r) > 0 {
		return string(r)
	}
	return ""
}

// PasskeyAlone reports whether a passkey may sign somebody in on its own. Where
// an organisation signs its people in itself, its word is what counts: whoever
// it has locked out there must not come in here by another door. A passkey is a
// second factor then.
func PasskeyAlone(d Domain, known bool) error {
	if !known || d.AllowsPassword() {
		return nil
	}
	return &discovery.Error{Kind: discovery.Forbidden, Code: "passkey_domain",
		Say: "Your organisation signs you in itself. Please enter your address; you may be asked for the passkey afterwards."}
}

// errPasskey is every passkey that does not count. Why stands in the audit log:
// telling it apart here would tell who has one.
func errPasskey(code string, err error) error {
	return &discovery.Error{Kind: discovery.Forbidden, Code: code, Err: err,
		Say: "That did not work with this passkey. Please try again, or use another way to sign in."}
}

// ErrNoPasskey: nobody it could be has the passkey: removed, of another portal,
// or of another account than the one that is asked for.
var ErrNoPasskey = errPasskey("passkey_unknown", nil)

// ErrPasskeyTaken: somebody of the portal has it already.
var ErrPasskeyTaken = errPasskey("passkey_taken", nil)

// ErrCloned: a passkey whose counter went back. There are two of it.
var ErrCloned = errPasskey("passkey_cloned", nil)

// PasskeyBuckets are what an answer to a challenge counts against, until it turns
// out to be right. Nobody guesses a passkey; but every refusal is a row of the
// audit log, which nobody is to fill.
func PasskeyBuckets(portalID string, v Visitor) []Bucket {
	return []Bucket{
		{bucketKey("passkey-network", portalID, Network(v.Client)), perNetwork},
		{bucketKey("passkey-portal", portalID), perPortal},
	}
}

// A Party is a portal as passkeys know it (WebAuthn: relying party): its own
// origin, and the host of it. A standby is another host and so another party:
// passkeys made here do not work there.
type Party struct{ rp *webauthn.WebAuthn }

// NewParty takes the origin that the portal is served at now, and its name.
func NewParty(origin, name string) (Party, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" {
		return Party{}, errors.New("passkeys: the portal's URL is none")
	}
	rp, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: name, RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired,
		},
		// Outputs of extensions that nobody asked for are not read either.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return Party{}, fmt.Errorf("passkeys: %w", err)
	}
	return Party{rp}, nil
}

// RPID is the host that passkeys are made for.
func (p Party) RPID() string { return p.rp.Config.RPID }

// A Ceremony is a challenge that waits for its answer, once.
type Ceremony struct {
	Session webauthn.SessionData
	Options json.RawMessage // for the browser
	Name    string          // of the passkey being made
	Keep    bool            // keep me signed in
}

// algorithms are what new passkeys may sign with, the best first.
var algorithms = []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgEdDSA, webauthncose.AlgES256, webauthncose.AlgRS256}

// Create begins the making of a passkey for an account that has others.
func (p Party) Create(a Account, have []Passkey, name string) (Ceremony, error) {
	var params []protocol.CredentialParameter
	for _, alg := range algorithms {
		params = append(params, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: alg})
	}
	options, session, err := p.rp.BeginRegistration(owner{account: a},
		webauthn.WithExclusions(descriptors(p.here(have))), webauthn.WithCredentialParameters(params))
	if err != nil {
		return Ceremony{}, fmt.Errorf("passkeys: %w", err)
	}
	return ceremony(session, options, name)
}

// Created is the passkey that a browser answers with.
func (p Party) Created(c Ceremony, a Account, answer string) (Passkey, error) {
	if len(answer) > maxAnswer {
		return Passkey{}, errPasskey("passkey_oversize", nil)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return Passkey{}, errPasskey("passkey_malformed", err)
	}
	// Nobody was asked for more, and their statements are a lot to read.
	if f := parsed.Response.AttestationObject.Format; f != "none" && f != "packed" {
		return Passkey{}, errPasskey("passkey_attestation", nil)
	}
	made, err := p.rp.CreateCredential(owner{account: a}, c.Session, parsed)
	if err != nil {
		auth := parsed.Response.AttestationObject.AuthData
		return Passkey{}, errPasskey(p.reason(c, parsed.Response.CollectedClientData, auth), err)
	}
	// Without an attestation nobody has used the key yet: one that says it signs
	// in a way its sort cannot would only be found out later.
	if err := wanted(made.PublicKey); err != nil {
		return Passkey{}, errPasskey("passkey_algorithm", err)
	}
	return Passkey{Account: a.ID, Name: PasskeyName(c.Name), RPID: p.RPID(), Credential: *made}, nil
}

// wanted reports why a public key is not one of those that were asked for.
func wanted(cose []byte) error {
	key, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return err
	}
	is := func(alg int64, want webauthncose.COSEAlgorithmIdentifier) bool { return alg == int64(want) }
	switch k := key.(type) {
	case webauthncose.OKPPublicKeyData:
		if is(k.Algorithm, webauthncose.AlgEdDSA) {
			return nil
		}
	case webauthncose.EC2PublicKeyData:
		if is(k.Algorithm, webauthncose.AlgES256) {
			return nil
		}
	case webauthncose.RSAPublicKeyData:
		if is(k.Algorithm, webauthncose.AlgRS256) && len(k.Modulus) >= 256 {
			return nil
		}
	}
	return errors.New("the key is of another sort than its algorithm")
}

// Ask puts a challenge: to whoever has a passkey of this portal, or, where it is
// known who is there, to that account alone.
func (p Party) Ask(a *Account, have []Passkey) (Ceremony, error) {
	if a == nil {
		options, session, err := p.rp.BeginDiscoverableLogin()
		if err != nil {
			return Ceremony{}, fmt.Errorf("passkeys: %w", err)
		}
		return ceremony(session, options, "")
	}
	have = p.here(have)
	if len(have) == 0 {
		return Ceremony{}, errPasskey("passkey_none", nil)
	}
	options, session, err := p.rp.BeginLogin(owner{*a, have})
	if err != nil {
		return Ceremony{}, fmt.Errorf("passkeys: %w", err)
	}
	return ceremony(session, options, "")
}

// A PasskeyAnswer has been read, and not yet been believed.
type PasskeyAnswer struct {
	parsed *protocol.ParsedCredentialAssertionData
}

// ReadAnswer reads what a browser answers to [Party.Ask].
func ReadAnswer(answer string) (PasskeyAnswer, error) {
	if len(answer) > maxAnswer {
		return PasskeyAnswer{}, errPasskey("passkey_oversize", nil)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer))
	if err != nil {
		return PasskeyAnswer{}, errPasskey("passkey_malformed", err)
	}
	return PasskeyAnswer{parsed}, nil
}

// Handle is which passkey it says it is.
func (a PasskeyAnswer) Handle() []byte { return passkeyHandle(a.parsed.RawID) }

// Check says whether the answer is that of the account's passkey to this
// challenge, and returns the passkey as it is to be kept from now on.
func (p Party) Check(c Ceremony, answer PasskeyAnswer, a Account, key Passkey) (Passkey, error) {
	if key.RPID != p.RPID() {
		return Passkey{}, errPasskey("passkey_rp", nil)
	}
	a.ID = cmp.Or(key.Maker, a.ID)
	who := owner{a, []Passkey{key}}
	var used *webauthn.Credential
	var err error
	if len(c.Session.UserID) == 0 {
		_, used, err = p.rp.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return who, nil }, c.Session, answer.parsed)
	} else {
		// All passkeys of the account were asked for: this one is one of them.
		if !slices.ContainsFunc(c.Session.AllowedCredentialIDs, func(id []byte) bool { return string(id) == string(key.Credential.ID) }) {
			return Passkey{}, errPasskey("passkey_other", nil)
		}
		c.Session.AllowedCredentialIDs, c.Session.UserID = [][]byte{key.Credential.ID}, who.WebAuthnID()
		used, err = p.rp.ValidateLogin(who, c.Session, answer.parsed)
	}
	if err != nil {
		return Passkey{}, errPasskey(p.reason(c, answer.parsed.Response.CollectedClientData, answer.parsed.Response.AuthenticatorData), err)
	}
	if used.Authenticator.CloneWarning {
		return Passkey{}, ErrCloned
	}
	key.Credential = *used
	return key, nil
}

// reason tells for the audit log what is wrong with an answer that was refused,
// as far as it can be seen.
func (p Party) reason(c Ceremony, said protocol.CollectedClientData, auth protocol.AuthenticatorData) string {
	host := sha256.Sum256([]byte(p.RPID()))
	switch {
	case said.Challenge != c.Session.Challenge:
		return "passkey_challenge"
	case !slices.Contains(p.rp.Config.RPOrigins, said.Origin) || said.CrossOrigin:
		return "passkey_origin"
	case string(auth.RPIDHash) != string(host[:]):
		return "passkey_rp"
	case !auth.Flags.HasUserVerified():
		return "passkey_unverified"
	}
	return "passkey_signature"
}

// here are those passkeys that work at this host.
func (p Party) here(have []Passkey) []Passkey {
	return slices.DeleteFunc(slices.Clone(have), func(k Passkey) bool { return k.RPID != p.RPID() })
}

func ceremony(session *webauthn.SessionData, options any, name string) (Ceremony, error) {
	text, err := json.Marshal(options)
	if err != nil {
		return Ceremony{}, fmt.Errorf("passkeys: %w", err)
	}
	return Ceremony{Session: *session, Options: text, Name: name}, nil
}

func descriptors(keys []Passkey) []protocol.CredentialDescriptor {
	var out []protocol.CredentialDescriptor
	for _, k := range keys {
		out = append(out, k.Credential.Descriptor())
	}
	return out
}

// owner is an account as the library sees one.
type owner struct {
	account Account
	keys    []Passkey
}

// WebAuthnID is what a passkey calls its owner: a name that says nothing, and
// another one in every portal.
func (o owner) WebAuthnID() []byte {
	d := sha256.Sum256([]byte("domicile passkey owner " + o.account.Portal + " " + o.account.ID))
	return d[:]
}

// WebAuthnName is shown by the device, beside other accounts of the person.
func (o owner) WebAuthnName() string { return o.account.Primary.Clear() }

func (o owner) WebAuthnDisplayName() string {
	if name := strings.TrimSpace(o.account.GivenName + " " + o.account.FamilyName); name != "" {
		return name
	}
	return o.account.Primary.Clear()
}

func (o owner) WebAuthnCredentials() []webauthn.Credential {
	var out []webauthn.Credential
	for _, k := range o.keys {
		out = append(out, k.Credential)
	}
	return out
}
