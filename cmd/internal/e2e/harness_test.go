package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestHarness shows that the harness itself sees what it is there to see.
func TestHarness(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<!doctype html><html lang="en"><title>One</title><meta name="viewport" content="width=device-width"><main><h1>One</h1>
<script>document.querySelector("h1").append(" scripted")</script><noscript><p>without</p></noscript>
<form method="post"><label>Word <input name="word" value="old"></label><button>Go</button></form></main></html>`)
	})
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/two?word="+url.QueryEscape(r.FormValue("word")), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /two", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Two</title><h1>[%s]</h1></html>`, strings.ReplaceAll(r.FormValue("word"), " ", "_"))
	})
	site := httptest.NewServer(mux)
	defer site.Close()
	origin := strings.Replace(site.URL, "127.0.0.1", "one.localhost", 1)

	both(t, func(t *testing.T, scripts bool) {
		b := browser(t, scripts)
		b.open(origin + "/")
		if got, want := b.text("h1") == "One scripted", scripts; got != want {
			t.Errorf("heading %q with scripts %v", b.text("h1"), scripts)
		}
		if scripts {
			b.mustNotSay("without")
		} else {
			b.sees("without")
		}
		b.look("harness")
		b.fill("word", "new ")
		b.press("Go")
		b.at(origin, "/two")
		b.sees("[new_]")
		if b.answer() != http.StatusForbidden {
			t.Errorf("status %d", b.answer())
		}
		b.back()
		b.at(origin, "/")
		b.fill("word", "typed")
		b.enter("word")
		b.sees("[typed]")
		c := b.another()
		c.open(origin + "/two?word=tab")
		c.sees("[tab]")
		b.sees("[typed]")
	})
}

// findings collects what the harness holds against a page.
type findings struct {
	testing.TB
	all []string
}

func (f *findings) Errorf(format string, args ...any) {
	f.all = append(f.all, fmt.Sprintf(format, args...))
}

// TestHarnessFinds shows it a page with a bit of everything that is wrong, and one
// that has no script.
func TestHarnessFinds(t *testing.T) {
	const script = `<script>1</script>`
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "script-src 'none'")
		body := `<!doctype html><html><title>Bad</title><meta name="viewport" content="width=device-width">
<img src="http://outside.example/x.png">` + script + `<p style="color:#aaa;background:#fff">faint</p>
<div style="width:900px" id="broad">broad</div></html>`
		if r.URL.Path == "/plain" {
			body = strings.Replace(body, script, "", 1)
		}
		fmt.Fprint(w, body)
	}))
	defer site.Close()
	wants := []string{
		"image-alt (critical)", "color-contrast (serious)", "narrow-dark: sticks out at the side:\n<div style=\"width:900px\"",
		"sent beyond this machine: http://outside.example/x.png",
	}
	for _, scripts := range []bool{true, false} {
		f := &findings{TB: t}
		b := browser(t, scripts)
		b.t = f
		path, wants := "/plain", wants
		if scripts {
			path, wants = "/", append(wants, "Content Security Policy")
		}
		b.open(strings.Replace(site.URL, "127.0.0.1", "bad.localhost", 1) + path)
		b.look("harness-bad" + strings.ReplaceAll(path, "/", "-"))

		b.mu.Lock()
		got := strings.Join(append(f.all, b.faults...), "\n")
		b.faults = nil
		b.mu.Unlock()
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("with scripts %t: not found: %s, in\n%s", scripts, want, got)
			}
		}
	}
}
