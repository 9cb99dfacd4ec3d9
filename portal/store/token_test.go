package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

const other = portal.Secret("eleven Purple kettles 97")

func contains(s, part string) bool { return strings.Contains(s, part) }

func (x *fixture) requestReset(address string) {
	x.t.Helper()
	if err := x.RequestReset(x.ctx, "acme", visitor("one"), addr(x.t, address)); err != nil {
		x.t.Fatal(err)
	}
}

// PWD-12: what a reset link is good for, and for how long.
func TestReset(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("ian@cloud.example")
		session := x.mustSignIn("home", "ian@cloud.example", good)
		x.requestReset("ian@cloud.example")
		first := x.letter(portal.ResetLetter)
		x.requestReset("ian@cloud.example")
		l := x.letter(portal.ResetLetter)
		if l.To != addr(t, "ian@cloud.example") || l.URL != "https://acme.eu.example.com" || l.Token == first.Token {
			t.Errorf("letter: %+v", l)
		}
		v := visitor("one")
		for name, token := range map[string]portal.Secret{"voided by a newer one": first.Token, "guessed": "guess", "PWD-19 blank": ""} {
			if _, err := x.ResetByToken(x.ctx, "acme", token); code(err) != "link_refused" {
				t.Errorf("%s, read: %v", name, err)
			}
			if err := x.ResetPassword(x.ctx, "acme", v, token, other); code(err) != "link_refused" {
				t.Errorf("%s: %v", name, err)
			}
		}
		wantCode(t, x.ResetPassword(x.ctx, "other", v, l.Token, other), "link_refused")
		wantCode(t, x.ResetPassword(x.ctx, "acme", v, l.Token, "ian@cloud1"), "password_weak")
		if _, err := x.ResetByToken(x.ctx, "acme", l.Token); err != nil { // PWD-16
			t.Errorf("reading used it up: %v", err)
		}
		if err := x.ResetPassword(x.ctx, "acme", v, l.Token, other); err != nil {
			t.Fatal(err)
		}
		wantCode(t, x.ResetPassword(x.ctx, "acme", v, l.Token, good), "link_refused")
		if x.live(session.Token) {
			t.Error("PWD-27: a session outlives the reset")
		}
		if _, err := x.signIn("home", "ian@cloud.example", good); code(err) != "password_wrong" {
			t.Errorf("the old password: %v", err)
		}
		x.mustSignIn("home", "ian@cloud.example", other)
		if x.letter(portal.ChangedLetter).To != addr(t, "ian@cloud.example") {
			t.Error("nobody was told")
		}
	})
}

func TestResetEnds(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		a := x.account("ian@cloud.example")
		x.requestReset("ian@cloud.example")
		l := x.letter(portal.ResetLetter)
		x.clock.add(30 * time.Minute)
		wantCode(t, x.ResetPassword(x.ctx, "acme", visitor("one"), l.Token, other), "link_refused")
		x.requestReset("ian@cloud.example")
		l = x.letter(portal.ResetLetter)
		if _, err := x.Disable(x.ctx, "acme", visitor("admin"), a.Primary); err != nil {
			t.Fatal(err)
		}
		wantCode(t, x.ResetPassword(x.ctx, "acme", visitor("one"), l.Token, other), "link_refused")
	})
}

// PWD-15: who gets which letter. Nobody gets none.
func TestResetAnswers(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("ada@acme.example")
		gone := x.account("gone@cloud.example")
		if _, err := x.Disable(x.ctx, "acme", visitor("admin"), gone.Primary); err != nil {
			t.Fatal(err)
		}
		x.domain(portal.Domain{Name: "oidc.example", Portal: "acme", Connection: "acme-oidc", JIT: true, Password: true})
		x.mustArrive("one", x.person("acme-oidc", "s", "sso@oidc.example"))
		for address, want := range map[string]portal.LetterKind{
			"ada@acme.example":   portal.SSOLetter,
			"sso@oidc.example":   portal.SSOLetter,
			"gone@cloud.example": portal.NoResetLetter,
		} {
			x.requestReset(address)
			if l := x.letter(want); l.Token != "" || l.To != addr(t, address) {
				t.Errorf("%s: a letter with a token", address)
			}
		}
		x.requestReset("nobody@cloud.example")
		x.requestReset("ada@acme.example.evil.example") // PWD-13
		if l := x.letters(); len(l) != 0 {
			t.Errorf("unknown addresses get %d letters", len(l))
		}
	})
}

// PWD-35: a mailbox is not flooded, and the answer does not tell.
func TestResetMailLimit(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("ian@cloud.example")
		for range 10 {
			x.requestReset("ian@cloud.example")
		}
		if n := len(x.letters()); n != 3 {
			t.Errorf("%d letters", n)
		}
		codes := map[string]int{}
		for range 30 {
			codes[code(x.RequestReset(x.ctx, "acme", visitor("one"), addr(t, "nobody@cloud.example")))]++
		}
		if codes["ok"] != 10 || codes["mail_throttled"] != 20 {
			t.Errorf("one client: %v", codes)
		}
	})
}

