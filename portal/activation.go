package portal

import (
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// An App is a program that people of a portal may use beside their browser. The
// operator says which there are.
type App struct {
	Portal string
	ID     string // [a-z0-9-]{1,40}: "outlook"
	Name   string // as people read it: "Secure mail for Outlook"
	Kind   AppKind
}

// An AppKind says what sort of program an app is.
type AppKind string

const (
	OwnApp AppKind = "app"   // a program of its own, on a desktop or a telephone
	AddIn  AppKind = "addin" // part of another program, such as a mail reader
)

// CheckApp reports what is wrong with an app, or nil.
func CheckApp(a App) error {
	switch {
	case !ValidName(a.ID):
		return invalid("id", "app_id", "An app's id consists of a–z, 0–9 and hyphens, 40 at the most.")
	case a.Kind != OwnApp && a.Kind != AddIn:
		return invalid("kind", "app_kind", "An app is either of kind app or of kind addin.")
	case a.Name == "" || a.Name != PersonName(a.Name):
		return invalid("name", "app_name", "An app has a name of one line, 100 characters at the most.")
	}
	return nil
}

// An Activation lets an app on one device act for an account (S24). By itself it
// opens nothing: the app still has its person sign in, and is given something
// then, which names the activation and the generation of that moment. It counts
// for as long as [Activation.Live] says so.
//
// The generation rises whenever what was given before has to stop counting: when
// the activation is removed, when it is made again, and with everything that ends
// all sessions of the account for its safety (a new password, a disabling). After
// a reset, a recovery or the first proof of an address activations are removed as
// well: somebody else may have made them, and their owner makes them again.
type Activation struct {
	ID         string
	Portal     string
	Account    string
	App        App
	Device     string // what its owner calls it
	Generation int64
	Created    time.Time
	Used       time.Time // zero: never
	Removed    time.Time // zero: it is active
}

const (
	// MaxActivations is how many apps an account may have activated at once.
	MaxActivations = 20

	// KeptActivations is how many removed ones it keeps, to be made again. The one
	// that was removed first is forgotten for the next.
	KeptActivations = 20
)

// ErrNoActivation: what an app shows is not good any more, or never was. Which
// of the two, and why, is not told: the app starts again with its person.
var ErrNoActivation = &discovery.Error{Kind: discovery.Forbidden, Code: "activation_over",
	Say: "This app may no longer be used for this account. Activate it again on the page “Sessions and apps”."}

// Live reports ErrNoActivation when something that an app was given under the
// activation, in generation, does not count now. Whoever accepts such things (an
// access token, a refresh token, a device code) has to ask with each of them, on
// rows read for this very request, and must not remember the answer:
//
//   - removed or made again since: the generation is another, or it is removed;
//   - the account is disabled, was merged into another, or never took part: an
//     activation sleeps with its account;
//   - the activation is another account's now, as after a merge: what names the
//     account that it belonged to before is void, and account is that one.
//
// The caller reads account by what the app was given, not by the activation.
func (a Activation) Live(generation int64, account Account) error {
	switch {
	case a.ID == "", !a.Removed.IsZero(), a.Generation != generation,
		a.Account != account.ID, a.Portal != account.Portal,
		account.Status != Active, account.MergedInto != "":
		return ErrNoActivation
	}
	return nil
}

// DeviceName is what somebody calls a device, on one line, or what is wrong
// with it.
func DeviceName(s string) (string, error) {
	name := PersonName(s)
	switch {
	case name == "":
		return "", invalid("device", "device_missing", "Give the device a name by which you will know it again.")
	case len([]rune(strings.TrimSpace(s))) > 60:
		return "", invalid("device", "device_long", "This name is too long: 60 characters at the most.")
	}
	return name, nil
}

// Activate reports why an account that has made others already may not activate
// an app on a device, or nil.
func Activate(app App, device string, others []Activation) error {
	live := 0
	for _, o := range others {
		if !o.Removed.IsZero() {
			continue
		}
		live++
		if o.App.ID == app.ID && strings.EqualFold(o.Device, device) {
			return &discovery.Error{Kind: discovery.Conflict, Field: "device", Code: "activation_exists",
				Say: "You have activated this app on a device of that name already. Give this one another name."}
		}
	}
	if live >= MaxActivations {
		return &discovery.Error{Kind: discovery.Conflict, Field: "app", Code: "activations_many",
			Say: "You have activated as many apps as one account may have. Remove one that you do not use first."}
	}
	return nil
}
