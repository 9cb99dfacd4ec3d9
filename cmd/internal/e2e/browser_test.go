package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config/servertest"
)

// patience bounds each wait. It is long because two cores may be building and
// testing everything else meanwhile; a healthy step takes a few milliseconds.
const patience = 30 * time.Second

// A tab is one tab of a browser window with cookies of its own.
type tab struct {
	t       testing.TB
	ctx     context.Context
	scripts bool

	mu     sync.Mutex
	pages  int   // documents shown so far
	status int64 // of the last one
	steps  []string
	seen   []string
	faults []string
}

// chromium starts the one browser of this test process.
var chromium = sync.OnceValues(func() (context.Context, error) {
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(suite.chromium),
		chromedp.UserDataDir(planttest.Folder("browser")),
		// Whatever a page asks for beyond this machine does not exist.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"),
	}
	flags := servertest.ChromiumFlags()
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		options = append(options, chromedp.Flag(name, flags[name]))
	}
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	suite.atEnd(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	suite.atEnd(cancel)
	return ctx, chromedp.Do(ctx)
})

// browser opens a window without cookies.
func browser(t testing.TB, scripts bool) *tab {
	t.Helper()
	suite.chromium = servertest.Chromium(t)
	ctx, err := chromium()
	if err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	ctx, cancel := chromedp.NewContext(ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	return newTab(t, ctx, scripts)
}

// another opens a second tab with the same cookies.
func (b *tab) another() *tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	return newTab(b.t, ctx, b.scripts)
}

func newTab(t testing.TB, ctx context.Context, scripts bool) *tab {
	t.Helper()
	b := &tab{t: t, ctx: ctx, scripts: scripts}
	t.Cleanup(func() {
		if t.Failed() {
			planttest.Tails(t)
		}
	})
	if err := chromedp.Listen(ctx, b.event); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	b.do("opening a tab",
		call(cdplog.Enable, cdp.Empty{}),
		runScripts(scripts))
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, f := range b.faults {
			t.Error(f)
		}
	})
	return b
}

// runScripts switches the scripts of pages on or off.
func runScripts(on bool) chromedp.Action[chromedp.Void] {
	return call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
}

// call is a command of the browser as a step.
func call[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// event notes what happens in the tab. It runs inside the browser's reading
// loop and only takes notes.
func (b *tab) event(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *page.EventFrameNavigated:
		// The empty page that a tab begins with is nobody's doing.
		if ev.Frame.ParentID == "" && ev.Frame.URL != "about:blank" {
			b.pages++
		}
	case *network.EventResponseReceived:
		if ev.Type == network.ResourceTypeDocument {
			b.status = ev.Response.Status
		}
	case *network.EventRequestWillBeSent:
		b.seen = append(b.seen, ev.Request.URL)
		if u, err := url.Parse(ev.Request.URL); err != nil || !local(u) {
			b.faults = append(b.faults, "the browser was sent beyond this machine: "+ev.Request.URL)
		}
	case *cdplog.EventEntryAdded:
		e := ev.Entry
		// A page with an error status is logged as a resource that failed to
		// load; flows check the status themselves.
		if e.Source != cdplog.EntrySourceNetwork &&
			(e.Level == cdplog.EntryLevelError || e.Level == cdplog.EntryLevelWarning) {
			b.faults = append(b.faults, fmt.Sprintf("the browser complains about %s: %s", e.URL, e.Text))
		}
	}
}

func local(u *url.URL) bool {
	host := u.Hostname()
	return u.Scheme == "data" || u.Scheme == "about" || host == "localhost" || host == "127.0.0.1" || strings.HasSuffix(host, ".localhost")
}

// do runs steps and ends the test when one fails.
func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	b.step(what)
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v\n%s", what, err, b.where())
	}
}

// step notes what the tab is made to do, for a test that fails.
func (b *tab) step(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.steps = append(b.steps, what)
}

// eval runs an expression in the page. It works with scripts off too: those are
// the page's own.
func eval[T any](b *tab, expression string) (T, error) {
	return evalIn[T](b, patience, expression)
}

func evalIn[T any](b *tab, limit time.Duration, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// until waits for a condition. An error is a condition not met yet: while one
// page makes way for the next there is nothing to ask.
func (b *tab) until(what string, met func() (bool, error)) {
	b.t.Helper()
	b.step(what)
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		ok, err := met()
		if ok && err == nil {
			return
		}
		last = err
		select {
		case <-deadline.C:
			b.t.Fatalf("%s: not in %v (%v)\n%s", what, patience, last, b.where())
		case <-tick.C:
		}
	}
}

