package store

import (
	"context"
	"errors"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/saml"
	"github.com/domicile-sso/domicile/portal"
)

var errStub = errors.New("being written")

// CreatePortal makes a portal, or updates name, disclosure, contact and KeepSigned of the one of that ID. Its URL never changes. changed: anything differs now.
func (s *Store) CreatePortal(ctx context.Context, p portal.Portal) (changed bool, err error) {
	return false, errStub
}

// PortalByHost: host with port as in the Host header; unknown: *discovery.Error Kind Misdirected.
func (s *Store) PortalByHost(ctx context.Context, host string) (portal.Portal, error) {
	return portal.Portal{}, errStub
}
func (s *Store) PortalByID(ctx context.Context, id string) (portal.Portal, error) {
	return portal.Portal{}, errStub
}
func (s *Store) Portals(ctx context.Context) ([]portal.Portal, error) { return nil, errStub }

// PutConnection fills EntityID/ACS/RedirectURI on creation (and a key pair for SAML) and returns the connection as stored.
func (s *Store) PutConnection(ctx context.Context, c federation.Connection) (stored federation.Connection, changed bool, err error) {
	return c, false, errStub
}

// Connection: unknown or of another portal: *discovery.Error Kind NotFound.
func (s *Store) Connection(ctx context.Context, portalID, id string) (federation.Connection, saml.KeyPair, error) {
	return federation.Connection{}, saml.KeyPair{}, errStub
}
func (s *Store) Connections(ctx context.Context, portalID string) ([]federation.Connection, error) {
	return nil, errStub
}

func (s *Store) PutDomain(ctx context.Context, d portal.Domain) (changed bool, err error) {
	return false, errStub
}

// DomainFor finds the portal's most specific domain that covers name.
func (s *Store) DomainFor(ctx context.Context, portalID, name string) (portal.Domain, bool, error) {
	return portal.Domain{}, false, errStub
}
func (s *Store) Domains(ctx context.Context, portalID string) ([]portal.Domain, error) {
	return nil, errStub
}

// StartAttempt takes Address, ReturnTo and Keep from a.
func (s *Store) StartAttempt(ctx context.Context, portalID string, v portal.Visitor, a portal.Attempt) (handle string, err error) {
	return "", errStub
}

// StartFromTicket spends the ticket (once for ever) and starts an attempt: portal.ErrTicket when it was spent.
func (s *Store) StartFromTicket(ctx context.Context, portalID string, v portal.Visitor, ticketID string, ticketExpires time.Time, a portal.Attempt) (handle string, err error) {
	return "", errStub
}

// AttemptByHandle: portal.ErrAttempt when unknown, expired, finished or of another browser (v.Browser).
func (s *Store) AttemptByHandle(ctx context.Context, portalID string, v portal.Visitor, handle string) (portal.Attempt, error) {
	return portal.Attempt{}, errStub
}
func (s *Store) SetAddress(ctx context.Context, portalID string, v portal.Visitor, handle string, a discovery.Address) error {
	return errStub
}
func (s *Store) SetKeep(ctx context.Context, portalID string, v portal.Visitor, handle string, keep bool) error {
	return errStub
}

// StartFederation stores fa under the digest of fa.ID (the __Host-sso cookie, shared by the legs of one browser) and fa.State.
func (s *Store) StartFederation(ctx context.Context, portalID string, v portal.Visitor, handle string, fa federation.Attempt) error {
	return errStub
}

// FederationByState: portal.ErrAttempt when it is not a live leg of this browser. Nothing is consumed.
func (s *Store) FederationByState(ctx context.Context, portalID string, sso portal.Secret, connectionID, state string) (portal.Federated, error) {
	return portal.Federated{}, errStub
}

// FederationsForBrowser are the live legs of this browser at one connection (for SAML request IDs).
func (s *Store) FederationsForBrowser(ctx context.Context, portalID string, sso portal.Secret, connectionID string) ([]portal.Federated, error) {
	return nil, errStub
}

// RefuseFederated audits that an IdP's answer was not believed.
func (s *Store) RefuseFederated(ctx context.Context, portalID string, v portal.Visitor, connectionID string, cause error) error {
	return errStub
}

// SignInPassword checks the password of the attempt's address. MustChange in the answer: lead to the page for ChangeTemporaryPassword; the attempt goes on.
func (s *Store) SignInPassword(ctx context.Context, portalID string, v portal.Visitor, handle string, password portal.Secret, keep bool) (portal.SignedIn, error) {
	return portal.SignedIn{}, errStub
}

// ChangeTemporaryPassword replaces the temporary password and signs in. Errors have Field "temporary" or "new".
func (s *Store) ChangeTemporaryPassword(ctx context.Context, portalID string, v portal.Visitor, handle string, temporary, password portal.Secret) (portal.SignedIn, error) {
	return portal.SignedIn{}, errStub
}

