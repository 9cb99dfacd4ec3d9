package attacks

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/domicile-sso/domicile/portal"
)

// TestFactors attacks second factors, half sign-ins, and the question who one is
// before a sensitive change.
func TestFactors(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		name string
		test func(*testing.T, *world)
	}{
		{"PWD-08 codes again, early, late and by the million", guessedCodes},
		{"PWD-08 one code, at once", codeRace},
		{"PWD-09 half a sign-in", halfSignIn},
		{"PWD-10 SES-19 without asking anew", sensitiveWithoutProof},
		{"PWD-10 where the key goes", keyNowhere},
		{"PWD-28 trojan factors", trojanFactors},
		{"PWD-31 the last factor", lastFactor},
		{"SES-01 a new name", newNames},
		{"SES-10 codes from elsewhere", codesFromElsewhere},
		{"SES-15 a change of factors", factorsAndSessions},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.Clock.Pass(20 * time.Hour) // the throttle is empty
			row.test(t, w)
		})
	}
}

const (
	security   = acme + "/account/security"
	setUpTOTP  = security + "/totp"
	secondStep = acme + "/login/factor"
)

// app sets up an authenticator app in a browser that is signed in, and waits for
// its next code.
func (w *world) app(t testing.TB, b *browser) (key string) {
	t.Helper()
	a := b.arrive(b.post(setUpTOTP, url.Values{"step": {"begin"}}))
	if key = strings.ReplaceAll(a.page().Text("#key"), " ", ""); key == "" {
		t.Fatalf("no key: %d %s", a.Status, a.text())
	}
	if to := b.post(setUpTOTP, url.Values{"step": {"confirm"}, "code": {w.shows(t, key, 0)}}).leads(); to.Path != "/account/security" {
		t.Fatalf("confirmed, and led to %s", to)
	}
	w.Clock.Pass(30 * time.Second)
	return key
}

