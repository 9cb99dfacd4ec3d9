package config

import (
	"crypto/ed25519"
	"net/netip"
	"net/url"
	"time"
)

// Discovery is the configuration of a front door: `domicile serve discovery`.
type Discovery struct {
	Listen    string   // public
	PublicURL *url.URL // bare origin
	TLS       *TLS     // nil: plain HTTP, for localhost or behind a proxy

	Internal       Listener // where regions post their claims
	Metrics        Metrics
	Database       Secret // sqlite:/… or postgres://…
	Catalogue      Catalogue
	BlindIDKeys    []BlindIDKey // the current one first
	TicketKey      Secret       // Ed25519: signs inside tickets
	CookieKey      Secret       // 32 bytes
	Redis          *Redis       // nil: the in-process cache alone
	RateLimits     RateLimits
	TrustedProxies []netip.Prefix
	Log            Log
	Product        Product

	Warnings Mistakes // what is not wrong, but should be seen to
}

// A Listener is an address to listen on.
type Listener struct {
	Listen string
	TLS    *TLS
}

// Catalogue says which region records to believe.
type Catalogue struct {
	File     string // one signed record a line
	Snapshot string // where the last good records are kept over a restart; empty: nowhere
	RootKeys []ed25519.PublicKey
	Reload   time.Duration // how often the file is looked at
}

// Redis is the shared cache and rate limiter; it may be lost at any time.
type Redis struct {
	Addresses []string // one, or those of a cluster
	Username  string
	Password  Secret
	TLS       bool
}

// RateLimits bound what strangers may ask for.
type RateLimits struct {
	PerClient Rate // by address, IPv6 by /64
	Global    Rate
}

func discovery(s *section, now time.Time) *Discovery {
	c := &Discovery{
		Listen:         need(s, "listen", "the address to listen on, such as \":8443\"", listenAddress),
		PublicURL:      need(s, "public_url", "the origin people type, such as https://login.example.com", origin),
		TLS:            certificates(s, now),
		Internal:       internal(s, now),
		Metrics:        metrics(s),
		Database:       database(s),
		Catalogue:      catalogue(s),
		BlindIDKeys:    blindIDKeys(s),
		TicketKey:      s.key("ticket_key", FrontDoorKey, true),
		CookieKey:      s.key("cookie_key", CookieKey, true),
		Redis:          redis(s),
		RateLimits:     rateLimits(s, RateLimits{Rate{60, time.Minute}, Rate{5000, time.Second}}),
		TrustedProxies: proxies(s),
		Log:            logging(s),
		Product:        product(s),
	}
	different(s, "listen", c.Listen, "internal.listen", c.Internal.Listen, "metrics.listen", c.Metrics.Listen)
	behindProxy(s, c.PublicURL, c.TLS, c.TrustedProxies)
	return c
}

func internal(s *section, now time.Time) Listener {
	sub := s.sub("internal", true)
	defer sub.done()
	l := Listener{
		Listen: need(sub, "listen", "the address where regions post their claims, such as \":8444\"", listenAddress),
		TLS:    certificates(sub, now),
	}
	if at, ok := sub.entries["listen"]; ok && l.Listen != "" && l.TLS == nil && !loopback(l.Listen) && !sub.has("tls") {
		at.warn("claims arrive here without TLS: set internal.tls, or see to it that a proxy or a private network protects it")
	}
	return l
}

func catalogue(s *section) Catalogue {
	sub := s.sub("catalogue", true)
	defer sub.done()
	const want = "the operator's public root keys, from \"domicile region keygen root\""
	c := Catalogue{
		File:     need(sub, "file", "the path of the catalogue of signed region records", readableFile),
		Snapshot: get(sub, "snapshot", writableFile, ""),
		RootKeys: need(sub, "root_keys", want, list(ed25519Public(RootPublic))),
		Reload:   get(sub, "reload", duration(time.Second, time.Hour), 5*time.Second),
	}
	if at, ok := sub.entries["root_keys"]; ok && len(c.RootKeys) == 0 && at.isList() {
		at.wrong("it is empty: want %s", want)
	}
	if at, ok := sub.entries["snapshot"]; ok && c.Snapshot != "" && c.Snapshot == c.File {
		at.wrong("it is the catalogue itself: name another file")
	}
	return c
}

func redis(s *section) *Redis {
	sub := s.sub("redis", false)
	if sub.absent {
		return nil
	}
	defer sub.done()
	password, _, _ := sub.secret("password", "the password", false)
	r := &Redis{
		Addresses: need(sub, "addresses", "a list of host:port", list(hostPort)),
		Username:  get(sub, "username", text, ""),
		Password:  NewSecret(password),
		TLS:       get(sub, "tls", boolean, false),
	}
	if at, ok := sub.entries["addresses"]; ok && len(r.Addresses) == 0 && at.isList() {
		at.wrong("it is empty: want host:port of each server, or take the section out")
	}
	for _, a := range r.Addresses {
		if at := sub.entries["addresses"]; a != "" && !r.TLS && !loopback(a) && !local(hostOf(a)) {
			at.warn("%s is reached without TLS: set redis.tls: true", a)
			break
		}
	}
	return r
}

func rateLimits(s *section, usual RateLimits) RateLimits {
	sub := s.sub("rate_limits", false)
	defer sub.done()
	return RateLimits{
		PerClient: get(sub, "per_client", rate, usual.PerClient),
		Global:    get(sub, "global", rate, usual.Global),
	}
}
