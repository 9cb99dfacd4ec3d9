package config

import (
	"crypto/ed25519"
	"net/netip"
	"net/url"
	"path/filepath"
	"time"
)

// Discovery is the configuration of a front door: `domicile serve discovery`.
type Discovery struct {
	Listen    string   // public
	PublicURL *url.URL // bare origin
	TLS       *TLS     // nil: plain HTTP, for localhost or behind a proxy

	Internal       Listener // where regions post their claims
	Room           Room     // for what one region claims
	Metrics        Metrics
	Database       Secret // sqlite:/… or postgres://…
	Replica        Secret // postgres://… of a replica for lookups; empty: none
	Connections    int    // to each database, at most
	Snapshot       string // folder of what a start without the database needs; empty: none
	Catalogue      Catalogue
	Consul         *Consul      // nil: the catalogue's file alone
	BlindIDKeys    []BlindIDKey // the current one first
	TicketKey      Secret       // Ed25519: signs inside tickets
	CookieKeys     []Secret     // 32 bytes each: the newest first, what older ones made is accepted
	Redis          *Redis       // nil: the in-process cache alone
	RateLimits     RateLimits
	TrustedProxies []netip.Prefix
	Log            Log
	Tracing        *Tracing // nil: off
	Product        Product

	Warnings Mistakes // what is not wrong, but should be seen to
}

// A Listener is an address to listen on.
type Listener struct {
	Listen       string
	TLS          *TLS
	ClientCAFile string // callers must show a certificate of these authorities; empty: none is asked for
}

// Room is how many portals and domain routes one region may claim: all of them lie
// in every front door's memory. 0 is what the directory has room for by itself.
type Room struct {
	Portals, Routes int
}

// Catalogue says which region records to believe.
type Catalogue struct {
	File     string // one signed record a line; empty: Consul has them
	RootKeys []ed25519.PublicKey
	Reload   time.Duration // how often the file is looked at
}

func discovery(s *section, now time.Time) *Discovery {
	c := &Discovery{
		Listen:         need(s, "listen", "the address to listen on, such as \":8443\"", listenAddress),
		PublicURL:      need(s, "public_url", "the origin people type, such as https://login.example.com", origin),
		TLS:            certificates(s, now),
		Metrics:        metrics(s),
		Database:       database(s),
		Replica:        replica(s),
		Connections:    connections(s),
		Snapshot:       get(s, "snapshot", writableFolder, ""),
		Catalogue:      catalogue(s),
		Consul:         consul(s, false),
		BlindIDKeys:    blindIDKeys(s),
		TicketKey:      s.key("ticket_key", FrontDoorKey, true),
		CookieKeys:     keyFiles(s, "cookie_key_files", CookieKey, "a list of cookie key files, the newest first"),
		Redis:          redis(s),
		RateLimits:     rateLimits(s, RateLimits{Rate{60, time.Minute}, Rate{5000, time.Second}}),
		TrustedProxies: proxies(s),
		Log:            logging(s),
		Tracing:        tracing(s),
		Product:        product(s),
	}
	c.Internal, c.Room = internal(s, now)
	different(s, "listen", c.Listen, "internal.listen", c.Internal.Listen, "metrics.listen", c.Metrics.Listen)
	behindProxy(s, c.PublicURL, c.TLS, c.TrustedProxies)
	snapshot(s, c)
	return c
}

// snapshot says what a front door without one cannot do, and keeps it apart from
// what operators write.
func snapshot(s *section, c *Discovery) {
	at, ok := s.entries["snapshot"]
	switch {
	case !ok && !s.has("snapshot"):
		s.warn("there is no snapshot: a front door that is started again while its database is away does not start, and answers nobody; name a folder of its own")
	case ok && c.Snapshot != "" && c.Catalogue.File != "" && filepath.Dir(c.Catalogue.File) == c.Snapshot:
		at.wrong("the catalogue lies in it: give the snapshot a folder of its own")
	}
}

// CookieSecrets are the cookie keys as bytes, the newest first.
func (c *Discovery) CookieSecrets() [][]byte { return reveal(c.CookieKeys) }

func internal(s *section, now time.Time) (Listener, Room) {
	sub := s.sub("internal", true)
	defer sub.done()
	l := Listener{Listen: need(sub, "listen", "the address where regions post their claims, such as \":8444\"", listenAddress)}
	l.TLS = certificates(sub, now, func(t *section) { l.ClientCAFile = get(t, "client_ca_file", authorities, "") })
	room := Room{
		Portals: int(get(sub, "portals_per_region", integer(1, 1_000_000), 0)),
		Routes:  int(get(sub, "routes_per_region", integer(1, 1_000_000), 0)),
	}
	if at, ok := sub.entries["listen"]; ok && l.Listen != "" && l.TLS == nil && !loopback(l.Listen) && !sub.has("tls") {
		at.warn("claims arrive here without TLS: set internal.tls, or see to it that a proxy or a private network protects it")
	}
	return l, room
}

func catalogue(s *section) Catalogue {
	sub := s.sub("catalogue", true)
	defer sub.done()
	const want = "the operator's public root keys, from \"domicile region keygen root\""
	c := Catalogue{
		File:     get(sub, "file", hopefullyReadable, ""),
		RootKeys: need(sub, "root_keys", want, list(ed25519Public(RootPublic))),
		Reload:   get(sub, "reload", duration(time.Second, time.Hour), 5*time.Second),
	}
	if !s.has("consul") {
		sub.missing("file", "the path of the catalogue of signed region records (or a consul section)")
	}
	if at, ok := sub.entries["root_keys"]; ok && len(c.RootKeys) == 0 && at.isList() {
		at.wrong("it is empty: want %s", want)
	}
	return c
}
