package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/domicile-sso/domicile/regions"
)

// What the library makes nothing of is nothing, and ends no process: a Consul
// that answers null where something belongs would otherwise end every front door.
func TestCON17EmptyElements(t *testing.T) {
	catalogue := regions.NewCatalogue(nil, time.Now)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		w.Header().Set("X-Consul-KnownLeader", "true")
		w.Header().Set("X-Consul-LastContact", "0")
		if strings.Contains(r.URL.Path, "/health/service/") {
			fmt.Fprint(w, `[null,{},{"Service":null},{"Node":null,"Service":{},"Checks":[null]}]`)
			return
		}
		fmt.Fprint(w, `[null,{}]`)
	}))
	defer s.Close()
	c, err := New(Options{Address: s.URL, Token: "x", Regions: catalogue, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Records(t.Context()); err != nil {
		t.Errorf("records: %v", err)
	}
	if _, err := c.Processes(t.Context(), "eu-central"); err != nil {
		t.Errorf("processes: %v", err)
	}
	checks, _, err := c.checks(t.Context(), 0, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c.judge(checks)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	c.WatchHealth(ctx)
	c.Watch(ctx, func([]string, error) {})
}

// A token that is given less while the front door runs reads less, which is not
// that processes have gone: what was last known stays.
func TestCON18TokenThatSeesLess(t *testing.T) {
	t.Parallel()
	for name, less := range map[string]string{
		"no services": `key_prefix "domicile/regions/" { policy = "read" } node_prefix "" { policy = "read" }`,
		"no machines": `key_prefix "domicile/regions/" { policy = "read" } service_prefix "domicile-portal-" { policy = "read" }`,
		"nothing":     `key "nothing" { policy = "read" }`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if errs := w.catalogue.Apply([]string{w.sign("eu-central", nil)}); len(errs) > 0 {
				t.Fatal(errs)
			}
			manage := w.client(w.Management, nil).api
			policy, _, err := manage.ACL().PolicyCreate(&api.ACLPolicy{Name: "front", Rules: frontDoorPolicy}, nil)
			if err != nil {
				t.Fatal(err)
			}
			token, _, err := manage.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLLink{{ID: policy.ID}}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			front := w.client(token.SecretID, nil)
			portal := w.client(w.Token(t, portalPolicy), nil)
			w.running(func(ctx context.Context) {
				portal.Register(ctx, Instance{ID: "one", Region: "eu-central", Jurisdiction: "EU", Address: "10.0.0.1", Port: 8443},
					func(context.Context) error { return nil })
			})
			w.until("it is seen", func() bool {
				checks, _, err := front.checks(t.Context(), 0, 0)
				seen, _ := front.judge(checks)
				return err == nil && seen["eu-central"]
			})
			policy.Rules = less
			if _, _, err := manage.ACL().PolicyUpdate(policy, nil); err != nil {
				t.Fatal(err)
			}
			w.until("it is left out, and that is no answer", func() bool {
				checks, _, err := front.checks(t.Context(), 0, 0)
				seen, _ := front.judge(checks)
				if err == nil && !seen["eu-central"] {
					t.Fatalf("taken for gone: %v", seen)
				}
				return err != nil
			})
		})
	}
}

// A front door that is started while a region is long gone, and forgotten by
// Consul, leads its people to who stands in, and not to where nobody answers.
func TestCON19StartedAfterTheRegionHasGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.sign("eu-central", func(r *regions.Record) { r.Standbys = []string{"eu-west"} })
	if errs := w.catalogue.Apply([]string{home, w.sign("eu-west", nil)}); len(errs) > 0 {
		t.Fatal(errs)
	}
	standby := w.client(w.Token(t, `service "domicile-portal-eu-west" { policy = "write" }`), nil)
	in := Instance{ID: "one", Region: "eu-west", Jurisdiction: "EU", StandsInFor: "eu-central", Address: "10.0.0.2", Port: 8443}
	stop := w.running(func(ctx context.Context) {
		standby.Register(ctx, in, func(context.Context) error { return nil })
	})
	front := w.client(w.Token(t, frontDoorPolicy), nil)
	w.running(front.WatchHealth)
	w.until("the region is down, and its standby up", func() bool {
		return front.Health("eu-central") == regions.Down && front.Health(regions.StandIn("eu-west", "eu-central")) == regions.Up
	})
	stop()
	w.until("nothing is known of the region", func() bool { return front.Health("eu-central") == regions.Unknown })
}

// A server that has lost its leader goes on telling what it knew then, for as long
// as that takes: nothing is concluded from it.
func TestCON21ServerWithoutALeader(t *testing.T) {
	for name, head := range map[string][2]string{
		"leader": {"true", "20"}, "no leader": {"false", "20"}, "not heard for long": {"true", "60000"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Consul-Index", "7")
			w.Header().Set("X-Consul-KnownLeader", head[0])
			w.Header().Set("X-Consul-LastContact", head[1])
			fmt.Fprint(w, `[{"ServiceName":"domicile-portal-eu-central","Status":"critical"}]`)
		}))
		defer s.Close()
		c, err := New(Options{Address: s.URL, Token: "x", Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if checks, _, err := c.checks(t.Context(), 0, time.Second); (err == nil) != (name == "leader") {
			t.Errorf("%s: %d checks, %v", name, len(checks), err)
		}
	}
}

// CON-03: whatever Consul answers when it is asked for rights, it is not taken for
// safe by mistake, nor for open by noise.
func TestSelfTestAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		answer string
		open   bool
		good   bool
	}{
		"all refused":      {200, `[{"Allow":false},{"Allow":false},{"Allow":false},{"Allow":false},{"Allow":false}]`, false, true},
		"one right":        {200, `[{"Allow":false},{"Allow":false},{"Allow":false},{"Allow":true},{"Allow":false}]`, true, false},
		"too few":          {200, `[{"Allow":false}]`, false, false},
		"null":             {200, `null`, false, false},
		"no JSON":          {200, `good`, false, false},
		"a redirect":       {302, ``, false, false},
		"broken":           {500, `[{"Allow":false},{"Allow":false},{"Allow":false},{"Allow":false},{"Allow":false}]`, false, false},
		"an older Consul":  {404, ``, false, true},
		"and another":      {405, ``, false, true},
		"more than enough": {200, `[` + strings.Repeat(" ", maxAnswer) + `]`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "/acl/authorize") {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.answer)
			}))
			defer s.Close()
			c, err := New(Options{Address: s.URL, Token: "x", Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			err = c.SelfTest(t.Context())
			if errors.Is(err, ErrOpen) != tt.open || (err == nil) != tt.good {
				t.Errorf("got %v", err)
			}
		})
	}
}
