package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
)

const (
	portalsCookie = "__Host-portals"
	keepFor       = 180 * 24 * time.Hour
	keepMost      = 5
)

// kept is one portal in the cookie. Proved means that its region vouched for
// this browser; only that opens a portal whose disclosure is proven.
type kept struct {
	Portal string `json:"p"`
	Proved bool   `json:"v,omitempty"`
}

// remembered is one portal as the front page offers it again.
type remembered struct {
	Name, Jurisdiction, Region, Host, URL string

	StandsInFor string // as in choice
	Down        bool
}

// confirmPage is the struct of pages/confirm.html.
type confirmPage struct {
	Name, Jurisdiction, Host, Proof string
}

// kept reads the cookie; one that is not ours is no cookie.
func (s *Site) kept(r *http.Request) []kept {
	if r.Header.Get("Cookie") == "" {
		return nil
	}
	c, err := r.Cookie(portalsCookie)
	if err != nil {
		return nil
	}
	plain, err := s.cookies.open(c.Value)
	if err != nil {
		return nil
	}
	var list struct {
		Until   int64  `json:"u"`
		Portals []kept `json:"l"`
	}
	if json.Unmarshal(plain, &list) != nil || s.Now().Unix() >= list.Until || len(list.Portals) > keepMost {
		return nil
	}
	return list.Portals
}

// proved lists the portals that this browser proved itself for.
func (s *Site) proved(r *http.Request) []string {
	var ids []string
	for _, k := range s.kept(r) {
		if k.Proved {
			ids = append(ids, k.Portal)
		}
	}
	return ids
}

// keep puts a portal first in the cookie. Where there is no room for all, the
// oldest that was not proved goes: a lookup brings it back, and only its region
// brings back one that was.
func (s *Site) keep(w http.ResponseWriter, r *http.Request, k kept) {
	list := []kept{k}
	for _, old := range s.kept(r) {
		if old.Portal == k.Portal {
			list[0].Proved = list[0].Proved || old.Proved
		} else {
			list = append(list, old)
		}
	}
	for len(list) > keepMost {
		oldest := len(list) - 1
		for i := oldest; i > 0; i-- {
			if !list[i].Proved {
				oldest = i
				break
			}
		}
		list = slices.Delete(list, oldest, oldest+1)
	}
	plain, err := json.Marshal(map[string]any{"u": s.Now().Add(keepFor).Unix(), "l": list})
	if err != nil {
		return // strings and booleans always encode
	}
	s.setCookie(w, s.cookies.seal(plain), int(keepFor.Seconds()))
}

func (s *Site) setCookie(w http.ResponseWriter, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: portalsCookie, Value: value, Path: "/", MaxAge: age,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// remembered is what the front page offers to continue to: never a proven
// portal that this browser has not proved itself for.
func (s *Site) remembered(r *http.Request) []remembered {
	var list []remembered
	for _, k := range s.kept(r) {
		d, ok := s.Resolver.Destination(k.Portal)
		if !ok || d.Portal.Disclosure != discovery.Listed && !k.Proved {
			continue
		}
		list = append(list, remembered{
			Name: d.Portal.Name, Jurisdiction: d.Jurisdiction(), Region: d.Region.Name,
			Host: hostOf(d.Portal.URL), URL: d.Portal.URL + "/login",
			StandsInFor: d.StandsInFor.Name, Down: d.Down,
		})
	}
	return list
}

// askRemember is where a portal sends a browser that has just signed in there.
// It only asks: a GET keeps nothing.
func (s *Site) askRemember(w http.ResponseWriter, r *http.Request) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(q["proof"]) != 1 {
		return &discovery.Error{Kind: discovery.Invalid, Field: "proof", Code: "proof_missing"}
	}
	d, err := s.provedPortal(r, q.Get("proof"))
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, http.StatusOK, "confirm", confirmPage{
		Name: d.Portal.Name, Jurisdiction: d.Jurisdiction(), Host: hostOf(d.Portal.URL), Proof: q.Get("proof"),
	})
}

func (s *Site) remember(w http.ResponseWriter, r *http.Request) error {
	proof, err := formValue(w, r, "proof")
	if err != nil {
		return err
	}
	d, err := s.provedPortal(r, proof)
	if err != nil {
		return err
	}
	s.keep(w, r, kept{Portal: d.Portal.ID, Proved: true})
	return seeOther(w, "/")
}

// provedPortal verifies a proof and finds the portal it is about, which must
// live in the region that signed it.
func (s *Site) provedPortal(r *http.Request, proof string) (discovery.Destination, error) {
	if wait := s.limiter.wait(r.Context(), page.Client(r.Context())); wait > 0 {
		return discovery.Destination{}, &discovery.Error{Kind: discovery.TooMany, Code: "rate_limited", Retry: wait}
	}
	p, err := discovery.OpenProof(proof, s.Regions.Regions(), s.URL, s.Now())
	if e, ok := errors.AsType[*discovery.Error](err); ok {
		at := *e
		at.Field = "proof"
		return discovery.Destination{}, &at
	}
	if err != nil {
		return discovery.Destination{}, err
	}
	d, ok := s.Resolver.Destination(p.Portal)
	if !ok || !s.Resolver.Vouches(p.Region, p.Portal) {
		return discovery.Destination{}, &discovery.Error{Kind: discovery.Forbidden, Field: "proof", Code: "proof_refused", Err: errors.New("no such portal in that region")}
	}
	return d, nil
}

func (s *Site) forget(w http.ResponseWriter, r *http.Request) error {
	if _, err := formValue(w, r, ""); err != nil {
		return err // it has no fields, and is a form all the same
	}
	s.setCookie(w, "", -1)
	return seeOther(w, "/")
}

func seeOther(w http.ResponseWriter, to string) error {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}
