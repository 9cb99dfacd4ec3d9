package web

import (
	"cmp"
	"crypto/ed25519"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/federation/oidc"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
	"github.com/domicile-sso/domicile/regions/ticket"
)

//go:embed pages/*.html locales
var files embed.FS

// Options of a [Site]. Store and Now are required.
type Options struct {
	Store        *store.Store
	Now          func() time.Time
	RelyingParty *oidc.RelyingParty // nil: OIDC connections answer 503
	Tickets      *ticket.Opener     // nil: there is no front door, every ticket is refused

	Region       string // "eu-central"
	RegionName   string // "Frankfurt": shown to people, may be empty
	Jurisdiction string // "EU": where the data of these portals is kept

	// StandsInFor is the region, as people read it, whose portals are served here
	// while its own processes are down; Store.StandIn is this one then. Empty: these
	// are the region's own processes.
	StandsInFor string

	Product    string             // what pages call the whole; empty: Domicile
	FrontDoor  string             // public URL of the global page; empty: never mentioned
	Publishing ed25519.PrivateKey // vouches for a browser at the front door; nil: not offered

	Limits Limits // on what strangers make us write down

	Log     *slog.Logger
	Metrics prometheus.Registerer // may be nil
}

// A Site serves all portals of one region. Its base URLs come from the stored
// portal alone; a host that is none of theirs is answered 421.
type Site struct {
	Options
	pages   *page.Set
	limiter *page.Limiter
	router  *mux.Router
	assets  http.Handler
	signins *prometheus.CounterVec
}

// New builds the site. Put cmd/internal/serve's chain around it, with [Site.Error]
// for what the chain refuses, [CrossSite] and [BodyLimits]: without it a site is
// not safe, for posts from other sites and cookies sent twice are refused there.
func New(o Options) (*Site, error) {
	if o.Store == nil || o.Now == nil {
		return nil, errors.New("portal site: store and clock are required")
	}
	if (o.StandsInFor == "") != (o.Store.StandIn == "") {
		return nil, errors.New("portal site: the store stands in, or the site does, but not both")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Site{Options: o, limiter: newLimiter(o.Limits)}
	pages, err := page.New(files, page.Options{Log: o.Log, Product: o.Product, FrontDoor: o.FrontDoor, StandIn: page.StandIn{
		Region: cmp.Or(o.RegionName, o.Region), For: o.StandsInFor, Jurisdiction: o.Jurisdiction},
		Locales: []fs.FS{files}, Reload: s.reload})
	if err != nil {
		return nil, fmt.Errorf("portal site: %w", err)
	}
	s.pages, s.assets = pages, pages.Assets()
	s.signins = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "domicile_portal_sign_ins_total",
		Help: "Sign-ins that came to an end, by method and outcome.",
	}, []string{"method", "outcome"})
	if o.Metrics != nil {
		if err := o.Metrics.Register(s.signins); err != nil {
			return nil, fmt.Errorf("portal site: %w", err)
		}
	}
	s.router = s.newRouter()
	return s, nil
}

// SessionCookie is the one cookie that carries authority.
const SessionCookie = "__Host-session"

// CrossSite are the routes that other sites may post to.
func CrossSite() []string { return []string{"/saml/*/acs"} }

// Uploads are the routes that take a file.
func Uploads() []string { return []string{"/admin/users/import"} }

// BodyLimits are the routes that take more than an ordinary form.
func BodyLimits() map[string]int64 {
	return map[string]int64{"/saml/*/acs": maxSAMLForm, "/saml/*/confirm": maxSAMLForm,
		"/admin/users/invite": maxInviteForm, "/admin/users/import": maxImportForm}
}

// A route is one line of the site's list.
type route struct {
	method string
	path   string
	access access
	handle func(*visit) error
	may    portal.Permission // beyond being a member; "": nothing more
}

type access int

const (
	// anyone may ask, as often as they like: nothing is written down, or the
	// handler counts what is.
	anyone access = iota
	// counted routes write something down for whoever asks: see [Limits].
	counted
	// member routes are for signed-in browsers; any other browser is led to the
	// sign-in page and back.
	member
	// fresh routes are member routes for what protects an account or others: the
	// person must have proved lately who they are, or is asked to and led back.
	fresh
)

