package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// pick chooses an option of a list by its words, or their beginning.
func (b *tab) pick(field, words string) {
	b.t.Helper()
	b.until("choosing "+words, func() (bool, error) {
		return eval[bool](b, fmt.Sprintf(`(() => {
			const e = document.querySelector("select[name=" + CSS.escape(%s) + "]");
			if (!e || e.disabled) return false;
			const o = [...e.options].find(o => o.text.startsWith(%s));
			if (!o) return false;
			e.focus();
			e.value = o.value;
			e.dispatchEvent(new Event("change", {bubbles: true}));
			return true;
		})()`, literal(field), literal(words)))
	})
}

// picked is the words of the option that is chosen.
func (b *tab) picked(field string) string {
	b.t.Helper()
	got, err := eval[string](b, fmt.Sprintf(`document.querySelector("select[name=" + CSS.escape(%s) + "]").selectedOptions[0].text`, literal(field)))
	if err != nil {
		b.t.Fatalf("reading %s: %v", field, err)
	}
	return got
}

// TestS26CellAndReturnProtection: the cell number, the country that numbers are
// taken for, and return protection, which is there with a Pro licence only.
func TestS26CellAndReturnProtection(t *testing.T) {
	const ian, iris = "ian@initech.example", "iris@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		b.press("Your account")
		b.sees("Not available: it needs a Pro licence")
		b.fill("cell", "514 555")
		b.pick("sms_country", "Canada")
		b.press("Save")
		b.sees("This is not a complete telephone number")
		b.look("profile-cell-wrong")
		if got := b.value("cell"); got != "514 555" {
			t.Errorf("what was typed is lost: %q", got)
		}
		b.fill("cell", "(514) 234-5678")
		b.press("Save")
		b.sees("Your profile is saved.")
		if got := b.value("cell"); got != "+1 514-234-5678" {
			t.Errorf("the number is shown as %q", got)
		}
		if got := b.picked("sms_country"); got != "Canada (+1)" {
			t.Errorf("the country is %q", got)
		}

		admin := browser(t, scripts)
		d.signIn(admin, "Initech", iris)
		d.upgrade(admin, "Ian", "Professional Pro")

		b.open(d.portal("Initech") + "/account/profile")
		b.pick("return_protection", "A code by text message")
		b.press("Save")
		b.sees("Your profile is saved.")
		if got := b.picked("return_protection"); got != "A code by text message" {
			t.Errorf("return protection is %q", got)
		}
		b.look("profile-pro")
	})
}

// upgrade gives somebody another plan, in the console.
func (d *demo) upgrade(b *tab, name, plan string) {
	b.t.Helper()
	b.open(d.portal("Initech") + "/admin/licences")
	b.look("licences")
	b.press("Professional")
	b.look("licence-holders")
	b.press(name)
	b.look("user-licence")
	b.pick("plan", plan)
	b.press("Show what changes")
	b.sees("What happens then")
	b.look("user-licence-effects")
	b.press("Confirm the change")
	b.sees("The licence is changed.")
	b.sees(plan)
}

// TestS27Profile: names, time zone and the way dates are written are
// saved with one button, and what is shown follows them at once.
func TestS27Profile(t *testing.T) {
	const ian = "ian@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		b.press("Your account")
		b.look("profile")
		b.fill("given_name", "Ian")
		b.fill("family_name", "Malcolm")
		b.fill("zone", "Nowhere/At all")
		b.pick("culture", "Canadian French")
		b.press("Save")
		b.sees("This is not a time zone we know.")
		if got := b.value("family_name"); got != "Malcolm" {
			t.Errorf("what was typed is lost: %q", got)
		}
		b.fill("zone", "Toronto")
		b.press("Save")
		b.sees("Your profile is saved.")
		for field, want := range map[string]string{"given_name": "Ian", "family_name": "Malcolm", "zone": "America/Toronto"} {
			if got := b.value(field); got != want {
				t.Errorf("%s is %q, want %q", field, got, want)
			}
		}
		if got := b.picked("culture"); !strings.HasPrefix(got, "Canadian French") {
			t.Errorf("the culture is %q", got)
		}
		if got := b.text("#since time"); len(got) != len("2026-11-21") || got[4] != '-' {
			t.Errorf("the date is written as %q", got)
		}

		// Two windows at once: the second is shown both.
		other := b.another()
		other.open(d.portal("Initech") + "/account/profile")
		b.fill("family_name", "Grant")
		b.press("Save")
		b.sees("Your profile is saved.")
		other.fill("family_name", "Sattler")
		other.press("Save")
		other.sees("This was changed in the meantime.")
		other.sees("Saved meanwhile")
		other.look("profile-stale")
		if got := other.text(".compare"); !strings.Contains(got, "Grant") || !strings.Contains(got, "Sattler") {
			t.Errorf("both are not shown: %q", got)
		}
		other.press("Save")
		other.sees("Your profile is saved.")

		b.open(d.portal("Initech") + "/account/profile")
		b.pick("language", "Deutsch")
		b.press("Save")
		b.sees("Ihr Profil ist gespeichert.")
		b.look("profile-de")
		b.pick("language", "Français")
		b.press("Speichern")
		b.sees("Votre profil a été enregistré.")
		b.look("profile-fr")
	})
}
