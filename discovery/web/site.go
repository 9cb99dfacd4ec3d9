// Package web is the front door as browsers and programs meet it: the global
// sign-in page, the chooser, POST /v1/discover, WebFinger, and, on a listener of
// its own, the intake of the regions' claims.
//
// Every door asks the same [discovery.Resolver] and is bounded by the same rate
// limits, which are spent before anything is known of the address. A GET changes
// nothing. The address a person typed goes into a sealed ticket for one region
// and into nothing else: no URL, no hidden field, no log line, no cookie.
package web

import (
	"context"
	"crypto/ed25519"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/span"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

//go:embed pages/*.html locales
var files embed.FS

// Options of a [Site]. Resolver, Regions, URL, Tickets and Secrets are required.
type Options struct {
	Resolver *discovery.Resolver
	Regions  *regions.Catalogue

	URL     string             // public URL of the front door, as proofs name it
	Tickets ed25519.PrivateKey // signs tickets
	Secrets discovery.Secrets  // seal cookies and choices; the same at all front doors

	Product string // what pages call the whole; empty: Domicile

	Limits Limits
	Redis  redis.UniversalClient // shares the limits between front doors; nil: each counts by itself

	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: none
	Now     func() time.Time      // nil: time.Now
}

// A Site is the public side of the front door.
type Site struct {
	Options
	host    string
	pages   *page.Set
	sealer  *ticket.Sealer
	limiter *limiter
	cookies sealer
	choices sealer
	lookups *prometheus.CounterVec
	stale   stale

	failovers *prometheus.CounterVec
	router    *mux.Router
}

// New builds the site. Put cmd/internal/serve's chain around it, with
// [Site.Error] for what the chain refuses.
func New(o Options) (*Site, error) {
	if o.Resolver == nil || o.Regions == nil {
		return nil, errors.New("front door: resolver and regions are required")
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" {
		return nil, errors.New("front door: its public URL is required")
	}
	if err := o.Secrets.Check(); err != nil {
		return nil, fmt.Errorf("front door: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	pages, err := page.New(files, page.Options{Log: o.Log, Product: o.Product, FrontDoor: o.URL, Locales: []fs.FS{files}, Reload: reload})
	if err != nil {
		return nil, fmt.Errorf("front door: %w", err)
	}
	s := &Site{Options: o, host: u.Host, pages: pages}
	if s.cookies, err = newSealer(o.Secrets, "portals cookie"); err != nil {
		return nil, fmt.Errorf("front door: %w", err)
	}
	if s.choices, err = newSealer(o.Secrets, "choice"); err != nil {
		return nil, fmt.Errorf("front door: %w", err)
	}
	if s.sealer, err = ticket.NewSealer(o.Tickets, o.Now); err != nil {
		return nil, fmt.Errorf("front door: %w", err)
	}
	s.limiter = newLimiter(o)
	s.stale.count = countStale(o.Metrics)
	s.lookups = promauto.With(o.Metrics).NewCounterVec(prometheus.CounterOpts{
		Name: "domicile_discovery_lookups_total",
		Help: "Lookups by door (page, choice, json, webfinger) and outcome (one, several, none, partial, invalid, limited, failed).",
	}, []string{"door", "outcome"})
	promauto.With(o.Metrics).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "domicile_discovery_regions",
		Help: "Regions whose record is valid now.",
	}, func() float64 { return float64(len(o.Regions.Regions())) })
	s.failovers = promauto.With(o.Metrics).NewCounterVec(prometheus.CounterOpts{
		Name: "domicile_discovery_failovers_total",
		Help: "Portals told of whose own region was down, by what was told: standby, or down where nothing stands in.",
	}, []string{"told"})
	s.router = s.newRouter()
	return s, nil
}

// A route is one line of the site's list. GET answers HEAD too.
type route struct {
	method, path string
	handle       func(http.ResponseWriter, *http.Request) error
}

func (s *Site) routes() []route {
	return []route{
		{"POST", "/v1/discover", s.discover}, // first: the busiest, and the list is walked
		{"GET", "/", s.front},
		{"POST", "/", s.find},
		{"POST", "/choose", s.choose},
		{"POST", "/choose/anyway", s.anyway},
		{"GET", "/remember", s.askRemember},
		{"POST", "/remember", s.remember},
		{"POST", "/forget", s.forget},
		{"POST", "/language", s.chooseLanguage},
		{"GET", "/.well-known/webfinger", s.webFinger},
	}
}

// Routes lists what a site answers, as "METHOD /path", for tests that try every
// door. GET answers HEAD too.
func Routes() []string {
	var lines []string
	for _, rt := range (*Site)(nil).routes() {
		lines = append(lines, rt.method+" "+rt.path)
	}
	return lines
}

func (s *Site) newRouter() *mux.Router {
	// Paths are compared as they were sent: cleaning would redirect, and decoding
	// would let two programs on the way see two paths.
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	allowed := make(map[string][]string)
	for _, rt := range s.routes() {
		methods := []string{rt.method}
		if rt.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		allowed[rt.path] = append(allowed[rt.path], methods...)
		router.Handle(rt.path, s.pages.Handle(rt.handle)).Methods(methods...)
	}
	router.PathPrefix("/assets/").Handler(s.pages.Assets())
	router.NotFoundHandler = s.pages.Handle(func(http.ResponseWriter, *http.Request) error {
		return &discovery.Error{Kind: discovery.NotFound, Code: "no_route"}
	})
	router.MethodNotAllowedHandler = s.pages.Handle(func(w http.ResponseWriter, r *http.Request) error {
		methods := allowed[r.URL.EscapedPath()]
		slices.Sort(methods)
		w.Header().Set("Allow", strings.Join(methods, ", "))
		return &discovery.Error{Kind: discovery.NotAllowed, Code: "method_not_allowed"}
	})
	return router
}

// ServeHTTP asks the router which handler it is and no more: the router's own would
// copy the request twice, to hand over variables that no path of ours has.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var match mux.RouteMatch
	s.router.Match(r, &match) // there is always a handler: newRouter has set those of 404 and 405
	match.Handler.ServeHTTP(w, r)
}

