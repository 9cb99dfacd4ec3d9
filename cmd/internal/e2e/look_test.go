package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/domicile-sso/domicile/config/servertest"
)

// A sight is a way of looking at a page.
type sight struct {
	name          string
	width, height int64
	scheme        string // prefers-color-scheme
}

// sights are what every page is looked at in. 360 pixels is a small telephone.
var sights = []sight{
	{"wide-light", 1280, 800, "light"},
	{"wide-dark", 1280, 800, "dark"},
	{"narrow-light", 360, 740, "light"},
	{"narrow-dark", 360, 740, "dark"},
}

// looked holds the names of the pages that were looked at already: a page that
// ten flows pass through is the same page.
var looked sync.Map

// look checks the page for barriers and for parts that stick out, in every
// sight, and takes its picture. The page goes by its name; the first tab that
// comes by looks, and at a page with a script the first one that runs it.
func (b *tab) look(name string) {
	b.t.Helper()
	if !b.scripts && b.hasScript() {
		return
	}
	if _, done := looked.LoadOrStore(name, true); done {
		return
	}
	b.do("letting axe-core run", runScripts(true))
	if _, err := eval[bool](b, servertest.Axe(b.t)+"; true"); err != nil {
		b.t.Fatalf("loading axe-core into %s: %v", name, err)
	}
	before := b.window()
	for _, s := range sights {
		b.see(s)
		b.fits(name, s)
		b.barriers(name, s)
		b.picture(name, s)
	}
	b.do("putting the window back", runScripts(b.scripts), call(emulation.ClearDeviceMetricsOverride, cdp.Empty{}),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{}))
	// The browser answers before the page has its old size. What is clicked on
	// until then is where the page no longer has it.
	b.until("the window being as before", func() (bool, error) {
		now, err := eval[string](b, window)
		return now == before, err
	})
}

// window is all that decides where on the screen a part of a page is.
const window = `[innerWidth, innerHeight, screen.width, screen.height, devicePixelRatio, visualViewport.width, visualViewport.scale].join()`

func (b *tab) window() string {
	b.t.Helper()
	w, err := eval[string](b, window)
	if err != nil {
		b.t.Fatalf("measuring the window: %v", err)
	}
	return w
}

// see gives the window a size and a colour scheme.
func (b *tab) see(s sight) {
	b.t.Helper()
	b.do("changing the window",
		call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: s.width, Height: s.height, ScreenWidth: s.width, ScreenHeight: s.height, DeviceScaleFactor: 1, Mobile: s.width < 600}),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			// Contrast is that of the page at rest, not half-way through a fade.
			Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: s.scheme},
				{Name: "prefers-reduced-motion", Value: "reduce"},
			}}))
	b.until("the window changing", func() (bool, error) {
		return eval[bool](b, fmt.Sprintf(`screen.width === %d && matchMedia("(prefers-color-scheme: %s)").matches`, s.width, s.scheme))
	})
}

// fits fails when a page must be scrolled sideways (WCAG 1.4.10), or a list in it
// where there is no room for columns, or an address breaks in the middle of a word.
func (b *tab) fits(name string, s sight) {
	b.t.Helper()
	const script = `(() => {
		const wide = document.documentElement.clientWidth;
		const bad = wide > 768 ? [] : [...document.querySelectorAll("table.list")].filter(e => e.scrollWidth > e.parentElement.clientWidth + 1);
		for (const e of document.querySelectorAll("main :is(td, th, dd, h3) *, main :is(td, th, dd, h3)")) {
			if (e.childElementCount > e.querySelectorAll("wbr").length || !/^[^ ]+@[^ ]+$/.test(e.innerText)) continue;
			const text = document.createRange();
			for (const part of e.childNodes) {
				text.selectNodeContents(part);
				if (part.nodeType === Node.TEXT_NODE && part.length < 24 && new Set([...text.getClientRects()].map(r => r.top)).size > 1) bad.push(e);
			}
		}
		if (bad.length) return bad.slice(0, 5).map(e => e.outerHTML.slice(0, 120));
		if (document.documentElement.scrollWidth <= wide) return [];
		return [...document.querySelectorAll("body *")]
			.filter(e => e.getBoundingClientRect().right > wide + 1)
			.slice(0, 5).map(e => e.outerHTML.slice(0, 120));
	})()`
	out, err := eval[[]string](b, script)
	if err != nil {
		b.t.Fatalf("measuring %s: %v", name, err)
	}
	if len(out) > 0 {
		b.t.Errorf("%s, %s: sticks out at the side:\n%s", name, s.name, strings.Join(out, "\n"))
	}
}

// A violation is one of axe-core's findings.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// barriers runs axe-core. Serious and critical findings fail, others are noted.
func (b *tab) barriers(name string, s sight) {
	b.t.Helper()
	found, err := eval[[]violation](b, `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations)`)
	if err != nil {
		b.t.Fatalf("running axe-core on %s: %v", name, err)
	}
	for _, v := range found {
		say := b.t.Logf
		if v.Impact == "serious" || v.Impact == "critical" {
			say = b.t.Errorf
		}
		for _, n := range v.Nodes {
			say("axe: %s, %s: %s (%s): %s\n%s\n%s", name, s.name, v.ID, v.Impact, v.Help, n.HTML, n.FailureSummary)
		}
	}
}

// picture keeps a picture of the whole page where E2E_SHOTS says.
func (b *tab) picture(name string, s sight) {
	b.t.Helper()
	dir := os.Getenv("E2E_SHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatalf("taking the picture of %s: %v", name, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+"."+s.name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
