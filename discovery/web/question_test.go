package web

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/discovery"
)

// Whatever is accepted has one reading: a lenient decoder that takes the last
// member, and one that takes the first, see the same address.
func FuzzQuestion(f *testing.F) {
	for _, s := range []string{`{"email":"ada@acme.example"}`, `{"email":"a","email":"b"}`, `{"EMAIL":"a"}`, `{"\u0065mail":"a"}`, `{}`, `[]`, `{"email":"a"}{}`,
		`{"email":{"email":"a"}}`, `{"email":"\ud800"}`, " {\n} ", `{"email":"a",}`, `{"email" "a"}`, `{,"email":"a"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/v1/discover", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		email, err := question(httptest.NewRecorder(), r)
		if err != nil {
			var e *discovery.Error
			if !errors.As(err, &e) || e.Field == "" || e.Kind == discovery.Internal {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		var lenient map[string]any
		if err := json.Unmarshal([]byte(body), &lenient); err != nil || len(lenient) != 1 || lenient["email"] != email {
			t.Fatalf("read %q from %q, which others read as %v, %v", email, body, lenient, err)
		}
	})
}
