package store_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// PWD-01: that guessing is slowed is in the audit log, once for an account in a
// while; guessing at everybody does not fill it.
func TestSlowedGuessesAreAudited(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		guess := func(who, from string) {
			t.Helper()
			v := visitor(from)
			handle, err := x.StartAttempt(x.ctx, "acme", v, portal.Attempt{Address: addr(t, who)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = x.SignInPassword(x.ctx, "acme", v, handle, "not the password", false); err == nil {
				t.Fatal("signed in")
			}
		}
		rows := func() (n int) {
			t.Helper()
			events, err := x.Events(x.ctx, "acme", portal.EventFilter{Action: "session.refused"})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if e.Code == "password_throttled" {
					n++
				}
			}
			return n
		}
		for range 12 {
			guess("cloud@cloud.example", "guesser")
		}
		if n := rows(); n != 1 {
			t.Errorf("%d rows of slowed guesses at one account, want 1", n)
		}
		x.clock.add(16 * time.Minute)
		for range 12 {
			guess("cloud@cloud.example", "guesser")
		}
		if n := rows(); n != 2 {
			t.Errorf("%d rows a while later, want 2", n)
		}
		// The network is full by now: each guess is slowed, whoever it is about.
		before := rows()
		for i := range 200 {
			guess(fmt.Sprintf("nobody-%d@cloud.example", i), "guesser")
		}
		if n := rows() - before; n == 0 || n > 61 {
			t.Errorf("%d rows for guesses at everybody", n)
		}
		if _, err := x.CheckAudit(x.ctx, "acme"); err != nil {
			t.Error(err)
		}
	})
}

func TestMailQueueIsWatched(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		if n, age, err := x.MailQueue(x.ctx); n != 0 || age != 0 || err != nil {
			t.Errorf("empty: %d, %v, %v", n, age, err)
		}
		if _, err := x.Invite(x.ctx, visitor("admin"), portal.Invitation{Portal: "acme", Address: addr(t, "guest@consult.example")}); err != nil {
			t.Fatal(err)
		}
		x.clock.add(time.Minute)
		for range 2 { // a letter that was tried and failed waits still
			due, err := x.DueLetters(x.ctx, 1)
			if err != nil || len(due) != 1 {
				t.Fatalf("%v, %v", due, err)
			}
			if err := x.LetterFailed(x.ctx, due[0].ID); err != nil {
				t.Fatal(err)
			}
		}
		if n, age, err := x.MailQueue(x.ctx); n != 2 || age != time.Minute || err != nil {
			t.Errorf("waiting: %d, %v, %v", n, age, err)
		}
		x.clock.add(portal.LetterLife)
		if n, _, err := x.MailQueue(x.ctx); n != 0 || err != nil {
			t.Errorf("a stale letter waits: %d, %v", n, err)
		}
	})
}

func TestCertificateEnds(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		end := x.clock.now().Add(48 * time.Hour)
		c := x.saml
		c.SAML.Certificates = nil
		for _, notAfter := range []time.Time{end.Add(-time.Hour), end} {
			template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: notAfter}
			der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			c.SAML.Certificates = append(c.SAML.Certificates, der)
		}
		x.connection(c)
		ends, err := x.CertificateEnds(x.ctx)
		if err != nil || len(ends) != 1 || !ends[0].End.Equal(end) || ends[0].Portal != "acme" || ends[0].Connection != "acme-saml" {
			t.Errorf("ends %v, %v, want %v", ends, err, end)
		}
	})
}
