package portal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

func TestParseImport(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		rows       int
		code       string // of the file as a whole
		first      string // of the first row: "field code", or its names
	}{
		{"commas", "email,given name,family name\na@x.example,Ada,Lovelace\n", 1, "", "Ada Lovelace"},
		{"semicolons and a byte order mark", "\ufeffPrénom;Nom;Adresse e-mail\r\nÉlise;Dupré;e@x.example\r\n", 1, "", "Élise Dupré"},
		{"tabs", "Vorname\tNachname\tE-Mail\nJörg\tMüller\tj@x.example", 1, "", "Jörg Müller"},
		{"our own export", "\ufeff\"id\",\"email\",\"given_name\",\"family_name\",\"role\",\"status\",\"plan\",\"licence_ends\",\"language\",\"created\",\"last_sign_in\"\r\n" +
			"\"0f\",\"a@x.example\",\"'=Ada\",\"L\",\"member\",\"active\",\"Professional\",\"\",\"fr\",\"\",\"\"\r\n", 1, "", "=Ada L"},
		{"no header", "a@x.example\n\nBob <b@x.example>\n", 2, "", " "},
		{"quoted cells", "email,family name\na@x.example,\"Smith, Jr.\"\n", 1, "", " Smith, Jr."},
		{"nothing", " \n", 0, "file_empty", ""},
		{"only a header", "email\n", 0, "file_no_people", ""},
		{"another encoding", "email\nJ\xf6rg@x.example\n", 0, "file_encoding", ""},
		{"two bytes a letter", "e\x00m\x00", 0, "file_encoding", ""},
		{"an unknown column", "email,shoe size\na@x.example,42\n", 0, "column_unknown", ""},
		{"a column twice", "email,vorname,first name\n", 0, "column_twice", ""},
		{"no addresses", "given name\nAda\n", 0, "column_email_missing", ""},
		{"quotes that do not match", "email\n\"a@x.example\n", 0, "file_quotes", ""},
		{"no address", "email,role\n,member\n", 1, "", "email address_empty"},
		{"an unknown role", "email,role\na@x.example,king\n", 1, "", "role role_unknown"},
		{"an unknown language", "email,language\na@x.example,klingon\n", 1, "", "language language_unknown"},
		{"too many cells", "email\na@x.example,b\n", 1, "", "email line_long"},
		{"too many people", "email\n" + strings.Repeat("a@x.example\n", portal.MaxImportLines+1), 0, "file_long", ""},
		{"too large", "email\n" + strings.Repeat("x", portal.MaxImport), 0, "file_large", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rows, err := portal.ParseImport([]byte(tc.file))
			var e *discovery.Error
			if errors.As(err, &e) != (tc.code != "") || e != nil && e.Code != tc.code {
				t.Fatalf("%v, want %q", err, tc.code)
			}
			if e != nil && strings.Contains(e.English(), "%!") {
				t.Errorf("it says %q", e.English())
			}
			if len(rows) != tc.rows {
				t.Fatalf("%d rows", len(rows))
			}
			if tc.first == "" {
				return
			}
			got := rows[0].Given + " " + rows[0].Family
			if p := rows[0].Problem; p != nil {
				got = p.Field + " " + p.Code
			}
			if got != tc.first {
				t.Errorf("the first row is %q, want %q", got, tc.first)
			}
		})
	}
}

func TestImportedTwins(t *testing.T) {
	rows, err := portal.ParseImport([]byte("email,role\nA@X.example,Gast\nb@x.example,\na@x.example,\n"))
	if err != nil || len(rows) != 3 || rows[0].Role != portal.Guest || rows[0].Problem != nil || rows[2].Problem == nil || rows[2].Problem.Code != "address_twice" || rows[2].Line != 4 {
		t.Errorf("%+v, %v", rows, err)
	}
}

// Whatever is in a file: an answer, and rows that say what is wrong with them.
func FuzzParseImport(f *testing.F) {
	for _, s := range []string{"email,given name\na@x.example,Ada\n", "a@x.example\nB <b@x.example>", "\ufeffemail;role\n\"a@x.example\";Gast", "email\n\"", "=1+1,@"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		rows, err := portal.ParseImport(file)
		if (err == nil) != (len(rows) > 0) || len(rows) > portal.MaxImportLines {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		last := int64(0)
		for _, r := range rows {
			if r.Line <= last {
				t.Fatalf("line %d after %d", r.Line, last)
			}
			last = r.Line
			if r.Problem == nil && r.Address.IsZero() {
				t.Fatalf("line %d has no address and no problem", r.Line)
			}
			if strings.ContainsAny(r.Given+r.Family, "\r\n\x00") {
				t.Fatalf("line %d: %q %q", r.Line, r.Given, r.Family)
			}
		}
	})
}

func TestInvitedLines(t *testing.T) {
	lines, err := portal.InvitedLines("\ufeff Ada Lovelace <ada@acme.example> \r\n\n\"Hopper, Grace\" <grace@acme.example>\nbob@acme.example;Bob;Lund\nbob@acme.example\nnobody\na,b,c,d\n")
	if err != nil || len(lines) != 6 {
		t.Fatalf("%+v, %v", lines, err)
	}
	for i, want := range []string{"Ada Lovelace ok", "Grace Hopper ok", "Bob Lund ok", "  address_twice", "  address_no_at", "b c line_long"} {
		l := lines[i]
		code := "ok"
		var e *discovery.Error
		if errors.As(l.Err, &e) {
			code = e.Code
		}
		if got := l.Given + " " + l.Family + " " + code; got != want {
			t.Errorf("%q is read as %q, want %q", l.Text, got, want)
		}
	}
	if _, err := portal.InvitedLines(strings.Repeat("a@x.example\n", portal.MaxInvited+1)); err == nil {
		t.Error("more than the most")
	}
	if _, err := portal.InvitedLines(" \n"); err == nil {
		t.Error("nobody")
	}
}

func TestMailTextCheck(t *testing.T) {
	m, err := portal.MailText{Language: "fr", Subject: " A\tB\r\nBcc: c@d.example\x07 ", Opening: "\r\nOne\u202e two\x00\r\n\r\nThree\n"}.Check()
	if err != nil || m.Subject != "A B Bcc: c@d.example" || m.Opening != "One two\n\nThree" || len(portal.Paragraphs(m.Opening)) != 2 {
		t.Errorf("%+v, %v", m, err)
	}
	for _, m := range []portal.MailText{{Language: "fr"}, {Language: "xx", Subject: "a"}, {Language: "fr", Subject: strings.Repeat("é", 121)}, {Language: "fr", Opening: strings.Repeat("é", 2001)}} {
		if _, err := m.Check(); err == nil {
			t.Errorf("%.20q %.20q", m.Subject, m.Opening)
		}
	}
}