// Whoever asks for resets of an address keeps nobody from being invited by it;
// and invitations have a limit of their own.
func TestResetsDoNotBlockInvitation(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		for range 10 {
			x.requestReset("max@consult.example")
		}
		x.letters()
		for range 3 {
			x.invite("max@consult.example")
		}
		_, err := x.Invite(x.ctx, visitor("admin"), portal.Invitation{Portal: "acme", Address: addr(t, "max@consult.example")})
		wantCode(t, err, "mail_throttled")
	})
}

func TestOneResetTokenOneReset(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("ian@cloud.example")
		x.requestReset("ian@cloud.example")
		l := x.letter(portal.ResetLetter)
		got := parallel(func(int) error { return x.ResetPassword(x.ctx, "acme", visitor("one"), l.Token, other) })
		delete(got, "hash_workers_busy")
		if got["ok"] != 1 || len(got) > 2 || len(got) == 2 && got["link_refused"] == 0 {
			t.Errorf("got %v", got)
		}
	})
}

func (x *fixture) invite(address string) (link, temporary portal.Letter) {
	x.t.Helper()
	changed, err := x.Invite(x.ctx, visitor("admin"), portal.Invitation{Portal: "acme", Address: addr(x.t, address), GivenName: "Max"})
	if err != nil || !changed {
		x.t.Fatalf("invite: %t, %v", changed, err)
	}
	for _, l := range x.letters() {
		switch l.Kind {
		case portal.InvitationLetter:
			link = l
		case portal.TemporaryLetter:
			temporary = l
		}
	}
	return link, temporary
}

// S10 by the sign-in form: temporary, then one's own.
func TestFirstSignInByForm(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		link, mail := x.invite("max@consult.example")
		if link.Token == "" || link.Temporary != "" || mail.Token != "" || len(mail.Temporary) < 25 || mail.Name != "Max" {
			t.Fatalf("letters: %v %v", link, mail)
		}
		v := visitor("one")
		h := x.attempt(v, "max@consult.example")
		_, err := x.SignInPassword(x.ctx, "acme", v, h, mail.Temporary+" ", false)
		wantCode(t, err, "password_wrong")
		if !contains(say(err), "ends with a blank") {
			t.Errorf("S10: the blank is not named: %q", say(err))
		}
		in, err := x.SignInPassword(x.ctx, "acme", v, h, mail.Temporary, true)
		if err != nil || !in.MustChange || in.Token != "" {
			t.Fatalf("temporary: %+v, %v", in, err)
		}
		for name, try := range map[string]struct {
			temporary, password portal.Secret
			want                string
		}{
			"wrong":             {"wrong", good, "password_wrong"},
			"pasted blank":      {" " + mail.Temporary, good, "password_wrong"},
			"empty":             {"", good, "password_empty"},
			"weak":              {mail.Temporary, "short", "password_weak"},
			"kept as permanent": {mail.Temporary, mail.Temporary, "password_same"},
		} {
			if _, err := x.ChangeTemporaryPassword(x.ctx, "acme", v, h, try.temporary, try.password); code(err) != try.want {
				t.Errorf("%s: %v, want %s", name, err, try.want)
			}
		}
		in, err = x.ChangeTemporaryPassword(x.ctx, "acme", v, h, mail.Temporary, good)
		if err != nil || !x.live(in.Token) || !in.Kept || in.ReturnTo != "/inbox?m=1" || in.Account.Status != portal.Active {
			t.Fatalf("changed: %+v, %v", in, err)
		}
		_, err = x.signIn("two", "max@consult.example", mail.Temporary)
		wantCode(t, err, "password_wrong")
		_, err = x.InvitationByToken(x.ctx, "acme", link.Token)
		wantCode(t, err, "link_refused")
		x.mustSignIn("two", "max@consult.example", good)
		if changed, err := x.Invite(x.ctx, visitor("admin"), portal.Invitation{Portal: "acme", Address: addr(t, "max@consult.example")}); err != nil || changed || len(x.letters()) != 0 {
			t.Errorf("inviting an active person: %t, %v", changed, err)
		}
	})
}

// S10 and PWD-32, PWD-33 by the link.
func TestRedeemInvitation(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		old, oldMail := x.invite("max@consult.example")
		link, mail := x.invite("max@consult.example")
		v := visitor("one")
		redeem := func(token, temporary portal.Secret) error {
			_, err := x.RedeemInvitation(x.ctx, "acme", v, token, temporary, good, false)
			return err
		}
		wantCode(t, redeem(old.Token, mail.Temporary), "link_refused")
		wantCode(t, redeem(link.Token, oldMail.Temporary), "password_wrong")
		wantCode(t, redeem("", mail.Temporary), "link_refused")
		inv, err := x.InvitationByToken(x.ctx, "acme", link.Token)
		if err != nil || inv.Address != addr(t, "max@consult.example") {
			t.Errorf("invitation: %+v, %v", inv, err)
		}
		_, err = x.InvitationByToken(x.ctx, "other", link.Token)
		wantCode(t, err, "link_refused")
		if err := redeem(link.Token, mail.Temporary); err != nil {
			t.Fatal(err)
		}
		wantCode(t, redeem(link.Token, mail.Temporary), "link_refused")
	})
}