// account is an ID in a path; one that belongs to another portal is answered
// like one that does not exist.
const account = "{account:[0-9a-f]{32}}"

// What else a path names.
const (
	imported       = "{import:[0-9a-f]{32}}"
	letterKind     = "{kind:[a-z-]{1,40}}"
	letterLanguage = "{language:[a-z]{2}}"
)

const connection = "{connection:[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?}"

func (s *Site) routes() []route {
	return []route{
		{"GET", "/", member, s.home, ""},
		{"GET", "/remember", member, s.remember, ""},
		{"GET", "/account", member, s.account, ""},
		{"GET", "/account/profile", member, s.profile, ""},
		{"POST", "/account/profile", member, s.saveProfile, ""},
		{"GET", "/account/licence", fresh, s.releaseForm, ""},
		{"POST", "/account/licence", fresh, s.release, ""},
		{"GET", "/account/activity", member, s.activity, ""},
		{"GET", "/account/security", member, s.security, ""},
		{"POST", "/account/security/remove", fresh, s.removeFactor, ""},
		{"POST", "/account/security/distrust", member, s.distrust, ""},
		{"GET", "/account/security/totp", fresh, s.totp, ""},
		{"POST", "/account/security/totp", fresh, s.takeTOTP, ""},
		{"GET", "/account/security/sms", fresh, s.sms, ""},
		{"POST", "/account/security/sms", fresh, s.takeSMS, ""},
		{"GET", "/account/security/passkeys", fresh, s.passkeys, ""},
		{"POST", "/account/security/passkeys", fresh, s.addPasskey, ""},
		{"GET", "/account/security/codes", fresh, s.codes, ""},
		{"POST", "/account/security/codes", fresh, s.drawCodes, ""},
		{"GET", "/account/password", fresh, s.passwordForm, ""},
		{"POST", "/account/password", fresh, s.changePassword, ""},
		{"GET", "/account/confirm", member, s.confirmForm, ""},
		{"POST", "/account/confirm", member, s.confirm, ""},
		{"GET", "/account/addresses", member, s.addresses, ""},
		{"POST", "/account/addresses", member, s.addAddress, ""},
		{"POST", "/account/addresses/resend", member, s.resendAddress, ""},
		{"POST", "/account/addresses/promote", fresh, s.promoteAddress, ""},
		{"POST", "/account/addresses/remove", fresh, s.removeAddress, ""},
		{"GET", "/account/addresses/confirm", fresh, s.confirmAddressForm, ""},
		{"POST", "/account/addresses/confirm", fresh, s.confirmAddress, ""},
		{"GET", "/account/addresses/merge", fresh, s.mergeForm, ""},
		{"POST", "/account/addresses/merge", fresh, s.mergeAccounts, ""},
		{"GET", "/account/sessions", member, s.sessions, ""},
		{"POST", "/account/sessions/end", member, s.endSession, ""},
		{"POST", "/account/sessions/end-others", member, s.endOtherSessions, ""},
		{"POST", "/account/sessions/end-all", member, s.endSessions, ""},
		{"POST", "/account/apps/activate", member, s.activate, ""},
		{"POST", "/account/apps/remove", member, s.removeApp, ""},
		{"POST", "/account/apps/restore", member, s.restoreApp, ""},

		{"GET", "/admin", member, s.console, portal.SeeConsole},
		{"GET", "/admin/users", member, s.users, portal.SeeUsers},
		{"GET", "/admin/users/export.csv", fresh, s.exportUsers, portal.ExportUsers},
		{"GET", "/admin/users/invite", member, s.inviteForm, portal.InviteUsers},
		{"POST", "/admin/users/invite", member, s.invite, portal.InviteUsers},
		{"GET", "/admin/users/import", fresh, s.importForm, portal.ImportUsers},
		{"POST", "/admin/users/import", fresh, s.takeImport, portal.ImportUsers},
		{"GET", "/admin/users/import/" + imported, member, s.imported, portal.ImportUsers},
		{"POST", "/admin/users/import/" + imported, fresh, s.changeImport, portal.ImportUsers},
		{"GET", "/admin/users/import/" + imported + "/report.csv", member, s.importReport, portal.ImportUsers},
		{"GET", "/admin/users/" + account, member, s.user, portal.SeeUsers},
		{"GET", "/admin/users/" + account + "/profile", member, s.userProfile, portal.EditUsers},
		{"POST", "/admin/users/" + account + "/profile", member, s.saveUserProfile, portal.EditUsers},
		{"POST", "/admin/users/" + account + "/status", fresh, s.switchUser, portal.SwitchUsers},
		{"POST", "/admin/users/" + account + "/role", fresh, s.setRole, portal.GrantRoles},
		{"POST", "/admin/users/" + account + "/invitation", member, s.changeInvitation, portal.InviteUsers},
		{"GET", "/admin/users/" + account + "/addresses", member, s.userAddresses, portal.EditUsers},
		{"POST", "/admin/users/" + account + "/addresses", member, s.changeUserAddresses, portal.EditUsers},
		{"GET", "/admin/users/" + account + "/licence", member, s.userLicence, portal.AssignLicences},
		{"POST", "/admin/users/" + account + "/licence", fresh, s.changeLicence, portal.AssignLicences},
		{"GET", "/admin/users/" + account + "/security", member, s.userSecurity, portal.EditUsers},
		{"POST", "/admin/users/" + account + "/security", fresh, s.changeUserSecurity, portal.EditUsers},
		{"POST", "/admin/users/" + account + "/sessions", member, s.signOutUser, portal.EditUsers},
		{"GET", "/admin/licences", member, s.licences, portal.SeeLicences},
		{"POST", "/admin/licences", fresh, s.letRelease, portal.AssignLicences},
		{"GET", "/admin/domains", member, s.approvedDomains, portal.ApproveDomains},
		{"POST", "/admin/domains", fresh, s.approveDomain, portal.ApproveDomains},
		{"POST", "/admin/domains/remove", fresh, s.removeDomain, portal.ApproveDomains},
		{"GET", "/admin/notifications", member, s.notifications, portal.ChangeSettings},
		{"POST", "/admin/notifications", member, s.saveNotifications, portal.ChangeSettings},
		{"GET", "/admin/mails", member, s.mails, portal.ChangeSettings},
		{"GET", "/admin/mails/" + letterKind + "/" + letterLanguage, member, s.mailText, portal.ChangeSettings},
		{"POST", "/admin/mails/" + letterKind + "/" + letterLanguage, member, s.saveMailText, portal.ChangeSettings},
		{"GET", "/admin/policy", fresh, s.policy, portal.ChangeSettings},
		{"POST", "/admin/policy", fresh, s.savePolicy, portal.ChangeSettings},
		{"GET", "/admin/connections", member, s.connections, portal.MoveConnections},
		{"GET", "/admin/connections/" + domainName + "/move", fresh, s.moveDomainForm, portal.MoveConnections},
		{"POST", "/admin/connections/" + domainName + "/move", fresh, s.moveDomain, portal.MoveConnections},
		{"POST", "/admin/connections/undo", fresh, s.undoMove, portal.MoveConnections},
		{"GET", "/admin/recoveries", fresh, s.recoveries, portal.AllowRecoveries},
		{"POST", "/admin/recoveries", fresh, s.decideRecovery, portal.AllowRecoveries},
		{"GET", "/admin/audit", member, s.audit, portal.SeeAudit},
		{"GET", "/admin/audit/export.csv", fresh, s.exportAudit, portal.SeeAudit},

		{"POST", "/language", anyone, s.chooseLanguage, ""},

		{"GET", "/login", anyone, s.login, ""},
		{"POST", "/login", counted, s.takeAddress, ""},
		{"GET", "/login/method", anyone, s.chooseMethod, ""},
		{"GET", "/login/password", anyone, s.askPassword, ""},
		{"POST", "/login/password", counted, s.takePassword, ""},
		{"GET", "/login/recovery", anyone, s.askForRecovery, ""},
		{"POST", "/login/recovery", counted, s.takeRecovery, ""},
		{"GET", "/login/passkey", anyone, s.askPasskey, ""},
		{"POST", "/login/passkey", counted, s.takePasskey, ""},
		{"GET", "/login/factor", anyone, s.factor, ""},
		{"POST", "/login/factor", counted, s.takeFactor, ""},
		{"POST", "/login/factor/sms", counted, s.sendFactorCode, ""},
		{"GET", "/login/enrol", anyone, s.enrol, ""},
		{"POST", "/login/enrol", counted, s.takeEnrol, ""},
		{"GET", "/login/" + connection, counted, s.startFederation, ""},
		{"GET", "/logout", anyone, s.askSignOut, ""},
		{"POST", "/logout", anyone, s.signOut, ""},

		{"GET", "/password/forgot", anyone, s.forgotForm, ""},
		{"POST", "/password/forgot", counted, s.forgot, ""},
		{"GET", "/password/reset", anyone, s.resetForm, ""},
		{"POST", "/password/reset", counted, s.reset, ""},
		{"GET", "/password/change", anyone, s.temporaryForm, ""},
		{"POST", "/password/change", counted, s.replaceTemporary, ""},
		{"GET", "/recovery", anyone, s.recovery, ""},
		{"POST", "/recovery", counted, s.startRecovery, ""},
		{"GET", "/recovery/cancel", anyone, s.askCancel, ""},
		{"POST", "/recovery/cancel", counted, s.cancelRecovery, ""},
		{"GET", "/invitation", anyone, s.invitation, ""},
		{"POST", "/invitation", counted, s.redeem, ""},

		{"POST", "/saml/" + connection + "/acs", counted, s.assertionConsumer, ""},
		{"POST", "/saml/" + connection + "/confirm", counted, s.confirmUnsolicited, ""},
		{"GET", "/saml/" + connection + "/metadata", anyone, s.metadata, ""},
		{"GET", "/oidc/" + connection + "/callback", counted, s.callback, ""},
	}
}

