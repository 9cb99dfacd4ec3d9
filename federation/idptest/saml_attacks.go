package idptest

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/beevik/etree"

	"github.com/domicile-sso/domicile/federation"
)

// A SAMLAttack is one message to play against a service provider: something it
// must refuse, with the reason it should give, or something it must accept.
type SAMLAttack struct {
	ID     string // of the corpus: several attacks may share one
	Name   string
	Accept bool
	Code   string                         // federation.Refusal.Code
	Policy func(*federation.SAMLSettings) // settings it is played against; nil: the defaults
	Build  func(SAMLScene) (string, error)
}

// A SAMLScene is where an attack is played.
type SAMLScene struct {
	IdP    *SAMLIdP
	To     SAMLTarget
	User   User // may sign in
	Victim User // whom the attacker would like to be
}

// SAMLAttacks are all the messages there are, about every part of the gate.
func SAMLAttacks() []SAMLAttack {
	return slices.Concat(
		samlWrapping(), samlSignatures(), samlReferences(), samlKeys(),
		samlMarkup(), samlNames(), samlSizes(),
		samlConditions(), samlConfirmations(), samlStatements(), samlEncryption(), samlAttributes(),
	)
}

// minted is the attack that consists in a message made as m says.
func minted(m SAMLMint) func(SAMLScene) (string, error) {
	return func(s SAMLScene) (string, error) {
		if m.User.Address == "" {
			m.User = s.User
		}
		return s.IdP.Mint(s.To, m)
	}
}

// edited changes the message before it is signed: what an identity provider
// that is careless, or not ours, would send.
func edited(f func(r *etree.Element)) func(SAMLScene) (string, error) {
	return minted(SAMLMint{Edit: f})
}

// tampered changes the message after it was signed.
func tampered(f func(r *etree.Element)) func(SAMLScene) (string, error) {
	return minted(SAMLMint{Tamper: f})
}

// rewritten changes the text of the message after it was signed.
func rewritten(f func(text string) string) func(SAMLScene) (string, error) {
	return minted(SAMLMint{TamperBy: f})
}

func replaced(old, with string) func(SAMLScene) (string, error) {
	return rewritten(func(text string) string { return strings.Replace(text, old, with, 1) })
}

func raw(text string) func(SAMLScene) (string, error) {
	return func(SAMLScene) (string, error) { return base64.StdEncoding.EncodeToString([]byte(text)), nil }
}

const (
	atNameID       = "./Assertion/Subject/NameID"
	atConfirmation = "./Assertion/Subject/SubjectConfirmation"
	atData         = "./Assertion/Subject/SubjectConfirmation/SubjectConfirmationData"
	atConditions   = "./Assertion/Conditions"
	atRestriction  = "./Assertion/Conditions/AudienceRestriction"
	atAudience     = "./Assertion/Conditions/AudienceRestriction/Audience"
	atAuthn        = "./Assertion/AuthnStatement"
	atClassRef     = "./Assertion/AuthnStatement/AuthnContext/AuthnContextClassRef"
	atAttributes   = "./Assertion/AttributeStatement"
	atValue        = "./Assertion/AttributeStatement/Attribute/AttributeValue"
)

func set(path, attr, value string) func(*etree.Element) {
	return func(r *etree.Element) { r.FindElement(path).CreateAttr(attr, value) }
}

func unset(path, attr string) func(*etree.Element) {
	return func(r *etree.Element) { r.FindElement(path).RemoveAttr(attr) }
}

func remove(path string) func(*etree.Element) {
	return func(r *etree.Element) { el := r.FindElement(path); el.Parent().RemoveChild(el) }
}

// wrapping is a message with a good signature that is then wrapped around
// something else: f gets the Response and a forged copy of what was signed.
func wrapping(sign SAMLSign, f func(r, forged *etree.Element) *etree.Element) func(SAMLScene) (string, error) {
	return func(s SAMLScene) (string, error) {
		r, err := s.IdP.Response(s.To, SAMLMint{User: s.User, Sign: sign})
		if err != nil {
			return "", err
		}
		original := r
		if sign == SignAssertion {
			original = r.SelectElement("Assertion")
		}
		forged := original.Copy()
		forged.CreateAttr("ID", NewID())
		forged.FindElement(".//NameID").SetText(s.Victim.Address)
		for _, v := range forged.FindElements(".//AttributeValue") {
			if v.Text() == s.User.Address {
				v.SetText(s.Victim.Address)
			}
		}
		text, err := write(f(r, forged))
		return base64.StdEncoding.EncodeToString([]byte(text)), err
	}
}