// Error answers a request that was refused before it came here.
func (s *Site) Error(w http.ResponseWriter, r *http.Request, err error) { s.pages.Error(w, r, err) }

// resolve is the one way every door looks an address up.
func (s *Site) resolve(r *http.Request, door string, a discovery.Address) ([]discovery.Destination, error) {
	ctx, sp := span.Start(r.Context(), span.Lookup)
	found, err := s.Resolver.Resolve(ctx, a, s.proved(r)...)
	became := outcome(len(found), err)
	sp.Text(span.Door, door)
	sp.Text(span.Outcome, became)
	sp.End(err)
	s.lookups.WithLabelValues(door, became).Inc()
	s.noteStale(door)
	s.noteFailover(found)
	return found, err
}

func outcome(found int, err error) string {
	switch {
	case err != nil && found == 0:
		return "failed"
	case err != nil:
		return "partial"
	case found == 0:
		return "none"
	case found == 1:
		return "one"
	}
	return "several"
}

// invalid counts what was no address, and passes the error on.
func (s *Site) invalid(door string, err error) error {
	s.lookups.WithLabelValues(door, "invalid").Inc()
	return err
}

// allow spends one try of this client's, before anything is known of the
// address: what is limited is the asking, whoever is asked for.
func (s *Site) allow(r *http.Request, door string) error {
	wait := s.limiter.wait(r.Context(), page.Client(r.Context()))
	if wait <= 0 {
		return nil
	}
	s.lookups.WithLabelValues(door, "limited").Inc()
	return &discovery.Error{Kind: discovery.TooMany, Code: "rate_limited", Retry: wait}
}

// signIn is the sign-in page of a destination with a ticket made out to it.
func (s *Site) signIn(ctx context.Context, d discovery.Destination, a discovery.Address) (string, error) {
	text, err := s.appendSignIn(ctx, nil, d, a)
	return string(text), err
}

func (s *Site) appendSignIn(ctx context.Context, text []byte, d discovery.Destination, a discovery.Address) (_ []byte, err error) {
	_, sp := span.Start(ctx, span.SealTicket)
	sp.Text(span.Region, d.Region.Region)
	defer func() { sp.End(err) }()
	text = append(text, d.Portal.URL...)
	text = append(text, "/login?ticket="...)
	text, err = s.sealer.Append(text, d.Region, ticket.Ticket{
		Region: d.Region.Region, Portal: d.Portal.ID, Connection: d.Connection, Address: a.Clear(),
	})
	if err != nil {
		return text, fmt.Errorf("seal a ticket for %s: %w", d.Portal.ID, err)
	}
	return text, nil
}
