package e2e

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// authenticator gives the tab a device with a passkey store and a finger on it.
func (b *tab) authenticator() webauthn.AuthenticatorID {
	b.t.Helper()
	var id webauthn.AuthenticatorID
	b.do("plugging in an authenticator", call(webauthn.Enable, webauthn.EnableParams{}),
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			r, err := cdp.Call(ctx, t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
				Options: &webauthn.VirtualAuthenticatorOptions{
					Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
					HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
				}})
			id = r.AuthenticatorID
			return err
		}))
	return id
}

// addPasskey does what the help page says: account, security, passkeys, a name.
func (d *demo) addPasskey(b *tab, name string) {
	b.t.Helper()
	b.press("Your account")
	b.press("Security")
	b.press("Passkeys")
	b.at(d.portal("Initech"), "/account/security/passkeys")
	b.look("passkeys-none")
	b.fill("name", name)
	b.press("Add a passkey")
	b.sees("The passkey was added.")
}

func (b *tab) signOut(d *demo, portal string) {
	b.t.Helper()
	b.open(d.portal(portal) + "/")
	b.press("Sign out")
}

// TestF07PasskeyOnly: a passkey is made, and signs in on its own: no address, no
// password, no code.
func TestF07PasskeyOnly(t *testing.T) {
	const ian = "ian@initech.example"
	d := startDemo(t)
	b := browser(t, true)
	id := b.authenticator()
	d.signIn(b, "Initech", ian)
	d.addPasskey(b, "Telephone")
	b.sees("Telephone")
	b.look("passkeys")

	// The same device is not asked for a second one.
	b.fill("name", "Again")
	b.press("Add a passkey")
	b.sees("This device already has a passkey for your account.")
	b.look("passkey-making")

	b.signOut(d, "Initech")
	b.open(d.portal("Initech") + "/login")
	b.look("address")
	b.press("Sign in with a passkey")
	b.arrived(d.portal("Initech"), home{ian, "Initech", "CA", "Your passkey"})

	// Somebody without a finger for it stays out, and is told what to do.
	b.signOut(d, "Initech")
	b.do("taking the finger off", call(webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: id}))
	b.open(d.portal("Initech") + "/login")
	b.press("Sign in with a passkey")
	b.sees("That was cancelled, took too long")
	b.look("passkey-failed")
	b.press("Use another way")
	b.sees("Sign in to Initech")
}

// TestF07PasskeySecondFactor: who has a passkey and signs in with the password is
// asked for it.
func TestF07PasskeySecondFactor(t *testing.T) {
	const ian = "ian@initech.example"
	d := startDemo(t)
	b := browser(t, true)
	b.authenticator()
	d.signIn(b, "Initech", ian)
	d.addPasskey(b, "Telephone")
	b.signOut(d, "Initech")

	b.open(d.portal("Initech") + "/login")
	b.fill("email", ian)
	b.press("Next")
	b.fill("password", d.passwords[ian])
	b.press("Sign in")
	b.sees("Confirm with your passkey")
	b.look("passkey-second")
	b.press("Continue with a passkey")
	b.arrived(d.portal("Initech"), home{ian, "Initech", "CA", "Your password for this portal"})
}

// TestF07PasskeyWithoutScripts: the one page that needs a script says so, and the
// way round it leads in.
func TestF07PasskeyWithoutScripts(t *testing.T) {
	const ian = "ian@initech.example"
	d := startDemo(t)
	b := browser(t, false)
	b.open(d.portal("Initech") + "/login")
	b.press("Sign in with a passkey")
	b.sees("Passkeys need a script, and your browser runs none.")
	b.press("Use another way")
	b.fill("email", ian)
	b.press("Next")
	b.fill("password", d.passwords[ian])
	b.press("Sign in")
	b.arrived(d.portal("Initech"), home{ian, "Initech", "CA", "Your password for this portal"})
}
