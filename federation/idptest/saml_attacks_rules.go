package idptest

import (
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"time"

	"github.com/beevik/etree"

	"github.com/domicile-sso/domicile/federation"
)

// at is the message edited with the identity provider's clock at hand.
func at(f func(r *etree.Element, now time.Time)) func(SAMLScene) (string, error) {
	return func(s SAMLScene) (string, error) {
		return s.IdP.Mint(s.To, SAMLMint{User: s.User, Edit: func(r *etree.Element) { f(r, s.IdP.options().Now()) }})
	}
}

func setTime(path, attr string, d time.Duration) func(SAMLScene) (string, error) {
	return at(func(r *etree.Element, now time.Time) { r.FindElement(path).CreateAttr(attr, Stamp(now.Add(d))) })
}

func setText(path, text string) func(SAMLScene) (string, error) {
	return edited(func(r *etree.Element) { r.FindElement(path).SetText(text) })
}

// samlConditions is about who may use an assertion, where, and when.
func samlConditions() []SAMLAttack {
	second := func(audiences ...string) func(SAMLScene) (string, error) {
		return edited(func(r *etree.Element) {
			el := add(r.FindElement(atConditions), "saml:AudienceRestriction", "")
			for _, a := range audiences {
				add(el, "saml:Audience", a)
			}
		})
	}
	forced := func(s *federation.SAMLSettings) { s.ForceAuthn = true }
	const year = 365 * 24 * time.Hour
	return []SAMLAttack{
		{ID: "SAM-36", Name: "another audience", Code: "audience", Build: setText(atAudience, "https://other.example/saml")},
		{ID: "SAM-37", Name: "no AudienceRestriction", Code: "audience", Build: edited(remove(atRestriction))},
		{ID: "SAM-37", Name: "empty AudienceRestriction", Code: "audience", Build: edited(remove(atAudience))},
		{ID: "SAM-38", Name: "two restrictions, one without us", Code: "audience", Build: second("https://other.example/saml")},
		{ID: "SAM-39", Name: "one restriction, ours last", Accept: true, Build: edited(func(r *etree.Element) {
			other := etree.NewElement("saml:Audience")
			other.SetText("https://other.example/saml")
			r.FindElement(atRestriction).InsertChildAt(0, other)
		})},
		{ID: "SAM-39", Name: "one restriction, ours first", Accept: true, Build: edited(func(r *etree.Element) {
			add(r.FindElement(atRestriction), "saml:Audience", "https://other.example/saml")
		})},
		{ID: "SAM-40", Name: "unknown Condition", Code: "condition_unknown", Build: edited(func(r *etree.Element) {
			add(r.FindElement(atConditions), "saml:Condition", "", "xmlns:e", "urn:x", "xsi:type", "e:Unknown")
		})},
		{ID: "SAM-40", Name: "OneTimeUse", Accept: true, Build: edited(func(r *etree.Element) { add(r.FindElement(atConditions), "saml:OneTimeUse", "") })},
		{ID: "SAM-40", Name: "ProxyRestriction", Accept: true, Build: edited(func(r *etree.Element) {
			add(r.FindElement(atConditions), "saml:ProxyRestriction", "", "Count", "0")
		})},
		{ID: "SAM-47", Name: "another Destination", Code: "destination", Build: edited(set(".", "Destination", "https://other.example/acs"))},
		{ID: "SAM-47", Name: "no Destination", Code: "destination", Build: edited(unset(".", "Destination"))},
		{ID: "SAM-48", Name: "over 61 s ago", Code: "expired", Build: setTime(atConditions, "NotOnOrAfter", -61*time.Second)},
		{ID: "SAM-48", Name: "over 59 s ago", Accept: true, Build: setTime(atConditions, "NotOnOrAfter", -59*time.Second)},
		{ID: "SAM-48", Name: "over 11 s ago, skew 10 s", Code: "expired", Policy: func(s *federation.SAMLSettings) { s.SkewSeconds = 10 }, Build: setTime(atConditions, "NotOnOrAfter", -11*time.Second)},
		{ID: "SAM-48", Name: "over 61 s ago, skew 600 s", Code: "expired", Policy: func(s *federation.SAMLSettings) { s.SkewSeconds = 600 }, Build: setTime(atConditions, "NotOnOrAfter", -61*time.Second)},
		{ID: "SAM-49", Name: "not before 61 s from now", Code: "not_yet", Build: setTime(atConditions, "NotBefore", 61*time.Second)},
		{ID: "SAM-49", Name: "not before 59 s from now", Accept: true, Build: setTime(atConditions, "NotBefore", 59*time.Second)},
		{ID: "SAM-50", Name: "Assertion of next year", Code: "issue_instant", Build: setTime("./Assertion", "IssueInstant", year)},
		{ID: "SAM-50", Name: "Response of next year", Code: "issue_instant", Build: setTime(".", "IssueInstant", year)},
		{ID: "SAM-50", Name: "time without a zone", Code: "time", Build: edited(set("./Assertion", "IssueInstant", "2026-01-01T00:00:00"))},
		{ID: "SAM-51", Name: "signed in in 2001, though a fresh sign-in was asked for", Code: "authn_instant", Policy: forced, Build: edited(set(atAuthn, "AuthnInstant", "2001-01-01T00:00:00Z"))},
		{ID: "SAM-51", Name: "signed in in 2001, and nobody minds", Accept: true, Build: edited(set(atAuthn, "AuthnInstant", "2001-01-01T00:00:00Z"))},
		{ID: "SAM-51", Name: "fresh, as was asked for", Accept: true, Policy: forced, Build: minted(SAMLMint{})},
		{ID: "SAM-51", Name: "signed in tomorrow", Code: "authn_instant", Build: setTime(atAuthn, "AuthnInstant", 24*time.Hour)},
		{ID: "SAM-52", Name: "session over", Code: "session_over", Build: setTime(atAuthn, "SessionNotOnOrAfter", -time.Second)},
		{ID: "SAM-52", Name: "session for an hour", Accept: true, Build: setTime(atAuthn, "SessionNotOnOrAfter", time.Hour)},
		{ID: "SAM-54", Name: "no Conditions", Code: "conditions", Build: edited(remove(atConditions))},
	}
}

