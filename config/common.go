package config

import (
	"log/slog"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
)

// Metrics is the private listener with metrics, profiles and nothing personal.
type Metrics struct {
	Listen string // empty: none
}

// Log says how much is logged and in which form.
type Log struct {
	Level  slog.Level // info by default
	Format string     // json (the default) or text
}

// Product is what pages call the whole. Mails speak of the portal alone.
type Product struct {
	Name string
}

// A BlindIDKey is one version of the key that blinds addresses.
type BlindIDKey struct {
	Version byte
	Key     Secret // 32 bytes
}

// RateLimits bound what strangers may ask for.
type RateLimits struct {
	PerClient Rate // by address, IPv6 by /64
	Global    Rate
}

func metrics(s *section) Metrics {
	sub := s.sub("metrics", false)
	defer sub.done()
	m := Metrics{Listen: get(sub, "listen", listenAddress, "")}
	network := get(sub, "dangerously_allow_network", boolean, false)
	if at, ok := sub.entries["listen"]; ok && m.Listen != "" && !loopback(m.Listen) && !network {
		at.wrong("others than this machine reach %s: listen on 127.0.0.1, or set dangerously_allow_network: true where the network is private", m.Listen)
	}
	return m
}

func logging(s *section) Log {
	sub := s.sub("log", false)
	defer sub.done()
	return Log{
		Level:  get(sub, "level", logLevel, slog.LevelInfo),
		Format: get(sub, "format", oneOf("json", "text"), "json"),
	}
}

func product(s *section) Product {
	sub := s.sub("product", false)
	defer sub.done()
	return Product{Name: get(sub, "name", text, "Domicile")}
}

func proxies(s *section) []netip.Prefix {
	return get(s, "trusted_proxies", list(network), nil)
}

// blindIDKeys reads the versions of the blinding key, the current one first.
func blindIDKeys(s *section) []BlindIDKey {
	const want = "a list of {version: 1, key_file: blind-id.key}, the current one first"
	seen := map[byte]bool{}
	keys := need(s, "blind_id_keys", want, list(func(v value) BlindIDKey {
		sub := v.section()
		if sub.absent {
			return BlindIDKey{}
		}
		defer sub.done()
		k := BlindIDKey{
			Version: byte(need(sub, "version", "a number from 1 to 255", integer(1, 255))),
			Key:     sub.key("key", BlindKey, true),
		}
		if at, ok := sub.entries["version"]; ok && k.Version > 0 && seen[k.Version] {
			at.wrong("version %d is there twice: every key has its own", k.Version)
		}
		seen[k.Version] = true
		return k
	}))
	if at, ok := s.entries["blind_id_keys"]; ok && len(keys) == 0 && at.isList() {
		at.wrong("it is empty: want %s", want)
	}
	return keys
}

// database reads the location of a database: in the file itself where it can
// hold no password (sqlite), else as a secret.
func database(s *section) Secret {
	inline, ok := s.take("database")
	if ok {
		location := text(inline)
		switch {
		case s.has("database_file") || s.has("database_env"):
			inline.wrong("there is a database_file or database_env as well: keep one of them")
		case location != "" && !strings.HasPrefix(location, "sqlite:"):
			inline.wrong("only \"sqlite:/path/of/file.db\" may stand here: put a location with a password in a file of its own and name that with database_file")
			return Secret{}
		}
		_, _ = s.take("database_file")
		_, _ = s.take("database_env")
		return s.location(inline, location)
	}
	location, at, ok := s.secret("database", "the database's location", !s.has("database"))
	if !ok {
		return Secret{}
	}
	return s.location(at, location)
}

// replica reads the location of a copy of the database that answers lookups.
func replica(s *section) Secret {
	location, at, ok := s.secret("read_url", "the location of a read replica", false)
	if !ok {
		return Secret{}
	}
	if location != "" && !isPostgres(location) {
		at.wrong("want postgres://user:password@host/name, of a replica of the database")
	}
	warnUnverified(at, location)
	return NewSecret(location)
}

// isPostgres looks at the form alone: net/url knows no location with several
// hosts, postgres://user:password@one:5432,two:5432/name.
func isPostgres(location string) bool {
	scheme, rest, _ := strings.Cut(location, "://")
	rest, _, _ = strings.Cut(rest, "?")
	at, name, _ := strings.Cut(rest[strings.LastIndex(rest, "@")+1:], "/")
	return (scheme == "postgres" || scheme == "postgresql") && at != "" && strings.Trim(name, "/") != ""
}

// connections bounds what one process takes of what Postgres has for all.
func connections(s *section) int {
	return int(get(s, "database_connections", integer(2, 1000), 16))
}

func (s *section) location(at value, location string) Secret {
	path, lite := strings.CutPrefix(location, "sqlite:")
	switch {
	case location == "":
	case lite && (path == "" || strings.ContainsAny(path, "?#")):
		at.wrong("want sqlite:/path/of/file.db, without ? or #")
	case lite:
		path = s.r.absolute(path)
		location = "sqlite:" + path
		if !isFolder(filepath.Dir(path)) {
			at.wrong("there is no folder %s: make it first", filepath.Dir(path))
		}
	case !isPostgres(location):
		at.wrong("want sqlite:/path/of/file.db or postgres://user:password@host/name")
	}
	warnUnverified(at, location)
	return NewSecret(location)
}

// warnUnverified speaks up where nobody checks that a database on another network
// is the one that is meant: left alone, the driver takes any certificate, and none.
func warnUnverified(at value, location string) {
	if !isPostgres(location) {
		return
	}
	_, rest, _ := strings.Cut(location, "://")
	rest, query, _ := strings.Cut(rest, "?")
	hosts, _, _ := strings.Cut(rest[strings.LastIndex(rest, "@")+1:], "/")
	settings, err := url.ParseQuery(query)
	if err != nil || settings.Get("sslmode") == "verify-full" {
		return
	}
	for host := range strings.SplitSeq(hosts, ",") {
		if host = hostOf(host); host != "" && !local(host) && !private(host) {
			at.warn("%s is not on a private network, and nobody checks that it is the database: put sslmode=verify-full behind the location", host)
			return
		}
	}
}

func rateLimits(s *section, usual RateLimits) RateLimits {
	sub := s.sub("rate_limits", false)
	defer sub.done()
	return RateLimits{
		PerClient: get(sub, "per_client", rate, usual.PerClient),
		Global:    get(sub, "global", rate, usual.Global),
	}
}

// different sees to it that no two listeners want the same address. It is given
// names and addresses in turn.
func different(s *section, pairs ...string) {
	for i := 2; i < len(pairs); i += 2 {
		for j := 0; j < i; j += 2 {
			if a, b := pairs[i+1], pairs[j+1]; a != "" && a == b && !strings.HasSuffix(a, ":0") {
				top, _, _ := strings.Cut(pairs[i], ".")
				at := s.entries[top]
				at.path = pairs[i]
				at.wrong("%s has the same address, %s: give each its own", pairs[j], a)
			}
		}
	}
}

// behindProxy warns where every client would look like the proxy.
func behindProxy(s *section, public *url.URL, t *TLS, trusted []netip.Prefix) {
	at, ok := s.entries["listen"]
	if ok && public != nil && public.Scheme == "https" && t == nil && !s.has("tls") && len(trusted) == 0 {
		at.warn("there is no tls, so a proxy must be in front, but no trusted_proxies: every client would look like the proxy, and share its rate limit")
	}
}
