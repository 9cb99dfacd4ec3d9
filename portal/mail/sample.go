package mail

import (
	"slices"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// Kinds are the letters there are words for, in a fixed order.
func Kinds() []portal.LetterKind {
	var kinds []portal.LetterKind
	for k := range links {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}

// Sample is a letter of a kind as [Write] takes it, in a language, about nobody:
// what an administrator who edits its words is shown. now is when it is looked
// at. Its link leads nowhere.
func Sample(kind portal.LetterKind, lang string, now time.Time) portal.Letter {
	address := func(s string) discovery.Address {
		a, err := discovery.ParseAddress(s)
		if err != nil {
			panic(err) // a constant of this file
		}
		return a
	}
	l := portal.Letter{
		Kind: kind, Language: lang, To: address("camille.martin@example.com"), Name: "Camille Martin",
		Portal: "Example", URL: "https://portal.example.com", Expires: now.Add(72 * time.Hour),
		App: "Outlook", Device: "PC", About: address("camille@example.org"),
		Factor: portal.FactorNews{What: portal.FactorAdded, Kind: portal.PasskeyFactor, Name: "PC"},
	}
	switch kind {
	case portal.TemporaryLetter:
		l.Temporary = "xxxxx-xxxxx-xxxxx-xxxxx-xxxxx"
	case portal.InvitationLetter, portal.ResetLetter, portal.AliasLetter, portal.RecoveryAskedLetter, portal.RecoveryAllowedLetter:
		l.Token = "xxxxxxxxxxxxxxxxxxxx"
	}
	return l
}
