package config

import (
	"cmp"
	"crypto/ed25519"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Portal is the configuration of a region: `domicile serve portal`.
type Portal struct {
	Listen      string // public, for all portals of the region
	TLS         *TLS   // nil: plain HTTP, for localhost or behind a proxy
	Metrics     Metrics
	Database    Secret // sqlite:/… or postgres://…
	Connections int    // to it, at most

	Region         Region
	Keys           Keys
	BlindIDKeys    []BlindIDKey // the current one first
	FrontDoor      FrontDoor
	Consul         *Consul // nil: nobody is told whether this process is ready
	Mail           Mail
	SMS            *SMS // nil: no text messages are sent
	Sessions       Sessions
	RateLimits     RateLimits
	Fetch          Fetch
	TrustedProxies []netip.Prefix
	CountryHeader  string // in which they say the client's country; empty: they do not
	Log            Log
	Tracing        *Tracing // nil: off
	Product        Product

	Warnings Mistakes // what is not wrong, but should be seen to
}

// Region is which region this is; the signed record says the same.
type Region struct {
	Name         string
	Jurisdiction string
	Title        string // "Frankfurt", as people read it; empty: not said

	StandsInFor      string // region whose portals are served here while it is down; empty: its own
	StandsInForTitle string // as people read it; empty: its name
}

// Home is the region whose database and portals these are.
func (r Region) Home() string { return cmp.Or(r.StandsInFor, r.Name) }

// Keys are the private keys of the region.
type Keys struct {
	Tickets    []Secret // text of HPKE keys that open tickets; the newest first
	Publishing Secret   // Ed25519: signs claims
	Data       []Secret // 32 bytes each: seal secrets at rest; the newest first, older ones still open
}

// DataKeys are the bytes of Data.
func (k Keys) DataKeys() [][]byte { return reveal(k.Data) }

// FrontDoor is the global side as the region knows it.
type FrontDoor struct {
	PublicURL   *url.URL            // where people start
	InternalURL *url.URL            // where claims go
	TicketKeys  []ed25519.PublicKey // whose tickets are opened
	TLS         *CallerTLS          // nil: the system's authorities, and no certificate
}

// Mail says how messages leave.
type Mail struct {
	SMTP    Secret // smtp://user:password@host:587 or smtps://host:465
	From    string
	ReplyTo string // empty: none
}

// Sessions says how long a browser stays signed in.
type Sessions struct {
	Idle     time.Duration // without use
	Absolute time.Duration // whatever happens
	Keep     time.Duration // the absolute limit where "keep me signed in" was ticked
}

// Fetch says where metadata of customers' IdPs may be read from.
type Fetch struct {
	DangerouslyAllowLoopback bool // for IdPs on this very machine, in tests and demos
}

func portal(s *section, now time.Time) *Portal {
	c := &Portal{
		Listen:         need(s, "listen", "the address to listen on, such as \":8443\"", listenAddress),
		TLS:            certificates(s, now),
		Metrics:        metrics(s),
		Database:       database(s),
		Connections:    connections(s),
		Region:         region(s),
		Keys:           keys(s),
		BlindIDKeys:    blindIDKeys(s),
		FrontDoor:      frontDoor(s, now),
		Consul:         consul(s, true),
		Mail:           mailing(s),
		SMS:            texting(s),
		Sessions:       sessions(s),
		RateLimits:     rateLimits(s, RateLimits{Rate{600, time.Minute}, Rate{500, time.Second}}),
		Fetch:          fetch(s),
		TrustedProxies: proxies(s),
		CountryHeader:  countryHeader(s),
		Log:            logging(s),
		Tracing:        tracing(s),
		Product:        product(s),
	}
	different(s, "listen", c.Listen, "metrics.listen", c.Metrics.Listen)
	if c.FrontDoor.PublicURL != nil {
		behindProxy(s, c.FrontDoor.PublicURL, c.TLS, c.TrustedProxies)
	}
	return c
}

// headerName is what a proxy's own header may be called. What says "x-" or "cf-"
// or the like cannot be one that means something else to everybody.
var headerName = regexp.MustCompile(`^[A-Za-z0-9]{1,20}(-[A-Za-z0-9]{1,20}){1,4}$`)

// countryHeader is believed of trusted proxies alone, so there must be some.
func countryHeader(s *section) string {
	name := get(s, "country_header", word(headerName, "the name of a header such as CF-IPCountry"), "")
	at, ok := s.entries["country_header"]
	if ok && name != "" && !s.has("trusted_proxies") {
		at.wrong("only trusted_proxies are believed about it, and there are none")
	}
	if ok && slices.Contains([]string{"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "user-agent", "accept-language",
		"content-type", "content-length", "sec-fetch-site"}, strings.ToLower(name)) {
		at.wrong("%q says something else than the country", name)
	}
	return name
}

var jurisdiction = regexp.MustCompile(`^[A-Z0-9]([A-Z0-9-]{0,10}[A-Z0-9])$`)

func region(s *section) Region {
	sub := s.sub("region", true)
	defer sub.done()
	r := Region{
		Name:         need(sub, "name", "the region's name in its signed record", word(plainName, "lower-case letters, digits and hyphens, at most 40")),
		Jurisdiction: need(sub, "jurisdiction", "the legal territory in its signed record, such as EU", word(jurisdiction, "upper-case letters, digits and hyphens, 2 to 12, such as EU")),
		Title:        get(sub, "title", text, ""),

		StandsInFor:      get(sub, "stands_in_for", word(plainName, "the name of a region"), ""),
		StandsInForTitle: get(sub, "stands_in_for_title", text, ""),
	}
	if at, ok := sub.entries["stands_in_for"]; ok && r.StandsInFor != "" && r.StandsInFor == r.Name {
		at.wrong("a region does not stand in for itself: leave it out in the region's own processes")
	}
	if at, ok := sub.entries["stands_in_for_title"]; ok && r.StandsInFor == "" && !sub.has("stands_in_for") {
		at.wrong("there is no stands_in_for")
	}
	return r
}

func keys(s *section) Keys {
	sub := s.sub("keys", true)
	defer sub.done()
	k := Keys{
		Publishing: sub.key("publishing_key", PublishingKey, true),
		Data:       keyFiles(sub, "data_key_files", DataKey, "a list of data key files, the newest first"),
	}
	for _, key := range keyFiles(sub, "ticket_key_files", TicketKey, "a list of ticket key files, the newest first") {
		k.Tickets = append(k.Tickets, NewSecret(EncodeKey(TicketKey, key.Bytes())))
	}
	return k
}

func frontDoor(s *section, now time.Time) FrontDoor {
	sub := s.sub("front_door", true)
	defer sub.done()
	const want = "the front door's public keys, from \"domicile region keygen front-door\""
	f := FrontDoor{
		PublicURL:   need(sub, "public_url", "the origin of the global page, such as https://login.example.com", origin),
		InternalURL: need(sub, "internal_url", "the origin of the front door's internal listener", origin),
		TicketKeys:  need(sub, "ticket_keys", want, list(ed25519Public(FrontDoorPub))),
	}
	f.TLS = callerTLS(sub, f.InternalURL, now)
	if at, ok := sub.entries["ticket_keys"]; ok && len(f.TicketKeys) == 0 && at.isList() {
		at.wrong("it is empty: want %s", want)
	}
	return f
}

func mailing(s *section) Mail {
	sub := s.sub("mail", true)
	defer sub.done()
	smtp, at, ok := sub.secret("smtp_url", "smtp://user:password@host:587", true)
	if ok {
		checkSMTP(at, smtp)
	}
	return Mail{
		SMTP:    NewSecret(smtp),
		From:    need(sub, "from", "the sender of messages, such as Domicile <no-reply@example.com>", mailbox),
		ReplyTo: get(sub, "reply_to", mailbox, ""),
	}
}

func checkSMTP(at value, location string) {
	u, err := url.Parse(location)
	switch {
	case err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		at.wrong("want smtp://user:password@host:587 or smtps://user:password@host:465")
	case u.User != nil && u.User.Username() == "":
		at.wrong("there is a password but no user name in front of the @")
	}
}

func mailbox(v value) string {
	s := text(v)
	if s == "" {
		return ""
	}
	a, err := mail.ParseAddress(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		v.wrong("%q is not a sender: write no-reply@example.com or Domicile <no-reply@example.com>", s)
		return ""
	}
	if a.Name == "" {
		return a.Address
	}
	return s
}

func sessions(s *section) Sessions {
	sub := s.sub("sessions", false)
	defer sub.done()
	limit := duration(time.Minute, 400*24*time.Hour)
	c := Sessions{
		Idle:     get(sub, "idle", limit, time.Hour),
		Absolute: get(sub, "absolute", limit, 12*time.Hour),
		Keep:     get(sub, "keep", limit, 30*24*time.Hour),
	}
	if c.Idle > c.Absolute {
		sub.contradiction("a session idle for %s has long ended: want idle of at most absolute, %s", c.Idle, c.Absolute, "idle", "absolute")
	}
	if c.Absolute > c.Keep {
		sub.contradiction("absolute is %s: want keep of at least that, and it is %s", c.Absolute, c.Keep, "keep", "absolute")
	}
	return c
}

// contradiction blames the first of keys that is in the file.
func (s *section) contradiction(format string, a, b time.Duration, keys ...string) {
	for _, key := range keys {
		if at, ok := s.entries[key]; ok {
			at.wrong(format, short(a), short(b))
			return
		}
	}
}

func fetch(s *section) Fetch {
	sub := s.sub("fetch", false)
	defer sub.done()
	f := Fetch{DangerouslyAllowLoopback: get(sub, "dangerously_allow_loopback", boolean, false)}
	if f.DangerouslyAllowLoopback {
		sub.entries["dangerously_allow_loopback"].warn("whoever may set up a connection can make this server talk to services on its own machine: never in production")
	}
	return f
}
