package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
)

// A load is people at work all the time: so many visitors on their way in, each
// with a browser, and programs that look people up beside them.
type load struct {
	front       string // origin that people type
	idp, issuer string // origins of the identity providers
	http        *http.Client

	people    []person // who signs in
	known     []person // who is looked up
	strangers int

	steps chan struct{} // one for each page that may be opened: what two cores can do
	now   atomic.Pointer[tally]
	gone  atomic.Pointer[string] // a region that is lost with nobody to stand in
	late  atomic.Bool            // what the directory does not name is not known just now
	stop  func()
}

// A pace is how much is asked for.
type pace struct {
	visitors, programs int
	steps              time.Duration // between two pages that anybody opens
	lookups            time.Duration // between two lookups of one program
}

func newClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DialContext: planttest.Dial, MaxIdleConns: 2048, MaxIdleConnsPerHost: 512, DisableCompression: true},
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// begin lets everybody in.
func (l *load) begin(p pace) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	l.stop = func() { cancel(); all.Wait(); l.http.CloseIdleConnections() }
	l.steps = make(chan struct{})
	all.Go(func() {
		tick := time.NewTicker(p.steps)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			select {
			case <-ctx.Done():
				return
			case l.steps <- struct{}{}:
			}
		}
	})
	for i := range p.visitors {
		all.Go(func() {
			for range i % 5 {
				l.think(ctx) // or all would be on the same page all the time
			}
			for n := i; ctx.Err() == nil; n += p.visitors {
				o := l.signIn(ctx, l.people[n%len(l.people)])
				if ctx.Err() != nil {
					return
				}
				y := l.tally()
				y.add(&y.signIn, o, time.Now())
				if o.told || o.failed != nil {
					pause(ctx, 4*moment) // they turn to something else first
				}
			}
		})
	}
	for i := range p.programs {
		all.Go(func() {
			for n := i; pause(ctx, p.lookups); n += p.programs {
				o := l.find(ctx, l.front, n)
				if ctx.Err() != nil {
					return
				}
				y := l.tally()
				y.add(&y.lookup, o, time.Now())
			}
		})
	}
}

func (l *load) tally() *tally { return l.now.Load() }

// fresh starts a new tally and returns it.
func (l *load) fresh() *tally {
	y := new(tally)
	l.now.Store(y)
	return y
}

// lost is the region that nobody stands in for, or empty.
func (l *load) lost() string {
	if s := l.gone.Load(); s != nil {
		return *s
	}
	return ""
}

// think waits for one's turn to open a page.
func (l *load) think(ctx context.Context) {
	if l.steps == nil {
		return
	}
	select {
	case <-ctx.Done():
	case <-l.steps:
	}
}

// find looks somebody up until there is an answer: every fourth time somebody
// whom nobody knows.
func (l *load) find(ctx context.Context, front string, n int) outcome {
	who := l.known[rand.IntN(len(l.known))]
	if n%4 == 0 {
		who = person{address: fmt.Sprintf("stranger%d@nowhere.example", rand.IntN(l.strangers))}
	}
	var o outcome
	began, since := time.Now(), time.Time{}
	for {
		found, err := l.discover(ctx, front, who.address)
		now := time.Now()
		o.wait = now.Sub(began)
		if err == nil {
			o.wrong = who.differs(found)
			return o
		}
		if who.portal == "" && errors.Is(err, errLater) && l.late.Load() {
			o.later = true
			return o
		}
		if since.IsZero() {
			since = now
		}
		o.again = true
		if l.tally().upset(now, err); now.Sub(since) > patience || !pause(ctx, moment) {
			o.failed = fmt.Errorf("a lookup got no answer in %v: %w", patience, err)
			return o
		}
	}
}

var errLater = errors.New("a lookup: try again later")

// A destination is what the front door tells programs of a portal.
type destination struct {
	ID, Jurisdiction, Region, URL, Continue, Status string
}

// discover asks as a program does.
func (l *load) discover(ctx context.Context, front, address string) ([]destination, error) {
	body, err := json.Marshal(map[string]string{"email": address})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, front+"/v1/discover", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Host = strings.TrimPrefix(l.front, "http://")
	r.Header.Set("Content-Type", "application/json")
	res, err := l.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusServiceUnavailable {
		return nil, errLater
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("a lookup: %s %s", res.Status, res.Header.Get("Balancer"))
	}
	var answer struct{ Portals []destination }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, err
	}
	return answer.Portals, nil
}

// differs says what is wrong with what was found of a person; nobody knows one
// without a portal.
func (p person) differs(found []destination) string {
	switch {
	case p.portal == "" && len(found) > 0:
		return fmt.Sprintf("a stranger is led to %s", found[0].ID)
	case p.portal == "":
		return ""
	case len(found) == 0:
		return "of somebody in " + p.portal + " nothing is known"
	case len(found) > 1:
		return fmt.Sprintf("somebody in %s is led to %d portals", p.portal, len(found))
	}
	d := found[0]
	_, ticket, _ := strings.Cut(d.Continue, "/login?ticket=")
	if d.ID != p.portal || d.Jurisdiction != p.jurisdiction || d.URL != p.site && (d.URL != p.standby || p.standby == "") ||
		!strings.HasPrefix(d.Continue, d.URL+"/login?") || ticket == "" {
		return fmt.Sprintf("somebody in %s (%s, %s) is led to %s (%s, %s)", p.portal, p.jurisdiction, p.site, d.ID, d.Jurisdiction, d.URL)
	}
	return ""
}
