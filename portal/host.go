package portal

import (
	"net/url"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
)

// CheckPortal reports what is wrong with a portal an operator describes, and
// the host its requests will name.
func CheckPortal(p Portal) (host string, err error) {
	if !ValidName(p.ID) {
		return "", invalid("id", "portal_id", "A portal's id consists of a–z, 0–9 and hyphens, 40 at the most.")
	}
	if strings.TrimSpace(p.Name) == "" || len(p.Name) > 200 {
		return "", invalid("name", "portal_name", "A portal has a name of at most 200 characters.")
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme+"://"+u.Host != p.URL || u.Host != strings.ToLower(u.Host) {
		return "", invalid("url", "portal_url", "A portal's URL is https:// and a host in small letters, without a path.")
	}
	local := u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost")
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return "", invalid("url", "portal_url", "A portal's URL starts with https://. Only *.localhost may do without.")
	}
	if p.Disclosure != "" && p.Disclosure != discovery.Listed && p.Disclosure != discovery.Proven {
		return "", invalid("disclosure", "portal_disclosure", "The disclosure is listed or proven.")
	}
	return u.Host, nil
}
