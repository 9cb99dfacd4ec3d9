package portal

import (
	"slices"
	"time"
	"unicode/utf8"
)

// MaxContact bounds the text on the sign-in pages, in characters.
const MaxContact = 200

// CheckNotifications reports what is wrong with the part of s that is about
// mails and dates, or nil. Whose address may be the sender is for [MaySend].
func CheckNotifications(s Settings) error {
	if _, err := time.LoadLocation(s.Zone); err != nil || s.Zone == "" || s.Zone == "Local" {
		return unfit("zone", "zone_unknown", "This is not a time zone we know. Choose one of the list, such as Europe/Zurich.")
	}
	if !slices.Contains(MailLanguages(), s.Language) {
		return unfit("language", "language_unknown", "Choose one of the languages.")
	}
	if utf8.RuneCountInString(s.Contact) > MaxContact || s.Contact != printable(s.Contact, false) {
		return unfit("contact", "contact_long", "Write one line of 200 characters at most.")
	}
	return nil
}

// MaySend reports why invitations may not come from an account's address, or
// nil: it is that of a registered professional user of the portal (S14).
func MaySend(a Account, l Licence, now time.Time) error {
	switch {
	case a.Status == Invited:
		return unfit("sender", "sender_invited", "This person has not signed in yet. Choose somebody who has.")
	case a.Status != Active:
		return unfit("sender", "sender_disabled", "This account is disabled. Choose somebody else, or enable it first.")
	case a.Role == Guest:
		return unfit("sender", "sender_guest", "This person is a guest of the portal. Invitations come from a professional user.")
	case !l.InForce(now) || l.Plan.Kind != Professional:
		return unfit("sender", "sender_unlicensed", "This person has no professional licence. Assign one first, or choose somebody else.")
	}
	return nil
}
