package servertest

import "testing"

// Chromium returns the path of a Chromium or Chrome.
func Chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, ok := find(name); ok {
			return path
		}
	}
	if path, ok := find("", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium"); ok {
		return path
	}
	absent(t, "Chromium is not installed")
	return ""
}

// ChromiumFlags are for a browser without a screen that talks to nobody but the
// pages it is told to open. They have no leading dashes; "user-data-dir" is the
// caller's.
func ChromiumFlags() map[string]any {
	return map[string]any{
		"headless":   "new",
		"no-sandbox": true, // containers have no user namespaces
		// Before a page is painted Chromium drops clicks on it without a word, and
		// it paints tabs that it takes for covered seldom or never.
		"allow-pre-commit-input":                 true,
		"disable-background-timer-throttling":    true,
		"disable-backgrounding-occluded-windows": true,
		"disable-renderer-backgrounding":         true,
		"disable-gpu":                            true,
		"disable-dev-shm-usage":                  true, // containers have little shared memory
		"disable-quic":                           true,
		"no-first-run":                           true,
		"no-default-browser-check":               true,
		"disable-background-networking":          true,
		"disable-component-update":               true,
		"disable-sync":                           true,
		"disable-default-apps":                   true,
		"disable-extensions":                     true,
		"disable-features":                       "Translate,OptimizationHints,MediaRouter,PasswordManagerOnboarding",
		"password-store":                         "basic",
		"use-mock-keychain":                      true,
		"hide-scrollbars":                        true,
		"font-render-hinting":                    "none",
	}
}