// where says what the tab shows and how it came there, for a test that failed. A
// page that has hung is not waited for.
func (b *tab) where() string {
	const page = `location.href + "\ntitle " + document.title + "\nstate " + document.readyState +
		", " + document.visibilityState + ", window " + ` + window + ` + "\n" + (document.body ? document.body.innerText : "")`
	text, err := evalIn[string](b, 3*time.Second, page)
	if err != nil {
		text = fmt.Sprintf("a page that does not say: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var asked []string
	for _, raw := range last(8, b.seen) {
		raw, _, _ = strings.Cut(raw, "?")
		asked = append(asked, raw)
	}
	return fmt.Sprintf("at %s\nstatus %d, page %d of this tab\nlast steps: %s\nlast requests: %s",
		text, b.status, b.pages, strings.Join(last(8, b.steps), "; "), strings.Join(asked, ", "))
}

// last is the end of a list.
func last[T any](n int, all []T) []T { return all[max(0, len(all)-n):] }

func (b *tab) shown() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pages
}

// answer is the status of the page shown.
func (b *tab) answer() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int(b.status)
}

// next waits until a page after the first n is there.
func (b *tab) next(what string, n int) {
	b.t.Helper()
	b.until(what, func() (bool, error) {
		if b.shown() <= n {
			return false, nil
		}
		return eval[bool](b, `document.readyState === "complete"`)
	})
	if !b.scripts && b.hasScript() {
		suite.carriesScript(b.t)
	}
}

// hasScript says whether the page has anything to run.
func (b *tab) hasScript() bool {
	b.t.Helper()
	has, err := eval[bool](b, `document.scripts.length > 0`)
	if err != nil {
		b.t.Fatalf("looking for scripts: %v\n%s", err, b.where())
	}
	return has
}

// open types a URL into the tab.
func (b *tab) open(url string) {
	b.t.Helper()
	n := b.shown()
	b.do("opening "+url, call(page.Navigate, page.NavigateParams{URL: url}))
	b.next("opening "+url, n)
}

// back is the browser's Back.
func (b *tab) back() {
	b.t.Helper()
	n := b.shown()
	b.do("going back", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		h, err := cdp.Call(ctx, t, page.GetNavigationHistory, cdp.Empty{})
		if err != nil {
			return err
		}
		if h.CurrentIndex < 1 {
			return fmt.Errorf("there is nothing to go back to")
		}
		to := h.Entries[h.CurrentIndex-1].ID
		_, err = cdp.Call(ctx, t, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: to})
		return err
	}))
	b.next("going back", n)
}

// fill replaces what a field holds, as pasting does: white space stays.
func (b *tab) fill(field, value string) {
	b.t.Helper()
	b.until("finding the field "+field, func() (bool, error) {
		return eval[bool](b, fmt.Sprintf(`(() => {
			const e = document.querySelector("[name=" + CSS.escape(%s) + "]:not([type=hidden])");
			if (!e || e.readOnly) return false;
			e.focus(); e.select();
			return document.activeElement === e;
		})()`, literal(field)))
	})
	b.do("filling in "+field, call(input.InsertText, input.InsertTextParams{Text: value}))
}

// clickable is the XPath of what a person would click on when told to press the
// button, follow the link or tick the box that begins with these words.
func clickable(words string) string {
	return fmt.Sprintf(`(//button | //a | //summary | //label)[starts-with(normalize-space(.), %[1]q)] | //input[@type="submit" and starts-with(@value, %[1]q)]`, words)
}

// click clicks with the mouse, in the middle of what is named by its words.
func (b *tab) click(words string) {
	b.t.Helper()
	var at []float64
	b.until("finding "+words, func() (bool, error) {
		var err error
		at, err = eval[[]float64](b, fmt.Sprintf(`(() => {
			const found = document.evaluate(%s, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE);
			for (let i = 0; i < found.snapshotLength; i++) {
				const e = found.snapshotItem(i);
				e.scrollIntoView({block: "center", behavior: "instant"});
				const r = e.getClientRects()[0];
				if (!r || !r.width) continue;
				const x = r.x + r.width / 2, y = r.y + r.height / 2;
				if (e.contains(document.elementFromPoint(x, y))) return [x, y]; // nothing lies over it
			}
			return [];
		})()`, literal(clickable(words))))
		return len(at) == 2, err
	})
	press := input.DispatchMouseEventParams{Type: chromedp.MousePressed, X: at[0], Y: at[1], Button: input.MouseButtonLeft, ClickCount: 1}
	b.do("pressing the mouse on "+words, call(input.DispatchMouseEvent, press))
	// While the mouse is down the page says what is under it. A press that went
	// elsewhere or got lost would otherwise show as a page that never comes.
	if hit, err := eval[bool](b, fmt.Sprintf(`(() => {
		const found = document.evaluate(%s, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE);
		for (let i = 0; i < found.snapshotLength; i++) if (found.snapshotItem(i).matches(":active")) return true;
		return false;
	})()`, literal(clickable(words)))); err != nil || !hit {
		b.t.Fatalf("the press at %v did not reach %s (%v)\n%s", at, words, err, b.where())
	}
	press.Type = chromedp.MouseReleased
	b.do("clicking "+words, call(input.DispatchMouseEvent, press))
}

