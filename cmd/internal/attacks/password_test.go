package attacks

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/portal"
)

const (
	betterPassword = "nine copper kettles under snow"
	thirdPassword  = "seven paper boats on the canal"
)

// TestPasswords attacks passwords, the links that replace them, and invitations.
func TestPasswords(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		name string
		test func(*testing.T, *world)
	}{
		{"PWD-01 PWD-02 guessing", guessing},
		{"PWD-03 equal work", equalHashing},
		{"PWD-04 too much", tooMuchHashing},
		{"PWD-05 PWD-06 exactly as sent, and not a common one", exactlyAsSent},
		{"PWD-07 hashes of other cost", hashesOfOtherCost},
		{"PWD-11 PWD-13 whose mail", whoseMail},
		{"PWD-12 PWD-19 links that do not count", deadLinks},
		{"PWD-14 PWD-15 one answer", oneAnswer},
		{"PWD-16 PWD-17 looking at links", lookingAtLinks},
		{"PWD-18 one link, many posts", linkRace},
		{"PWD-32 invitations", invitations},
		{"PWD-33 temporary passwords", temporaryPasswords},
		{"PWD-35 full mailboxes", fullMailboxes},
		{"SES-15 ADM-06 what ends sessions", endedSessions},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.Clock.Pass(2 * time.Hour) // the throttle is empty
			row.test(t, w)
		})
	}
}

// fill makes the throttle believe that an address, or a network, has had n
// guesses, without computing them.
func (w *world) fill(t testing.TB, buckets []portal.Bucket, kind string, n int) {
	t.Helper()
	for _, b := range buckets {
		if !strings.HasPrefix(b.Key, kind+":") {
			continue
		}
		_, err := w.home(acme).DB.ExecContext(t.Context(), `INSERT INTO throttle (bucket, full_until) VALUES ($1, $2) ON CONFLICT (bucket) DO UPDATE SET full_until = excluded.full_until`,
			b.Key, w.Clock.Now().Add(time.Duration(n)*b.Every).UnixMicro())
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no bucket %s", kind)
}

// PWD-01, PWD-02: five tries of one client at one account, then a wait; so many
// at one account from everywhere, so many of one client at everybody; nobody is
// locked, and who has been here before is not slowed by strangers.
func guessing(t *testing.T, w *world) {
	known := w.named(t, "192.0.2.201")
	if a := known.signInPassword(acme, pat, password); a.session() == nil {
		t.Fatalf("%d %s", a.Status, a.text())
	}
	attacker := w.named(t, "198.51.100.1")
	form := attacker.arrive(attacker.post(acme+"/login", url.Values{"email": {pat}}))
	handle := form.page().Attr("input[name=attempt]", "value")
	guess := func(b *browser, with string) *answer {
		return b.post(acme+"/login/password", url.Values{"attempt": {handle}, "password": {with}})
	}
	for i := range 5 {
		a := w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "password_wrong", Secrets: []string{pat, password}},
			func() *answer { return guess(attacker, fmt.Sprint("not the password ", i)) })
		if !strings.Contains(a.text(), "The address or the password is not right.") {
			t.Errorf("says %s", a.text())
		}
	}
	var a *answer
	if n := hashes(func() { a = guess(attacker, password) }); n != 0 {
		t.Errorf("%d hashes for a throttled try", n)
	}
	if a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || a.session() != nil {
		t.Errorf("the sixth try: %d", a.Status)
	}
	w.Clock.Pass(time.Minute)
	if a := guess(attacker, "not the password either"); a.Status != http.StatusForbidden {
		t.Errorf("after a minute: %d", a.Status)
	}
	// From everywhere at one account.
	buckets := portal.GuessBuckets("acme", addressOf(pat), portal.Visitor{}, false)
	w.fill(t, buckets, "address", 30)
	if a := w.named(t, "198.51.100.2").signInPassword(acme, pat, password); a.Status != http.StatusTooManyRequests {
		t.Errorf("from another network: %d", a.Status)
	}
	if a := known.signInPassword(acme, pat, password); a.session() == nil {
		t.Errorf("PWD-02: the owner, in a browser of theirs, is kept out: %d", a.Status)
	}
	// One network at everybody, with another address for each.
	sprayer := w.named(t, "203.0.113.1")
	for i := range 48 {
		if i < 2 {
			if a := sprayer.signInPassword(acme, fmt.Sprintf("nobody-%d@acme-cloud.example", i), password); a.Status != http.StatusForbidden {
				t.Errorf("spraying: %d", a.Status)
			}
		}
	}
	w.spray(t, sprayer, 50)
	w.Clock.Pass(time.Hour)
	if a := w.named(t, "198.51.100.3").signInPassword(acme, pat, password); a.session() == nil {
		t.Errorf("an hour later, from somewhere new: %d", a.Status)
	}
}

