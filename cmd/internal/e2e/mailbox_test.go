package e2e

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
)

// A letter is a mail as the demo's mailbox shows it.
type letter struct {
	text string
	link string // the one link in it
}

// letter waits for the newest mail to an address with a subject, and opens it.
func (d *demo) letter(b *tab, to, subject string) letter {
	b.t.Helper()
	b.open(d.mail + "/")
	row := fmt.Sprintf(`[...document.querySelectorAll("#messages a")].find(a => a.innerText.includes(%s) && a.innerText.includes(%s))`,
		literal(subject), literal("To "+to+" "))
	b.until("mail to "+to+": "+subject, func() (bool, error) {
		href, err := eval[string](b, `(`+row+` || {href: ""}).href`)
		if err != nil {
			return false, err
		}
		if href == "" {
			b.press("Look again")
			return false, nil
		}
		b.look("mailbox")
		b.open(href)
		return true, nil
	})
	b.look("mailbox-message")
	l := letter{text: b.text("#text")}
	links, err := eval[[]string](b, `[...document.querySelectorAll("#text a")].map(a => a.href)`)
	if err != nil || len(links) != 1 {
		b.t.Fatalf("%d links in the mail, want one: %v (%v)", len(links), links, err)
	}
	l.link = links[0]
	for _, part := range []string{to, url.QueryEscape(to), strings.Split(to, "@")[0]} {
		if u, err := url.Parse(l.link); err != nil || strings.Contains(u.RequestURI(), part) {
			b.t.Errorf("the link %s names a person (%v)", l.link, err)
		}
	}
	return l
}

// temporary is the temporary password in a mail.
func (l letter) temporary() string { return planttest.TemporaryPassword(l.text) }
