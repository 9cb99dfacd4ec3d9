package store_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// another is one more process on the fixture's database.
func (x *fixture) another() *store.Store {
	x.t.Helper()
	vault, err := portal.NewVault(x.key)
	if err != nil {
		x.t.Fatal(err)
	}
	return store.New(x.db, vault, x.clock.now)
}

// Several processes deliver the letters of one region: each letter is taken once,
// and none is left.
func TestProcessesShareTheLetters(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		const letters = 60
		for i := range letters {
			who := x.account(fmt.Sprintf("person-%d@cloud.example", i))
			v := portal.Visitor{Client: netip.AddrFrom4([4]byte{10, 1, byte(i), 1})}
			if err := x.RequestReset(x.ctx, "acme", v, who.Primary); err != nil {
				t.Fatal(err)
			}
		}
		var mu sync.Mutex
		taken := map[string]int{}
		var wg sync.WaitGroup
		for range 3 {
			s := x.another()
			wg.Go(func() {
				for idle := 0; idle < 3; {
					due, err := s.DueLetters(x.ctx, 4)
					if err != nil {
						t.Error(err)
						return
					}
					if len(due) == 0 {
						idle++ // another one may still be turning requests into letters
					}
					for _, l := range due {
						mu.Lock()
						taken[l.To.Clear()]++
						mu.Unlock()
						if err := s.LetterSent(x.ctx, l.ID); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		due, err := x.DueLetters(x.ctx, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range due {
			taken[l.To.Clear()]++
		}
		if len(taken) != letters {
			t.Errorf("%d people have a letter, want %d", len(taken), letters)
		}
		for to, n := range taken {
			if n != 1 {
				t.Errorf("%s has %d letters", to, n)
			}
		}
	})
}

// Several processes clean up at the same moment.
func TestProcessesCleanUpTogether(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		for range 3 {
			for i := range 300 {
				if _, err := x.db.Exec(`INSERT INTO tickets (id, expires) VALUES ($1, $2)`, fmt.Sprint(i), x.clock.now().Add(-24*time.Hour).UnixMicro()+int64(i*7919%300)); err != nil {
					t.Fatal(err)
				}
				if _, err := x.db.Exec(`INSERT INTO throttle (bucket, full_until) VALUES ($1, $2)`, fmt.Sprint(i), x.clock.now().Add(-time.Hour).UnixMicro()+int64(i*7907%300)); err != nil {
					t.Fatal(err)
				}
			}
			x.clock.add(time.Second)
			var wg sync.WaitGroup
			for range 4 {
				s := x.another()
				wg.Go(func() {
					for n := int64(1); n > 0; {
						var err error
						if n, err = s.Cleanup(x.ctx, 50); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			var left int
			if err := x.db.QueryRow(`SELECT (SELECT COUNT(*) FROM tickets) + (SELECT COUNT(*) FROM throttle)`).Scan(&left); err != nil || left != 0 {
				t.Errorf("%d rows are left, %v", left, err)
			}
		}
	})
}

// One process of the region has a clock that is hours ahead and cleans up. What was
// spent stays spent to the others, whose clocks are right.
func TestLaw4CleanedUpByAClockAhead(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		settings := *x.saml.SAML
		settings.AllowIDPInitiated = true
		x.saml.SAML = &settings
		x.connection(x.saml)
		id := x.person("acme-saml", "s1", "ada@acme.example")
		if _, err := x.SignInFederated(x.ctx, "acme", visitor("one"), portal.Federated{}, id); err != nil {
			t.Fatal(err)
		}
		issued := x.clock.now()
		use := func() error {
			_, err := x.StartFromTicket(x.ctx, "acme", visitor("one"), "ticket-1", issued, issued.Add(time.Minute), portal.Attempt{})
			return err
		}
		if err := use(); err != nil {
			t.Fatal(err)
		}
		vault, err := portal.NewVault(x.key)
		if err != nil {
			t.Fatal(err)
		}
		ahead := store.New(x.db, vault, func() time.Time { return x.clock.now().Add(3 * time.Hour) })
		if _, err := ahead.Cleanup(x.ctx, 100); err != nil {
			t.Fatal(err)
		}
		_, err = x.SignInFederated(x.ctx, "acme", visitor("two"), portal.Federated{}, id)
		wantCode(t, err, "assertion_replayed")
		wantCode(t, use(), "ticket_refused")
	})
}