// Routes lists what a site answers, as "METHOD /path", for tests that try every
// door; {connection} stands for the ID of one. GET answers HEAD too.
func Routes() []string {
	var lines []string
	for _, rt := range (*Site)(nil).routes() {
		path := strings.NewReplacer(connection, "{connection}", account, "{account}", domainName, "{domain}",
			imported, "{import}", letterKind, "{kind}", letterLanguage, "{language}").Replace(rt.path)
		lines = append(lines, rt.method+" "+path)
	}
	return lines
}

func (s *Site) newRouter() *mux.Router {
	// Paths are compared as they were sent: cleaning would redirect, and decoding
	// would let two programs on the way see two paths.
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	for _, rt := range s.routes() {
		methods := []string{rt.method}
		if rt.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		router.Handle(rt.path, s.handler(rt)).Methods(methods...)
	}
	router.NotFoundHandler = s.pages.Handle(func(http.ResponseWriter, *http.Request) error {
		return &discovery.Error{Kind: discovery.NotFound, Code: "no_route"}
	})
	router.MethodNotAllowedHandler = s.pages.Handle(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", s.allowed(r))
		return &discovery.Error{Kind: discovery.NotAllowed, Code: "method_refused"}
	})
	return router
}

// allowed lists the methods that a path has.
func (s *Site) allowed(r *http.Request) string {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		probe := r.Clone(r.Context())
		probe.Method = m
		var match mux.RouteMatch
		if s.router.Match(probe, &match) && match.MatchErr == nil {
			methods = append(methods, m)
		}
	}
	return strings.Join(methods, ", ")
}

