package oidc

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/fetch"
)

func TestDecode(t *testing.T) {
	tests := []struct {
		in string
		ok bool
	}{
		{`{}`, true},
		{` {"a":1,"A":2} `, true},
		{`{"a":{"a":[1,{"a":null}]}}`, true},
		{`{"a":1,"a":2}`, false},
		{`{"a":1,"\u0061":2}`, false},
		{`{"b":{"a":1,"a":2}}`, false},
		{`{"b":[{"a":1,"a":2}]}`, false},
		{`[]`, false}, {`"a"`, false}, {`null`, false}, {``, false}, {`{`, false}, {`{}}`, false}, {`{} {}`, false}, {`{}x`, false},
		{`{"a":1,}`, false}, {`{"a" 1}`, false}, {`{"a":01}`, false}, {`{"a":NaN}`, false}, {`{a:1}`, false}, {"\ufeff{}", false},
		{"{\"a\":\"\xff\"}", false}, {"{\"a\":\"\n\"}", false},
		{`{"a":` + strings.Repeat("[", 11) + strings.Repeat("]", 11) + `}`, true},
		{`{"a":` + strings.Repeat("[", 12) + strings.Repeat("]", 12) + `}`, false},
		{`{"a":[` + strings.Repeat("1,", 20_000) + `1]}`, false},
	}
	for _, tt := range tests {
		if _, err := decode([]byte(tt.in)); (err == nil) != tt.ok {
			t.Errorf("decode(%.60s) = %v", tt.in, err)
		}
	}
}

func TestUnambiguous(t *testing.T) {
	tests := []struct {
		in, exempt string
		ok         bool
	}{
		{`{"sub":"a","email":"b","Department":"c"}`, "", true},
		{`{"Sub":"a"}`, "", false},
		{`{"ſub":"a"}`, "", false},
		{`{"_Claim_Sources":{}}`, "", false},
		{`{"\u212Aind":1,"kind":2}`, "", false},
		{`{"Email":"a"}`, "", false},
		{`{"Email":"a"}`, "Email", true},
		{`{"Email":"a","email":"b"}`, "Email", false},
	}
	for _, tt := range tests {
		o, err := decode([]byte(tt.in))
		if err != nil {
			t.Fatal(err)
		}
		if err := o.unambiguous(tt.exempt); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.in, err)
		}
	}
}

func TestSeconds(t *testing.T) {
	tests := []struct {
		in   string
		want int64
		ok   bool
	}{
		{`1700000000`, 1700000000, true}, {`1700000000.9`, 1700000000, true}, {`1.7e9`, 1700000000, true}, {`0`, 0, true},
		{`-1`, 0, false}, {`1e300`, 0, false}, {`1e999999`, 0, false}, {`9223372036854775808`, 0, false},
		{`"1700000000"`, 0, false}, {`true`, 0, false}, {`null`, 0, false}, {`[1]`, 0, false},
	}
	for _, tt := range tests {
		o, err := decode([]byte(`{"t":` + tt.in + `}`))
		if err != nil {
			t.Fatal(err)
		}
		got, ok := o.seconds("t")
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("seconds(%s) = %d, %t", tt.in, got, ok)
		}
	}
}

