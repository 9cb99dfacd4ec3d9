package portal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

func TestCheckPassword(t *testing.T) {
	words := []string{"ada.lovelace@acme.example", "Acme Corporation", "acme", "Ada", "Lovelace"}
	for _, test := range []struct {
		password string
		says     []string // parts of what is said; none: accepted
	}{
		{"seven Wandering otters 41", nil},
		{"Größe-über-alles-Füße!", nil},
		{"пароль из четырёх слов", nil},
		{"nul\x00inside and more words", nil},
		{strings.Repeat("correct horse ", 74)[:1023] + "y", nil},
		{"", []string{"Enter a new password"}},
		{"short", []string{"too short", "easy to guess"}},
		{"tiny ", []string{"too short", "ends with a blank"}},
		{" seven Wandering otters 41", []string{"begins with a blank"}},
		{"seven Wandering otters 41\u00a0", []string{"ends with a blank"}},
		{"password123", []string{"easy to guess"}},
		{"qwertyuiop", []string{"easy to guess"}},
		{"iloveyou2024", []string{"easy to guess"}},
		{"lovelace1815", []string{"built on your address"}},
		{"ada.lovelace@acme.example", []string{"built on your address"}},
		{"aaaaaaaaaaaaaaaaaaaa", []string{"same few characters"}},
		{strings.Repeat("x", 1025), []string{"too long"}},
		{"not \xff text at all", []string{"not valid text"}},
	} {
		err := portal.CheckPassword(portal.Secret(test.password), portal.PasswordMin, words...)
		if test.says == nil {
			if err != nil {
				t.Errorf("%.30q: %v", test.password, err)
			}
			continue
		}
		var e *discovery.Error
		if !errors.As(err, &e) || e.Field != "new" || e.Kind != discovery.Invalid {
			t.Errorf("%.30q: %v", test.password, err)
			continue
		}
		for _, part := range test.says {
			if !strings.Contains(e.English(), part) {
				t.Errorf("%.30q: %q does not say %q", test.password, e.Say, part)
			}
		}
	}
}

// S10: what was typed is named, whatever is stored.
func TestWrongPasswordNamesBlanks(t *testing.T) {
	for typed, want := range map[string]string{
		"x ":   "ends with a blank",
		"\tx":  "begins with a blank",
		" x\n": "begins and ends with a blank",
		" ":    "begins and ends with a blank",
		"x y":  "The address or the password is not right.",
		"":     "The address or the password is not right.",
	} {
		var e *discovery.Error
		if err := portal.WrongPassword("password", portal.Secret(typed)); !errors.As(err, &e) || !strings.Contains(e.Say, want) {
			t.Errorf("%q: %q", typed, e.Say)
		}
	}
}

func TestTemporaryPasswords(t *testing.T) {
	seen := map[portal.Secret]bool{}
	for range 200 {
		p := portal.NewTemporaryPassword()
		if seen[p] || len(p) != 29 || strings.Trim(p.Clear(), "abcdefghjkmnpqrstuvwxyz23456789-") != "" {
			t.Fatalf("temporary password %q", p.Clear())
		}
		seen[p] = true
	}
}

func TestHasher(t *testing.T) {
	h, ctx := portal.NewHasher(2), t.Context()
	for _, p := range []portal.Secret{"plain old words", "nul\x00inside", "  blanks  ", "é", "e\u0301", portal.Secret(strings.Repeat("x", 1024))} {
		hash, err := h.Hash(ctx, p)
		if err != nil || hash.Weak() || !strings.HasPrefix(string(hash), "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Fatalf("hash: %v", err)
		}
		for _, typed := range []portal.Secret{p, p + "x", p[:len(p)-1], " " + p} {
			if len(typed) > portal.PasswordMax {
				continue
			}
			if ok, err := h.Match(ctx, hash, typed); err != nil || ok != (typed == p) {
				t.Errorf("%.20q against %.20q: %t, %v", typed.Clear(), p.Clear(), ok, err)
			}
		}
	}
	if ok, err := h.Match(ctx, "", "anything"); ok || err != nil {
		t.Errorf("no hash: %t, %v", ok, err)
	}
	if _, err := h.Match(ctx, "", portal.Secret(strings.Repeat("x", 1025))); err == nil {
		t.Error("PWD-04: 1,025 bytes were hashed")
	}
}

