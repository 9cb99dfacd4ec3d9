package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/span"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/oidc"
	"github.com/domicile-sso/domicile/federation/saml"
	"github.com/domicile-sso/domicile/portal"
)

// startFederation sends the browser to an identity provider. Without an attempt
// (a bookmark) one starts here, for the home page.
func (s *Site) startFederation(v *visit) error {
	q, err := v.query(fieldAttempt)
	if err != nil {
		return err
	}
	c, key, err := v.federation(v.connection)
	if err != nil {
		return err
	}
	if v.passive() {
		return v.nobody()
	}
	handle, ok := q["attempt"]
	var a portal.Attempt
	if ok {
		if a, err = v.attempt(handle); err != nil {
			return v.startAgain(err, "/")
		}
	} else {
		a = portal.Attempt{ReturnTo: "/"}
		if handle, err = s.Store.StartAttempt(v.r.Context(), v.portal.ID, v.newVisitor(), a); err != nil {
			return fmt.Errorf("start attempt: %w", err)
		}
	}
	hint, err := s.loginHint(v, a.Address, c.ID)
	if err != nil {
		return err
	}
	leg := v.newLeg(c.ID, hint)
	leg.Fresh = a.Purpose == portal.ForConfirm || a.Purpose == portal.ForMerge || a.Purpose == portal.ForLoss
	if err := s.Store.StartFederation(v.r.Context(), v.portal.ID, v.newVisitor(), handle, leg); err != nil {
		return v.startAgain(err, a.ReturnTo)
	}
	v.setCookie(ssoCookie, portal.Secret(leg.ID), portal.FederationLife, http.SameSiteNoneMode)
	return s.depart(v, c, key, leg)
}

// loginHint is the address, for the identity provider that serves its domain and
// for no other: an address is nobody else's business.
func (s *Site) loginHint(v *visit, a discovery.Address, connection string) (string, error) {
	if a.IsZero() {
		return "", nil
	}
	d, known, err := s.Store.DomainFor(v.r.Context(), v.portal.ID, a.Domain())
	if err != nil {
		return "", fmt.Errorf("find domain: %w", err)
	}
	if !known || d.Connection != connection {
		return "", nil
	}
	return a.Clear(), nil
}

// newLeg draws what one trip to an identity provider is known by. All trips of
// one browser share the cookie, so that two tabs do not cost two of them.
func (v *visit) newLeg(connection, hint string) federation.Attempt {
	sso := v.token(ssoCookie)
	if sso == "" {
		sso = portal.NewSecret()
	}
	var id [20]byte
	rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	now := v.site.Now()
	return federation.Attempt{
		ID: sso.Clear(), Connection: connection, RequestID: "id-" + hex.EncodeToString(id[:]),
		State: oidc.Secret(), Nonce: oidc.Secret(), Verifier: oidc.Secret(),
		LoginHint: hint, Started: now, Expires: now.Add(portal.FederationLife),
	}
}

// depart answers with the way to the identity provider.
func (s *Site) depart(v *visit, c federation.Connection, key saml.KeyPair, leg federation.Attempt) error {
	if c.Kind == federation.OIDC {
		if s.RelyingParty == nil {
			return &discovery.Error{Kind: discovery.Unavailable, Code: "oidc_off"}
		}
		to, err := s.RelyingParty.AuthURL(c, leg)
		if err != nil {
			return &discovery.Error{Kind: discovery.Unavailable, Code: "oidc_request", Err: err}
		}
		return v.redirect(to)
	}
	req, err := saml.NewRequest(c, leg, key, s.Now())
	if err != nil {
		return &discovery.Error{Kind: discovery.Internal, Code: "saml_request", Err: err}
	}
	if req.Post == nil {
		return v.redirect(req.URL)
	}
	page.FormAction(v.w, "'self'", origin(req.Post.Action))
	return v.render(http.StatusOK, "post", postPage{
		Action: req.Post.Action, Request: req.Post.SAMLRequest, State: req.Post.RelayState,
	})
}

// origin is the part of a URL that a policy names.
func origin(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "'none'"
	}
	return u.Scheme + "://" + u.Host
}

// federation is a connection as it is used where this request is served.
func (v *visit) federation(id string) (federation.Connection, saml.KeyPair, error) {
	c, key, err := v.site.Store.Connection(v.r.Context(), v.portal.ID, id)
	return portal.ConnectionAt(v.portal, c, v.site.Store.StandIn), key, err
}

// samlConnection is the connection of the path if it speaks SAML.
func (s *Site) samlConnection(v *visit) (federation.Connection, saml.KeyPair, error) {
	c, key, err := v.federation(v.connection)
	return c, key, cmp.Or(err, speaksSAML(c))
}

func speaksSAML(c federation.Connection) error {
	if c.Kind != federation.SAML || c.SAML == nil {
		return &discovery.Error{Kind: discovery.NotFound, Code: "connection_kind"}
	}
	return nil
}