// spray has the network's bucket full and sees that it is.
func (w *world) spray(t testing.TB, b *browser, n int) {
	t.Helper()
	v := portal.Visitor{Client: addrOf(b.client)}
	w.fill(t, portal.GuessBuckets("acme", addressOf(pat), v, false), "network", n)
	if a := b.signInPassword(acme, "nobody-at-all@acme-cloud.example", password); a.Status != http.StatusTooManyRequests {
		t.Errorf("a network that guessed at everybody: %d", a.Status)
	}
}

// PWD-03: a wrong password costs one hash, whoever it is for.
func equalHashing(t *testing.T, w *world) {
	w.guest(t, acme, "disabled@guest.example", "")
	if _, err := w.store(acme).Disable(t.Context(), "acme", portal.Visitor{}, addressOf("disabled@guest.example")); err != nil {
		t.Fatal(err)
	}
	w.guest(t, acme, "without@guest.example", "")
	for i, who := range []string{pat, "nobody@acme-cloud.example", "nobody@nowhere.example", "disabled@guest.example", "without@guest.example"} {
		var a *answer
		n := hashes(func() {
			a = w.named(t, fmt.Sprint("192.0.2.", 10+i)).signInPassword(acme, who, "wrong but long enough")
		})
		if n != 1 || a.Status != http.StatusForbidden || !strings.Contains(a.text(), "The address or the password is not right.") {
			t.Errorf("%s: %d hashes, %d", who, n, a.Status)
		}
	}
}

// PWD-04: long passwords are cut off before they are hashed, and a flood of them
// costs the workers there are and no more.
func tooMuchHashing(t *testing.T, w *world) {
	b := w.named(t, "192.0.2.204")
	form := b.arrive(b.post(acme+"/login", url.Values{"email": {pat}}))
	handle := form.page().Attr("input[name=attempt]", "value")
	for size, status := range map[int]int{1025: 400, 17 << 10: 413, 1 << 20: 413} {
		var a *answer
		if n := hashes(func() {
			a = b.post(acme+"/login/password", url.Values{"attempt": {handle}, "password": {strings.Repeat("p", size)}})
		}); n != 0 {
			t.Errorf("%d bytes: %d hashes", size, n)
		}
		if a.Status != status || status == 400 && !namesField(a, "password") {
			t.Errorf("%d bytes: %d", size, a.Status)
		}
	}
	counts := map[int]int{}
	n := hashes(func() {
		for _, a := range b.burst(100, func(int) request {
			return request{Method: http.MethodPost, URL: acme + "/login/password", From: acme,
				Form: url.Values{"attempt": {handle}, "password": {"not it, not it at all"}}}
		}) {
			counts[a.Status]++
		}
	})
	if n > 6 || counts[403]+counts[429] != 100 || counts[403] > 5 {
		t.Errorf("%d hashes; %v", n, counts)
	}
}

// resetTo sets a password by a mailed link.
func (w *world) resetTo(t testing.TB, b *browser, at, address, secret string) *answer {
	t.Helper()
	return b.post(at+"/password/reset", url.Values{"token": {w.resetToken(t, at, address)}, "new": {secret}, "confirm": {secret}})
}

