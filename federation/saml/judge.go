package saml

import (
	"slices"
	"time"

	"github.com/beevik/etree"

	"github.com/domicile-sso/domicile/federation"
)

const (
	maxSkew      = time.Minute
	maxFreshness = 10 * time.Minute // how old a sign-in may be that was asked to be fresh: the life of an attempt
	maxIssuer    = 1024
	maxACR       = 1024

	formatEntity = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
	methodBearer = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
)

// evidence is one verified message and what was expected of it.
type evidence struct {
	Expect
	settings  *federation.SAMLSettings
	envelope  *etree.Element // the Response: trusted only if it was signed, so it may only refuse
	assertion *etree.Element // read only out of what was signed
	skew      time.Duration
}

// judge applies the rules of the Web Browser SSO profile (SAML Profiles 4.1.4)
// and then reads the identity.
func judge(envelope, assertion *etree.Element, want Expect) (federation.Identity, error) {
	e := &evidence{Expect: want, settings: want.Connection.SAML, envelope: envelope, assertion: assertion, skew: skew(want.Connection.SAML)}
	for _, rule := range []func() error{
		e.checkIssuers,
		e.checkVersions,
		e.checkAudience,
		e.checkDestination,
		e.checkConditions,
		e.checkInResponseTo,
		e.checkBearer,
	} {
		if err := rule(); err != nil {
			return federation.Identity{}, err
		}
	}
	identity := federation.Identity{
		Connection:    want.Connection.ID,
		Issuer:        e.settings.IDPEntityID,
		EmailVerified: true,
		InResponseTo:  attrOr(envelope, "InResponseTo"),
		OnceID:        attrOr(assertion, "ID"),
		OnceUntil:     e.lastMoment(),
	}
	var err error
	if identity.Issued, err = parseTime(attrOr(assertion, "IssueInstant")); err != nil {
		return federation.Identity{}, err
	}
	if err := e.readAuthn(&identity); err != nil {
		return federation.Identity{}, err
	}
	if err := readPerson(assertion, want.Connection.Mapping, &identity); err != nil {
		return federation.Identity{}, err
	}
	return identity, nil
}

// skew is how far the IdP's clock may be off; a minute at most.
func skew(s *federation.SAMLSettings) time.Duration {
	d := time.Duration(s.SkewSeconds) * time.Second
	if d <= 0 || d > maxSkew {
		return maxSkew
	}
	return d
}

// checkIssuers: both must be the connection's own IdP. SAML lets a Response go
// without an Issuer; no IdP does.
func (e *evidence) checkIssuers() error {
	for _, el := range []*etree.Element{e.envelope, e.assertion} {
		issuer := child(el, "a:Issuer")
		if issuer == nil {
			return refuse("issuer")
		}
		if format := attrOr(issuer, "Format"); format != "" && format != formatEntity {
			return refuse("issuer")
		}
		if got := text(issuer); len(got) > maxIssuer || got != e.settings.IDPEntityID {
			return refuse("issuer")
		}
	}
	return nil
}

func (e *evidence) checkVersions() error {
	for _, el := range []*etree.Element{e.envelope, e.assertion} {
		if attrOr(el, "Version") != "2.0" {
			return refuse("version")
		}
		if attrOr(el, "ID") == "" {
			return refuse("id_invalid")
		}
		at, err := parseTime(attrOr(el, "IssueInstant"))
		if err != nil {
			return err
		}
		if at.After(e.Now.Add(e.skew)) {
			return refuse("issue_instant")
		}
	}
	return nil
}

// checkAudience: SAML Core 2.5.1.4. Every AudienceRestriction must name us, in
// any of its Audiences; and one there must be (Profiles 4.1.4.2).
func (e *evidence) checkAudience() error {
	conditions := child(e.assertion, "a:Conditions")
	if conditions == nil {
		return refuse("conditions")
	}
	restrictions := children(conditions, "a:AudienceRestriction")
	if len(restrictions) == 0 {
		return refuse("audience")
	}
	for _, r := range restrictions {
		if !slices.ContainsFunc(children(r, "a:Audience"), func(a *etree.Element) bool { return text(a) == e.settings.EntityID }) {
			return refuse("audience")
		}
	}
	return nil
}

// checkDestination: SAML Bindings 3.5.5.2 wants it of signed messages; without
// it, a message meant for another service can be played here.
func (e *evidence) checkDestination() error {
	if attrOr(e.envelope, "Destination") != e.settings.ACS {
		return refuse("destination")
	}
	return nil
}

// checkConditions looks at the times. OneTimeUse is kept by using every
// assertion once; ProxyRestriction binds who issues assertions on the strength
// of this one, which nobody here does. Any other condition has been refused by
// the schema, as SAML Core 2.5.1.1 demands of those who do not know it.
func (e *evidence) checkConditions() error {
	conditions := child(e.assertion, "a:Conditions")
	if from, ok := attr(conditions, "NotBefore"); ok {
		at, err := parseTime(from)
		if err != nil {
			return err
		}
		if at.After(e.Now.Add(e.skew)) {
			return refuse("not_yet")
		}
	}
	if until, ok := attr(conditions, "NotOnOrAfter"); ok {
		return e.over(until, "expired")
	}
	return nil
}