// metadata is the same wherever it is asked for: it lists the portal's own
// address first, and then those of its standbys.
func (s *Site) metadata(v *visit) error {
	c, key, err := s.Store.Connection(v.r.Context(), v.portal.ID, v.connection)
	if err := cmp.Or(err, speaksSAML(c)); err != nil {
		return err
	}
	doc, err := saml.Metadata(c, key, portal.Addresses(v.portal, c)[1:]...)
	if err != nil {
		return &discovery.Error{Kind: discovery.Internal, Code: "metadata", Err: err}
	}
	v.w.Header().Set("Content-Type", "application/samlmetadata+xml")
	if v.r.Method != http.MethodHead {
		v.w.Write(doc) // a reader that has gone away is nobody's error
	}
	return nil
}

// assertionConsumer takes the form that a SAML identity provider makes the
// browser post. It comes from another site, so the session cookie does not.
func (s *Site) assertionConsumer(v *visit) error {
	c, key, err := s.samlConnection(v)
	if err != nil {
		return err
	}
	response, relay, err := v.samlForm()
	if err != nil {
		return s.refuse(v, c, err)
	}
	sso := v.token(ssoCookie)
	legs, err := s.legs(v, sso, c.ID)
	if err != nil {
		return err
	}
	want := saml.Expect{Connection: c, Key: key, Now: s.Now()}
	for _, l := range legs {
		want.RequestIDs = append(want.RequestIDs, l.RequestID)
	}
	_, sp := v.verifying(c)
	id, err := saml.Verify(response, want)
	verified(sp, err)
	if err != nil {
		return s.turnBack(v, c, legOf(legs, relay), err)
	}
	if id.InResponseTo == "" {
		return s.askUnsolicited(v, c, id, response)
	}
	for _, l := range legs {
		if l.RequestID != id.InResponseTo {
			continue
		}
		// RelayState is a key into our own state, never an address.
		if relay != "" && relay != l.State {
			return s.refuse(v, c, &federation.Refusal{Code: "relay_state"})
		}
		in, err := s.Store.SignInFederated(v.r.Context(), v.portal.ID, v.visitor(), l, id)
		return s.arrived(v, discovery.SAML, in, err)
	}
	return s.refuse(v, c, &federation.Refusal{Code: "in_response_to"})
}

// legs are the requests this browser has open with a connection.
func (s *Site) legs(v *visit, sso portal.Secret, connection string) ([]portal.Federated, error) {
	if sso == "" {
		return nil, nil
	}
	legs, err := s.Store.FederationsForBrowser(v.r.Context(), v.portal.ID, sso, connection)
	if err != nil {
		return nil, fmt.Errorf("read federated attempts: %w", err)
	}
	return legs, nil
}

// legOf is the leg that a RelayState names; a zero one if it names none.
func legOf(legs []portal.Federated, relay string) portal.Federated {
	for _, l := range legs {
		if relay != "" && relay == l.State {
			return l
		}
	}
	return portal.Federated{}
}

// samlForm reads the one SAMLResponse of a form. Artifacts are refused, wherever
// they come: resolving one would be a call to an address of the sender's choice.
func (v *visit) samlForm() (response, relay string, err error) {
	q, err := url.ParseQuery(v.r.URL.RawQuery)
	if err != nil || q.Has("SAMLResponse") || q.Has("RelayState") || q.Has("SAMLart") {
		return "", "", &federation.Refusal{Code: "binding", Detail: "parameters in the query", Status: http.StatusBadRequest}
	}
	body, err := v.body(maxSAMLForm)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = &federation.Refusal{Code: "response_size", Status: http.StatusRequestEntityTooLarge}
	}
	if err != nil {
		return "", "", err
	}
	f, err := parseValues(body, []field{{"SAMLResponse", maxSAMLForm}, {"RelayState", 1024}, {"SAMLart", 1024}}, false)
	if err != nil {
		return "", "", err
	}
	if _, ok := f["SAMLart"]; ok {
		return "", "", &federation.Refusal{Code: "artifact"}
	}
	if f["SAMLResponse"] == "" {
		return "", "", badField("SAMLResponse", "field_missing", "The field “%s” is missing.", "SAMLResponse")
	}
	return f["SAMLResponse"], f["RelayState"], nil
}

// askUnsolicited asks before a sign-in that nobody here began takes place:
// otherwise whoever gets a browser to post a form could sign it in as themselves.
// Nothing is used up yet; the response comes back with the answer, from this
// site's own page, and is verified again.
func (s *Site) askUnsolicited(v *visit, c federation.Connection, id federation.Identity, response string) error {
	return v.render(http.StatusOK, "confirm", confirmPage{
		Portal: v.portal.Name, Connection: c.Name, Address: id.Email,
		Action: "/saml/" + c.ID + "/confirm", Response: response,
	})
}

func (s *Site) confirmUnsolicited(v *visit) error {
	c, key, err := s.samlConnection(v)
	if err != nil {
		return err
	}
	response, _, err := v.samlForm()
	if err != nil {
		return s.refuse(v, c, err)
	}
	_, sp := v.verifying(c)
	id, err := saml.Verify(response, saml.Expect{Connection: c, Key: key, Now: s.Now()})
	verified(sp, err)
	if err == nil && id.InResponseTo != "" {
		err = &federation.Refusal{Code: "in_response_to"}
	}
	if err != nil {
		return s.refuse(v, c, err)
	}
	in, err := s.Store.SignInFederated(v.r.Context(), v.portal.ID, v.newVisitor(), portal.Federated{}, id)
	return s.arrived(v, discovery.SAML, in, err)
}

