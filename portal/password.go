package portal

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/trustelem/zxcvbn"
	"golang.org/x/crypto/argon2"

	"github.com/domicile-sso/domicile/discovery"
)

// Bounds of a password: characters at least, bytes at most. It is used exactly as sent: no trimming, no
// truncation, no Unicode folding.
const (
	PasswordMin = 10
	PasswordMax = 1024
)

// PasswordRules are the rules in the words the pages show. least is how many
// characters a password needs: [Settings.MinPassword].
func PasswordRules(least int) discovery.Phrases {
	return discovery.Phrases{
		{Say: "At least %d characters.", Args: []any{least}},
		{Say: "Hard to guess: several unrelated words do well, one word with a digit does not."},
		{Say: "Not your address, your name or the name of this portal."},
		{Say: "No blank at the beginning or the end."},
	}
}

// CheckPassword reports every rule that a new password breaks, in one error
// whose Field is "new". least is how many characters it needs, words are what an
// attacker would try first: the person's address and name, the portal's name.
func CheckPassword(password Secret, least int, words ...string) error {
	p := password.Clear()
	var broken discovery.Phrases
	switch {
	case p == "":
		return broke("password_empty", "Enter a new password.")
	case len(p) > PasswordMax:
		return broke("password_long", "This password is too long: 1,024 bytes are the most.")
	case !utf8.ValidString(p):
		return broke("password_encoding", "This password is not valid text.")
	}
	if least = max(least, PasswordMin); utf8.RuneCountInString(p) < least {
		broken = append(broken, discovery.Phrase{Say: "It is too short: use at least %d characters.", Args: []any{least}})
	}
	switch atStart, atEnd := edgeBlanks(p); {
	case atStart && atEnd:
		broken = append(broken, discovery.Phrase{Say: "It begins and ends with a blank, probably from copying: remove it."})
	case atStart:
		broken = append(broken, discovery.Phrase{Say: "It begins with a blank, probably from copying: remove it."})
	case atEnd:
		broken = append(broken, discovery.Phrase{Say: "It ends with a blank, probably from copying: remove it."})
	}
	if weak := weakness(p, words); weak != "" {
		broken = append(broken, discovery.Phrase{Say: weak})
	}
	if len(broken) == 0 {
		return nil
	}
	return broke("password_weak", "Please choose another password. %s", broken)
}

func broke(code, say string, args ...any) error {
	return &discovery.Error{Kind: discovery.Invalid, Field: "new", Code: code, Say: say, Args: args}
}

// weakness names what makes p easy to guess, or "".
//
//locale:texts
func weakness(p string, words []string) string {
	// zxcvbn takes seconds over long input: what follows the first 32 characters only makes a
	// password stronger.
	head := p
	if r := []rune(p); len(r) > 32 {
		head = string(r[:32])
	}
	context := contextWords(words)
	lower := strings.ToLower(head)
	for _, w := range context {
		if len(w) >= 4 && strings.Contains(lower, w) && len(lower)-len(w) < PasswordMin-2 {
			return "It is built on your address, your name or the portal’s name: use something unrelated."
		}
	}
	if distinct(head) < 5 {
		return "It repeats the same few characters."
	}
	if zxcvbn.PasswordStrength(head, append(context, "domicile")).Score < 3 {
		return "It is easy to guess: add one or two unrelated words."
	}
	return ""
}

