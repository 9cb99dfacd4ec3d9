package portal

import (
	"slices"
	"strings"
)

// A Footing is what is counted of an account in each domain in which it has a
// confirmed address. It is kept up to date with the account, so that a page about
// a domain with a hundred thousand people reads a handful of numbers.
type Footing struct {
	Status    Status
	Password  bool     // one of their own
	Temporary bool     // one they were sent, and have not replaced yet
	Factor    bool     // a second factor that counts
	Proven    bool     // one of the addresses in the domain was shown to be theirs
	Primary   bool     // the primary address is in the domain
	Several   bool     // there are confirmed addresses in other domains as well
	Known     []string // connections that have signed them in
}

// TemporaryFooting is what String has in its second place for one.
const TemporaryFooting = "t"

// String is the footing as it is stored: a letter for each fact, and the
// connections. Who is alike has the same.
func (s Footing) String() string {
	letter := func(is bool, letter byte) byte {
		if is {
			return letter
		}
		return '-'
	}
	status, password := byte('a'), letter(s.Password, 'o')
	switch s.Status {
	case Invited:
		status = 'i'
	case Disabled:
		status = 'd'
	}
	if s.Temporary {
		password = TemporaryFooting[0]
	}
	facts := []byte{status, password, letter(s.Factor, 'f'), letter(s.Proven, 'p'), letter(s.Primary, 'h'), letter(s.Several, 's')}
	return strings.Join(append([]string{string(facts)}, s.Known...), " ")
}

// ParseFooting reads what String wrote; ok is false for anything else.
func ParseFooting(text string) (s Footing, ok bool) {
	facts, known, _ := strings.Cut(text, " ")
	if len(facts) != 6 {
		return s, false
	}
	switch facts[0] {
	case 'a':
		s.Status = Active
	case 'i':
		s.Status = Invited
	case 'd':
		s.Status = Disabled
	}
	s.Password, s.Temporary = facts[1] == 'o', facts[1] == TemporaryFooting[0]
	s.Factor, s.Proven, s.Primary, s.Several = facts[2] == 'f', facts[3] == 'p', facts[4] == 'h', facts[5] == 's'
	if known != "" {
		s.Known = strings.Split(known, " ")
	}
	return s, s.String() == text && !slices.Contains(s.Known, "")
}

// Unfactored reports whether this is the one footing of an account, of as many as
// it has domains, that says it can sign in and has no second factor.
func (s Footing) Unfactored() bool { return s.Primary && s.Status != Disabled && !s.Factor }

// Moved is somebody of this footing as the rule about moves to w looks at them.
func (s Footing) Moved(w Way) MovedPerson {
	return MovedPerson{Account: Account{Status: s.Status}, Proven: s.Proven, Password: s.Password, Temporary: s.Temporary,
		Elsewhere: !s.Primary, Known: w.Connection != "" && slices.Contains(s.Known, w.Connection)}
}
