package serve

import (
	"net/http"
	"net/netip"
	"strings"

	"golang.org/x/text/language"
)

// client works out who is asking. Only a peer that is a trusted proxy may speak
// for somebody else; of the list it sends, the entry it added itself is the last
// one, so the list is read from the right until an address appears that is no
// proxy of ours. No other forwarding header is read, and none is passed on.
func (o Options) client(r *http.Request) netip.Addr {
	client := peer(r)
	if o.trusted(client) {
		client = o.forwardedFor(r.Header["X-Forwarded-For"], client)
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") || name == "Forwarded" || name == "X-Real-Ip" {
			delete(r.Header, name)
		}
	}
	return client
}

// country is what the trusted proxy next to us says of the client: one header,
// with the code of a country and nothing else. What a proxy writes for "unknown"
// (XX) or for an anonymising network (T1) is no country. Nobody behind us sees
// the header.
func (o Options) country(r *http.Request) string {
	if o.CountryHeader == "" {
		return ""
	}
	said := r.Header.Values(o.CountryHeader)
	r.Header.Del(o.CountryHeader)
	if len(said) != 1 || len(said[0]) != 2 || !o.trusted(peer(r)) {
		return ""
	}
	code := said[0]
	region, err := language.ParseRegion(code)
	if err != nil || !region.IsCountry() || region.Canonicalize().String() != code {
		return ""
	}
	return code
}

func (o Options) forwardedFor(headers []string, peer netip.Addr) netip.Addr {
	hops := strings.Split(strings.Join(headers, ","), ",")
	client := peer
	for i := len(hops) - 1; i >= 0; i-- {
		addr, err := hop(strings.TrimSpace(hops[i]))
		if err != nil {
			return client // what a proxy of ours did not write is not read
		}
		client = addr.Unmap().WithZone("")
		if !o.trusted(client) {
			return client
		}
	}
	return client
}

// hop reads one entry. Some proxies write the client's port along.
func hop(s string) (netip.Addr, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr(), nil
	}
	return netip.ParseAddr(s)
}

func (o Options) trusted(a netip.Addr) bool {
	for _, p := range o.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