// SignInFederated consumes f (zero Handle and State for IdP-initiated), the one-time fact of id, and applies portal.Arrival's rule.
func (s *Store) SignInFederated(ctx context.Context, portalID string, v portal.Visitor, f portal.Federated, id federation.Identity) (portal.SignedIn, error) {
	return portal.SignedIn{}, errStub
}

// SessionByToken: portal.ErrNoSession when there is none that counts.
func (s *Store) SessionByToken(ctx context.Context, portalID string, token portal.Secret) (portal.Session, error) {
	return portal.Session{}, errStub
}
func (s *Store) SignOut(ctx context.Context, portalID string, v portal.Visitor, token portal.Secret) (portal.Ended, error) {
	return portal.Ended{}, errStub
}
func (s *Store) SignOutAll(ctx context.Context, portalID string, v portal.Visitor, accountID string) error {
	return errStub
}

// ChangePassword (S11): Field "old" or "new"; ends every session and starts a new one for this browser.
func (s *Store) ChangePassword(ctx context.Context, portalID string, v portal.Visitor, token, old, password portal.Secret) (portal.SignedIn, error) {
	return portal.SignedIn{}, errStub
}

// RequestReset does the same work for every address; whether a mail goes out is decided by the mail worker.
func (s *Store) RequestReset(ctx context.Context, portalID string, v portal.Visitor, a discovery.Address) error {
	return errStub
}

// ResetByToken is for GET: is the link still good? Consumes nothing. portal.ErrLink otherwise.
func (s *Store) ResetByToken(ctx context.Context, portalID string, token portal.Secret) (portal.Token, error) {
	return portal.Token{}, errStub
}
func (s *Store) ResetPassword(ctx context.Context, portalID string, v portal.Visitor, token, password portal.Secret) error {
	return errStub
}

// Invite makes the account (or renews its invitation) and queues the mails. changed is false for an active account.
func (s *Store) Invite(ctx context.Context, v portal.Visitor, inv portal.Invitation) (changed bool, err error) {
	return false, errStub
}

// InvitationByToken is for GET; consumes nothing.
func (s *Store) InvitationByToken(ctx context.Context, portalID string, token portal.Secret) (portal.Invitation, error) {
	return portal.Invitation{}, errStub
}

// RedeemInvitation: link + temporary password + new password. Errors have Field "temporary" or "new".
func (s *Store) RedeemInvitation(ctx context.Context, portalID string, v portal.Visitor, token, temporary, password portal.Secret, keep bool) (portal.SignedIn, error) {
	return portal.SignedIn{}, errStub
}

func (s *Store) AccountByAddress(ctx context.Context, portalID string, a discovery.Address) (portal.Account, bool, error) {
	return portal.Account{}, false, errStub
}
func (s *Store) Disable(ctx context.Context, portalID string, v portal.Visitor, a discovery.Address) (changed bool, err error) {
	return false, errStub
}
func (s *Store) Enable(ctx context.Context, portalID string, v portal.Visitor, a discovery.Address) (changed bool, err error) {
	return false, errStub
}

// DangerouslyCreateAccount makes an active account with a password somebody else knows: demo and tests.
func (s *Store) DangerouslyCreateAccount(ctx context.Context, a portal.Account, password portal.Secret) (created bool, err error) {
	return false, errStub
}

func (s *Store) Audit(ctx context.Context, e portal.Event) error { return errStub }
func (s *Store) Events(ctx context.Context, portalID string, f portal.EventFilter) ([]portal.Link, error) {
	return nil, errStub
}

// CheckAudit: portal.ErrChain when the log was tampered with; head is for anchoring elsewhere.
func (s *Store) CheckAudit(ctx context.Context, portalID string) (head portal.Link, err error) {
	return portal.Link{}, errStub
}

// PendingClaims are the next claims in order, at most limit, and the sequence known to be applied.
func (s *Store) PendingClaims(ctx context.Context, region string, keys discovery.BlindKeys, limit int) (claims []discovery.Claim, after int64, err error) {
	return nil, 0, errStub
}
func (s *Store) Ack(ctx context.Context, last int64) error { return errStub }

// Republish queues everything again and a sweep.
func (s *Store) Republish(ctx context.Context) error { return errStub }

// FastForward sets what is applied to last and continues after it.
func (s *Store) FastForward(ctx context.Context, last int64) (ahead bool, err error) { return false, errStub }

// OutboxAge is the age of the oldest unpublished change; 0: none.
func (s *Store) OutboxAge(ctx context.Context) (time.Duration, error) { return 0, errStub }

// DueLetters takes letters that are due; each is kept from others for a minute and must be reported.
func (s *Store) DueLetters(ctx context.Context, limit int) ([]portal.Posted, error) {
	return nil, errStub
}
func (s *Store) LetterSent(ctx context.Context, id string) error   { return errStub }
func (s *Store) LetterFailed(ctx context.Context, id string) error { return errStub }

// Cleanup removes at most limit expired rows of each sort.
func (s *Store) Cleanup(ctx context.Context, limit int) (removed int64, err error) { return 0, errStub }
