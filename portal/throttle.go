package portal

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// A Limit lets Burst events through at once and one more every Every.
type Limit struct {
	Burst int
	Every time.Duration
}

// Window is how far ahead a bucket may be filled.
func (l Limit) Window() time.Duration { return time.Duration(l.Burst) * l.Every }

// A Bucket is one counter of the throttle. Its key holds no address: what is
// counted is named by a digest.
type Bucket struct {
	Key string
	Limit
}

// Limits of guessing. Only failures stay counted: what a success took is given
// back.
var (
	perDevice  = Limit{Burst: 10, Every: time.Minute}
	perPair    = Limit{Burst: 5, Every: time.Minute}
	perAddress = Limit{Burst: 30, Every: 2 * time.Minute}
	perNetwork = Limit{Burst: 50, Every: 10 * time.Second}
	perPortal  = Limit{Burst: 500, Every: 200 * time.Millisecond}

	perMailbox = Limit{Burst: 3, Every: 10 * time.Minute}
	perMailer  = Limit{Burst: 20, Every: time.Minute}
	perInvited = Limit{Burst: 3, Every: 10 * time.Minute}
	perInviter = Limit{Burst: 600, Every: 10 * time.Second}
	perAliases = Limit{Burst: 20, Every: 3 * time.Minute}

	perFactor       = Limit{Burst: 10, Every: 10 * time.Minute}
	perFactorDevice = Limit{Burst: 10, Every: 2 * time.Minute}
	perTexts        = Limit{Burst: 3, Every: 5 * time.Minute}
	perTexter       = Limit{Burst: 10, Every: 5 * time.Minute}

	perNotice  = Limit{Burst: 1, Every: 15 * time.Minute}
	perNotices = Limit{Burst: 60, Every: time.Minute}
)

// GuessBuckets are what one try at a password counts against. A browser that
// has signed in to the account before (known) has a bucket of its own and none
// of those a stranger could fill: guessing at somebody's password from
// elsewhere does not keep that person out.
func GuessBuckets(portalID string, a discovery.Address, v Visitor, known bool) []Bucket {
	net := Network(v.Client)
	if known {
		return []Bucket{{bucketKey("device", portalID, a.Clear(), string(v.Browser.Digest())), perDevice}}
	}
	return []Bucket{
		{bucketKey("pair", portalID, a.Clear(), net), perPair},
		{bucketKey("address", portalID, a.Clear()), perAddress},
		{bucketKey("network", portalID, net), perNetwork},
		{bucketKey("portal", portalID), perPortal},
	}
}

// FactorBuckets are what one try at a second factor counts against. Whoever tries
// knows the password already: with ten tries and six more an hour, a code of six
// digits that may be one of three is found once in five years. A browser that
// has signed in before (known) has a bucket of its own, so that a thief's tries
// do not keep the owner out.
func FactorBuckets(portalID, accountID string, v Visitor, known bool) []Bucket {
	if known {
		return []Bucket{{bucketKey("factor device", portalID, accountID, string(v.Browser.Digest())), perFactorDevice}}
	}
	return []Bucket{
		{bucketKey("factor", portalID, accountID), perFactor},
		{bucketKey("factor network", portalID, Network(v.Client)), perNetwork},
	}
}

// TextBuckets are what a text message with a code counts against: the telephone,
// so that it does not ring all night, and who has it sent, by account and by
// network, since messages cost and numbers are whatever somebody types.
func TextBuckets(portalID, accountID string, to E164, v Visitor) []Bucket {
	return []Bucket{
		{bucketKey("text", portalID, to.Clear()), perTexts},
		{bucketKey("texts of", portalID, accountID), perTexter},
		{bucketKey("texter", portalID, Network(v.Client)), perTexter},
	}
}

// NoticeBuckets are what a row of the audit log about slowed guessing counts
// against: one for an address in a while, and not many for a portal, so that
// whoever guesses cannot fill the log with it.
func NoticeBuckets(portalID string, a discovery.Address) []Bucket {
	return []Bucket{
		{bucketKey("notice", portalID, a.Clear()), perNotice},
		{bucketKey("notices", portalID), perNotices},
	}
}

// MailBuckets are what a mail that a stranger asked for counts against: the mailbox, so that nobody
// can flood it, and who asked for it.
func MailBuckets(portalID string, a discovery.Address, v Visitor) (mailbox, mailer Bucket) {
	return Bucket{bucketKey("mailbox", portalID, a.Clear()), perMailbox},
		Bucket{bucketKey("mailer", portalID, Network(v.Client)), perMailer}
}

// InvitationBuckets are what an invitation counts against: the address, so that
// nobody can flood a mailbox, and who invites. They are not the mailbox's that
// strangers can fill: asking for resets keeps nobody from being invited. Where
// nothing is sent, nothing is counted.
func InvitationBuckets(inv Invitation) []Bucket {
	if inv.Wait {
		return nil
	}
	buckets := []Bucket{{bucketKey("invited", inv.Portal, inv.Address.Clear()), perInvited}}
	if inv.By != "" {
		buckets = append(buckets, Bucket{bucketKey("inviter", inv.Portal, inv.By), perInviter})
	}
	return buckets
}

// ResetBucket is what a link for a new password counts against that somebody in
// the console sends: whose it is, whoever sends it.
func ResetBucket(portalID, accountID string) Bucket {
	return Bucket{bucketKey("reset", portalID, accountID), perInvited}
}

// TooMany is the answer when a bucket is full.
func TooMany(code string, retry time.Duration) error {
	return &discovery.Error{Kind: discovery.TooMany, Code: code, Retry: max(retry, time.Second),
		Say: "There were too many tries. Please wait a little and try again."}
}

func bucketKey(kind string, parts ...string) string {
	h := sha256.New()
	for _, p := range append([]string{kind}, parts...) {
		h.Write([]byte{byte(len(p) >> 8), byte(len(p))})
		h.Write([]byte(p))
	}
	return kind + ":" + hex.EncodeToString(h.Sum(nil)[:16])
}
