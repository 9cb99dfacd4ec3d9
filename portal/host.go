package portal

import (
	"net/url"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/regions"
)

// CheckPortal reports what is wrong with a portal an operator describes, and
// the host its requests will name.
func CheckPortal(p Portal) (host string, err error) {
	if !ValidName(p.ID) {
		return "", invalid("id", "portal_id", "A portal's id consists of a–z, 0–9 and hyphens, 40 at the most.")
	}
	// The front door would refuse the claim, and nobody would find the portal.
	claim := discovery.Portal{ID: p.ID, Name: p.Name, Disclosure: DisclosureOf(p)}
	if strings.TrimSpace(p.Name) == "" || claim.Check() != nil {
		return "", invalid("name", "portal_name", "A portal has a name of at most 120 printable characters.")
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme+"://"+u.Host != p.URL || u.Host != strings.ToLower(u.Host) {
		return "", invalid("url", "portal_url", "A portal's URL is https:// and a host in small letters, without a path.")
	}
	local := u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost")
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return "", invalid("url", "portal_url", "A portal's URL starts with https://. Only *.localhost may do without.")
	}
	if err := (regions.Record{Hosts: []string{u.Host}}).Allows(p.URL); err != nil {
		return "", invalid("url", "portal_url", "A portal's URL names a host, not an address in numbers, and no port that goes without saying.")
	}
	if p.Disclosure != "" && p.Disclosure != discovery.Listed && p.Disclosure != discovery.Proven {
		return "", invalid("disclosure", "portal_disclosure", "The disclosure is listed or proven.")
	}
	return u.Host, nil
}