func (e *evidence) over(until, code string) error {
	at, err := parseTime(until)
	if err != nil {
		return err
	}
	if !e.Now.Before(at.Add(e.skew)) {
		return refuse(code)
	}
	return nil
}

// lastMoment is when the assertion may be forgotten, because from then on it
// would be refused as too old: the conditions and one of the bearer
// confirmations must hold, be it another one than today. The widest skew counts,
// whatever the connection's is now.
func (e *evidence) lastMoment() time.Time {
	var last time.Time
	for _, c := range children(child(e.assertion, "a:Subject"), "a:SubjectConfirmation") {
		if attrOr(c, "Method") != methodBearer {
			continue
		}
		at, err := parseTime(attrOr(child(c, "a:SubjectConfirmationData"), "NotOnOrAfter"))
		if err == nil && at.After(last) {
			last = at
		}
	}
	at, err := parseTime(attrOr(child(e.assertion, "a:Conditions"), "NotOnOrAfter"))
	if err == nil && at.Before(last) {
		last = at
	}
	return last.Add(maxSkew)
}

// checkInResponseTo: an answer must answer a request of this very browser. An
// unsolicited one is a matter of the connection's policy, and must then not
// claim to answer anything (Profiles 4.1.5).
func (e *evidence) checkInResponseTo() error {
	id, answers := attr(e.envelope, "InResponseTo")
	switch {
	case !answers && e.settings.AllowIDPInitiated:
		return nil
	case !answers:
		return refuse("unsolicited")
	case id == "" || !slices.Contains(e.RequestIDs, id):
		return refuse("in_response_to")
	}
	return nil
}

// checkBearer wants one confirmation that holds for whoever carries the
// message here now. What is wrong with the last one tried is the reason given.
func (e *evidence) checkBearer() error {
	err := error(refuse("subject"))
	if subject := child(e.assertion, "a:Subject"); subject != nil {
		err = refuse("confirmation")
		for _, c := range children(subject, "a:SubjectConfirmation") {
			if attrOr(c, "Method") != methodBearer {
				continue
			}
			if err = e.checkConfirmation(child(c, "a:SubjectConfirmationData")); err == nil {
				return nil
			}
		}
	}
	return err
}

// checkConfirmation: SAML Profiles 4.1.4.2 and 4.1.4.3.
func (e *evidence) checkConfirmation(data *etree.Element) error {
	if data == nil {
		return refuse("confirmation_data")
	}
	if _, ok := attr(data, "NotBefore"); ok {
		return refuse("confirmation_not_before")
	}
	if attrOr(data, "Recipient") != e.settings.ACS {
		return refuse("recipient")
	}
	got, has := attr(data, "InResponseTo")
	want, wants := attr(e.envelope, "InResponseTo")
	if got != want || has != wants {
		return refuse("in_response_to")
	}
	until, ok := attr(data, "NotOnOrAfter")
	if !ok {
		return refuse("confirmation_expired")
	}
	return e.over(until, "confirmation_expired")
}

// readAuthn: SAML Core 2.7.2. One statement about one sign-in.
func (e *evidence) readAuthn(identity *federation.Identity) error {
	statement := child(e.assertion, "a:AuthnStatement")
	if statement == nil {
		return refuse("authn_statement")
	}
	at, err := parseTime(attrOr(statement, "AuthnInstant"))
	if err != nil {
		return err
	}
	if at.After(e.Now.Add(e.skew)) || e.settings.ForceAuthn && at.Before(e.Now.Add(-maxFreshness-e.skew)) {
		return refuse("authn_instant")
	}
	identity.AuthTime = at
	if until, ok := attr(statement, "SessionNotOnOrAfter"); ok {
		end, err := parseTime(until)
		if err != nil {
			return err
		}
		// No skew here: the session would be over before it began.
		if !e.Now.Before(end) {
			return refuse("session_over")
		}
		identity.SessionExpiry = end
	}
	context := child(statement, "a:AuthnContext")
	if context == nil {
		return refuse("authn_context")
	}
	identity.ACR = text(child(context, "a:AuthnContextClassRef"))
	if len(identity.ACR) > maxACR || hasControl(identity.ACR) || len(e.settings.RequiredACR) > 0 && !slices.Contains(e.settings.RequiredACR, identity.ACR) {
		return refuse("authn_context")
	}
	identity.SessionIndex = attrOr(statement, "SessionIndex")
	return nil
}

// parseTime reads xs:dateTime with a zone. A time without one could be any of
// twenty-four.
func parseTime(s string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, refuse("time")
	}
	return at.UTC(), nil
}