// PWD-05, PWD-06.
func exactlyAsSent(t *testing.T, w *world) {
	const who = "exact@guest.example"
	w.guest(t, acme, who, password)
	token := w.resetToken(t, acme, who)
	b := w.browser(t)
	for _, weak := range []string{"short", "password1234", "1234567890", "qwertyuiop", "iloveyou2024", "exact@guest.example", "The acme portal", "Domicile2026!", "aaaaaaaaaaaaaaaa", " leading blanks here", "trailing blank here ", "no\x00nulls in passwords", strings.Repeat("long", 300)} {
		a := b.post(acme+"/password/reset", url.Values{"token": {token}, "new": {weak}, "confirm": {weak}})
		if a.Status != http.StatusBadRequest || !namesField(a, "new") && !namesField(a, "confirm") {
			t.Errorf("%.20q: %d %s", weak, a.Status, a.text())
		}
	}
	long := "caf\u00e9 " + strings.Repeat("a long way round ", 5) + "end" // é in one rune, more than 72 bytes
	if a := b.post(acme+"/password/reset", url.Values{"token": {token}, "new": {long}, "confirm": {long}}); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.text())
	}
	for i, other := range []string{long[:72], strings.Replace(long, "\u00e9", "e\u0301", 1), strings.ToUpper(long)} {
		if a := w.named(t, fmt.Sprint("192.0.2.", 20+i)).signInPassword(acme, who, other); a.session() != nil {
			t.Errorf("%.20q… is as good", other)
		}
	}
	if a := w.named(t, "192.0.2.24").signInPassword(acme, who, long); a.session() == nil {
		t.Errorf("the password itself: %d", a.Status)
	}
}

// PWD-07: a hash that is cheaper than ours is replaced when its password is next
// known; one that would cost far more is not computed.
func hashesOfOtherCost(t *testing.T, w *world) {
	const who = "cost@guest.example"
	w.guest(t, acme, who, password)
	id, _, err := w.store(acme).AccountByAddress(t.Context(), "acme", addressOf(who))
	if err != nil {
		t.Fatal(err)
	}
	set := func(hash string) {
		if _, err := w.home(acme).DB.ExecContext(t.Context(), `UPDATE credentials SET hash = $1 WHERE account = $2`, hash, id.ID); err != nil {
			t.Fatal(err)
		}
	}
	b := w.named(t, "192.0.2.207")
	handle := attemptOf(b, who)
	form := url.Values{"attempt": {handle}, "password": {"not the password"}}
	wrong := b.post(acme+"/login/password", form).want(http.StatusForbidden).page().Text(".problems")
	const salted = "$AQEBAQEBAQEBAQEBAQEBAQ$AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"
	form.Set("password", password)
	for _, absurd := range []string{"$argon2id$v=19$m=2097152,t=2,p=1" + salted, "$argon2id$v=19$m=19456,t=4000000000,p=1" + salted,
		"$argon2id$v=19$m=19456,t=2,p=255" + salted, "$argon2id$v=19$m=8,t=0,p=1" + salted, "$2a$04$AQEBAQEBAQEBAQEBAQEBAQ", strings.Repeat("$", 5000), password} {
		set(absurd)
		w.Clock.Pass(time.Minute) // the throttle lets go
		var a *answer
		n := hashes(func() {
			a = w.refused(t, acme, refusal{Status: http.StatusForbidden, Action: "session.refused", Code: "password_hash_refused", Secrets: []string{password, absurd}},
				func() *answer { return b.post(acme+"/login/password", form) })
		})
		if got := a.page().Text(".problems"); n > 1 || got != wrong {
			t.Errorf("%.40q: %d hashes; %q, and for a wrong password %q", absurd, n, got, wrong)
		}
	}
	// The way out is the one that everybody has whose password is lost.
	w.Clock.Pass(time.Hour)
	if w.resetTo(t, b, acme, who, betterPassword); b.signInPassword(acme, who, betterPassword).session() == nil {
		t.Error("a reset does not mend it")
	}
	set(weakHash(password))
	if a := b.signInPassword(acme, who, password); a.session() == nil {
		t.Errorf("a cheap hash: %d", a.Status)
	}
	var hash string
	if err := w.home(acme).DB.QueryRowContext(t.Context(), `SELECT hash FROM credentials WHERE account = $1`, id.ID).Scan(&hash); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the cheap hash stayed: %.31s", hash)
	}
}

