package web_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/discovery/web"
)

var few = web.Limits{PerClient: 60, ClientBurst: 3, Global: 1000}

// tries asks until it is told to wait, and returns how often that went well.
func (d *door) tries(request func() *http.Request, client string) int {
	d.t.Helper()
	for n := range 1000 {
		res := d.do(from(request(), client))
		if res.StatusCode == http.StatusTooManyRequests {
			if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || s < 1 || s > 60 {
				d.t.Errorf("Retry-After is %q", res.Header.Get("Retry-After"))
			}
			return n
		}
	}
	d.t.Fatal("there is no limit")
	return 0
}

func TestDIS03SameLimitForAll(t *testing.T) {
	for name, request := range map[string]func() *http.Request{
		"known":     func() *http.Request { return ask("ada@acme.example") },
		"unknown":   func() *http.Request { return ask("nobody@consult.example") },
		"hidden":    func() *http.Request { return ask("hid@consult.example") },
		"bad":       func() *http.Request { return ask("nonsense") },
		"json":      func() *http.Request { return discover(`{"email":"ada@acme.example"}`) },
		"bad json":  func() *http.Request { return discover(`{`) },
		"webfinger": func() *http.Request { return get("/.well-known/webfinger?resource=acct:a@acme.example") },
		"choice":    func() *http.Request { return post("/choose", nil) },
		"anyway":    func() *http.Request { return post("/choose/anyway", nil) },
		"proof":     func() *http.Request { return post("/remember", nil) },
	} {
		d := newDoor(t, limits(few))
		d.populate()
		if n := d.tries(request, "192.0.2.1"); n != few.ClientBurst {
			t.Errorf("%s: %d tries, want %d", name, n, few.ClientBurst)
		}
		d.status(d.do(from(get("/"), "192.0.2.1")), http.StatusOK) // the page itself stays
		d.now = d.now.Add(time.Second)
		if n := d.tries(request, "192.0.2.1"); n != 1 {
			t.Errorf("%s: %d tries after a second, want 1", name, n)
		}
	}
}

func TestDIS33Buckets(t *testing.T) {
	d := newDoor(t, limits(few))
	someone := func() *http.Request { return ask("nobody@consult.example") }
	for _, c := range []struct {
		client string
		want   int
	}{
		{"192.0.2.1", 3}, {"192.0.2.2", 3}, {"::ffff:192.0.2.1", 0},
		{"2001:db8::1", 3}, {"2001:db8::ffff:1", 0}, {"2001:db8:0:1::1", 3},
	} {
		if n := d.tries(someone, c.client); n != c.want {
			t.Errorf("%s: %d tries, want %d", c.client, n, c.want)
		}
	}
	all := newDoor(t, limits(web.Limits{PerClient: 1000, ClientBurst: 1000, Global: 1, GlobalBurst: 4}))
	if n := all.tries(someone, "192.0.2.1"); n != 4 {
		t.Errorf("all together: %d tries, want 4", n)
	}
	if n := all.tries(someone, "192.0.2.9"); n != 0 {
		t.Errorf("another client: %d tries, want 0", n)
	}
}

func TestLimitsAreShared(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: servertest.Redis(t)})
	t.Cleanup(func() { _ = rdb.Close() })
	slow := limits(web.Limits{PerClient: 1, ClientBurst: 3}) // Redis has a clock of its own
	one, two := newDoor(t, slow, withRedis(rdb)), newDoor(t, slow, withRedis(rdb))
	someone := func() *http.Request { return ask("nobody@consult.example") }
	// together reports whether tries at the one leave none at the other. A busy machine
	// may once have kept Redis from answering in time.
	together := func(client byte, apart time.Duration) bool {
		for again := range byte(5) {
			one.now = one.now.Add(2 * time.Second) // and Redis is asked again
			two.now = one.now.Add(apart)
			who := netip.AddrFrom4([4]byte{192, 0, again, client}).String()
			if n := one.tries(someone, who); n != 3 {
				t.Errorf("%v apart: %d tries at the first, want 3", apart, n)
			}
			if two.tries(someone, who) <= 1 { // one may have come back meanwhile
				return true
			}
		}
		return false
	}
	for i, apart := range []time.Duration{0, time.Hour, -time.Hour, 24 * time.Hour} {
		if !together(byte(i), apart) { // what the front doors think of the time makes no difference
			t.Errorf("%v apart: they do not count together", apart)
		}
	}
	names, err := rdb.Keys(t.Context(), "*192*").Result()
	if err != nil || len(names) > 0 {
		t.Errorf("Redis knows clients by address: %v, %v", names, err)
	}
}

func TestLimitsWithoutRedis(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	d := newDoor(t, limits(few), withRedis(rdb))
	if n := d.tries(func() *http.Request { return ask("nobody@consult.example") }, "192.0.2.1"); n != 3 {
		t.Errorf("%d tries, want 3", n)
	}
}

// Whoever can write to Redis once, or a server that takes over with a clock that is
// behind, does not keep everybody out: each front door counts by itself then.
func TestCON20LimitsThatNobodyFilled(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: servertest.Redis(t)})
	t.Cleanup(func() { _ = rdb.Close() })
	d := newDoor(t, limits(few), withRedis(rdb))
	someone := func() *http.Request { return ask("nobody@consult.example") }
	for i, until := range []string{"99999999999", "9999999999"} { // more than a duration holds, and less
		if err := rdb.Set(t.Context(), "rate:domicile:all", until, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if n := d.tries(someone, "192.0.2."+strconv.Itoa(1+i)); n != 3 {
			t.Errorf("%s: %d tries, want 3", until, n)
		}
		d.now = d.now.Add(2 * time.Second) // and Redis is asked again
	}
}

// A Redis that dies or falls silent opens nothing: each front door counts by
// itself until it is back.
func TestLimitsOutliveRedis(t *testing.T) {
	server := servertest.ControlledRedis(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = rdb.Close() })
	slow := limits(web.Limits{PerClient: 1, ClientBurst: 3})
	one, two := newDoor(t, slow, withRedis(rdb)), newDoor(t, slow, withRedis(rdb))
	someone := func() *http.Request { return ask("nobody@consult.example") }
	want := func(client string, shared bool) {
		t.Helper()
		if n := one.tries(someone, client); n != 3 {
			t.Errorf("%s: %d tries at the first, want 3", client, n)
		}
		if n := two.tries(someone, client); shared && n > 1 || !shared && n != 3 {
			t.Errorf("%s: %d tries at the second, and it counts with the first: %v", client, n, shared)
		}
	}
	later := func() {
		one.now, two.now = one.now.Add(2*time.Second), two.now.Add(2*time.Second)
	}
	want("192.0.2.1", true)
	server.Kill()
	want("192.0.2.2", false)
	server.Start()
	later()
	want("192.0.2.3", true)
	server.Pause()
	want("192.0.2.4", false)
	server.Resume()
	later()
	want("192.0.2.5", true)
}
