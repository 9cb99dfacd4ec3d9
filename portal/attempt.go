package portal

import (
	"net/url"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
)

// AttemptLife is how long a person may take between opening the sign-in page
// and being signed in; a federated leg has FederationLife.
const (
	AttemptLife    = time.Hour
	FederationLife = 10 * time.Minute
)

// An AttemptPurpose is what an attempt ends in.
type AttemptPurpose string

const (
	ForSignIn  AttemptPurpose = "sign-in"  // a session
	ForConfirm AttemptPurpose = "confirm"  // the same person again, for a sensitive change
	ForLoss    AttemptPurpose = "recovery" // a session without the factors that were lost: see [Recovery]
	ForMerge   AttemptPurpose = "merge"    // proof of another account of the portal, to be joined (S21)
)

// A Federated is one federated leg of an attempt, as it was sent to an IdP.
type Federated struct {
	federation.Attempt
	Handle string // the attempt it belongs to; empty when it was started without one
}

// Usable reports why an attempt cannot go on at now, or nil.
func (a Attempt) Usable(now time.Time) error {
	if now.Before(a.Started.Add(-time.Minute)) || !now.Before(a.Expires) {
		return ErrAttempt
	}
	return nil
}

// ErrAttempt: unknown, expired, finished, or of another browser. Which one is
// nobody's business; signing in starts again.
var ErrAttempt = &discovery.Error{
	Kind: discovery.Forbidden,
	Code: "attempt_unknown",
	Say:  "This sign-in has ended or was started in another browser. Please start again.",
}

// ErrTicket is every ticket that does not count: spent, expired, not ours.
var ErrTicket = &discovery.Error{
	Kind: discovery.Forbidden,
	Code: "ticket_refused",
	Say:  "This link can no longer be used. Please enter your address.",
}

// LocalPath is where a sign-in may lead: an absolute path on the same host,
// with query. Anything else, also what a browser might read as another host,
// is "/".
func LocalPath(s string) string {
	if s == "" || len(s) > 2048 || s[0] != '/' || strings.HasPrefix(s, "//") {
		return "/"
	}
	for i := 0; i < len(s); i++ {
		// Browsers drop control characters and turn backslashes into slashes
		// before they resolve a Location.
		if c := s[i]; c <= ' ' || c == '\\' || c == '#' || c >= 0x7f {
			return "/"
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || u.Fragment != "" {
		return "/"
	}
	if strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, "\\") {
		return "/"
	}
	// Coming back to the doors one just came through would loop or sign out.
	for _, door := range []string{"/login", "/logout", "/saml/", "/oidc/"} {
		if u.Path == strings.TrimSuffix(door, "/") || strings.HasPrefix(u.Path, strings.TrimSuffix(door, "/")+"/") {
			return "/"
		}
	}
	return s
}
