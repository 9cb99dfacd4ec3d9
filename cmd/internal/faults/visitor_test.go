package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
)

// A person is somebody the product knows, and where it must lead them.
type person struct {
	address, password string // of the portal or of the identity provider
	region            string
	jurisdiction      string
	portal, site      string
	standby           string // the portal's site at another region of the jurisdiction; empty: none
}

// A visitor is a person at a browser who wants to sign in and does what people
// do when a page does not come: reload it, and after a while start again from
// the front door.
type visitor struct {
	*load
	who     person
	cookies planttest.Cookies

	at   *url.URL
	page page

	since time.Time     // of the first obstacle; zero: none yet
	last  error         // obstacle
	slow  time.Duration // the slowest page
}

// The ways a walk may end before its goal.
var (
	errAgain = errors.New("start again from the front door")
	errTold  = errors.New("the portal is said not to answer")
)

// A mistake of the product: somebody was led to a wrong place or told an untruth.
type mistake struct{ what string }

func (m *mistake) Error() string { return m.what }

// signIn walks until the person is in, is told that the portal is down where
// that is true, or has lost patience.
func (l *load) signIn(ctx context.Context, who person) outcome {
	v := &visitor{load: l, who: who, cookies: planttest.Cookies{}}
	for {
		err := v.walk(ctx)
		var m *mistake
		o := outcome{again: !v.since.IsZero(), wait: v.slow}
		if o.again {
			o.wait = max(o.wait, time.Since(v.since))
		}
		switch {
		case ctx.Err() != nil:
			return outcome{failed: ctx.Err()}
		case errors.As(err, &m):
			o.wrong = who.portal + ": " + m.what
			return o
		case err == nil:
			return o
		case errors.Is(err, errTold) && l.lost() == who.region:
			o.told = true
			return o
		}
		if v.stumble(ctx, err) {
			o.failed = fmt.Errorf("%s: not in after %v: %w", who.portal, patience, v.last)
			return o
		}
	}
}

// stumble notes an obstacle, waits a moment, and reports that patience has ended.
func (v *visitor) stumble(ctx context.Context, err error) (enough bool) {
	if !errors.Is(err, errAgain) || v.last == nil {
		v.last = err
	}
	now := time.Now()
	v.tally().upset(now, v.last)
	if v.since.IsZero() {
		v.since = now
	}
	if now.Sub(v.since) > patience {
		return true
	}
	return !pause(ctx, moment)
}

// moment is how long people take to press Reload.
const moment = 250 * time.Millisecond

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// walk goes from the front door to the signed-in home.
func (v *visitor) walk(ctx context.Context) error {
	if err := v.open(ctx, v.front+"/"); err != nil {
		return err
	}
	if err := v.submit(ctx, "email", v.who.address); err != nil {
		return err
	}
	for range 6 {
		_, choice := v.page.with("choice")
		_, answer := v.page.with("SAMLResponse")
		_, password := v.page.with("password")
		var err error
		switch {
		case v.page.texts["address"] != "":
			return v.home()
		case v.told(v.at, v.page):
			return errTold
		case origin(v.at) == v.front && strings.Contains(v.page.title, "cannot take you further"):
			return &mistake{"told that nothing is known of them"}
		case origin(v.at) == v.front && choice:
			return &mistake{"shown a choice of portals"}
		case answer:
			err = v.submit(ctx, "SAMLResponse", "")
		case password:
			err = v.submit(ctx, "password", v.who.password)
		default:
			err = fmt.Errorf("%w: %s%s shows %q", errAgain, origin(v.at), v.at.Path, strings.TrimSpace(v.page.title))
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: no end of it, last %s%s, %q", errAgain, origin(v.at), v.at.Path, strings.TrimSpace(v.page.title))
}

// home checks who is signed in, and where.
func (v *visitor) home() error {
	switch kept, _, _ := strings.Cut(v.page.texts["jurisdiction"], " "); {
	case v.page.texts["address"] != v.who.address:
		return &mistake{"signed in as somebody else"}
	case kept != v.who.jurisdiction:
		return &mistake{"data said to be kept in " + kept}
	case v.page.standIn != (origin(v.at) == v.who.standby):
		return &mistake{fmt.Sprintf("told %v that another region serves the portal", v.page.standIn)}
	case v.page.standIn:
		v.tally().stood()
	case origin(v.at) != v.who.site:
		return &mistake{"signed in at " + origin(v.at)}
	}
	return nil
}

func (v *visitor) open(ctx context.Context, to string) error {
	return v.arrive(ctx, http.MethodGet, to, nil, "")
}

// submit presses the button of the form that has a field, with that and more of
// its fields filled in; an empty value leaves what is in it.
func (v *visitor) submit(ctx context.Context, field, value string, more ...string) error {
	f, ok := v.page.with(field)
	if !ok {
		return fmt.Errorf("%w: %s%s (%q) has no form with %s", errAgain, origin(v.at), v.at.Path, strings.TrimSpace(v.page.title), field)
	}
	if value != "" {
		f.fields.Set(field, value)
	}
	for i := 0; i < len(more); i += 2 {
		f.fields.Set(more[i], more[i+1])
	}
	to, err := v.at.Parse(f.action)
	if err != nil {
		return err
	}
	return v.arrive(ctx, http.MethodPost, to.String(), f.fields, origin(v.at))
}

// arrive makes a request and follows redirects to a page. What does not come is
// asked for again a few times, as one presses Reload.
func (v *visitor) arrive(ctx context.Context, method, to string, fields url.Values, from string) error {
	if v.since.IsZero() {
		v.think(ctx)
	}
	for range 12 {
		var next *url.URL
		err := v.exchange(ctx, method, to, fields, from, &next)
		for reload := 0; err != nil && reload < 4; reload++ {
			if v.stumble(ctx, err) {
				return err
			}
			err = v.exchange(ctx, method, to, fields, from, &next)
		}
		if err != nil || next == nil {
			return err
		}
		if err := v.led(next); err != nil {
			return err
		}
		from, method, to, fields = origin(v.at), http.MethodGet, next.String(), nil
	}
	return fmt.Errorf("%w: redirected for ever", errAgain)
}

// led checks a place that somebody is redirected to.
func (v *visitor) led(to *url.URL) error {
	switch at := origin(to); at {
	case v.front, v.who.site, v.idp, v.issuer:
		return nil
	default:
		if at == v.who.standby && at != "" {
			return nil
		}
		return &mistake{"sent to " + at}
	}
}

// exchange sends one request. Where the answer is a redirect, next is where to.
func (v *visitor) exchange(ctx context.Context, method, to string, fields url.Values, from string, next **url.URL) error {
	r, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(fields.Encode()))
	if err != nil {
		return err
	}
	v.cookies.Dress(r, from)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	began := time.Now()
	defer func() { v.slow = max(v.slow, time.Since(began)) }()
	res, err := v.http.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	v.cookies.Keep(r.URL.Host, res.Cookies())
	shown := read(string(text))
	if (res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests) && !v.told(r.URL, shown) {
		return fmt.Errorf("%s %s%s: %s %s", method, origin(r.URL), r.URL.Path, res.Status, res.Header.Get("Balancer"))
	}
	v.at, *next = r.URL, nil
	if res.StatusCode/100 == 3 {
		*next, err = r.URL.Parse(res.Header.Get("Location"))
		return err
	}
	v.page = shown
	return nil
}

// told reports whether a page of the front door says that the portal is down.
func (v *visitor) told(at *url.URL, p page) bool {
	return origin(at) == v.front && strings.Contains(p.title, "is not answering")
}

func origin(u *url.URL) string { return planttest.Origin(u) }
