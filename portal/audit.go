package portal

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"time"
)

// A Link is one row of a portal's audit chain: its number, and a hash over the
// event and the hash before it. Changing, removing or swapping a row breaks
// every later hash; cutting the end off shows against the head, which is kept
// apart and can be noted elsewhere.
type Link struct {
	Seq  int64
	Hash string // 64 hexadecimal digits
	Event
}

// ErrChain: the audit log is not what was written.
var ErrChain = errors.New("audit chain is broken")

// NextLink appends e to the chain that ends with prev (zero Seq: empty).
func NextLink(prevSeq int64, prevHash string, e Event) Link {
	l := Link{Seq: prevSeq + 1, Event: e}
	h := sha256.New()
	field := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], uint64(l.Seq))
	binary.BigEndian.PutUint64(n[8:], uint64(e.At.UnixMicro()))
	h.Write(n[:])
	for _, s := range []string{prevHash, e.Portal, e.Account, e.Action, e.Code, e.Method, e.Target, e.Reference, e.Client, e.Via, e.Actor} {
		field(s)
	}
	l.Hash = hex.EncodeToString(h.Sum(nil))
	return l
}

// EventFilter narrows a reading of the audit log; zero members do not.
type EventFilter struct {
	Person    string // account ID: of whom it happened to, or of who did it
	Account   string
	Actor     string
	Action    string
	Actions   []string // any of them
	Code      string
	Reference string
	Since     time.Time // from then on
	Until     time.Time // before then
	After     int64     // sequence
	Before    int64     // sequence; 0: no end
	Limit     int       // at most 1000, which is also what 0 means
	Newest    bool      // newest first
}

// Slack is how far the clocks of processes that write to one audit log may be
// apart, or be set back: rows are found by their order, which is nearly that of
// their times.
const Slack = time.Hour

// SpelledReference is a reference as it is written, however it was read out.
func SpelledReference(typed string) string {
	s := strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(typed))
	if len(s) == 8 {
		return s[:4] + "-" + s[4:]
	}
	return strings.TrimSpace(typed)
}
