package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/discovery/page/locale"
)

// everyPage are the pages that can be opened by their address: at the front door,
// at a portal without a session, and at a portal as its owner.
var everyPage = struct{ front, stranger, owner []string }{
	front:    []string{"/", "/nowhere"},
	stranger: []string{"/login", "/password/forgot", "/logout", "/invitation", "/nowhere"},
	owner: []string{"/", "/account/profile", "/account/addresses", "/account/security", "/account/security/codes", "/account/security/passkeys", "/account/password",
		"/account/sessions", "/account/activity", "/account/confirm", "/logout",
		"/admin", "/admin/users", "/admin/users/invite", "/admin/users/import", "/admin/licences", "/admin/domains", "/admin/notifications", "/admin/mails",
		"/admin/policy", "/admin/connections", "/admin/recoveries", "/admin/audit"},
}

// smallest is a window as WCAG 1.4.10 has it: 320 CSS pixels, which is also 1280
// at a zoom of 400%.
var smallest = sight{"smallest", 320, 640, "light"}

// TestS19EveryPageInEveryLanguage: no page has barriers that axe-core finds, or
// has to be scrolled sideways, in any language: German words are long.
func TestS19EveryPageInEveryLanguage(t *testing.T) {
	d := startDemo(t)
	site := d.portal("Initech")
	for _, l := range locale.Languages() {
		t.Run(l.Tag, func(t *testing.T) {
			b := browser(t, true)
			b.speaking(l.Tag)
			for _, path := range everyPage.front {
				b.audit(l.Tag, d.url, path)
			}
			for _, path := range everyPage.stranger {
				b.audit(l.Tag, site, path)
			}
			b.enterAs(d, site, "iris@initech.example")
			for _, path := range everyPage.owner {
				b.audit(l.Tag, site, path)
				if path != "/logout" && !b.has(`header a[href="/account"]`) || path != "/logout" && !b.has(`header form[action="/logout"] button`) {
					t.Errorf("%s %s: no way to one's account, or out, at the top", l.Tag, path)
				}
			}
		})
	}
}

// enterAs signs in with a password, whatever language the pages are in.
func (b *tab) enterAs(d *demo, site, who string) {
	b.t.Helper()
	b.open(site + "/login")
	b.fill("email", who)
	b.enter("email")
	b.fill("password", d.passwords[who])
	b.enter("password")
	b.at(site, "/")
	b.until("being signed in", func() (bool, error) { return eval[bool](b, `!!document.querySelector("#method")`) })
}

// audit opens a page in the smallest window and looks for barriers.
func (b *tab) audit(lang, site, path string) {
	b.t.Helper()
	b.open(site + path)
	name := lang + " " + path
	if got, err := eval[string](b, `document.documentElement.lang`); err != nil || got != lang {
		b.t.Errorf("%s: the page says it is in %q (%v)", name, got, err)
	}
	if _, err := eval[bool](b, servertest.Axe(b.t)+"; true"); err != nil {
		b.t.Fatalf("loading axe-core into %s: %v", name, err)
	}
	b.see(smallest)
	b.fits(name, smallest)
	b.barriers(name, smallest)
	small, err := eval[[]violation](b, `axe.run(document, {runOnly: ["target-size"], rules: {"target-size": {enabled: true}}, resultTypes: ["violations"]}).then(r => r.violations)`)
	if err != nil {
		b.t.Fatalf("measuring targets of %s: %v", name, err)
	}
	for _, v := range small {
		for _, n := range v.Nodes {
			b.t.Errorf("%s: too small to hit (WCAG 2.5.8): %s\n%s", name, n.HTML, n.FailureSummary)
		}
	}
	if lang == locale.English {
		b.spaced(name)
	}
	b.picture(strings.Trim(strings.NewReplacer("/", "-").Replace("s19-"+lang+path), "-"), smallest)
}

// spaced sets the text as WCAG 1.4.12 allows everybody to, and twice as large
// (1.4.4): nothing may be cut off, or make the page wider than the window.
func (b *tab) spaced(name string) {
	b.t.Helper()
	const script = `(() => {
		for (const e of document.querySelectorAll("body *")) {
			const set = (k, v) => e.style.setProperty(k, v, "important");
			set("line-height", "1.5"); set("letter-spacing", "0.12em"); set("word-spacing", "0.16em");
			if (e.matches("p")) set("margin-bottom", "2em");
		}
		const cut = [...document.querySelectorAll("body *")].filter(e => {
			const s = getComputedStyle(e);
			return !e.closest(".sr, .scroll") && s.overflowX === "hidden" && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1);
		});
		return cut.slice(0, 5).map(e => e.outerHTML.slice(0, 120));
	})()`
	cut, err := eval[[]string](b, script)
	if err != nil {
		b.t.Fatalf("spacing the text of %s: %v", name, err)
	}
	if len(cut) > 0 {
		b.t.Errorf("%s: text is cut off when it is spaced:\n%s", name, strings.Join(cut, "\n"))
	}
	b.fits(name+", spaced", smallest)
}