// ServeHTTP finds the portal by host before anything else.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/assets/") {
		s.assets.ServeHTTP(w, r)
		return
	}
	p, err := s.Store.PortalByHost(r.Context(), r.Host)
	if err != nil {
		s.Error(w, r, edge(err))
		return
	}
	ctx := page.WithFrame(s.speak(r.Context(), r, p.ID), page.Frame{Site: p.Name, Jurisdiction: s.Jurisdiction})
	s.router.ServeHTTP(w, r.WithContext(withPortal(ctx, p)))
}

// Error answers a request that something around the site refused.
func (s *Site) Error(w http.ResponseWriter, r *http.Request, err error) { s.pages.Error(w, r, err) }

// handler runs a route for the portal of the request.
func (s *Site) handler(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{site: s, w: w, r: r, portal: portalOf(r.Context()), connection: mux.Vars(r)["connection"], account: mux.Vars(r)["account"]}
		if err := s.run(v, rt); err != nil {
			s.pages.Error(w, v.r, err) // v.r: the language may be the account's by now
		}
	})
}

func (s *Site) run(v *visit, rt route) error {
	switch rt.access {
	case member, fresh:
		return edge(s.asMember(v, rt))
	case counted:
		if err := v.admit(); err != nil {
			return err
		}
	}
	return edge(rt.handle(v))
}