// contextWords splits addresses and names into lower-case pieces.
func contextWords(words []string) []string {
	var out []string
	for _, w := range words {
		w = strings.ToLower(w)
		pieces := strings.FieldsFunc(w, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		for _, p := range append(pieces, w) {
			if len(p) >= 3 {
				out = append(out, p)
			}
		}
	}
	return out
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// edgeBlanks says at which edges of p a blank stands.
func edgeBlanks(p string) (atStart, atEnd bool) {
	if p == "" {
		return false, false
	}
	first, _ := utf8.DecodeRuneInString(p)
	last, _ := utf8.DecodeLastRuneInString(p)
	return unicode.IsSpace(first), unicode.IsSpace(last)
}

// WrongPassword is the answer to a wrong password, to an unknown address and
// to an account that has no password alike. What it says depends only on what
// was typed, never on what is stored: a blank pasted along is named (S10).
func WrongPassword(field string, typed Secret) error {
	e := &discovery.Error{
		Kind:  discovery.Forbidden,
		Field: field,
		Code:  "password_wrong",
		Say:   "The address or the password is not right.",
	}
	switch atStart, atEnd := edgeBlanks(typed.Clear()); {
	case atStart && atEnd:
		e.Say = "That is not right. What you entered begins and ends with a blank, which copying often adds: remove it and try again."
	case atStart:
		e.Say = "That is not right. What you entered begins with a blank, which copying often adds: remove it and try again."
	case atEnd:
		e.Say = "That is not right. What you entered ends with a blank, which copying often adds: remove it and try again."
	}
	return e
}

// NewTemporaryPassword draws one of 123 bits, in groups that can be read out:
// "h7kq2-…". No letters that look alike, nothing a mail client would link.
func NewTemporaryPassword() Secret {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789" // 31 of them, 4.95 bits each
	var b strings.Builder
	var buf [1]byte
	for n := 0; n < 25; {
		_, _ = rand.Read(buf[:])
		if buf[0] >= 31*8 { // rejected, so that all letters are equally likely
			continue
		}
		if n > 0 && n%5 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(letters[buf[0]%31])
		n++
	}
	return Secret(b.String())
}

// Cost of new hashes (OWASP): 19 MiB, two passes, one lane.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
)

// A PasswordHash is an Argon2id PHC string.
type PasswordHash string

func (h PasswordHash) String() string   { return hidden }
func (h PasswordHash) GoString() string { return hidden }

type phc struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

// ErrHash: what is stored is no hash of ours, or one that costs what no hash of ours
// does. No password is behind it; a reset puts another in its place.
var ErrHash = errors.New("password hash is not one of ours")

// parse reads a PHC string. A stored hash that would cost much more than ours
// is refused: whoever can write the table must not be able to stop the server.
func (h PasswordHash) parse() (phc, error) {
	var p phc
	parts := strings.Split(string(h), "$")
	if len(h) > 256 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return p, ErrHash
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); n != 3 || err != nil ||
		fmt.Sprintf("m=%d,t=%d,p=%d", p.memory, p.time, p.threads) != parts[3] {
		return p, ErrHash
	}
	if p.memory < 8*uint32(p.threads) || p.memory > 64*1024 || p.time < 1 || p.time > 10 || p.threads < 1 || p.threads > 4 {
		return p, ErrHash
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil || len(p.salt) < 8 || len(p.salt) > 64 {
		return p, ErrHash
	}
	if p.key, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil || len(p.key) < 16 || len(p.key) > 64 {
		return p, ErrHash
	}
	return p, nil
}

// Weak reports whether h costs less than a new hash would and should be
// replaced when the password is next known.
func (h PasswordHash) Weak() bool {
	p, err := h.parse()
	return err != nil || p.memory < argonMemory || p.time < argonTime || len(p.key) < argonKey || len(p.salt) < argonSalt
}

// A Hasher computes password hashes on a bounded number of workers, so that a
// flood of sign-ins costs neither all memory nor all processors.
type Hasher struct {
	slots chan struct{}
	wait  time.Duration
	dummy PasswordHash
}

// NewHasher allows as many hashes at once as workers says; 0: one a processor.
// A caller waits for a free one for at most two seconds.
func NewHasher(workers int) *Hasher {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	h := &Hasher{slots: make(chan struct{}, workers), wait: 2 * time.Second}
	h.dummy = encode(bytes.Repeat([]byte{1}, argonSalt), bytes.Repeat([]byte{2}, argonKey))
	return h
}

// ErrBusy: all hash workers are taken.
var ErrBusy = &discovery.Error{
	Kind:  discovery.TooMany,
	Code:  "hash_workers_busy",
	Say:   "Many people are signing in right now. Please try again in a few seconds.",
	Retry: 5 * time.Second,
}

func (h *Hasher) slot(ctx context.Context) (func(), error) {
	release := func() { <-h.slots }
	select {
	case h.slots <- struct{}{}:
		return release, nil
	default:
	}
	t := time.NewTimer(h.wait)
	defer t.Stop()
	select {
	case h.slots <- struct{}{}:
		return release, nil
	case <-t.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Hash makes the hash that is stored.
func (h *Hasher) Hash(ctx context.Context, password Secret) (PasswordHash, error) {
	if len(password) > PasswordMax {
		return "", broke("password_long", "This password is too long: 1,024 bytes are the most.")
	}
	release, err := h.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt)
	return encode(salt, argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)), nil
}

func encode(salt, key []byte) PasswordHash {
	b64 := base64.RawStdEncoding
	return PasswordHash(fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s",
		argonMemory, argonTime, argonThreads, b64.EncodeToString(salt), b64.EncodeToString(key)))
}

// Match reports whether password is the one behind stored. An empty stored
// hash (no such account, no password) costs the same and never matches; so does one
// that is none, which is ErrHash as well.
func (h *Hasher) Match(ctx context.Context, stored PasswordHash, password Secret) (bool, error) {
	if len(password) > PasswordMax {
		return false, &discovery.Error{Kind: discovery.Invalid, Field: "password", Code: "password_long",
			Say: "This password is too long: 1,024 bytes are the most."}
	}
	known := stored != ""
	if !known {
		stored = h.dummy
	}
	p, strange := stored.parse()
	if strange != nil {
		known = false
		p, _ = h.dummy.parse()
	}
	release, err := h.slot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	key := argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, uint32(len(p.key)))
	return subtle.ConstantTimeCompare(key, p.key) == 1 && known, strange
}