// samlConfirmations is about who may present an assertion, and what it answers.
func samlConfirmations() []SAMLAttack {
	initiated := func(s *federation.SAMLSettings) { s.AllowIDPInitiated = true }
	unsolicited := func(s SAMLScene) (string, error) {
		s.To.RequestID = ""
		return s.IdP.Mint(s.To, SAMLMint{User: s.User})
	}
	answering := func(id string) func(*etree.Element) {
		return func(r *etree.Element) {
			r.CreateAttr("InResponseTo", id)
			r.FindElement(atData).CreateAttr("InResponseTo", id)
		}
	}
	method := func(m string) func(SAMLScene) (string, error) {
		return edited(set(atConfirmation, "Method", "urn:oasis:names:tc:SAML:2.0:cm:"+m))
	}
	return []SAMLAttack{
		{ID: "SAM-41", Name: "another Recipient", Code: "recipient", Build: edited(set(atData, "Recipient", "https://other.example/acs"))},
		{ID: "SAM-41", Name: "no Recipient", Code: "recipient", Build: edited(unset(atData, "Recipient"))},
		{ID: "SAM-42", Name: "no SubjectConfirmation", Code: "confirmation", Build: edited(remove(atConfirmation))},
		{ID: "SAM-43", Name: "no SubjectConfirmationData", Code: "confirmation_data", Build: edited(remove(atData))},
		{ID: "SAM-44", Name: "holder-of-key", Code: "confirmation", Build: method("holder-of-key")},
		{ID: "SAM-44", Name: "sender-vouches", Code: "confirmation", Build: method("sender-vouches")},
		{ID: "SAM-44", Name: "bearer beside holder-of-key", Accept: true, Build: edited(func(r *etree.Element) {
			add(r.FindElement("./Assertion/Subject"), "saml:SubjectConfirmation", "", "Method", "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key")
		})},
		{ID: "SAM-45", Name: "NotBefore in the confirmation", Code: "confirmation_not_before", Build: setTime(atData, "NotBefore", -time.Hour)},
		{ID: "SAM-46", Name: "confirmation without an end", Code: "confirmation_expired", Build: edited(unset(atData, "NotOnOrAfter"))},
		{ID: "SAM-46", Name: "confirmation over", Code: "confirmation_expired", Build: setTime(atData, "NotOnOrAfter", -61*time.Second)},
		{ID: "SAM-54", Name: "no Subject", Code: "subject", Build: edited(remove("./Assertion/Subject"))},
		{ID: "SAM-54", Name: "no NameID", Code: "subject", Build: edited(remove(atNameID))},
		{ID: "SAM-60", Name: "a request nobody made", Code: "in_response_to", Build: edited(answering("id-nobody"))},
		{ID: "SAM-60", Name: "Response answers ours, confirmation another's", Code: "in_response_to", Build: edited(set(atData, "InResponseTo", "id-nobody"))},
		{ID: "SAM-60", Name: "confirmation answers nothing", Code: "in_response_to", Build: edited(unset(atData, "InResponseTo"))},
		{ID: "SAM-61", Name: "unsolicited", Code: "unsolicited", Build: unsolicited},
		{ID: "SAM-61", Name: "InResponseTo is empty", Code: "in_response_to", Build: edited(answering(""))},
		{ID: "SAM-61", Name: "InResponseTo taken off the unsigned Response", Code: "in_response_to", Policy: initiated, Build: tampered(unset(".", "InResponseTo"))},
		{ID: "SAM-62", Name: "unsolicited, allowed", Accept: true, Policy: initiated, Build: unsolicited},
		{ID: "SAM-62", Name: "unsolicited allowed, a request nobody made", Code: "in_response_to", Policy: initiated, Build: edited(answering("id-nobody"))},
	}
}

