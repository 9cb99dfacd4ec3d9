package app

import (
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/web"
	"github.com/domicile-sso/domicile/portal"
)

// value is what a metric of the front door is, or -1 where it has none of that
// name.
func (d *Discovery) value(t *testing.T, name string) float64 {
	t.Helper()
	families, err := d.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return -1
}

// Front doors that share a primary, a replica and a Redis, whose user may do what
// the operating guide lets it do.
func TestSharedServers(t *testing.T) {
	w := newWorld(t)
	primary, replica := servertest.PostgresPair(t)
	server := servertest.RedisWith(t, servertest.RedisOptions{Config: append(rules(t), "user root on nopass ~* &* +@all")})
	var ahead atomic.Int64
	start := time.Now()
	w.at.Database, w.at.Replica, w.at.Log = primary.URL, replica.URL, slog.New(slog.DiscardHandler)
	w.at.Now = func() time.Time { return start.Add(time.Duration(ahead.Load())) } // nothing ends by itself
	w.at.Limits = web.Limits{DangerouslyUnlimited: true}
	door := func() *Discovery {
		client, err := redisClient(&config.Redis{Addresses: []string{server.Addr}, Username: "domicile", Password: config.NewSecret("secret")})
		if err != nil {
			t.Fatal(err)
		}
		w.at.Redis = client
		d := w.front()
		eventually(t, "it hears no other front door", func() bool { return d.value(t, "domicile_directory_cache_listening") == 1 })
		return d
	}
	one, two := door(), door()
	p := w.region(one.Claims())
	open(t, p)
	guest := func(text string) {
		t.Helper()
		a, err := discovery.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Store().DangerouslyCreateAccount(t.Context(), portal.Account{Portal: "acme", Primary: a}, ""); err != nil {
			t.Fatal(err)
		}
	}
	const gitta, max, nobody = "gitta@partner.example", "max@partner.example", "eve@nowhere.example"
	for _, d := range []*Discovery{one, two} {
		w.where(d, "ada@acme.example", "acme")
		w.where(d, gitta, "")
		w.where(d, gitta, "")
	}
	guest(gitta)
	w.where(one, gitta, "acme")
	w.where(two, gitta, "acme")
	w.where(two, nobody, "")

	t.Run("CON-09 tampering", func(t *testing.T) {
		root := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "root", Password: "any"})
		defer root.Close()
		keys, err := root.Keys(t.Context(), "domicile:e1:*").Result()
		if err != nil || len(keys) < 2 {
			t.Fatalf("%d answers in Redis, %v", len(keys), err)
		}
		values := make([]string, len(keys))
		for i, k := range keys {
			if values[i], err = root.Get(t.Context(), k).Result(); err != nil {
				t.Fatal(err)
			}
		}
		for what, bend := range map[string]func(i int) string{
			"swapped":   func(i int) string { return values[(i+1)%len(values)] },
			"truncated": func(i int) string { return values[i][:len(values[i])/2] },
			"foreign":   func(int) string { return "\x00\x00\x00\x00\x80\x00\x00\x00\x01\x05other" },
			"oversized": func(i int) string { return values[i] + strings.Repeat("x", 1<<20) },
		} {
			for i, k := range keys {
				if err := root.Set(t.Context(), k, bend(i), time.Hour).Err(); err != nil {
					t.Fatal(err)
				}
			}
			ahead.Add(int64(6 * time.Second)) // what the front doors keep themselves ends
			for _, d := range []*Discovery{one, two} {
				if got := w.ask(d, gitta); got != "acme" {
					t.Errorf("%s: %q", what, got)
				}
				if got := w.ask(d, nobody); got != "" {
					t.Errorf("%s: a stranger is led to %q", what, got)
				}
			}
		}

		// A bomb: as it is, and as the length of what it would unpack to.
		const bomb = 64 << 20
		for _, text := range []string{strings.Repeat("\x00", bomb), "\xc6\x7f\xff\xff\xff" + strings.Repeat("\xff", 1<<10), "\x80\x80\x80\x80\x04\x00s2\x01"} {
			for _, k := range keys {
				if err := root.Set(t.Context(), k, text, time.Hour).Err(); err != nil {
					t.Fatal(err)
				}
			}
			ahead.Add(int64(6 * time.Second))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for _, d := range []*Discovery{one, two} {
				if got := w.ask(d, gitta); got != "acme" {
					t.Errorf("a bomb: %q", got)
				}
			}
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > bomb/4 {
				t.Errorf("a bomb of %d bytes took %d MiB", len(text), took>>20)
			}
		}
	})

	// Without Redis, whoever comes is found when what a front door keeps has ended.
	w.where(two, max, "")
	server.Kill()
	guest(max)
	w.where(one, max, "acme")
	ahead.Add(int64(5 * time.Second))
	w.where(two, max, "acme")

	// Without a primary, what the replica has is as good.
	primary.Kill()
	ahead.Add(int64(time.Minute))
	w.where(one, gitta, "acme")
	w.where(two, max, "acme")

	server.Start()
	primary.Start()
	ahead.Add(int64(time.Minute))
	for _, d := range []*Discovery{one, two} {
		eventually(t, "it does not hear again", func() bool { return d.value(t, "domicile_directory_cache_listening") == 1 })
		w.where(d, nobody, "")
	}
}