// PWD-11, PWD-13: a link goes to the stored address of exactly one account, and
// leads to the portal's own host.
func whoseMail(t *testing.T, w *world) {
	const who = "mike@guest.example"
	w.guest(t, acme, who, password)
	b := w.browser(t)
	for _, other := range []string{"m\u0131ke@guest.example", "\uff4dike@guest.example", "mi\u212ae@guest.example"} {
		b.post(acme+"/password/forgot", url.Values{"email": {other}}).want(http.StatusBadRequest)
	}
	for _, body := range []string{"email[]=" + who + "&email[]=mallory%40evil.example", "email=" + who + "&email=mallory%40evil.example", "email=" + who + "%2Cmallory%40evil.example", "email=" + who + "%0abcc:mallory%40evil.example"} {
		a := b.send(request{Method: http.MethodPost, URL: acme + "/password/forgot", Body: body, Type: "application/x-www-form-urlencoded", From: acme})
		if a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d", body, a.Status)
		}
	}
	for _, other := range []string{"mike+x@guest.example", "mike@guest.example.evil.example"} {
		b.post(acme+"/password/forgot", url.Values{"email": {other}}).want(http.StatusOK)
	}
	if letters := w.mailed(t, acme, who); len(letters) != 0 {
		t.Errorf("%d letters", len(letters))
	}
	a := b.send(request{Method: http.MethodPost, URL: acme + "/password/forgot", Form: url.Values{"email": {strings.ToUpper(who)}}, From: acme,
		Header: http.Header{"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"http"}, "Forwarded": {"host=evil.example"}}})
	a.want(http.StatusOK)
	letters := w.mailed(t, acme, who)
	if len(letters) != 1 || !strings.HasPrefix(letters[0].Links[0], acme+"/password/reset?token=") || strings.Contains(letters[0].Text+letters[0].HTML, "evil") {
		t.Errorf("letters %+v", letters)
	}
	for _, m := range w.Mailbox.Messages() {
		if strings.Contains(m.To.Clear(), "evil") {
			t.Errorf("mail to %s", m.To.Clear())
		}
	}
}

// PWD-12, PWD-19: every link that does not count is one refusal.
func deadLinks(t *testing.T, w *world) {
	const who = "links@guest.example"
	w.guest(t, acme, who, password)
	w.guest(t, beta, who, "")
	first := w.resetToken(t, acme, who)
	w.Clock.Pass(time.Second)
	second := w.resetToken(t, acme, who)
	invited, _ := w.invite(t, acme, "other-purpose@guest.example")
	dead := func(name, at, token string) {
		t.Helper()
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			b := w.browser(t)
			a := w.refused(t, at, refusal{Status: http.StatusForbidden, Secrets: []string{who}}, func() *answer {
				if method == http.MethodGet {
					return b.get(at + "/password/reset?token=" + url.QueryEscape(token))
				}
				return b.post(at+"/password/reset", url.Values{"token": {token}, "new": {betterPassword}, "confirm": {betterPassword}})
			})
			if strings.Contains(a.Body, who) {
				t.Errorf("%s: the page names the address", name)
			}
		}
	}
	dead("replaced by a newer one", acme, first)
	dead("of another portal", beta, second)
	dead("of another region", gamma, second)
	dead("of an invitation", acme, invited)
	dead("blank", acme, "")
	dead("null", acme, "null")
	dead("guessed", acme, strings.Repeat("A", 43))
	dead("nearly", acme, second[:42]+string(second[42]^1))
	w.Clock.Pass(30 * time.Minute)
	dead("too old", acme, second)
	third := w.resetToken(t, acme, who)
	b := w.browser(t)
	b.post(acme+"/password/reset", url.Values{"token": {third}, "new": {betterPassword}, "confirm": {betterPassword}}).want(http.StatusOK)
	dead("used", acme, third)
	w.Clock.Pass(time.Hour)
	fourth := w.resetToken(t, acme, who)
	b.signInPassword(acme, who, betterPassword)
	if a := b.post(acme+"/account/password", url.Values{"old": {betterPassword}, "new": {thirdPassword}, "confirm": {thirdPassword}}); a.session() == nil {
		t.Fatalf("%d %s", a.Status, a.text())
	}
	dead("from before the password was changed", acme, fourth)
	if n := w.count(t, acme, "tokens WHERE digest IN ($1, $2)", fourth, []byte(fourth)); n != 0 {
		t.Error("a link is kept in clear")
	}
}

// PWD-14, PWD-15: asking for a link gets one answer, and the mail goes only where
// there is a password to replace.
func oneAnswer(t *testing.T, w *world) {
	w.guest(t, acme, "here@guest.example", password)
	w.guest(t, acme, "gone@guest.example", "")
	if _, err := w.store(acme).Disable(t.Context(), "acme", portal.Visitor{}, addressOf("gone@guest.example")); err != nil {
		t.Fatal(err)
	}
	w.guest(t, acme, "alan@acme.example", "")
	links := w.count(t, acme, "tokens")
	answers := map[string]string{}
	for _, who := range []string{"here@guest.example", "none@guest.example", "gone@guest.example", "alan@acme.example"} {
		b := w.browser(t)
		a := b.post(acme+"/password/forgot", url.Values{"email": {who}})
		a.Header.Set("Set-Cookie", strings.Repeat("c", len(a.Header.Get("Set-Cookie"))))
		answers[who] = strings.ReplaceAll(likeness(a, who), fmt.Sprint(len(a.Body)), "n")
	}
	for who, got := range answers {
		if diff := cmp.Diff(answers["here@guest.example"], got); diff != "" {
			t.Errorf("%s: %s", who, diff)
		}
	}
	for who, want := range map[string]string{"here@guest.example": "Choose a new password", "none@guest.example": "", "gone@guest.example": "Signing in to", "alan@acme.example": "Signing in to"} {
		letters := w.mailed(t, acme, who)
		if (len(letters) == 0) != (want == "") || len(letters) > 1 || len(letters) == 1 && !strings.HasPrefix(letters[0].Subject, want) {
			t.Errorf("%s: %+v", who, letters)
		}
	}
	if n := w.count(t, acme, "tokens") - links; n != 1 {
		t.Errorf("%d links were made", n)
	}
}

// PWD-16, PWD-17: a mail scanner uses nothing up, and the page behind a link
// tells nobody its address.
func lookingAtLinks(t *testing.T, w *world) {
	const who = "scan@guest.example"
	w.guest(t, acme, who, password)
	reset := w.resetToken(t, acme, who)
	invited, temporary := w.invite(t, acme, "scanned@guest.example")
	before := w.rows(t, w.home(acme).DB)
	for _, at := range []string{"/password/reset?token=" + reset, "/invitation?token=" + invited} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodGet, http.MethodOptions} {
			a := w.browser(t).send(request{Method: method, URL: acme + at})
			clean(t, a, who)
			for _, path := range []string{a.page().Attr("link[rel=stylesheet]", "href"), a.page().Attr("link[rel=icon]", "href")} {
				if path != "" && !strings.HasPrefix(path, "/assets/") {
					t.Errorf("%s loads %s", at, path)
				}
			}
		}
	}
	w.unchanged(t, w.home(acme).DB, before)
	b := w.browser(t)
	b.post(acme+"/password/reset", url.Values{"token": {reset}, "new": {betterPassword}, "confirm": {betterPassword}}).want(http.StatusOK)
	b.post(acme+"/invitation", url.Values{"token": {invited}, "temporary": {temporary}, "new": {betterPassword}, "confirm": {betterPassword}}).want(http.StatusSeeOther)
}