// samlStatements is about what is said, and by whom.
func samlStatements() []SAMLAttack {
	strong := func(s *federation.SAMLSettings) {
		s.RequiredACR = []string{"https://refeds.org/profile/mfa", "urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken"}
	}
	status := func(codes ...string) func(SAMLScene) (string, error) {
		return minted(SAMLMint{Sign: SignBoth, Edit: func(r *etree.Element) {
			assertion := r.SelectElement("Assertion").Copy()
			failed(codes...)(r)
			r.AddChild(assertion)
		}})
	}
	return []SAMLAttack{
		{ID: "SAM-53", Name: "no AuthnStatement", Code: "authn_statement", Build: edited(remove(atAuthn))},
		{ID: "SAM-53", Name: "no AuthnContext", Code: "authn_context", Build: edited(remove(atAuthn + "/AuthnContext"))},
		{ID: "SAM-55", Name: "Assertion 1.1", Code: "version", Build: edited(set("./Assertion", "Version", "1.1"))},
		{ID: "SAM-55", Name: "Response 3.0", Code: "version", Build: edited(set(".", "Version", "3.0"))},
		{ID: "SAM-56", Name: "Responder, RequestDenied, and a good Assertion", Code: "status", Build: status("Responder", "RequestDenied")},
		{ID: "SAM-56", Name: "failure without an Assertion", Code: "status", Build: minted(SAMLMint{Sign: SignNothing, Edit: failed("Responder", "AuthnFailed")})},
		{ID: "SAM-56", Name: "no Status", Code: "status", Build: edited(remove("./Status"))},
		{ID: "SAM-57", Name: "Response of another Issuer", Code: "issuer", Build: setText("./Issuer", "https://other.example/idp")},
		{ID: "SAM-57", Name: "Assertion of another Issuer", Code: "issuer", Build: setText("./Assertion/Issuer", "https://other.example/idp")},
		{ID: "SAM-57", Name: "Response without an Issuer", Code: "issuer", Build: tampered(remove("./Issuer"))},
		{ID: "SAM-57", Name: "Assertion without an Issuer", Code: "issuer", Build: edited2(SignResponse, remove("./Assertion/Issuer"))},
		{ID: "SAM-57", Name: "Issuer of another format", Code: "issuer", Build: edited(set("./Assertion/Issuer", "Format", "urn:x"))},
		{ID: "SAM-87", Name: "weaker than demanded", Code: "authn_context", Policy: strong, Build: minted(SAMLMint{})},
		{ID: "SAM-87", Name: "as strong as demanded", Accept: true, Policy: strong, Build: minted(SAMLMint{ACR: "https://refeds.org/profile/mfa"})},
	}
}