func TestInvitationEnds(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		link, mail := x.invite("max@consult.example")
		x.clock.add(72 * time.Hour)
		_, err := x.InvitationByToken(x.ctx, "acme", link.Token)
		wantCode(t, err, "link_refused")
		_, err = x.signIn("one", "max@consult.example", mail.Temporary)
		wantCode(t, err, "temporary_expired")
		_, mail = x.invite("max@consult.example")
		if in, err := x.signIn("one", "max@consult.example", mail.Temporary); err != nil || !in.MustChange {
			t.Errorf("renewed: %+v, %v", in, err)
		}
		if _, err := x.Disable(x.ctx, "acme", visitor("admin"), addr(t, "max@consult.example")); err != nil {
			t.Fatal(err)
		}
		_, err = x.signIn("one", "max@consult.example", mail.Temporary)
		wantCode(t, err, "password_wrong")
		_, err = x.Invite(x.ctx, visitor("admin"), portal.Invitation{Portal: "acme", Address: addr(t, "max@consult.example")})
		wantCode(t, err, "account_disabled")
		if _, err := x.Enable(x.ctx, "acme", visitor("admin"), addr(t, "max@consult.example")); err != nil {
			t.Fatal(err)
		}
		_, err = x.signIn("one", "max@consult.example", mail.Temporary)
		wantCode(t, err, "password_wrong")
	})
}

func TestOneInvitationOneAccount(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		link, mail := x.invite("max@consult.example")
		got := parallel(func(int) error {
			_, err := x.RedeemInvitation(x.ctx, "acme", visitor("one"), link.Token, mail.Temporary, good, false)
			return err
		})
		if got["ok"] != 1 {
			t.Errorf("got %v", got)
		}
	})
}

// Somebody whose organisation signs them in gets no password at all.
func TestInviteFederated(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.domain(portal.Domain{Name: "closed.example", Portal: "acme", Connection: "acme-saml"})
		link, mail := x.invite("eva@closed.example")
		if !link.Federated || link.Token != "" || mail.Temporary != "" {
			t.Errorf("letters: %+v %+v", link, mail)
		}
		in := x.mustArrive("one", x.person("acme-saml", "s1", "eva@closed.example"))
		if in.Account.GivenName != "Max" || in.Account.Status != portal.Active {
			t.Errorf("linked: %+v", in.Account)
		}
	})
}

// S11.
func TestChangePassword(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("ian@cloud.example")
		elsewhere := x.mustSignIn("two", "ian@cloud.example", good)
		in := x.mustSignIn("one", "ian@cloud.example", good)
		v := visitor("one")
		_, err := x.ChangePassword(x.ctx, "acme", v, in.Token, "wrong", other)
		wantCode(t, err, "password_wrong")
		_, err = x.ChangePassword(x.ctx, "acme", v, in.Token, good, good)
		wantCode(t, err, "password_same")
		changed, err := x.ChangePassword(x.ctx, "acme", v, in.Token, good, other)
		if err != nil || !x.live(changed.Token) || x.live(in.Token) || x.live(elsewhere.Token) {
			t.Errorf("SES-15: %+v, %v", changed, err)
		}
		x.mustSignIn("one", "ian@cloud.example", other)
	})
}

// PWD-34: a letter is sealed while it waits, comes up again when it fails, and
// is gone when it was sent.
func TestLetterQueue(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		if _, err := x.Invite(x.ctx, visitor("admin"), portal.Invitation{Portal: "acme", Address: addr(t, "canary@consult.example")}); err != nil {
			t.Fatal(err)
		}
		var sealed string
		if err := x.db.QueryRow(`SELECT sealed FROM letters LIMIT 1`).Scan(&sealed); err != nil || contains(sealed, "canary") {
			t.Error("a letter lies open")
		}
		due, err := x.DueLetters(x.ctx, 10)
		if err != nil || len(due) != 2 {
			t.Fatalf("due: %d, %v", len(due), err)
		}
		if again, _ := x.DueLetters(x.ctx, 10); len(again) != 0 {
			t.Error("taken twice")
		}
		if err := x.LetterSent(x.ctx, due[0].ID); err != nil {
			t.Fatal(err)
		}
		if err := x.LetterFailed(x.ctx, due[1].ID); err != nil {
			t.Fatal(err)
		}
		x.clock.add(30 * time.Second)
		again, err := x.DueLetters(x.ctx, 10)
		if err != nil || len(again) != 1 || again[0].ID != due[1].ID || again[0].Tries != 1 {
			t.Errorf("again: %+v, %v", again, err)
		}
		x.clock.add(portal.LetterLife)
		if _, err := x.Cleanup(x.ctx, 10); err != nil {
			t.Fatal(err)
		}
		if again, _ := x.DueLetters(x.ctx, 10); len(again) != 0 {
			t.Error("a stale letter comes up")
		}
	})
}
