package config

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Tracing says where traces go.
type Tracing struct {
	Endpoint *url.URL // of a collector that speaks OTLP over HTTP, without a path
	Sample   float64  // how many of all requests, above 0 to 1
}

// tracing reads the section, or returns nil when there is none: traces are off.
func tracing(s *section) *Tracing {
	sub := s.sub("tracing", false)
	if sub.absent {
		return nil
	}
	defer sub.done()
	return &Tracing{
		Endpoint: need(sub, "endpoint", "the origin of a collector, such as https://collector.example.com:4318", collector),
		Sample:   get(sub, "sample", fraction, 0.01),
	}
}

// collector reads an origin: https, or http where it stays on a network of one's
// own. A trace holds nothing personal, but how busy who is is nobody's business.
func collector(v value) *url.URL {
	s := text(v)
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case strings.Contains(s, "@"): // a password may stand in front of it
		v.wrong("want an origin without a user: write https://collector.example.com:4318")
		return nil
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.Scheme+"://"+u.Host != strings.TrimSuffix(s, "/"):
		v.wrong("%q is not an origin: write https://collector.example.com:4318, with no path", s)
		return nil
	case u.Scheme == "http" && !local(u.Hostname()) && !private(u.Hostname()):
		v.wrong("%q: want https; http is only for a private network", s)
		return nil
	case u.Scheme == "http" && !local(u.Hostname()):
		v.warn("traces go to %s in clear: see to it that the network is private", u.Host)
	}
	u.Path = ""
	return u
}

// private reports whether a host is one of a private network, as far as its name
// tells: an address of such a network, a name without a domain, or one in a
// domain that the Internet has not.
func private(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	for _, zone := range []string{".internal", ".local", ".lan", ".home.arpa"} {
		if strings.HasSuffix(host, zone) {
			return true
		}
	}
	return !strings.Contains(host, ".")
}

// fraction reads a number above 0 and at most 1.
func fraction(v value) float64 {
	switch v.node.(type) {
	case *ast.FloatNode, *ast.IntegerNode:
		f, err := strconv.ParseFloat(v.node.GetToken().Value, 64)
		if err == nil && f > 0 && f <= 1 {
			return f
		}
	}
	v.wrong("want a number above 0 and at most 1, such as 0.01 for one in a hundred; to turn it off, take the section out")
	return 0
}
