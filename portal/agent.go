package portal

import "strings"

// maxAgent is how much of what a browser says about itself is looked at. The
// rest, like all of it, is the sender's to choose.
const maxAgent = 400

// An agentToken is what a product puts into its description. Of a list the first
// that occurs counts: browsers claim to be those that were there before them, so
// the one that pretends stands before the one it pretends to be.
type agentToken struct{ token, name string }

var browserTokens = []agentToken{
	{"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"Edg/", "Edge"}, {"Edge/", "Edge"},
	{"OPR/", "Opera"}, {"OPiOS/", "Opera"}, {"Opera/", "Opera"},
	{"SamsungBrowser/", "Samsung Internet"}, {"Vivaldi/", "Vivaldi"}, {"YaBrowser/", "Yandex Browser"},
	{"FxiOS/", "Firefox"}, {"Focus/", "Firefox"}, {"Firefox/", "Firefox"},
	{"CriOS/", "Chrome"}, {"HeadlessChrome/", "Chrome"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"},
	{"Trident/", "Internet Explorer"}, {"MSIE ", "Internet Explorer"},
	{"Safari/", "Safari"},
}

var systemTokens = []agentToken{
	{"Windows Phone", "Windows Phone"}, {"Windows", "Windows"},
	{"iPhone", "iOS"}, {"iPod", "iOS"}, {"iPad", "iPadOS"},
	{"Android", "Android"}, {"CrOS", "ChromeOS"},
	{"Macintosh", "macOS"}, {"Mac OS X", "macOS"},
	{"FreeBSD", "FreeBSD"}, {"OpenBSD", "OpenBSD"}, {"Linux", "Linux"}, {"X11", "Linux"},
}

const onSystem = " on "

// AgentName says what a browser calls itself, in words of ours: "Firefox on
// Windows", or "Firefox", or " on Windows", or nothing. It is a hint for people
// who look through their sessions, and never a fact: whoever signs in may send
// what they like. Of that text nothing else is kept.
func AgentName(userAgent string) string {
	s := userAgent[:min(len(userAgent), maxAgent)]
	browser, system := firstToken(s, browserTokens), firstToken(s, systemTokens)
	if system == "" {
		return browser
	}
	return browser + onSystem + system
}

// SplitAgent is the browser and the system of an [AgentName], either of which
// may be empty. A text that is none has neither.
func SplitAgent(name string) (browser, system string) {
	browser, system, _ = strings.Cut(name, onSystem)
	if !named(browser, browserTokens) || !named(system, systemTokens) {
		return "", ""
	}
	return browser, system
}

func firstToken(s string, tokens []agentToken) string {
	for _, t := range tokens {
		if strings.Contains(s, t.token) {
			return t.name
		}
	}
	return ""
}

func named(s string, tokens []agentToken) bool {
	for _, t := range tokens {
		if t.name == s {
			return true
		}
	}
	return s == ""
}
