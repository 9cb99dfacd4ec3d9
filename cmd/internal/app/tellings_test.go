package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/mail"
)

// A move whose people have not all been told, for there were too many or their
// process ended, is gone on with by whichever process is there.
func TestTellingsGoOn(t *testing.T) {
	w := newWorld(t)
	letters := new(mail.Mailbox)
	w.eu.Database, w.eu.Mail = servertest.Postgres(t), letters
	p := w.region(w.front().Claims())
	open(t, p)
	const people = 3
	for i := range people {
		a, err := discovery.ParseAddress(fmt.Sprintf("person-%d@acme.example", i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Store().DangerouslyCreateAccount(t.Context(), portal.Account{Portal: "acme", Primary: a}, ""); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqldb.Options{}.Open(t.Context(), w.eu.Database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(`INSERT INTO tellings (portal, domain, letters, name, address, done, people) VALUES ('acme', 'acme.example', TRUE, 'acme.example', 'person-0@acme.example', 1, $1)`, people); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(20 * time.Second)
	for len(letters.Messages()) < people-1 {
		select {
		case <-deadline:
			t.Fatalf("%d letters, want %d", len(letters.Messages()), people-1)
		case <-time.After(5 * time.Millisecond):
		}
	}
	for _, m := range letters.Messages() {
		if m.To.Clear() == "person-0@acme.example" {
			t.Error("somebody is told twice")
		}
	}
	if all, err := p.Store().Tellings(t.Context(), "acme"); err != nil || len(all) != 0 {
		t.Errorf("still to be told: %v, %v", all, err)
	}
}
