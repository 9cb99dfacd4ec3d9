package attacks

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/mail"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// named is a fresh browser at an address of its own, as the proxy tells it.
func (w *world) named(t testing.TB, client string) *browser {
	b := w.browser(t)
	b.client = client
	return b
}

// ask puts a question to the front door's JSON endpoint.
func (b *browser) ask(body string) *answer {
	b.t.Helper()
	return b.send(request{Method: http.MethodPost, URL: frontDoor + "/v1/discover", Body: body, Type: "application/json",
		Header: http.Header{"Accept": {"application/json"}}})
}

// email is the question for an address.
func email(address string) string {
	text, _ := json.Marshal(map[string]string{"email": address}) // strings always encode
	return string(text)
}

// told lists the portals in an answer of the JSON endpoint.
func (a *answer) told() []string {
	a.t.Helper()
	var doc struct{ Portals []struct{ ID string } }
	if err := json.Unmarshal([]byte(a.Body), &doc); err != nil || a.Status != http.StatusOK {
		a.t.Fatalf("%d: %v: %s", a.Status, err, a.Body)
	}
	ids := []string{}
	for _, p := range doc.Portals {
		ids = append(ids, p.ID)
	}
	return ids
}

// problem reads a problem document, with the field at fault.
func (a *answer) problem() (kind, field string) {
	a.t.Helper()
	var doc struct {
		Type, Reference string
		Status          int
		Errors          []struct{ Field string }
	}
	if err := json.Unmarshal([]byte(a.Body), &doc); err != nil || a.Header.Get("Content-Type") != "application/problem+json" {
		a.t.Errorf("%s %s: %d is no problem document: %.200s", a.Request.Method, a.Request.URL, a.Status, a.Body)
		return "", ""
	}
	if doc.Status != a.Status || doc.Reference != a.reference() {
		a.t.Errorf("%s %s: the document says %d and %s, the answer %d and %s", a.Request.Method, a.Request.URL, doc.Status, doc.Reference, a.Status, a.reference())
	}
	if len(doc.Errors) > 0 {
		field = doc.Errors[0].Field
	}
	return doc.Type, field
}

// want insists on a status.
func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Errorf("%s %s: got %d, want %d: %.300s", a.Request.Method, a.Request.URL, a.Status, status, a.text())
	}
	return a
}

// seal makes a ticket as the front door does; change may spoil it first.
func (w *world) seal(t testing.TB, at, address string, change ...func(*ticket.Ticket)) string {
	t.Helper()
	now := w.Clock.Now()
	x := ticket.Ticket{Portal: idOf(at), Address: address, Issued: now, Expires: now.Add(time.Minute)}
	for _, c := range change {
		c(&x)
	}
	sealed, err := ticket.Seal(w.home(at).Record, w.tickets, x)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// guest makes an active account with a password for somebody of no domain that
// a portal knows.
func (w *world) guest(t testing.TB, at, address, secret string) {
	t.Helper()
	_, err := w.store(at).DangerouslyCreateAccount(t.Context(), portal.Account{Portal: idOf(at), Primary: addressOf(address), GivenName: "Gwen"}, portal.Secret(secret))
	if err != nil {
		t.Fatal(err)
	}
}

// member signs somebody in through SAML, which costs no password hash.
func (w *world) member(t testing.TB, b *browser, address string) {
	t.Helper()
	who := w.IdPs.Person(t, "acme.example")
	if address != "" {
		who.Address = address
	}
	trip := b.departWith(acme, "acme-saml", who.Address, "/account")
	if a := trip.deliver(trip.assertion(who)); a.session() == nil {
		t.Fatalf("not signed in: %d %s", a.Status, a.text())
	}
}

// mailed waits until a region's letters are sent, and returns what came to an
// address, newest first.
func (w *world) mailed(t testing.TB, at, to string) []mail.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for w.count(t, at, "letters") > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("letters wait to be sent")
		}
	}
	var found []mail.Message
	for _, m := range w.Mailbox.Messages() {
		if m.To == addressOf(to) {
			found = append(found, m)
		}
	}
	return found
}

// tokenIn is the token of the link in a letter whose link leads to path.
func tokenIn(letters []mail.Message, path string) string {
	for _, m := range letters {
		for _, link := range m.Links {
			if u, err := url.Parse(link); err == nil && u.Path == path && u.Query().Get("token") != "" {
				return u.Query().Get("token")
			}
		}
	}
	return ""
}

// temporaryIn is the temporary password in a letter.
func temporaryIn(letters []mail.Message) string {
	for _, m := range letters {
		if _, after, ok := strings.Cut(m.Text, "Temporary password: "); ok {
			return strings.Fields(after)[0]
		}
	}
	return ""
}

// invite invites somebody and returns the link's token and the temporary
// password.
func (w *world) invite(t testing.TB, at, address string) (token, temporary string) {
	t.Helper()
	_, err := w.store(at).Invite(t.Context(), portal.Visitor{}, portal.Invitation{
		Portal: idOf(at), Address: addressOf(address), GivenName: "Ivy"})
	if err != nil {
		t.Fatal(err)
	}
	letters := w.mailed(t, at, address)
	return tokenIn(letters, "/invitation"), temporaryIn(letters)
}

// resetToken asks for a reset link and takes it out of the mail.
func (w *world) resetToken(t testing.TB, at, address string) string {
	t.Helper()
	w.browser(t).post(at+"/password/forgot", url.Values{"email": {address}}).want(http.StatusOK)
	token := tokenIn(w.mailed(t, at, address), "/password/reset")
	if token == "" {
		t.Fatal("no reset link in the mail")
	}
	return token
}

// hide opens a portal in Europe that is to be named to nobody, with an account.
func (w *world) hide(t testing.TB, at, domain, address string) {
	t.Helper()
	s := w.Regions[europe].Store()
	_, err := s.CreatePortal(t.Context(), portal.Portal{ID: "hidden", Name: "The hidden portal", URL: at, Disclosure: discovery.Proven})
	if err == nil {
		_, err = s.PutDomain(t.Context(), portal.Domain{Name: domain, Portal: "hidden", Password: true, Proof: "operator", Proven: w.Clock.Now()})
	}
	if err == nil {
		_, err = s.DangerouslyCreateAccount(t.Context(), portal.Account{Portal: "hidden", Primary: addressOf(address)}, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	w.published(t)
}

func addrOf(s string) netip.Addr { return netip.MustParseAddr(s) }

// weakHash is an Argon2id hash at a thousandth of the usual cost.
func weakHash(secret string) string {
	salt := []byte("salt of the test")
	key := argon2.IDKey([]byte(secret), salt, 1, 64, 1, 32)
	b64 := base64.RawStdEncoding
	return "$argon2id$v=19$m=64,t=1,p=1$" + b64.EncodeToString(salt) + "$" + b64.EncodeToString(key)
}

func newKeys(t testing.TB) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}
