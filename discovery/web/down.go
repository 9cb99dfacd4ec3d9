package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
)

// downRetry is when it is worth asking again: health is seconds old at most.
const downRetry = 10 * time.Second

// downPage is the struct of pages/down.html: the one portal that an address leads
// to, or that was chosen, does not answer.
type downPage struct {
	Name, Jurisdiction, Region, Host, Token string
}

// showDown says that a portal does not answer. It is answered at once, from what
// is known: nobody waits here for a region to come back.
func (s *Site) showDown(w http.ResponseWriter, r *http.Request, d discovery.Destination, a discovery.Address) error {
	if page.ForPrograms(r) {
		return &discovery.Error{Kind: discovery.Unavailable, Code: "portal_down", Retry: downRetry,
			Say: "That organisation’s portal is not answering right now. Its data stays where it is."}
	}
	page.AddressFormAction(w, s.host)
	w.Header().Set("Retry-After", strconv.Itoa(int(downRetry.Seconds())))
	return s.pages.Render(w, r, http.StatusServiceUnavailable, "down", downPage{
		Name: d.Portal.Name, Jurisdiction: d.Jurisdiction(), Region: d.Region.Name,
		Host: hostOf(d.Portal.URL), Token: s.sealChoice(d.Portal.ID, a),
	})
}

// status is what a program is told of a portal that is not served where it lives:
// "standby" while another region of its jurisdiction serves it, "down" while
// nobody does.
func status(d discovery.Destination) string {
	switch {
	case d.Down:
		return "down"
	case d.Standby():
		return "standby"
	}
	return ""
}

func (s *Site) noteFailover(found []discovery.Destination) {
	for i := range found {
		if told := status(found[i]); told != "" {
			s.failovers.WithLabelValues(told).Inc()
		}
	}
}
