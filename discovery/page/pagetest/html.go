package pagetest

import (
	"io"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// A Page is a parsed answer.
type Page struct{ root *html.Node }

// Parse reads a page.
func Parse(t testing.TB, r io.Reader) Page {
	t.Helper()
	root, err := html.Parse(r)
	if err != nil {
		t.Fatalf("parse page: %v", err)
	}
	return Page{root}
}

// All returns the elements a selector matches, in document order. A selector is
// one or more compound parts separated by blanks (each a descendant of the one
// before); a part is tag, #id, .class, [attr] and [attr=value] in any mixture.
func (p Page) All(selector string) []*html.Node {
	found := []*html.Node{p.root}
	for _, part := range strings.Fields(selector) {
		var next []*html.Node
		seen := map[*html.Node]bool{}
		for _, n := range found {
			for d := range n.Descendants() {
				if d.Type == html.ElementNode && !seen[d] && matches(d, part) {
					seen[d] = true
					next = append(next, d)
				}
			}
		}
		found = next
	}
	return found
}

// Has reports whether anything matches.
func (p Page) Has(selector string) bool { return len(p.All(selector)) > 0 }

// Text is what a person reads in the first match, blanks folded; "" without one.
func (p Page) Text(selector string) string {
	all := p.All(selector)
	if len(all) == 0 {
		return ""
	}
	return Text(all[0])
}

// Attr is an attribute of the first match; "" without either.
func (p Page) Attr(selector, name string) string {
	all := p.All(selector)
	if len(all) == 0 {
		return ""
	}
	return Attr(all[0], name)
}

// Text is what a person reads in n.
func Text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
			if next := d.NextSibling; next == nil || next.Data != "wbr" { // a word that may break is one word
				b.WriteByte(' ')
			}
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// Attr is an attribute of n; "" when it has none of that name.
func Attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func matches(n *html.Node, part string) bool {
	for part != "" {
		end := strings.IndexAny(part[1:], "#.[")
		piece := part
		if end >= 0 {
			piece = part[:end+1]
		}
		if piece[0] == '[' {
			close := strings.IndexByte(part, ']')
			piece = part[:close+1]
		}
		part = part[len(piece):]
		if !matchesPiece(n, piece) {
			return false
		}
	}
	return true
}

func matchesPiece(n *html.Node, piece string) bool {
	switch piece[0] {
	case '#':
		return Attr(n, "id") == piece[1:]
	case '.':
		for _, c := range strings.Fields(Attr(n, "class")) {
			if c == piece[1:] {
				return true
			}
		}
		return false
	case '[':
		name, want, valued := strings.Cut(strings.Trim(piece, "[]"), "=")
		for _, a := range n.Attr {
			if a.Key == name {
				return !valued || a.Val == strings.Trim(want, `"`)
			}
		}
		return false
	}
	return n.Data == piece
}

var passkeyScript = regexp.MustCompile(`^/assets/passkey\.[0-9a-f]{16}\.js$`)

func isPasskeyScript(n *html.Node) bool {
	return passkeyScript.MatchString(Attr(n, "src")) && n.FirstChild == nil
}

// Accessible fails the test for what every page owes people who do not see it:
// a language, a title, one main heading, unique ids, a label for every input, and
// descriptions that exist; for inline styles, which no page has; and for scripts,
// of which a page that asks for a passkey has exactly one, in a file.
func Accessible(t testing.TB, p Page) {
	t.Helper()
	if p.Attr("html", "lang") == "" {
		t.Error("page has no language")
	}
	if p.Text("head title") == "" {
		t.Error("page has no title")
	}
	if n := len(p.All("h1")); n != 1 {
		t.Errorf("page has %d main headings", n)
	}
	ids := map[string]int{}
	for _, n := range p.All("[id]") {
		ids[Attr(n, "id")]++
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("id %q is used %d times", id, n)
		}
	}
	for _, n := range p.All("input") {
		if kind := Attr(n, "type"); kind == "hidden" {
			continue
		}
		if id := Attr(n, "id"); id == "" || !p.Has("label[for="+id+"]") {
			t.Errorf("input %q has no label", Attr(n, "name"))
		}
	}
	for _, name := range []string{"aria-describedby", "aria-labelledby"} {
		for _, n := range p.All("[" + name + "]") {
			for _, id := range strings.Fields(Attr(n, name)) {
				if ids[id] == 0 {
					t.Errorf("%s of %q points at nothing: %q", name, n.Data, id)
				}
			}
		}
	}
	for _, n := range p.All("a[href]") {
		if href := Attr(n, "href"); strings.HasPrefix(href, "#") && ids[href[1:]] == 0 {
			t.Errorf("link points at nothing: %q", href)
		}
	}
	if len(p.All("[autofocus]")) > 1 {
		t.Error("more than one element wants the focus")
	}
	for _, bad := range []string{"style", "[style]", "iframe", "[onclick]", "[onload]"} {
		if p.Has(bad) {
			t.Errorf("page has %s", bad)
		}
	}
	scripts := p.All("script")
	if asks := p.Has("form#passkey[data-options]"); len(scripts) > 0 && !(asks && len(scripts) == 1 && isPasskeyScript(scripts[0])) {
		t.Errorf("page has %d scripts; it asks for a passkey: %t", len(scripts), asks)
	}
}
