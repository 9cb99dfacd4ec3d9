package config

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	s := NewSecret(canary)
	type holder struct {
		S  Secret
		P  *Secret
		M  map[string]Secret
		In []BlindIDKey
	}
	h := holder{s, &s, map[string]Secret{"x": s}, []BlindIDKey{{1, s}}}
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%T"} {
		for _, v := range []any{s, &s, h, &h, []Secret{s}, fmt.Errorf("wrapped: %v", s)} {
			fmt.Fprintf(&b, verb+"\n", v)
		}
	}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&b, nil), slog.NewTextHandler(&b, nil)} {
		slog.New(handler).Info("x", "s", s, "p", &s, "h", h, "hp", &h)
	}
	for _, encode := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		out, err := encode(h)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(out)
	}
	for _, shape := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), base64.StdEncoding.EncodeToString([]byte(canary))[:12]} {
		if strings.Contains(b.String(), shape) {
			t.Errorf("%q was printed", shape)
		}
	}
	if !strings.Contains(b.String(), hidden) || s.Reveal() != canary || string(s.Bytes()) != canary || s.IsZero() || !(Secret{}).IsZero() {
		t.Error("the secret is not there for who asks")
	}
}

func TestDecodeKey(t *testing.T) {
	good := EncodeKey(CookieKey, bytes.Repeat([]byte{1}, 32))
	if key, err := DecodeKey(CookieKey, "\n# remark\r\n "+good+" \r\n"); err != nil || len(key) != 32 {
		t.Errorf("%v, %v", key, err)
	}
	code := strings.TrimPrefix(good, string(CookieKey)+":")
	for text, want := range map[string]string{
		"":                                  "empty: want a key",
		"# only a remark":                   "empty: want a key",
		good + "\n" + good:                  "more than one line",
		code:                                "not a key",
		"domicile-rocket-key:" + code:       "not a key",
		string(RootKey) + ":" + code:        "a domicile-root-key; want a domicile-cookie-key",
		string(CookieKey) + ":" + code[:30]: "damaged",
		good + "=":                          "not base64url",
	} {
		_, err := DecodeKey(CookieKey, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), code[:16]) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
	if _, err := DecodeKey(TicketPublic, EncodeKey(TicketPublic, make([]byte, 32))); err == nil {
		t.Error("a ticket's public key of 32 bytes was accepted")
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]string{"90d": "2160h0m0s", "5s": "5s", "1h30m": "1h30m0s", "0d": "0s"} {
		if got, err := ParseDuration(text); err != nil || got.String() != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1.5d", "1d12h", "soon", "99999999d", "5"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}