// press clicks and waits for the next page.
func (b *tab) press(words string) {
	b.t.Helper()
	n := b.shown()
	b.click(words)
	b.next("pressing "+words, n)
}

// enter presses the Enter key in a field and waits for the next page.
func (b *tab) enter(field string) {
	b.t.Helper()
	n := b.shown()
	b.fill(field, b.value(field))
	b.do("pressing Enter", chromedp.KeyEvent("\r"))
	b.next("pressing Enter in "+field, n)
}

// at waits until the tab is on a page of a site, which is given by its URL
// without a path; path is the beginning of its path.
func (b *tab) at(site, path string) {
	b.t.Helper()
	b.until(fmt.Sprintf("arriving at %s%s", site, path), func() (bool, error) {
		return eval[bool](b, fmt.Sprintf(`location.origin === %s && location.pathname.startsWith(%s) && document.readyState === "complete"`,
			literal(site), literal(path)))
	})
}

// sees waits until the page says something.
func (b *tab) sees(words string) {
	b.t.Helper()
	b.until(fmt.Sprintf("seeing %q", words), func() (bool, error) { return b.says(words) })
}

// says reports whether the page says something now.
func (b *tab) says(words string) (bool, error) {
	return eval[bool](b, fmt.Sprintf(`document.body.innerText.replace(/\s+/g, " ").includes(%s)`, literal(words)))
}

// mustNotSay fails the test when the page says something.
func (b *tab) mustNotSay(words string) {
	b.t.Helper()
	if there, err := b.says(words); err != nil || there {
		b.t.Errorf("the page says %q, which it must not (%v)\n%s", words, err, b.where())
	}
}

// has reports whether something matches a selector.
func (b *tab) has(css string) bool {
	b.t.Helper()
	ok, err := eval[bool](b, fmt.Sprintf(`document.querySelector(%s) !== null`, literal(css)))
	if err != nil {
		b.t.Fatalf("looking for %s: %v", css, err)
	}
	return ok
}

// texts are the texts of everything that matches a selector.
func (b *tab) texts(css string) []string {
	b.t.Helper()
	all, err := eval[[]string](b, fmt.Sprintf(`[...document.querySelectorAll(%s)].map(e => e.innerText.replace(/\s+/g, " ").trim())`, literal(css)))
	if err != nil {
		b.t.Fatalf("reading %s: %v", css, err)
	}
	return all
}

// text is the text of the one element that matches.
func (b *tab) text(css string) string {
	b.t.Helper()
	all := b.texts(css)
	if len(all) != 1 {
		b.t.Fatalf("%d elements match %s, want one\n%s", len(all), css, b.where())
	}
	return all[0]
}

// value is what a field holds.
func (b *tab) value(field string) string {
	b.t.Helper()
	v, err := eval[string](b, fmt.Sprintf(`document.querySelector("[name=" + CSS.escape(%s) + "]").value`, literal(field)))
	if err != nil {
		b.t.Fatalf("reading %s: %v", field, err)
	}
	return v
}

// url is where the tab is.
func (b *tab) url() *url.URL {
	b.t.Helper()
	raw, err := eval[string](b, `location.href`)
	if err != nil {
		b.t.Fatalf("reading the URL: %v", err)
	}
	u, err := url.Parse(raw)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// visited are the URLs of all requests so far.
func (b *tab) visited() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.seen)
}

// literal is a string in JavaScript.
func literal(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // no string fails to marshal
	}
	return string(quoted)
}

// cookie finds a cookie of the page's site.
func (b *tab) cookie(name string) (*network.Cookie, bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	all, err := chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) ([]*network.Cookie, error) {
		r, err := cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{})
		return r.Cookies, err
	})
	if err != nil {
		b.t.Fatalf("reading cookies: %v", err)
	}
	for _, c := range all {
		if c.Name == name {
			return c, true
		}
	}
	return nil, false
}