// PWD-07: whoever writes the table cannot make us spend gigabytes.
func TestAbsurdHashes(t *testing.T) {
	h, ctx := portal.NewHasher(1), t.Context()
	good, err := h.Hash(ctx, "some password")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		strings.Replace(string(good), "m=19456", "m=2097152", 1),
		strings.Replace(string(good), "t=2", "t=100", 1),
		strings.Replace(string(good), "p=1", "p=0", 1),
		strings.Replace(string(good), "p=1", "p=255", 1),
		strings.Replace(string(good), "m=19456", "m=0", 1),
		strings.Replace(string(good), "m=19456", "m=019456", 1),
		strings.Replace(string(good), "v=19", "v=16", 1),
		strings.Replace(string(good), "argon2id", "argon2i", 1),
		string(good) + "=",
		string(good)[:len(good)-30],
		"$argon2id$v=19$m=19456,t=2,p=1$$",
		"plain",
		strings.Repeat("$", 300),
	} {
		if ok, err := h.Match(ctx, portal.PasswordHash(bad), "some password"); ok || !errors.Is(err, portal.ErrHash) {
			t.Errorf("%q: %t, %v", bad, ok, err)
		}
	}
}

// PWD-04: what is more than the workers can do is told to come back.
func TestHasherIsBounded(t *testing.T) {
	h := portal.NewHasher(1)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			_, err := h.Match(ctx, "", "a guess")
			if err != nil && !errors.Is(err, portal.ErrBusy) && !errors.Is(err, context.Canceled) {
				t.Errorf("while busy: %v", err)
			}
		})
	}
	cancel()
	wg.Wait()
}

func TestSecretsDoNotPrint(t *testing.T) {
	s := portal.Secret("canary")
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "in", struct{ S portal.Secret }{s})
	encoded, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + fmt.Sprintf("%s %v %q %x %d %+v %#v", s, s, s, s, s, struct{ S portal.Secret }{s}, s) + fmt.Sprint(portal.PasswordHash("canary")) + string(encoded)
	if strings.Contains(all, "canary") || strings.Contains(all, "63616e617279") {
		t.Errorf("printed: %s", all)
	}

}

func TestVault(t *testing.T) {
	oldKey, newKey := portal.NewVaultKey(), portal.NewVaultKey()
	old, err := portal.NewVault(oldKey)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := old.Seal("row 1", []byte("secret"))
	if err != nil || strings.Contains(string(sealed), "secret") {
		t.Fatalf("seal: %v", err)
	}
	both, err := portal.NewVault(newKey, oldKey)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := both.Open("row 1", sealed); err != nil || string(plain) != "secret" {
		t.Errorf("after a new key was put in front: %q, %v", plain, err)
	}
	other, err := portal.NewVault(newKey)
	if err != nil {
		t.Fatal(err)
	}
	changed := append([]byte(nil), sealed...)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another key":       func() ([]byte, error) { return other.Open("row 1", sealed) },
		"REG-09 other row":  func() ([]byte, error) { return old.Open("row 2", sealed) },
		"changed":           func() ([]byte, error) { return old.Open("row 1", changed) },
		"cut":               func() ([]byte, error) { return old.Open("row 1", sealed[:5]) },
		"too short":         func() ([]byte, error) { return old.Open("row 1", sealed[:3]) },
		"a vault of no key": func() ([]byte, error) { return portal.Vault{}.Open("row 1", sealed) },
	} {
		if _, err := open(); !errors.Is(err, portal.ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := portal.NewVault([]byte("short")); err == nil {
		t.Error("a short key was taken")
	}
}
