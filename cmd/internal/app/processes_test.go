package app

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/mail"
)

// Three processes of one region work on one database, and come and go: every
// account is found, every letter is sent once, and nobody complains.
func TestProcessesOfOneRegion(t *testing.T) {
	w := newWorld(t)
	w.eu.Database = servertest.Postgres(t)
	log, letters := new(planttest.Log), new(mail.Mailbox)
	w.eu.Log, w.eu.Mail = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})), letters
	d := w.front()
	first := w.region(d.Claims())
	open(t, first)
	all := []*Portal{first, w.region(d.Claims()), w.region(d.Claims())}

	const each = 15
	address := func(round, process, i int) discovery.Address {
		a, err := discovery.ParseAddress(fmt.Sprintf("person-%d-%d-%d@partner.example", round, process, i))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for round := range 2 {
		var wg sync.WaitGroup
		for n, p := range all {
			wg.Go(func() {
				for i := range each {
					who := portal.Account{Portal: "acme", Primary: address(round, n, i)}
					if _, err := p.Store().DangerouslyCreateAccount(t.Context(), who, ""); err != nil {
						t.Error(err)
					}
					v := portal.Visitor{Client: netip.AddrFrom4([4]byte{10, byte(round), byte(n*each + i), 1})}
					if err := p.Store().RequestReset(t.Context(), "acme", v, who.Primary); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		stopped(t, all[round]) // with whatever it has in hand
		all[round] = w.region(d.Claims())
	}
	for round := range 2 {
		for n := range all {
			w.where(d, address(round, n, each-1).Clear(), "acme")
			w.where(d, address(round, n, 0).Clear(), "acme")
		}
	}
	want := 2 * len(all) * each
	deadline := time.After(20 * time.Second)
	for len(letters.Messages()) < want {
		select {
		case <-deadline:
			t.Fatalf("%d letters, want %d", len(letters.Messages()), want)
		case <-time.After(5 * time.Millisecond):
		}
	}
	sent := map[string]int{}
	for _, m := range letters.Messages() {
		sent[m.To.Clear()]++
	}
	for to, n := range sent {
		if n != 1 {
			t.Errorf("%s has %d letters", to, n)
		}
	}
	for _, p := range all {
		if n := counted(t, p.Registry, "domicile_publish_batches_total", "rebuild"); n != 0 {
			t.Errorf("everything was published again %v times", n)
		}
	}
	if said := log.String(); said != "" {
		t.Errorf("logged:\n%s", said)
	}
}

// counted is a counter of a process, by the value of its one label.
func counted(t *testing.T, r *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
