package portal_test

import (
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/portal"
)

func TestAgentName(t *testing.T) {
	const mozilla = "Mozilla/5.0 "
	for header, want := range map[string]string{
		mozilla + "(Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                           "Firefox on Windows",
		mozilla + "(Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                            "Chrome on Windows",
		mozilla + "(Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0":                  "Edge on Windows",
		mozilla + "(Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                      "Safari on macOS",
		mozilla + "(iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1":    "Safari on iOS",
		mozilla + "(iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1":              "Chrome on iPadOS",
		mozilla + "(Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36": "Samsung Internet on Android",
		mozilla + "(X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                             "Chrome on ChromeOS",
		mozilla + "(X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36":                              "Chrome on Linux",
		mozilla + "(Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko":                                                                      "Internet Explorer on Windows",
		"Opera/9.80 (X11; Linux x86_64) Presto/2.12.388 Version/12.16":                                                                             "Opera on Linux",
		"Firefox/1":                 "Firefox",
		"something (Windows NT)":    " on Windows",
		"curl/8.5.0":                "",
		"":                          "",
		"<script>alert(1)</script>": "",
		"Firefox/1 <b>on Windows</b>\r\nSet-Cookie: a=b": "Firefox on Windows",
		strings.Repeat("x", 400) + "Firefox/1 (Windows)": "", // nobody reads that far
		"Firefox/1 (Macintosh\x00; \xff\xfe)":            "Firefox on macOS",
	} {
		got := portal.AgentName(header)
		if got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
		browser, system := portal.SplitAgent(got)
		if again := strings.TrimSuffix(browser+" on "+system, " on "); again != got {
			t.Errorf("%q was split into %q and %q", got, browser, system)
		}
	}
}

// What is stored was made by AgentName; a page believes no other text.
func TestSplitAgentRefusesOtherTexts(t *testing.T) {
	for _, s := range []string{"<b>Firefox</b> on Windows", "Firefox on Windows on Linux", "Firefox on", "Windows", "firefox"} {
		if b, o := portal.SplitAgent(s); b != "" || o != "" {
			t.Errorf("%q: %q, %q", s, b, o)
		}
	}
}

func FuzzAgentName(f *testing.F) {
	f.Add("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0")
	f.Add("on \xff on")
	f.Fuzz(func(t *testing.T, header string) {
		name := portal.AgentName(header)
		browser, system := portal.SplitAgent(name)
		if len(name) > 40 || name != "" && browser == "" && system == "" {
			t.Errorf("%q became %q", header, name)
		}
	})
}