func TestParseKeys(t *testing.T) {
	const rsa2048 = `"kty":"RSA","e":"AQAB","n":"` + modulus + `"`
	tests := []struct {
		name, in string
		want     int // -1: an error
	}{
		{"plain", `{"keys":[{` + rsa2048 + `}]}`, 1},
		{"empty", `{"keys":[]}`, 0},
		{"no list", `{"keys":{}}`, -1},
		{"no keys", `{}`, -1},
		{"a page", `<html>`, -1},
		{"private", `{"keys":[{` + rsa2048 + `,"d":"AQAB"}]}`, 0},
		{"even exponent", `{"keys":[{"kty":"RSA","e":"Ag","n":"` + modulus + `"}]}`, 0},
		{"exponent one", `{"keys":[{"kty":"RSA","e":"AQ","n":"` + modulus + `"}]}`, 0},
		{"RSA-512", `{"keys":[{"kty":"RSA","e":"AQAB","n":"` + modulus[:86] + `"}]}`, 0},
		{"RSA-16384", `{"keys":[{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat(modulus, 8) + `"}]}`, 0},
		{"line break", `{"keys":[{"kty":"RSA","e":"AQAB","n":"\n` + modulus + `"}]}`, 0},
		{"oct", `{"keys":[{"kty":"oct","k":"AAAA"}]}`, 0},
		{"use is a number", `{"keys":[{` + rsa2048 + `,"use":1}]}`, 0},
		{"key_ops is a number", `{"keys":[{` + rsa2048 + `,"key_ops":1}]}`, 0},
		{"point not on the curve", `{"keys":[{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}]}`, 0},
		{"unknown curve", `{"keys":[{"kty":"OKP","crv":"X25519","x":"` + strings.Repeat("A", 43) + `"}]}`, 0},
		{"short Ed25519", `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`, 0},
	}
	for _, tt := range tests {
		keys, err := parseKeys([]byte(tt.in))
		if tt.want < 0 && err == nil || tt.want >= 0 && (err != nil || len(keys) != tt.want) {
			t.Errorf("%s: %d keys, %v, want %d", tt.name, len(keys), err, tt.want)
		}
	}
}

// modulus is 2,048 bits of the shape of a modulus.
const modulus = "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy" +
	"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy" +
	"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy" +
	"yyyyyyyyyyyQ"

// FuzzDecode: what decode accepts, encoding/json reads the same, no name is in
// it twice, and writing it again loses nothing.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{}`, `{"sub":"a","aud":["b"],"exp":1.5e9}`, `{"a":1,"a":2}`, `{"a":{"b":[null,true,"\ud800"]}}`, `[`, `{"a":1,}`, "{\"\xff\":1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := decode(data)
		if err != nil {
			if len(err.Error()) > 40 {
				t.Errorf("the error may quote the input: %v", err)
			}
			return
		}
		var theirs map[string]any
		if err := json.Unmarshal(data, &theirs); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(theirs)), slices.Sorted(maps.Keys(o))); diff != "" {
			t.Fatalf("names (-theirs +ours):\n%s", diff)
		}
		written, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(written)
		if err != nil {
			t.Fatalf("wrote what it does not read: %v", err)
		}
		if diff := cmp.Diff(o, again); diff != "" {
			t.Fatalf("round trip:\n%s", diff)
		}
		_ = o.unambiguous()
	})
}

// FuzzCallback: no answer, and no token, makes anything but a refusal, and no
// refusal repeats what came in.
func FuzzCallback(f *testing.F) {
	const marker = "mArKeR"
	for _, s := range []string{
		"state=right&code=c&iss=https://op.example", "state=right&error=" + marker, "state=right&state=x", "code=c", "state=right&id_token=a.b.c", "state=%00",
	} {
		f.Add(s, "eyJhbGciOiJSUzI1NiJ9.e30.AAAA")
	}
	f.Add("state=right&code=c", `{"payload":"`+marker+`"}`)
	f.Add("state=right&code=c", "a.b.c.d.e")
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	right := federation.Attempt{
		Connection: "c", State: "right", Nonce: "n", Verifier: Secret(), Expires: now().Add(time.Minute),
	}
	f.Fuzz(func(t *testing.T, query, token string) {
		rp := New(fetch.New(fetch.Options{}), now)
		// The provider is one function away: its token endpoint says token.
		rp.HTTP = &http.Client{Transport: says{token}}
		rp.Keys = NewKeySets(rp.HTTP, now)
		c := federation.Connection{ID: "c", Kind: federation.OIDC, OIDC: &federation.OIDCSettings{
			RedirectURI: "https://rp.example/cb", Issuer: "https://op.example", ClientID: "id", ClientSecret: "secret",
			AuthURL: "https://op.example/a", TokenURL: "https://op.example/t", JWKSURL: "https://op.example/k", Algs: Algorithms(),
		}}
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		_, err = rp.Callback(t.Context(), c, right, q)
		r, ok := errors.AsType[*federation.Refusal](err)
		if !ok {
			t.Fatalf("accepted, or an error of another kind: %v", err)
		}
		if strings.Contains(r.Error(), marker) {
			t.Fatalf("the refusal repeats the input: %v", r)
		}
	})
}

// says is a provider whose token endpoint answers with one token, and whose key
// set is empty.
type says struct{ token string }

func (s says) RoundTrip(req *http.Request) (*http.Response, error) {
	body := `{"keys":[]}`
	if req.Method == http.MethodPost {
		b, err := json.Marshal(map[string]string{"access_token": "a", "token_type": "Bearer", "id_token": s.token})
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: readCloser{strings.NewReader(body)}, Request: req,
	}, nil
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