// PWD-18: of fifty posts with one link, one counts; so for a reset, for an
// invitation, and for a temporary password by the form.
func linkRace(t *testing.T, w *world) {
	const who = "race@guest.example"
	w.guest(t, acme, who, password)
	reset := w.resetToken(t, acme, who)
	invited, temporary := w.invite(t, acme, "raced@guest.example")
	_, byForm := w.invite(t, acme, "former@guest.example")
	form := w.browser(t)
	form.client = "192.0.2.220"
	change := form.arrive(form.signInPassword(acme, "former@guest.example", byForm))
	for name, race := range map[string]struct {
		b       *browser
		path    string
		form    url.Values
		success int
	}{
		"reset":              {w.named(t, "192.0.2.221"), "/password/reset", url.Values{"token": {reset}}, http.StatusOK},
		"invitation":         {w.named(t, "192.0.2.222"), "/invitation", url.Values{"token": {invited}, "temporary": {temporary}}, http.StatusSeeOther},
		"temporary password": {form, "/password/change", url.Values{"attempt": {change.page().Attr("input[name=attempt]", "value")}, "temporary": {byForm}}, http.StatusSeeOther},
	} {
		race.form.Set("new", betterPassword)
		race.form.Set("confirm", betterPassword)
		counts := map[int]int{}
		for _, a := range race.b.burst(50, func(int) request {
			return request{Method: http.MethodPost, URL: acme + race.path, Form: race.form, From: acme}
		}) {
			counts[a.Status]++
			if a.session() != nil && a.Status != race.success {
				t.Errorf("%s: a session with %d", name, a.Status)
			}
		}
		if counts[race.success] != 1 || counts[race.success]+counts[403]+counts[429] != 50 {
			t.Errorf("%s: %v, want one %d", name, counts, race.success)
		}
	}
}