// asMember runs a route that needs a session, or leads to the sign-in page and
// from there back to the page asked for.
func (s *Site) asMember(v *visit, rt route) error {
	sess, err := v.session()
	if err == nil {
		v.member = &sess
		v.greet(sess.Account)
		v.lead(sess.Account)
		if !sess.Account.Role.May(rt.may) {
			return s.refuseMember(v, rt)
		}
		if rt.access == fresh && !v.isFresh() {
			return s.askConfirm(v)
		}
		if err = rt.handle(v); errors.Is(err, portal.ErrNoSession) {
			return v.redirect("/login") // it was ended a moment ago, from elsewhere
		}
		return err
	}
	if !errors.Is(err, portal.ErrNoSession) {
		return err
	}
	to := s.returnPath(v.r.URL.RequestURI())
	if v.r.Method != http.MethodGet || v.passive() || to == "/" {
		return v.redirect("/login")
	}
	if err := v.admit(); err != nil {
		return err
	}
	attempt, err := s.Store.StartAttempt(v.r.Context(), v.portal.ID, v.newVisitor(), portal.Attempt{ReturnTo: to})
	if err != nil {
		return fmt.Errorf("start attempt: %w", err)
	}
	return v.redirect("/login?attempt=" + attempt)
}

// refuseMember answers somebody who is signed in and may not do this. The page is
// the same for what is forbidden and for what an ID does not name.
func (s *Site) refuseMember(v *visit, rt route) error {
	err := &discovery.Error{Kind: discovery.Forbidden, Code: "permission_missing", Say: "Your role in this portal does not allow that. Nothing was changed."}
	return errors.Join(err, s.Store.Audit(v.r.Context(), portal.Event{
		Portal: v.portal.ID, Account: v.member.Account.ID, Action: "access.refused", Code: err.Code, Target: string(rt.may),
		Reference: page.Reference(v.r.Context()), Client: portal.Network(page.Client(v.r.Context())),
	}))
}

// returnPath is where a sign-in may lead: one of this site's own member pages.
// Anything else is the home page.
func (s *Site) returnPath(path string) string {
	path = portal.LocalPath(path)
	r, err := http.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return "/"
	}
	var match mux.RouteMatch
	if !s.router.Match(r, &match) || match.MatchErr != nil {
		return "/"
	}
	at, err := match.Route.GetPathTemplate()
	if err != nil {
		return "/"
	}
	for _, rt := range s.routes() {
		if rt.access >= member && rt.method == http.MethodGet && rt.path == at {
			return path
		}
	}
	return "/"
}

// edge decides what a failure is that nobody gave a kind: the store or an
// identity provider did not answer, and "not known now" is never "no".
func edge(err error) error {
	var known *discovery.Error
	var tooLarge *http.MaxBytesError
	if err == nil || errors.As(err, &known) || errors.As(err, &tooLarge) {
		return err
	}
	return &discovery.Error{Kind: discovery.Unavailable, Code: "store_unavailable", Retry: 5 * time.Second, Err: err}
}
