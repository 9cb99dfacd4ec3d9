// Package demo runs everything in one process: a front door, three regions with
// a database each, four organisations with their identity providers, and a
// mailbox. The roles are those of package app, with real keys, real signed
// records and a real claims listener; only what surrounds them is made up.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal/mail"
)

// Options of a demo.
type Options struct {
	Addr string // "127.0.0.1:8080"; port 0 picks a free one, or the one Data was made for
	Data string // folder that stays; empty: a temporary one that Stop removes
	Log  *slog.Logger
	Now  func() time.Time // nil: time.Now
}

// A Demo is the whole product in one process.
type Demo struct {
	URL     string // of the front door
	MailURL string
	People  []Person
	Portals []Place

	Front   *app.Discovery
	Regions map[string]*app.Portal // by region
	Mailbox *mail.Mailbox

	o      Options
	folder string
	port   string
	keys   *keys
	idps   *idps
	server *serve.Server
	hosts  atomic.Pointer[map[string]http.Handler]
}

// New makes everything but opens no door yet. What was made before an error is
// undone.
func New(ctx context.Context, o Options) (_ *Demo, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Demo{o: o, People: people, Regions: map[string]*app.Portal{}, Mailbox: new(mail.Mailbox)}
	defer func() {
		if err != nil {
			_ = d.Stop(ctx)
		}
	}()
	if err := d.open(); err != nil {
		return nil, err
	}
	d.places()
	if d.keys, err = readKeys(keyring(filepath.Join(d.folder, "keys"))); err != nil {
		return nil, err
	}
	if err := d.signRecords(); err != nil {
		return nil, err
	}
	if d.idps, err = newIDPs(d.host("idp"), d.keys, o.Now); err != nil {
		return nil, err
	}
	if err := d.roles(ctx); err != nil {
		return nil, err
	}
	return d, d.mount()
}

// open makes the folder and binds the port. Addresses of portals hold the port,
// and never change, so a folder belongs to one.
func (d *Demo) open() error {
	if d.o.Data == "" {
		folder, err := os.MkdirTemp("", "domicile-demo-")
		if err != nil {
			return err
		}
		d.folder = folder
	} else {
		d.folder = d.o.Data
	}
	for _, sub := range []string{"keys", "databases"} {
		if err := os.MkdirAll(filepath.Join(d.folder, sub), 0o700); err != nil {
			return err
		}
	}
	host, port, err := net.SplitHostPort(d.o.Addr)
	if err != nil {
		return fmt.Errorf("address %q: want host:port, such as 127.0.0.1:8080", d.o.Addr)
	}
	made, err := os.ReadFile(filepath.Join(d.folder, "port"))
	madeFor := strings.TrimSpace(string(made))
	switch {
	case err == nil && port == "0":
		port = madeFor
	case err == nil && port != madeFor:
		return fmt.Errorf("%s was made for port %s, and addresses of portals do not change: use --addr %s, or another folder",
			d.folder, madeFor, net.JoinHostPort(host, madeFor))
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	if d.server, err = serve.Listen("demo", net.JoinHostPort(host, port), nil, http.HandlerFunc(d.serve), d.o.Log); err != nil {
		return fmt.Errorf("%w: end what listens there, or choose another port with --addr", err)
	}
	_, d.port, _ = net.SplitHostPort(d.server.Addr().String())
	return os.WriteFile(filepath.Join(d.folder, "port"), []byte(d.port+"\n"), 0o600)
}

// host is the URL of a name under localhost.
func (d *Demo) host(name string) string {
	if name != "" {
		name += "."
	}
	if d.port == "80" {
		return "http://" + name + "localhost"
	}
	return "http://" + name + "localhost:" + d.port
}

func (d *Demo) places() {
	d.URL, d.MailURL = d.host(""), d.host("mail")
	d.Portals = []Place{
		{"acme", "Acme Corporation", d.host("acme.eu"), "eu-central", "EU", "SAML"},
		{"globex", "Globex", d.host("globex.us"), "us-east", "US", "OpenID Connect"},
		{"initech", "Initech", d.host("initech.ca"), "ca-central", "CA", "password"},
		{"umbrella", "Umbrella", d.host("umbrella.eu"), "eu-central", "EU", "password or SAML"},
	}
}

// mount puts every site under its host.
func (d *Demo) mount() error {
	mailbox, err := newMailPage(d.Mailbox, d.o.Log)
	if err != nil {
		return err
	}
	around := serve.Options{Site: "mailbox", Log: d.o.Log, Error: mailbox.set.Error}
	hosts := map[string]http.Handler{
		hostOf(d.URL):         d.Front.Handler(),
		hostOf(d.MailURL):     serve.Wrap(mailbox.handler(), around),
		hostOf(d.host("idp")): d.idps,
		"":                    serve.Wrap(nowhere(mailbox.set), around),
	}
	for _, p := range d.Portals {
		hosts[hostOf(p.URL)] = d.Regions[p.Region].Handler()
	}
	d.hosts.Store(&hosts)
	return nil
}

// serve hands a request to the site of its host. Hosts under a region's zone go
// to the region, which knows its portals; the rest is nobody's.
func (d *Demo) serve(w http.ResponseWriter, r *http.Request) {
	hosts := *d.hosts.Load()
	if h := hosts[r.Host]; h != nil && r.Host != "" {
		h.ServeHTTP(w, r)
		return
	}
	for _, t := range territories {
		if strings.HasSuffix(r.Host, "."+hostOf(d.host(t.zone))) {
			d.Regions[t.region].Handler().ServeHTTP(w, r)
			return
		}
	}
	hosts[""].ServeHTTP(w, r)
}

func nowhere(set *page.Set) http.Handler {
	assets := set.Assets()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/assets/") {
			assets.ServeHTTP(w, r)
			return
		}
		set.Error(w, r, &discovery.Error{Kind: discovery.Misdirected, Code: "host_unknown"})
	})
}

func hostOf(url string) string { return strings.TrimPrefix(url, "http://") }

// Start opens the doors, fills what is empty, and returns when the front door
// knows everybody.
func (d *Demo) Start(ctx context.Context) error {
	d.server.Start()
	if err := d.populate(ctx); err != nil {
		return err
	}
	d.Front.Start()
	for _, r := range d.Regions {
		r.Start()
	}
	return d.published(ctx)
}

// published waits until the directory has heard everything.
func (d *Demo) published(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for name, r := range d.Regions {
		for {
			age, err := r.Store().OutboxAge(ctx)
			if err != nil {
				return fmt.Errorf("region %s: %w", name, err)
			}
			if age == 0 {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("region %s: the front door has not taken its claims: %w", name, ctx.Err())
			}
		}
	}
	return nil
}

// Wait returns when ctx ends, or with the error of a listener that gave up.
func (d *Demo) Wait(ctx context.Context) error {
	select {
	case err := <-d.server.Failed():
		return err
	case <-ctx.Done():
		return nil
	}
}

// Stop closes everything, and removes the folder if nobody asked to keep it.
func (d *Demo) Stop(ctx context.Context) error {
	errs := []error{d.server.Stop(ctx)}
	for _, r := range d.Regions {
		errs = append(errs, r.Stop(ctx))
	}
	if d.Front != nil {
		errs = append(errs, d.Front.Stop(ctx))
	}
	if d.o.Data == "" && d.folder != "" {
		errs = append(errs, os.RemoveAll(d.folder))
	}
	return errors.Join(errs...)
}