// A stop is what has the focus.
type stop struct {
	Name       string
	Ring, Seen bool
}

// tabKey presses the Tab key and says where that leads.
func (b *tab) tabKey() stop {
	b.t.Helper()
	b.do("pressing Tab", chromedp.KeyEvent("\t"))
	s, err := eval[stop](b, `(() => {
		const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
		const at = document.elementFromPoint(r.x + Math.min(r.width / 2, 20), r.y + r.height / 2);
		return {
			Name: e === document.body ? "" : (e.innerText || e.labels?.[0]?.innerText || e.name || e.tagName).replace(/\s+/g, " ").trim(),
			Ring: s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 || s.boxShadow !== "none",
			Seen: r.width > 0 && r.top >= 0 && r.bottom <= innerHeight + 1 && !!at && (e.contains(at) || at.contains(e)),
		};
	})()`)
	if err != nil {
		b.t.Fatalf("looking for the focus: %v", err)
	}
	return s
}

// tabTo presses Tab until a thing of that name has the focus. Every stop on the
// way must show that it has it.
func (b *tab) tabTo(name string) {
	b.t.Helper()
	var way []string
	for range 60 {
		s := b.tabKey()
		way = append(way, s.Name)
		if s.Name != "" && (!s.Ring || !s.Seen) {
			b.t.Errorf("the focus is on %q and cannot be seen (ring %t, in view %t)", s.Name, s.Ring, s.Seen)
		}
		if strings.HasPrefix(s.Name, name) {
			return
		}
	}
	b.t.Fatalf("Tab does not lead to %q but to %q\n%s", name, way, b.where())
}

// TestS19Keyboard: who uses no mouse signs in, is led back to what went wrong,
// changes the language, looks around and signs out. No scripts.
func TestS19Keyboard(t *testing.T) {
	d := startDemo(t)
	site := d.portal("Initech")
	b := browser(t, false)
	focus := func() string {
		t.Helper()
		name, err := eval[string](b, `document.activeElement.name || document.activeElement.id || ""`)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	enter := func(what string) {
		t.Helper()
		n := b.shown()
		b.do("pressing Enter on "+what, chromedp.KeyEvent("\r"))
		b.next(what, n)
	}
	b.open(d.url + "/")
	if focus() != "email" {
		t.Errorf("the one field does not have the focus, %q has it", focus())
	}
	b.do("typing half an address", chromedp.KeyEvent("ian"))
	b.tabTo("Next")
	enter("Next")
	b.sees("There is a problem")
	if focus() != "email" {
		t.Errorf("the field with the problem does not have the focus, %q has it", focus())
	}
	described, err := eval[string](b, `document.activeElement.getAttribute("aria-describedby").split(" ").map(id => document.getElementById(id).innerText).join(" ")`)
	if err != nil || !strings.Contains(described, "Please enter the whole address") {
		t.Errorf("a screen reader says %q of the field (%v)", described, err)
	}
	b.do("typing the rest", chromedp.KeyEvent(kb.End+"@initech.example"))
	enter("the address")
	b.sees("Enter your password")
	b.do("typing the password", chromedp.KeyEvent(d.passwords["ian@initech.example"]))
	enter("the password")
	b.at(site, "/")
	b.sees("You are signed in to")

	if s := b.tabKey(); s.Name != "Skip to content" || !s.Ring || !s.Seen {
		t.Errorf("the first stop is %+v", s)
	}
	b.do("following the skip link", chromedp.KeyEvent("\r"))
	b.until("being at the content", func() (bool, error) { return eval[bool](b, `document.activeElement.id === "main"`) })
	b.tabTo("Your account")
	enter("Your account")
	b.at(site, "/account/profile")
	b.open(site + "/")
	b.tabTo("Deutsch")
	enter("Deutsch")
	b.sees("Sie sind bei Initech angemeldet.")
	b.tabTo("Abmelden")
	enter("Abmelden")
	b.sees("Sie sind abgemeldet")
	if t.Failed() {
		t.Log(fmt.Sprint(b.where()))
	}
}