// callback takes the answer of an OpenID provider.
func (s *Site) callback(v *visit) error {
	c, _, err := v.federation(v.connection)
	if err != nil {
		return err
	}
	if c.Kind != federation.OIDC || c.OIDC == nil {
		return &discovery.Error{Kind: discovery.NotFound, Code: "connection_kind"}
	}
	if s.RelyingParty == nil {
		return &discovery.Error{Kind: discovery.Unavailable, Code: "oidc_off"}
	}
	if v.passive() {
		return v.nobody()
	}
	q, err := url.ParseQuery(v.r.URL.RawQuery)
	if err != nil {
		return badField("", "query_encoding", "The address of this page cannot be read.")
	}
	if len(q["state"]) > 1 {
		return s.refuse(v, c, badField("state", "duplicate_parameter", "The field “%s” was sent more than once.", "state"))
	}
	sso := v.token(ssoCookie)
	leg, err := portal.Federated{}, error(portal.ErrAttempt)
	if sso != "" && tokenShaped(q.Get("state")) {
		leg, err = s.Store.FederationByState(v.r.Context(), v.portal.ID, sso, c.ID, q.Get("state"))
	}
	if err != nil {
		return s.refuse(v, c, err)
	}
	ctx, sp := v.verifying(c)
	id, err := s.RelyingParty.Callback(ctx, c, leg.Attempt, q)
	verified(sp, err)
	if err != nil {
		return s.turnBack(v, c, leg, err)
	}
	in, err := s.Store.SignInFederated(v.r.Context(), v.portal.ID, v.visitor(), leg, id)
	return s.arrived(v, discovery.OIDC, in, err)
}

// verifying starts the span of judging an identity provider's answer, which for
// OpenID Connect includes asking it.
func (v *visit) verifying(c federation.Connection) (context.Context, span.Span) {
	ctx, sp := span.Start(v.r.Context(), span.Federation)
	sp.Text(span.Kind, string(c.Kind))
	return ctx, sp
}

// verified ends it, with the code of a refusal.
func verified(sp span.Span, err error) {
	var refusal *federation.Refusal
	if errors.As(err, &refusal) {
		sp.Text(span.Code, refusal.Code)
		err = nil
	}
	sp.End(err)
}

// arrived ends a federated sign-in: in, or dully refused.
func (s *Site) arrived(v *visit, method discovery.SignIn, in portal.SignedIn, err error) error {
	s.count(method, in, err)
	if err != nil {
		return v.startAgain(err, "/")
	}
	// The cookie of the trip stays until it expires: another tab may still be at
	// its provider, and this leg is spent in the store.
	return v.enter(in)
}

// turnBack is refuse for an answer that belongs to a trip of this browser. Who
// only turned back at the provider finds the sign-in page, and the attempt as it
// was. A forged answer gets no further than that.
func (s *Site) turnBack(v *visit, c federation.Connection, leg portal.Federated, cause error) error {
	err := s.refuse(v, c, cause)
	var refusal *federation.Refusal
	var e *discovery.Error
	if leg.State == "" || !errors.As(cause, &refusal) || !refusal.Cancelled() ||
		!errors.As(err, &e) || e.Kind != discovery.Forbidden || page.ForPrograms(v.r) {
		return err
	}
	return v.showAddress(e.Kind.Status(), addressPage{
		Notice:    v.t("You cancelled, or were not let in, at your organisation’s sign-in. You can try again."),
		Reference: page.Reference(v.r.Context()), Attempt: leg.Handle, Email: v.emailField(""),
	})
}

// refuse audits that an identity provider's answer was not believed, and turns
// the reason into a page that does not tell it. A failure that is about us (the
// store) passes through untouched.
func (s *Site) refuse(v *visit, c federation.Connection, cause error) error {
	kind, code := discovery.Forbidden, ""
	var refusal *federation.Refusal
	var known *discovery.Error
	switch {
	case errors.As(cause, &refusal):
		code = refusal.Code
		switch refusal.Status {
		case http.StatusBadRequest:
			kind = discovery.Invalid
		case http.StatusRequestEntityTooLarge:
			kind = discovery.TooLarge
		case http.StatusServiceUnavailable:
			kind = discovery.Unavailable
		}
	case errors.As(cause, &known):
		kind, code = known.Kind, known.Code
	default:
		return cause
	}
	if err := s.Store.RefuseFederated(v.r.Context(), v.portal.ID, v.visitor(), c.ID, cause); err != nil {
		return fmt.Errorf("audit refusal: %w", err)
	}
	s.signins.WithLabelValues(string(c.Kind), "refused").Inc()
	if known != nil {
		return v.startAgain(cause, "/")
	}
	return &discovery.Error{Kind: kind, Code: code, Err: cause}
}