// samlAttributes is about what an attribute may do.
func samlAttributes() []SAMLAttack {
	const email = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"
	attribute := func(f func(statement *etree.Element)) func(SAMLScene) (string, error) {
		return edited(func(r *etree.Element) { f(r.FindElement(atAttributes)) })
	}
	return []SAMLAttack{
		{ID: "SAM-88", Name: "attribute twice", Code: "attribute_duplicate", Build: attribute(func(s *etree.Element) { AddAttribute(s, email, "eve@evil.example") })},
		{ID: "SAM-88", Name: "attribute twice in two statements", Code: "attribute_duplicate", Build: edited(func(r *etree.Element) {
			AddAttribute(add(r.SelectElement("Assertion"), "saml:AttributeStatement", ""), email, "eve@evil.example")
		})},
		{ID: "SAM-88", Name: "FriendlyName of another attribute", Accept: true, Build: attribute(func(s *etree.Element) {
			AddAttribute(s, "urn:x:nickname", "eve@evil.example")
			s.ChildElements()[len(s.ChildElements())-1].CreateAttr("FriendlyName", email)
		})},
		{ID: "SAM-89", Name: "markup in a name", Accept: true, Build: attribute(func(s *etree.Element) { AddAttribute(s, "displayName", "<script>alert(1)</script>") })},
		{ID: "SAM-89", Name: "2 KiB in a mapped attribute", Code: "attribute_value", Build: attribute(func(s *etree.Element) { AddAttribute(s, "displayName", strings.Repeat("x", 2048)) })},
		{ID: "SAM-89", Name: "a line break in a mapped attribute", Code: "attribute_value", Build: attribute(func(s *etree.Element) { AddAttribute(s, "displayName", "a\nb") })},
		{ID: "SAM-89", Name: "64 KiB in an attribute nobody reads", Accept: true, Build: attribute(func(s *etree.Element) { AddAttribute(s, "thumbnailPhoto", strings.Repeat("x", 64<<10)) })},
		{ID: "SAM-89", Name: "1 MiB value", Code: "response_size", Build: attribute(func(s *etree.Element) { AddAttribute(s, "displayName", strings.Repeat("x", 1<<20)) })},
		{Name: "transient NameID", Code: "subject_transient", Build: minted(SAMLMint{NameIDFormat: "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"})},
		{Name: "transient NameID beside a pairwise-id", Accept: true, Build: minted(SAMLMint{NameIDFormat: "urn:oasis:names:tc:SAML:2.0:nameid-format:transient", Edit: func(r *etree.Element) {
			AddAttribute(r.FindElement(atAttributes), "urn:oasis:names:tc:SAML:attribute:pairwise-id", "abc@acme.example")
		}})},
		{Name: "empty NameID", Code: "subject", Build: setText(atNameID, "")},
	}
}

