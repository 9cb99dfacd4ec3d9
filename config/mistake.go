package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Mistake is one thing wrong in a file.
type Mistake struct {
	File         string
	Line, Column int
	Path         string // "catalogue.root_keys[0]"; empty for the file as a whole
	Say          string // what is wrong and what to do; never a secret
}

func (m Mistake) String() string {
	s := fmt.Sprintf("%s:%d:%d: ", m.File, m.Line, m.Column)
	if m.Path != "" {
		s += m.Path + ": "
	}
	return s + m.Say
}

// Mistakes is everything wrong in a file, in the order of its lines.
type Mistakes []Mistake

func (ms Mistakes) Error() string {
	var b strings.Builder
	for i, m := range ms {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(m.String())
	}
	return b.String()
}

func (ms Mistakes) sort() {
	slices.SortStableFunc(ms, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