// PWD-35: nobody's mailbox is filled, and who asks is told nothing of it; who
// asks for everybody waits.
func fullMailboxes(t *testing.T, w *world) {
	const who = "full@guest.example"
	w.guest(t, acme, who, password)
	seen := map[string]bool{}
	for i := range 10 {
		b := w.named(t, fmt.Sprint("198.51.100.", 10+i))
		a := b.post(acme+"/password/forgot", url.Values{"email": {who}}).want(http.StatusOK)
		seen[a.text()] = true
	}
	if letters := w.mailed(t, acme, who); len(letters) != 3 || len(seen) != 1 {
		t.Errorf("%d letters, %d different answers", len(letters), len(seen))
	}
	b := w.named(t, "203.0.113.200")
	var waits int
	for i := range 25 {
		if a := b.post(acme+"/password/forgot", url.Values{"email": {fmt.Sprintf("somebody-%d@guest.example", i)}}); a.Status == http.StatusTooManyRequests {
			waits++
		}
	}
	if waits != 5 {
		t.Errorf("%d of 25 had to wait, want 5", waits)
	}
}

// SES-15, ADM-06: who is disabled, gets a new password or signs out everywhere
// is a stranger with the next request, and what was begun comes to nothing.
func endedSessions(t *testing.T, w *world) {
	for name, end := range map[string]func(who string){
		"disabled": func(who string) {
			if _, err := w.store(acme).Disable(t.Context(), "acme", portal.Visitor{}, addressOf(who)); err != nil {
				t.Fatal(err)
			}
		},
		"reset": func(who string) { w.resetTo(t, w.browser(t), acme, who, betterPassword).want(http.StatusOK) },
		"changed": func(who string) {
			b := w.named(t, "192.0.2.250")
			b.signInPassword(acme, who, password)
			if a := b.post(acme+"/account/password", url.Values{"old": {"not the old one"}, "new": {betterPassword}, "confirm": {betterPassword}}); a.Status != http.StatusForbidden {
				t.Errorf("SES-19: without the old password: %d", a.Status)
			}
			b.post(acme+"/account/password", url.Values{"old": {password}, "new": {betterPassword}, "confirm": {betterPassword}}).want(http.StatusSeeOther)
			if b.signedIn(acme) == "" {
				t.Error("changed: signed out here as well")
			}
		},
		"everywhere": func(who string) {
			b := w.named(t, "192.0.2.251")
			b.signInPassword(acme, who, password)
			b.post(acme+"/account/sessions/end-all", url.Values{}).want(http.StatusOK)
		},
	} {
		w.Clock.Pass(time.Hour)
		who := name + "-by-now@guest.example"
		w.guest(t, acme, who, password)
		b, begun := w.named(t, "192.0.2.252"), w.named(t, "192.0.2.253")
		b.signInPassword(acme, who, password)
		form := begun.arrive(begun.post(acme+"/login", url.Values{"email": {who}}))
		if b.signedIn(acme) != who {
			t.Fatalf("%s: not signed in", name)
		}
		end(who)
		if b.signedIn(acme) != "" || b.get(acme+"/account").Status == http.StatusOK {
			t.Errorf("%s: still signed in", name)
		}
		if name == "everywhere" {
			continue
		}
		if a := begun.post(acme+"/login/password", url.Values{"attempt": {form.page().Attr("input[name=attempt]", "value")}, "password": {password}}); a.session() != nil {
			t.Errorf("%s: the sign-in that was begun goes on: %d", name, a.Status)
		}
	}

}