// samlEncryption is about encrypted assertions.
func samlEncryption() []SAMLAttack {
	sealed := func(e SAMLEncryption) func(SAMLScene) (string, error) { return minted(SAMLMint{Encrypt: &e}) }
	drop := func(path string) SAMLEncryption {
		return SAMLEncryption{Edit: func(encrypted *etree.Element) { remove(path)(encrypted) }}
	}
	cut := func(n int) SAMLEncryption {
		return SAMLEncryption{Value: func(c []byte) []byte { return c[:n] }}
	}
	const digest = "http://www.w3.org/2001/04/xmlenc#sha256"
	var list []SAMLAttack
	for _, m := range []string{"aes128-cbc", "aes256-cbc", "tripledes-cbc"} {
		list = append(list, SAMLAttack{ID: "SAM-74", Name: m, Code: "encryption_method", Build: sealed(SAMLEncryption{Method: nsXenc + m})})
	}
	for _, n := range []int{0, 1, 11, 12, 27, 28, 29} {
		list = append(list, SAMLAttack{ID: "SAM-75", Name: "ciphertext cut short", Code: "decryption", Build: sealed(cut(n))})
	}
	for _, text := range []string{"", " ", "plain", "<?xml version=\"1.0\"?>"} {
		list = append(list, SAMLAttack{ID: "SAM-76", Name: "no root inside: " + text, Code: "xml_root", Build: sealed(SAMLEncryption{Plaintext: text + " "})})
	}
	return append(list, []SAMLAttack{
		{ID: "SAM-74", Name: "rsa-1_5", Code: "encryption_method", Build: sealed(SAMLEncryption{Wrap: nsXenc + "rsa-1_5"})},
		{ID: "SAM-74", Name: "mask named for an algorithm that has its own", Code: "encryption_method", Build: sealed(SAMLEncryption{Edit: func(encrypted *etree.Element) {
			add(encrypted.FindElement("./EncryptedData/KeyInfo/EncryptedKey/EncryptionMethod"), "xenc11:MGF", "",
				"xmlns:xenc11", "http://www.w3.org/2009/xmlenc11#", "Algorithm", "http://www.w3.org/2009/xmlenc11#mgf1sha256")
		}})},
		{ID: "SAM-74", Name: "GCM and OAEP", Accept: true, Build: sealed(SAMLEncryption{})},
		{ID: "SAM-74", Name: "OAEP with SHA-256", Accept: true, Build: sealed(SAMLEncryption{Digest: digest})},
		{ID: "SAM-74", Name: "key beside the data", Accept: true, Build: sealed(SAMLEncryption{Beside: true})},
		{ID: "SAM-74", Name: "encrypted, and the Response signed as well", Accept: true, Build: minted(SAMLMint{Sign: SignBoth, Encrypt: &SAMLEncryption{}})},
		{ID: "SAM-74", Name: "encrypted unsigned in a signed Response", Accept: true, Build: minted(SAMLMint{Sign: SignResponse, Encrypt: &SAMLEncryption{}})},
		{ID: "SAM-74", Name: "ciphertext changed", Code: "decryption", Build: sealed(SAMLEncryption{Value: func(c []byte) []byte { c[20] ^= 1; return c }})},
		{ID: "SAM-74", Name: "key for somebody else", Code: "decryption", Build: func(s SAMLScene) (string, error) {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				return "", err
			}
			now := s.IdP.options().Now()
			if s.To.Certificate, err = SelfSigned(key, "somebody else", now.Add(-time.Hour), now.Add(time.Hour)); err != nil {
				return "", err
			}
			return s.IdP.Mint(s.To, SAMLMint{User: s.User, Encrypt: &SAMLEncryption{}})
		}},
		{ID: "SAM-75", Name: "no CipherValue", Code: "decryption", Build: sealed(drop("./EncryptedData/CipherData/CipherValue"))},
		{ID: "SAM-75", Name: "no EncryptedData", Code: "encryption_malformed", Build: sealed(drop("./EncryptedData"))},
		{ID: "SAM-75", Name: "no EncryptedKey", Code: "encryption_malformed", Build: sealed(drop("./EncryptedData/KeyInfo/EncryptedKey"))},
		{ID: "SAM-75", Name: "no EncryptionMethod", Code: "encryption_method", Build: sealed(drop("./EncryptedData/EncryptionMethod"))},
		{ID: "SAM-75", Name: "no key EncryptionMethod", Code: "encryption_method", Build: sealed(drop("./EncryptedData/KeyInfo/EncryptedKey/EncryptionMethod"))},
		{ID: "SAM-75", Name: "CipherReference", Code: "element", Build: sealed(SAMLEncryption{Edit: func(encrypted *etree.Element) {
			add(encrypted.FindElement("./EncryptedData/CipherData"), "xenc:CipherReference", "", "URI", "http://127.0.0.1:9/")
		}})},
		{ID: "SAM-76", Name: "something else inside", Code: "xml_root", Build: sealed(SAMLEncryption{Plaintext: "<a/>"})},
		{ID: "SAM-76", Name: "two roots inside", Code: "xml_root", Build: sealed(SAMLEncryption{Plaintext: "<a/><b/>"})},
		{ID: "SAM-76", Name: "DOCTYPE inside", Code: "xml_doctype", Build: sealed(SAMLEncryption{Plaintext: "<!DOCTYPE a><a/>"})},
		{ID: "SAM-77", Name: "unsigned inside, Response unsigned", Code: "signature_missing", Build: minted(SAMLMint{Sign: SignNothing, Encrypt: &SAMLEncryption{}})},
		{ID: "SAM-78", Name: "EncryptedID", Code: "encrypted_part", Build: edited(func(r *etree.Element) {
			remove(atNameID)(r)
			add(r.FindElement("./Assertion/Subject"), "saml:EncryptedID", "")
		})},
		{ID: "SAM-78", Name: "EncryptedAttribute", Code: "encrypted_part", Build: edited(func(r *etree.Element) { add(r.FindElement(atAttributes), "saml:EncryptedAttribute", "") })},
	}...)
}
