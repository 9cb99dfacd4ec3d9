package discovery

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func secret(n byte) []byte { return bytes.Repeat([]byte{n}, 32) }

func TestSecretsOverlap(t *testing.T) {
	sealer := func(purpose string, s ...[]byte) Sealer {
		t.Helper()
		made, err := Secrets(s).Sealer(purpose)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	before, during, after := sealer("p", secret(1)), sealer("p", secret(2), secret(1)), sealer("p", secret(2))
	old, fresh := before.Seal([]byte("x"), []byte("here")), during.Seal([]byte("x"), []byte("here"))
	for _, c := range []struct {
		name   string
		by     Sealer
		sealed []byte
		place  string
		opens  bool
	}{
		{"the older, during", during, old, "here", true},
		{"the newer, during", during, fresh, "here", true},
		{"the newer, after", after, fresh, "here", true},
		{"the older, after", after, old, "here", false},
		{"the newer, before", before, fresh, "here", false},
		{"another place", during, old, "there", false},
		{"another purpose", sealer("q", secret(2), secret(1)), old, "here", false},
		{"cut short", during, old[:8], "here", false},
		{"nothing", during, nil, "here", false},
	} {
		plain, err := c.by.Open(c.sealed, []byte(c.place))
		if c.opens != (err == nil && string(plain) == "x") || !c.opens && !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %q, %v", c.name, plain, err)
		}
	}
}

func TestSecretsCheck(t *testing.T) {
	for _, s := range []Secrets{nil, {}, {secret(1), []byte("short")}} {
		if _, err := s.Sealer("p"); err == nil {
			t.Errorf("%d secrets make a sealer", len(s))
		}
		if _, err := s.Keys("p"); err == nil || strings.Contains(err.Error(), "short") {
			t.Errorf("%d secrets make keys, or are repeated: %v", len(s), err)
		}
	}
	s := Secrets{[]byte(strings.Repeat("canary", 6))}
	if text := fmt.Sprintf("%v %s %x %#v %+v", s, s, s, s, struct{ S Secrets }{s}); strings.Contains(text, "canary") || strings.Contains(text, "63616e617279") {
		t.Error(text)
	}
}
