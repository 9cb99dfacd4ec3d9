package portal

import (
	"fmt"
	"log/slog"
	"time"
)

// An E164 is a telephone number as the whole world dials it: "+4915123456789".
// It prints, logs and marshals as "<number>"; [E164.Clear] is the one way to it.
type E164 string

const hiddenNumber = "<number>"

// Clear is the number itself, for the one place that must dial or show it.
func (n E164) Clear() string { return string(n) }

func (n E164) String() string               { return hiddenNumber }
func (n E164) GoString() string             { return hiddenNumber }
func (n E164) LogValue() slog.Value         { return slog.StringValue(hiddenNumber) }
func (n E164) MarshalText() ([]byte, error) { return []byte(hiddenNumber), nil }

// Format covers the verbs that would go round String (%x, %d, %q).
func (n E164) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hiddenNumber)) }

// Valid reports whether n has the form of E.164: a plus and 7 to 15 digits, the
// first of which is not 0. Whether somebody has the number is not known by it.
func (n E164) Valid() bool {
	if len(n) < 8 || len(n) > 16 || n[0] != '+' || n[1] == '0' {
		return false
	}
	for i := 1; i < len(n); i++ {
		if n[i] < '0' || n[i] > '9' {
			return false
		}
	}
	return true
}

// A Text is a text message (SMS) with a code, in values; portal/sms has the
// words. It waits in the queue of letters and like them is kept sealed until it
// is sent, and nowhere afterwards.
type Text struct {
	To       E164
	Portal   string // name of the portal
	URL      string // of the portal: the code is for there
	Language string // of the person; empty: the portal's
	Code     Secret
	Expires  time.Time // of the code: later nobody needs the message
}

// TextLetter is the kind of a letter whose channel is SMS.
const TextLetter LetterKind = "text"
