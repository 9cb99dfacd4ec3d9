package web_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/web"
	"github.com/domicile-sso/domicile/regions"
)

type regionsBut struct {
	discovery.Regions
	missing string
}

func (r regionsBut) Region(name string) (regions.Record, bool) {
	record, ok := r.Regions.Region(name)
	return record, ok && name != r.missing
}

var sealed = regexp.MustCompile(`[A-Za-z0-9_-]{60,}`)

// Whatever is wrong, with the directory or with the region of a proven portal, a
// stranger is told the same of somebody who has an account there as of somebody who
// has none, be it that their domain leads somewhere else or nowhere.
func TestDIS01HiddenWhateverIsWrong(t *testing.T) {
	health := func(down ...string) change {
		return func(o *web.Options) {
			o.Resolver.Health = func(name string) regions.Health {
				for _, d := range down {
					if d == name {
						return regions.Down
					}
				}
				return regions.Up
			}
		}
	}
	closed := func(d *door) { _ = d.db.Close() }
	doubtful := func(d *door) {
		closed(d)
		d.now = d.now.Add(time.Minute)
		if d.store.Refresh(d.t.Context()) == nil {
			d.t.Fatal("the directory can be read")
		}
	}
	unsure := func(d *door) {
		if _, err := d.db.Exec(`UPDATE progress SET whole = FALSE`); err != nil {
			d.t.Fatal(err)
		}
		if _, err := d.db.Exec(`UPDATE changes SET n = n + 1`); err != nil {
			d.t.Fatal(err)
		}
		if err := d.store.Refresh(d.t.Context()); err != nil {
			d.t.Fatal(err)
		}
	}
	for name, x := range map[string]struct {
		with   change
		befall func(*door)
	}{
		"well":                       {health(), nil},
		"its region down":            {health("us"), nil},
		"the other region down":      {health("eu"), nil},
		"both down":                  {health("eu", "us"), nil},
		"its region without record":  {func(o *web.Options) { o.Resolver.Regions = regionsBut{o.Resolver.Regions, "us"} }, nil},
		"the other without record":   {func(o *web.Options) { o.Resolver.Regions = regionsBut{o.Resolver.Regions, "eu"} }, nil},
		"directory away":             {health(), closed},
		"directory away for long":    {health(), doubtful},
		"away, its region down":      {health("us"), doubtful},
		"away, its region unknown":   {func(o *web.Options) { o.Resolver.Regions = regionsBut{o.Resolver.Regions, "us"} }, doubtful},
		"directory not whole":        {health(), unsure},
		"not whole, its region down": {health("us"), unsure},
	} {
		for _, cached := range []bool{false, true} {
			for _, domain := range []string{"consult.example", "acme.example"} {
				d := newDoor(t, x.with)
				d.populate()
				d.publish("us", portal("us", "secret", "Secret Ltd", discovery.Proven), d.entry("hid@"+domain, "secret"))
				if cached {
					d.do(ask("hid@" + domain))
					d.do(ask("who@" + domain))
				}
				if x.befall != nil {
					x.befall(d)
				}
				for door, request := range map[string]func(string) *http.Request{
					"page":      func(a string) *http.Request { return ask(a) },
					"json":      func(a string) *http.Request { return discover(`{"email":"` + a + `"}`) },
					"webfinger": func(a string) *http.Request { return get("/.well-known/webfinger?resource=acct:" + a) },
				} {
					told := func(who string) string {
						return sealed.ReplaceAllString(withoutReference(shape(t, d.do(request(who+"@"+domain)), who+"@"+domain)), "SEALED")
					}
					if diff := cmp.Diff(told("who"), told("hid")); diff != "" {
						t.Errorf("%s, %s, %s, cached %v: a proven portal shows (-unknown +hidden):\n%s", name, domain, door, cached, diff)
					}
				}
			}
		}
	}
}