func unsigned(el *etree.Element) *etree.Element {
	copied := el.Copy()
	copied.RemoveChild(copied.SelectElement("Signature"))
	return copied
}

// samlWrapping is signature wrapping: XSW1 to XSW8 of Somorovsky et al., and
// its relatives.
func samlWrapping() []SAMLAttack {
	refused := func(id, name, code string, sign SAMLSign, f func(r, forged *etree.Element) *etree.Element) SAMLAttack {
		return SAMLAttack{ID: id, Name: name, Code: code, Build: wrapping(sign, f)}
	}
	return []SAMLAttack{
		{Name: "plain", Accept: true, Build: minted(SAMLMint{})},
		{Name: "response signed", Accept: true, Build: minted(SAMLMint{Sign: SignResponse})},
		{Name: "both signed", Accept: true, Build: minted(SAMLMint{Sign: SignBoth})},
		{Name: "by default namespace", Accept: true, Build: minted(SAMLMint{Signature: SAMLSignature{Unprefixed: true}})},
		{Name: "by default namespace, both signed", Accept: true, Build: minted(SAMLMint{Sign: SignBoth, Signature: SAMLSignature{Unprefixed: true}})},
		{Name: "by default namespace, encrypted", Accept: true, Build: minted(SAMLMint{Signature: SAMLSignature{Unprefixed: true}, Encrypt: &SAMLEncryption{}})},
		{Name: "indented", Accept: true, Build: minted(SAMLMint{Sign: SignBoth, Edit: func(r *etree.Element) {
			r.IndentWithSettings(&etree.IndentSettings{Spaces: 2})
		}})},
		refused("SAM-03", "XSW1 original Response in the Signature", "id_duplicate", SignResponse, func(r, forged *etree.Element) *etree.Element {
			forged.SelectElement("Signature").AddChild(unsigned(r))
			return forged
		}),
		refused("SAM-03", "XSW1 with IDs of its own", "element", SignResponse, func(r, forged *etree.Element) *etree.Element {
			set("./Assertion", "ID", NewID())(forged)
			forged.SelectElement("Signature").AddChild(unsigned(r))
			return forged
		}),
		refused("SAM-04", "XSW2 original Response beside the Signature", "id_duplicate", SignResponse, func(r, forged *etree.Element) *etree.Element {
			forged.InsertChildAt(1, unsigned(r))
			return forged
		}),
		refused("SAM-04", "XSW2 with IDs of its own", "element", SignResponse, func(r, forged *etree.Element) *etree.Element {
			set("./Assertion", "ID", NewID())(forged)
			forged.InsertChildAt(1, unsigned(r))
			return forged
		}),
		refused("SAM-05", "XSW3 forged Assertion before the signed one", "assertion_count", SignAssertion, func(r, forged *etree.Element) *etree.Element {
			r.InsertChildAt(r.SelectElement("Assertion").Index(), unsigned(forged))
			return r
		}),
		refused("SAM-06", "XSW4 forged Assertion around the signed one", "element", SignAssertion, func(r, forged *etree.Element) *etree.Element {
			original := r.RemoveChild(r.SelectElement("Assertion"))
			forged = unsigned(forged)
			forged.AddChild(original)
			r.AddChild(forged)
			return r
		}),
		refused("SAM-07", "XSW5 forged Assertion keeps the Signature", "assertion_count", SignAssertion, func(r, forged *etree.Element) *etree.Element {
			original := r.SelectElement("Assertion")
			r.RemoveChild(original)
			r.AddChild(forged)
			r.AddChild(unsigned(original))
			return r
		}),
		refused("SAM-08", "XSW6 original in the forged Assertion's Signature", "element", SignAssertion, func(r, forged *etree.Element) *etree.Element {
			original := r.SelectElement("Assertion")
			r.RemoveChild(original)
			forged.SelectElement("Signature").AddChild(unsigned(original))
			r.AddChild(forged)
			return r
		}),
		refused("SAM-09", "XSW7 forged Assertion in Extensions", "id_duplicate", SignAssertion, func(r, forged *etree.Element) *etree.Element {
			forged.CreateAttr("ID", r.SelectElement("Assertion").SelectAttrValue("ID", ""))
			extensions := etree.NewElement("samlp:Extensions")
			extensions.AddChild(unsigned(forged))
			r.InsertChildAt(1, extensions)
			return r
		}),
		refused("SAM-09", "XSW7 with an ID of its own", "extensions", SignAssertion, func(r, forged *etree.Element) *etree.Element {
			extensions := etree.NewElement("samlp:Extensions")
			extensions.AddChild(unsigned(forged))
			r.InsertChildAt(1, extensions)
			return r
		}),
		refused("SAM-10", "XSW8 original in an Object of the forged Signature", "signature_object", SignAssertion, func(r, forged *etree.Element) *etree.Element {
			original := r.SelectElement("Assertion")
			r.RemoveChild(original)
			add(forged.SelectElement("Signature"), "ds:Object", "").AddChild(unsigned(original))
			r.AddChild(forged)
			return r
		}),
		refused("SAM-11", "signed original in Advice of the forged Assertion", "advice", SignAssertion, advice(1, true)),
		refused("SAM-11", "two signed originals in Advice", "id_duplicate", SignAssertion, advice(2, true)),
		refused("SAM-11", "unsigned original in Advice", "advice", SignAssertion, advice(1, false)),
		refused("SAM-12", "second Assertion in an Object of the good Signature", "signature_object", SignAssertion, func(r, forged *etree.Element) *etree.Element {
			add(r.FindElement("./Assertion/Signature"), "ds:Object", "").AddChild(unsigned(forged))
			return r
		}),
		refused("SAM-13", "one ID on two elements", "id_duplicate", SignAssertion, func(r, _ *etree.Element) *etree.Element {
			r.CreateAttr("ID", r.SelectElement("Assertion").SelectAttrValue("ID", ""))
			return r
		}),
		{ID: "SAM-14", Name: "two good Assertions for two people", Code: "assertion_count", Build: func(s SAMLScene) (string, error) {
			second, err := s.IdP.Response(s.To, SAMLMint{User: s.Victim})
			if err != nil {
				return "", err
			}
			return s.IdP.Mint(s.To, SAMLMint{User: s.User, Tamper: func(r *etree.Element) { r.AddChild(second.SelectElement("Assertion").Copy()) }})
		}},
		{ID: "SAM-15", Name: "Assertion and EncryptedAssertion", Code: "assertion_count", Build: func(s SAMLScene) (string, error) {
			second, err := s.IdP.Response(s.To, SAMLMint{User: s.User, Encrypt: &SAMLEncryption{}})
			if err != nil {
				return "", err
			}
			return s.IdP.Mint(s.To, SAMLMint{User: s.User, Tamper: func(r *etree.Element) { r.AddChild(second.SelectElement("EncryptedAssertion").Copy()) }})
		}},
		{Name: "no Assertion", Code: "assertion_count", Build: edited2(SignResponse, remove("./Assertion"))},
		{Name: "forged text under the Response's signature", Code: "digest", Build: minted(SAMLMint{Sign: SignResponse, Tamper: func(r *etree.Element) { r.FindElement(atNameID).SetText("somebody-else") }})},
		{Name: "changed Response around a good Assertion", Code: "digest", Build: minted(SAMLMint{Sign: SignBoth, Tamper: set(".", "Consent", "urn:x")})},
		{Name: "text between elements", Code: "text", Build: edited(func(r *etree.Element) { r.FindElement("./Assertion/Subject").CreateText("admin") })},
		{Name: "text around an element in a value", Code: "text", Build: edited(func(r *etree.Element) { add(r.FindElement(atValue), "saml:NameID", "x") })},
		{Name: "forged text under a good signature", Code: "digest", Build: tampered(func(r *etree.Element) { r.FindElement(atNameID).SetText("somebody-else") })},
	}
}

func edited2(sign SAMLSign, f func(*etree.Element)) func(SAMLScene) (string, error) {
	return minted(SAMLMint{Sign: sign, Edit: f})
}

func advice(n int, signed bool) func(r, forged *etree.Element) *etree.Element {
	return func(r, forged *etree.Element) *etree.Element {
		original := r.SelectElement("Assertion")
		r.RemoveChild(original)
		if !signed {
			original = unsigned(original)
		}
		holder := add(forged, "saml:Advice", "")
		for range n {
			holder.AddChild(original.Copy())
		}
		r.AddChild(forged)
		return r
	}
}