// shows is the code an app shows so many steps from now.
func (w *world) shows(t testing.TB, key string, steps int) string {
	t.Helper()
	code, err := totp.GenerateCode(key, w.Clock.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// half enters the password, and returns the handle of the half sign-in.
func (b *browser) half(who string) string {
	b.t.Helper()
	to := b.signInPassword(acme, who, password).leads()
	if to.Path != "/login/factor" && to.Path != "/login/enrol" {
		b.t.Fatalf("half a sign-in leads to %s", to)
	}
	return to.Query().Get("attempt")
}

func codeForm(handle, code string) url.Values {
	return url.Values{"attempt": {handle}, "way": {"totp"}, "code": {code}}
}

func guessedCodes(t *testing.T, w *world) {
	const who = "codes@acme-cloud.example"
	key := w.app(t, w.resident(t, who))
	b := w.browser(t)
	for name, steps := range map[string]int{"two steps late": -2, "two steps early": 2} {
		w.Clock.Pass(2 * time.Hour)
		t.Log(name)
		form := codeForm(b.half(who), w.shows(t, key, steps))
		w.refused(t, acme, refusal{Status: http.StatusForbidden, Action: "factor.refused", Code: "factor_wrong", Spends: []string{"passed"}, Secrets: []string{key}},
			func() *answer { return b.post(secondStep, form) })
	}
	w.Clock.Pass(time.Hour)
	code := w.shows(t, key, 0)
	if b.post(secondStep, codeForm(b.half(who), code)).session() == nil {
		t.Fatal("a code that is right")
	}
	other := w.browser(t)
	again := codeForm(other.half(who), code)
	w.refused(t, acme, refusal{Status: http.StatusForbidden, Action: "factor.refused", Code: "factor_wrong", Spends: []string{"passed"}},
		func() *answer { return other.post(secondStep, again) })

	// Five tries, and the password is asked again; ten, and it takes ten minutes for
	// each further one, from wherever.
	w.Clock.Pass(20 * time.Hour)
	tries := 0
	for n := range 14 {
		thief := w.named(t, fmt.Sprintf("198.51.%d.7", n))
		handle := thief.half(who)
		for range portal.HalfTries + 1 {
			a := thief.post(secondStep, codeForm(handle, "000000"))
			if a.Status == http.StatusTooManyRequests || a.page().Text("h1") != "Second step" && a.page().Text("h1") != "Sign in to The acme portal" {
				break
			}
			if a.page().Has("#factor") || strings.Contains(a.text(), "too many wrong codes") {
				tries++
			}
		}
	}
	if tries != 10 {
		t.Errorf("%d codes could be tried from fourteen networks", tries)
	}
	if b.post(secondStep, codeForm(b.half(who), w.shows(t, key, 0))).session() == nil {
		t.Error("the owner, in the usual browser, is kept out by that")
	}
}

func codeRace(t *testing.T, w *world) {
	const who = "race@acme-cloud.example"
	b := w.resident(t, who)
	key := w.app(t, b)
	handle := b.half(who)
	form := codeForm(handle, w.shows(t, key, 0))
	in := 0
	for _, a := range b.burst(30, func(int) request { return request{Method: http.MethodPost, URL: secondStep, Form: form, From: acme} }) {
		if a.session() != nil {
			in++
		}
	}
	if in != 1 {
		t.Errorf("one code let in %d of 30", in)
	}
}

// PWD-09: no later page, no other door and no link makes a sign-in of a half one.
func halfSignIn(t *testing.T, w *world) {
	const who = "half@acme-cloud.example"
	key := w.app(t, w.resident(t, who))
	b := w.browser(t)
	handle := b.half(who)
	b.plant(acme, "__Host-session", handle)
	for _, path := range []string{"/", "/account", "/account/profile", "/account/security", "/account/security/totp", "/account/password", "/account/confirm", "/account/addresses", "/account/sessions", "/admin", "/remember"} {
		a := b.get(acme + path + "?attempt=" + handle)
		if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/login") {
			t.Errorf("%s: %d to %q", path, a.Status, a.Header.Get("Location"))
		}
	}
	for name, form := range map[string]url.Values{
		"another app":  {"attempt": {handle}, "way": {"totp"}, "step": {"begin"}},
		"its code":     {"attempt": {handle}, "way": {"totp"}, "step": {"confirm"}, "code": {"000000"}},
		"a telephone":  {"attempt": {handle}, "way": {"sms"}, "step": {"begin"}, "cell": {"+41 79 123 45 67"}},
		"skipping all": {"attempt": {handle}, "way": {""}},
	} {
		if a := b.post(acme+"/login/enrol", form); a.session() != nil || a.Status == http.StatusOK || a.leads().Path != "/login/factor" {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	// The password once more, and the change of a temporary one, are no way round.
	if a := b.post(acme+"/login/password", url.Values{"attempt": {handle}, "password": {password}}); a.session() != nil || a.leads().Path != "/login/factor" {
		t.Errorf("the password again: %d", a.Status)
	}
	if a := b.post(acme+"/password/change", url.Values{"attempt": {handle}, "temporary": {password}, "new": {betterPassword}, "confirm": {betterPassword}}); a.session() != nil {
		t.Error("as a temporary password")
	}
	// A link for a new password replaces the password, and nothing else.
	if a := w.resetTo(t, b, acme, who, betterPassword); a.Status != http.StatusOK || a.session() != nil {
		t.Fatalf("reset: %d %s", a.Status, a.text())
	}
	if a := b.post(secondStep, codeForm(handle, w.shows(t, key, 0))); a.session() != nil {
		t.Error("the half outlived the reset")
	}
	if to := b.signInPassword(acme, who, betterPassword).leads(); to.Path != "/login/factor" {
		t.Errorf("after the reset: %s", to)
	}
	// A disabled account's half dies, and stays dead when it is enabled again.
	last := b.signInPassword(acme, who, betterPassword).leads().Query().Get("attempt")
	for _, do := range []func() (bool, error){
		func() (bool, error) {
			return w.store(acme).Disable(t.Context(), "acme", portal.Visitor{}, addressOf(who))
		},
		func() (bool, error) {
			return w.store(acme).Enable(t.Context(), "acme", portal.Visitor{}, addressOf(who))
		},
	} {
		if changed, err := do(); err != nil || !changed {
			t.Fatal(err)
		}
		if a := b.post(secondStep, codeForm(last, w.shows(t, key, 0))); a.session() != nil || a.Status != http.StatusForbidden {
			t.Errorf("after a disabling: %d", a.Status)
		}
	}

	// Who comes by the organisation's own sign-in and has a factor is asked as well.
	person := w.IdPs.Person(t, "acme.example")
	trip := b.depart(acme, "acme-saml")
	w.accepted(t, b, acme, trip.deliver(trip.assertion(person)), person.Address, "/")
	w.app(t, b)
	sso := w.browser(t)
	trip = sso.depart(acme, "acme-saml")
	if a := trip.deliver(trip.assertion(person)); a.session() != nil || a.leads().Path != "/login/factor" {
		t.Errorf("by SAML: %d", a.Status)
	}
	if got := sso.signedIn(acme); got != "" {
		t.Errorf("signed in as %q", got)
	}
}

// PWD-10, SES-19: whoever finds a browser that is signed in cannot change what
// protects the account.
func sensitiveWithoutProof(t *testing.T, w *world) {
	const who = "unattended@acme-cloud.example"
	b := w.resident(t, who)
	key := w.app(t, b)
	id := b.get(security).page().Attr("#factors input[name=factor]", "value")
	w.Clock.Pass(21 * time.Minute)
	before := w.rows(t, w.home(acme).DB)
	for path, form := range map[string]url.Values{
		"/account/security/totp":     {"step": {"begin"}},
		"/account/security/sms":      {"step": {"begin"}, "cell": {"+41 79 123 45 67"}},
		"/account/security/codes":    {},
		"/account/security/passkeys": {"name": {"mine"}},
		"/account/security/remove":   {"factor": {id}, "sure": {"yes"}},
		"/account/password":          {"old": {password}, "new": {betterPassword}, "confirm": {betterPassword}},
	} {
		if to := b.post(acme+path, form).leads(); to.Path != "/account/confirm" {
			t.Errorf("%s leads to %s", path, to)
		}
		if strings.HasSuffix(path, "remove") {
			continue
		}
		if to := b.get(acme + path).leads(); to.Path != "/account/confirm" {
			t.Errorf("GET %s leads to %s", path, to)
		}
	}
	w.unchanged(t, w.home(acme).DB, before, "sessions")
	// The password is not enough where there is a second factor.
	a := b.post(acme+"/account/confirm", url.Values{"then": {"/account/security/totp"}, "password": {password}})
	if to := a.leads(); to.Path != "/login/factor" || a.session() != nil {
		t.Errorf("the password leads to %s", to)
	}
	if to := b.get(setUpTOTP).leads(); to.Path != "/account/confirm" {
		t.Errorf("half a proof leads to %s", to)
	}
	a = b.post(secondStep, codeForm(a.leads().Query().Get("attempt"), w.shows(t, key, 0)))
	if to := a.leads(); to.Path != "/account/security/totp" || a.session() == nil {
		t.Errorf("the proof leads to %s", to)
	}
	// Another's password proves nothing, wherever the attempt was taken to.
	w.guest(t, acme, "another@acme-cloud.example", password)
	w.Clock.Pass(21 * time.Minute)
	handle := b.post(acme+"/account/confirm", url.Values{"then": {"/account/security/totp"}, "password": {password}}).leads().Query().Get("attempt")
	b.post(acme+"/login", url.Values{"attempt": {handle}, "email": {"another@acme-cloud.example"}})
	w.refused(t, acme, refusal{Status: http.StatusForbidden, Action: "proof.refused", Code: "proof_other_account"},
		func() *answer {
			return b.post(acme+"/login/password", url.Values{"attempt": {handle}, "password": {password}})
		})
	if got := b.signedIn(acme); got != who {
		t.Errorf("signed in as %q", got)
	}
	// Nor does the way lead anywhere but to pages of this site.
	for _, then := range []string{"https://evil.test/", "//evil.test", "/logout", "/login"} {
		a := b.arrive(b.post(acme+"/account/confirm", url.Values{"then": {then}, "password": {password}}))
		a = b.post(secondStep, codeForm(a.page().Attr("#factor input[name=attempt]", "value"), w.shows(t, key, 0)))
		if to := a.leads(); to.Host != hostOf(acme) || to.Path != "/" {
			t.Errorf("then=%s leads to %s", then, to)
		}
		w.Clock.Pass(time.Minute)
	}
}

// PWD-10: the key of an app is on the one page that shows it, and in no URL, log or
// column.
func keyNowhere(t *testing.T, w *world) {
	mark := w.Log.Len()
	b := w.resident(t, "key@acme-cloud.example")
	key := w.app(t, b)
	a := b.post(security+"/codes", url.Values{})
	codes := []string{key}
	for _, c := range a.page().All("#codes code") {
		codes = append(codes, c.FirstChild.Data)
	}
	if len(codes) != 1+portal.RecoveryCodes || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("%d codes, %q: %d %s", len(codes)-1, a.Header.Get("Cache-Control"), a.Status, a.text())
	}
	w.quiet(t, mark, codes...)
	for table, rows := range w.rows(t, w.home(acme).DB).rows {
		for _, c := range codes {
			if strings.Contains(fmt.Sprint(rows), c) {
				t.Errorf("in the table %s", table)
			}
		}
	}
	if strings.Contains(b.get(setUpTOTP).Body, key) || strings.Contains(b.get(security).Body, key) {
		t.Error("the key is shown again")
	}
}

// PWD-28: what somebody hung on an account before its owner proved the address is
// gone with the proof.
func trojanFactors(t *testing.T, w *world) {
	person := w.IdPs.Person(t, "acme-both.example")
	w.guest(t, acme, person.Address, password)
	evil := w.browser(t)
	way := evil.arrive(evil.post(acme+"/login", url.Values{"email": {person.Address}})).page().Attr("a.choice", "href")
	form := evil.get(acme + way)
	if a := evil.post(acme+"/login/password", url.Values{"attempt": {form.page().Attr("input[name=attempt]", "value")}, "password": {password}}); a.session() == nil {
		t.Fatalf("%d %s", a.Status, a.text())
	}
	w.app(t, evil)
	evil.post(security+"/codes", url.Values{}).want(http.StatusOK)
	if _, err := w.home(acme).DB.Exec(`UPDATE addresses SET proof = '' WHERE portal = 'acme' AND address = $1`, person.Address); err != nil {
		t.Fatal(err)
	}
	b := w.browser(t)
	trip := b.depart(acme, "acme-saml")
	w.accepted(t, b, acme, trip.deliver(trip.assertion(person)), person.Address, "/")
	account := accountOf(t, w, acme, "acme", person.Address)
	for _, table := range []string{"factors", "recovery_codes"} {
		if n := w.count(t, acme, table+` WHERE account = $1`, account.ID); n != 0 {
			t.Errorf("%d %s are left", n, table)
		}
	}
	if got := evil.signedIn(acme); got != "" {
		t.Errorf("the other one is still signed in as %q", got)
	}
}

func lastFactor(t *testing.T, w *world) {
	b, thief := w.resident(t, "last@acme-cloud.example"), w.resident(t, "thief@acme-cloud.example")
	w.app(t, b)
	w.app(t, thief)
	id := b.get(security).page().Attr("#factors input[name=factor]", "value")
	db := w.home(acme).DB
	if _, err := db.Exec(`UPDATE settings SET second_factor = 'everyone' WHERE portal = 'acme'`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = db.Exec(`UPDATE settings SET second_factor = 'optional'`) })
	a := b.post(security+"/remove", url.Values{"factor": {id}, "sure": {"yes"}})
	if a.Status != http.StatusConflict || w.count(t, acme, `factors WHERE id = $1`, id) != 1 {
		t.Errorf("the last one: %d %s", a.Status, a.text())
	}
	w.audited(t, acme, a, "factor.refused", "factor_last")
	// Somebody else's factor is nobody's.
	if _, err := db.Exec(`UPDATE settings SET second_factor = 'optional'`); err != nil {
		t.Fatal(err)
	}
	thief.post(security+"/remove", url.Values{"factor": {id}}).want(http.StatusNotFound)
	if a := thief.post(security+"/remove", url.Values{"factor": {id}, "sure": {"yes"}}); a.Status == http.StatusSeeOther || w.count(t, acme, `factors WHERE id = $1`, id) != 1 {
		t.Errorf("removed by somebody else: %d", a.Status)
	}
}

// SES-01: each step up is a new token; a token planted before is worth nothing.
func newNames(t *testing.T, w *world) {
	const who = "names@acme-cloud.example"
	b := w.resident(t, who)
	key := w.app(t, b)
	planted := strings.Repeat("A", 43)
	c := w.browser(t)
	c.plant(acme, "__Host-session", planted)
	a := c.post(secondStep, codeForm(c.half(who), w.shows(t, key, 0)))
	if s := a.session(); s == nil || s.Value == planted {
		t.Fatal("the planted name was kept")
	}
	first := c.cookie(acme, "__Host-session")
	w.Clock.Pass(11 * time.Minute)
	to := c.post(acme+"/account/confirm", url.Values{"then": {"/account/security"}, "password": {password}}).leads()
	a = c.post(secondStep, codeForm(to.Query().Get("attempt"), w.shows(t, key, 0)))
	if s := a.session(); s == nil || s.Value == first || c.signedIn(acme) != who {
		t.Error("the name is the old one after a proof")
	}
	old := w.browser(t)
	old.plant(acme, "__Host-session", first)
	if got := old.signedIn(acme); got != "" {
		t.Errorf("the old name still opens %q", got)
	}
}

// SES-10: a code from another site, or for another browser's half, is none.
func codesFromElsewhere(t *testing.T, w *world) {
	const who = "elsewhere@acme-cloud.example"
	key := w.app(t, w.resident(t, who))
	evil, victim := w.browser(t), w.browser(t)
	handle := evil.half(who)
	victim.get(acme + "/login")
	victim.half(who) // has a browser of its own, with a half of its own
	w.refused(t, acme, refusal{Status: http.StatusForbidden}, func() *answer {
		return victim.post(secondStep, codeForm(handle, w.shows(t, key, 0)))
	})
	w.refused(t, acme, refusal{Status: http.StatusForbidden}, func() *answer {
		return evil.crossPost(secondStep, codeForm(handle, w.shows(t, key, 0)))
	})
	if victim.signedIn(acme) != "" || evil.signedIn(acme) != "" {
		t.Error("signed in")
	}
}

// SES-15: sessions elsewhere end with every change of factors, by whomever.
func factorsAndSessions(t *testing.T, w *world) {
	const who = "sessions@acme-cloud.example"
	b := w.resident(t, who)
	other := w.browser(t)
	other.signInPassword(acme, who, password)
	if other.signedIn(acme) != who {
		t.Fatal("not signed in")
	}
	key := w.app(t, b)
	if b.signedIn(acme) != who || other.signedIn(acme) != "" {
		t.Error("after an app was added")
	}
	other.post(secondStep, codeForm(other.half(who), w.shows(t, key, 0)))
	if other.signedIn(acme) != who {
		t.Fatal("not signed in with a code")
	}
	id := b.get(security).page().Attr("#factors input[name=factor]", "value")
	if to := b.post(security+"/remove", url.Values{"factor": {id}, "sure": {"yes"}}).leads(); to.Path != "/account/security" {
		t.Fatalf("removed, and led to %s", to)
	}
	if b.signedIn(acme) != who || other.signedIn(acme) != "" {
		t.Error("after it was removed")
	}
}
