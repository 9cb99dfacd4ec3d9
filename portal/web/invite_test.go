package web

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page/pagetest"
	"github.com/domicile-sso/domicile/portal"
)

// PWD-32, ADM-03: an invitation's role is what the inviter may give, and nothing
// else in the form counts.
func TestInvitePage(t *testing.T) {
	w := newWorld(t)
	desk := w.at(initech, w.hire("initech", "heidi@initech.example", portal.HelpDesk))
	a := desk.get("/admin/users/invite")
	a.want(t, http.StatusOK, "Invite somebody")
	if got := len(a.page.All("select[name=role] option")); got != 2 {
		t.Errorf("a help desk may choose from %d roles", got)
	}
	if a.page.Attr("select[name=plan]", "id") != "" {
		t.Error("a help desk is asked for a plan")
	}
	for name, tc := range map[string]struct {
		form   url.Values
		status int
		says   string
	}{
		"a member":          {url.Values{"email": {"new@initech.example"}, "role": {"member"}}, 200, "1 person was invited."},
		"twice":             {url.Values{"email": {"ian@initech.example"}}, 200, "0 people were invited."},
		"a higher role":     {url.Values{"email": {"boss@initech.example"}, "role": {"owner"}}, 403, "You cannot give a role that may do more than your own."},
		"another's auditor": {url.Values{"email": {"au@initech.example"}, "role": {"auditor"}}, 403, "You cannot give a role that may do more than your own."},
		"a plan":            {url.Values{"email": {"pro@initech.example"}, "plan": {"pro"}}, 403, "Your role in this portal does not assign licences."},
		"no address":        {url.Values{"email": {"nobody"}}, 400, ""},
		"another domain":    {url.Values{"email": {"x@elsewhere.example"}}, 400, "The domain of this address is not approved for this portal."},
		"a strange field":   {url.Values{"email": {"y@initech.example"}, "status": {"active"}}, 400, ""},
		"another portal":    {url.Values{"email": {"y@initech.example"}, "portal": {"acme"}}, 400, ""},
	} {
		a := desk.post("/admin/users/invite", tc.form)
		if a.StatusCode != tc.status || tc.says != "" && !strings.Contains(a.body, tc.says) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.page.Text(".summary"))
		}
		if tc.status != 200 && len(tc.form) < 3 && tc.form.Get("status")+tc.form.Get("portal") == "" && a.page.Attr("#email", "value") != tc.form.Get("email") {
			t.Errorf("%s: what was typed is lost", name)
		}
	}
	if l := w.letters(); l[portal.InvitationLetter].To.Clear() != "new@initech.example" {
		t.Errorf("%d letters", len(l))
	}
}

// PWD-35: a list goes through line by line; what worked is not repeated, and what
// did not is still there.
func TestInviteMany(t *testing.T) {
	w := newWorld(t)
	owner := w.at(initech, w.hire("initech", "olga@initech.example", portal.Owner))
	owner.get("/admin/users/invite?many=yes").want(t, http.StatusOK, "Invite many people")
	list := "Ada <ada@initech.example>\nnonsense\nian@initech.example\nada@initech.example\nbob@initech.example,Bob,Lund\n<script>@x.example"
	a := owner.post("/admin/users/invite", url.Values{"many": {"yes"}, "people": {list}, "role": {"member"}})
	a.want(t, http.StatusOK, "Invite many people")
	rows := a.page.All("#results tbody tr")
	if len(rows) != 6 || !strings.Contains(a.page.Text("#sent"), "2 people were invited.") {
		t.Fatalf("%d rows: %s", len(rows), a.page.Text("#sent"))
	}
	left := a.page.Text("textarea[name=people]")
	if strings.TrimSpace(left) != "nonsense ada@initech.example <script>@x.example" {
		t.Errorf("left: %q", left)
	}
	if strings.Contains(a.body, "<script>") {
		t.Error("a line is not escaped")
	}
	again := owner.post("/admin/users/invite", url.Values{"many": {"yes"}, "people": {list}, "role": {"member"}})
	if !strings.Contains(again.page.Text("#sent"), "0 people were invited.") {
		t.Errorf("sent again: %s", again.page.Text("#sent"))
	}
	if big := owner.post("/admin/users/invite", url.Values{"many": {"yes"}, "people": {strings.Repeat("a@initech.example\n", 201)}}); big.StatusCode != 400 {
		t.Errorf("201 people: %d", big.StatusCode)
	}
}

func TestInvitationOfAPerson(t *testing.T) {
	w := newWorld(t)
	owner := w.at(initech, w.hire("initech", "olga@initech.example", portal.Owner))
	owner.post("/admin/users/invite", url.Values{"email": {"new@initech.example"}})
	who := w.known("initech", "new@initech.example")
	path := "/admin/users/" + who.ID
	if got := owner.get(path).page.Text("#invitation-state"); !strings.Contains(got, "It is valid until") {
		t.Errorf("%q", got)
	}
	owner.follow(owner.post(path+"/invitation", url.Values{"action": {"withdraw"}})).want(t, http.StatusOK, "new@initech.example")
	if got := owner.get(path).page.Text("#invitation-state"); got != "It was withdrawn." {
		t.Errorf("%q", got)
	}
	if a := owner.post(path+"/invitation", url.Values{"action": {"withdraw"}}); a.StatusCode != http.StatusConflict {
		t.Errorf("twice: %d", a.StatusCode)
	}
	if a := owner.post(path+"/invitation", url.Values{"action": {"resend"}}); a.StatusCode != http.StatusSeeOther {
		t.Errorf("again: %d", a.StatusCode)
	}
	if a := owner.post("/admin/users/"+strings.Repeat("0", 32)+"/invitation", url.Values{"action": {"resend"}}); a.StatusCode != http.StatusNotFound {
		t.Errorf("nobody's: %d", a.StatusCode)
	}
	if a := owner.post(path+"/invitation", url.Values{"action": {"accept"}}); a.StatusCode != http.StatusBadRequest {
		t.Errorf("another action: %d", a.StatusCode)
	}
}

// uploaded posts a form with a file in it.
func (b *browser) uploaded(path, file string, fields url.Values) answer {
	b.w.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	if file != "" {
		part, err := m.CreateFormFile("file", "people.csv")
		if err != nil {
			b.w.t.Fatal(err)
		}
		_, _ = part.Write([]byte(file))
	}
	for name, values := range fields {
		for _, v := range values {
			_ = m.WriteField(name, v)
		}
	}
	_ = m.Close()
	r := httptest.NewRequest(http.MethodPost, path, &body)
	r.Header.Set("Content-Type", m.FormDataContentType())
	return b.do(r)
}

func TestImportPages(t *testing.T) {
	w := newWorld(t)
	owner := w.at(initech, w.hire("initech", "olga@initech.example", portal.Owner))
	owner.get("/admin/users/import").want(t, http.StatusOK, "Import users")
	a := owner.uploaded("/admin/users/import", "email;Vorname\nnew@initech.example;=1+1\nx@elsewhere.example;X\n", url.Values{"list": {""}, "role": {"member"}, "plan": {""}, "language": {"de"}})
	if a.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d %s", a.StatusCode, a.page.Text(".summary"))
	}
	path := a.Header.Get("Location")
	a = owner.get(path)
	a.want(t, http.StatusOK, "What the import would do")
	if a.page.Text("#added") != "1" || a.page.Text("#failed") != "1" || a.Header.Get("Refresh") != "" || len(a.page.All("#refused tbody tr")) != 1 {
		t.Errorf("%s added, %s failed", a.page.Text("#added"), a.page.Text("#failed"))
	}
	if a := owner.post(path, url.Values{"action": {"start"}}); a.StatusCode != http.StatusBadRequest {
		t.Errorf("without a choice: %d", a.StatusCode)
	}
	if a := owner.post(path, url.Values{"action": {"start"}, "invite": {"now"}}); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("start: %d", a.StatusCode)
	}
	if a := owner.get(path); a.Header.Get("Refresh") != "3" || a.page.Text("h1") != "Import under way" {
		t.Errorf("under way: refreshed after %q", a.Header.Get("Refresh"))
	}
	if a := owner.get(path + "?still=yes"); a.Header.Get("Refresh") != "" {
		t.Error("it is loaded anew by itself all the same")
	}
	if _, _, err := w.store.RunImport(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := owner.get(path); a.Header.Get("Refresh") != "" || a.page.Text("#outcome") != "The import is done." {
		t.Errorf("done: %s", a.page.Text("#outcome"))
	}
	report := owner.get(path + "/report.csv")
	if !strings.HasPrefix(report.Header.Get("Content-Type"), "text/csv") || !strings.Contains(report.body, `"3","email","The domain`) || strings.Contains(report.body, "@") {
		t.Errorf("report: %q", report.body)
	}
	if who := w.known("initech", "new@initech.example"); who.GivenName != "=1+1" || who.Language != "de" {
		t.Errorf("%+v", who)
	}
	// ADM-13: what begins a formula elsewhere does not in our exports.
	if list := owner.get("/admin/users/export.csv"); strings.Contains(list.body, `"=1+1"`) {
		t.Error("a formula is exported")
	}
	if a := w.at(acme, w.hire("acme", "o@acme.example", portal.Owner)).get(path); a.StatusCode != http.StatusNotFound {
		t.Errorf("of another portal: %d", a.StatusCode)
	}
}

func TestImportRefusesWhatItCannotRead(t *testing.T) {
	w := newWorld(t)
	owner := w.at(initech, w.hire("initech", "olga@initech.example", portal.Owner))
	for name, tc := range map[string]struct {
		file   string
		fields url.Values
		status int
		says   string
	}{
		"nothing":         {"", url.Values{"list": {""}}, 400, "Choose a file, or paste the list."},
		"unknown column":  {"email,shoe\na@initech.example,42", nil, 400, "Column 2 is not one we know: “shoe”."},
		"too large":       {strings.Repeat("x", portal.MaxImport+1), nil, 413, ""},
		"much too large":  {strings.Repeat("x", maxImportForm+1), nil, 413, ""},
		"a strange field": {"email\na@initech.example", url.Values{"dry": {"no"}}, 400, ""},
		"a field twice":   {"email\na@initech.example", url.Values{"list": {"a", "b"}}, 400, ""},
		"a role too high": {"email\na@initech.example", url.Values{"role": {"emperor"}}, 400, ""},
	} {
		a := owner.uploaded("/admin/users/import", tc.file, tc.fields)
		if a.StatusCode != tc.status || !strings.Contains(a.body, tc.says) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.page.Text(".summary"))
		}
	}
	if a := owner.post("/admin/users/import", url.Values{"list": {"a@initech.example"}}); a.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("another encoding: %d", a.StatusCode)
	}
	if a := owner.uploaded("/admin/users/import", "", url.Values{"list": {"a@initech.example\nB <b@initech.example>"}}); a.StatusCode != http.StatusSeeOther {
		t.Errorf("a pasted list: %d %s", a.StatusCode, a.page.Text(".summary"))
	}
}

func TestDomainsPage(t *testing.T) {
	w := newWorld(t)
	owner := w.at(initech, w.hire("initech", "olga@initech.example", portal.Owner))
	if a := owner.post("/admin/domains", url.Values{"domain": {"not a domain"}}); a.StatusCode != 400 || a.page.Attr("#domain", "value") != "not a domain" {
		t.Errorf("%d %q", a.StatusCode, a.page.Attr("#domain", "value"))
	}
	owner.follow(owner.post("/admin/domains", url.Values{"domain": {"*.New.example"}})).want(t, http.StatusOK, "Approved domains")
	a := owner.post("/admin/domains/remove", url.Values{"domain": {"*.new.example"}})
	if a.StatusCode != 200 || !strings.Contains(a.page.Text("#ask"), "No account has its primary address there.") {
		t.Errorf("asked: %d %q", a.StatusCode, a.page.Text("#ask"))
	}
	if a := owner.post("/admin/domains/remove", url.Values{"domain": {"initech.example"}, "sure": {"yes"}}); a.StatusCode != http.StatusNotFound {
		t.Errorf("a domain of the sign-in: %d", a.StatusCode)
	}
	owner.follow(owner.post("/admin/domains/remove", url.Values{"domain": {"*.new.example"}, "sure": {"yes"}}))
	if got := owner.get("/admin/domains").page.Text("#domains"); strings.Contains(got, "new.example") {
		t.Errorf("still there: %s", got)
	}
}

// ADM-15: what somebody else saved meanwhile is shown beside what was typed, and
// saving again saves.
func TestSettingsPages(t *testing.T) {
	w := newWorld(t)
	owner := w.at(initech, w.hire("initech", "olga@initech.example", portal.Owner))
	one, two := owner.get("/admin/notifications"), owner.get("/admin/notifications")
	w.hire("initech", "sam@initech.example", portal.Member)
	owner.follow(owner.submit(one, url.Values{"sender": {"sam@initech.example"}, "zone": {"Europe/Zurich"}, "language": {"en"}})).want(t, http.StatusOK, "Notifications")
	a := owner.submit(two, url.Values{"contact": {"Call 117"}, "zone": {"UTC"}, "language": {"en"}})
	if a.StatusCode != http.StatusConflict || !strings.Contains(a.page.Text(".compare"), "Europe/Zurich") || a.page.Attr("#contact", "value") != "Call 117" {
		t.Fatalf("%d %q", a.StatusCode, a.page.Text(".compare"))
	}
	owner.follow(owner.submit(a, url.Values{"language": {"en"}})).want(t, http.StatusOK, "Notifications")
	set, err := w.store.Settings(t.Context(), "initech")
	if err != nil || set.Contact != "Call 117" || set.Zone != "UTC" || set.Language != "en" {
		t.Errorf("%+v, %v", set, err)
	}
	for typed, says := range map[string]string{
		"nobody@initech.example": "There is no account with this address in this portal.",
		"Nobody Here":            "There is nobody of this name in this portal.",
		"not an address@":        "",
	} {
		a := owner.submit(owner.get("/admin/notifications"), url.Values{"sender": {typed}, "language": {"en"}})
		if a.StatusCode != 400 || !strings.Contains(a.page.Text(".summary"), says) || a.page.Attr("#sender", "value") != typed {
			t.Errorf("%s: %d %s", typed, a.StatusCode, a.page.Text(".summary"))
		}
	}
}

func TestPolicyPage(t *testing.T) {
	w := newWorld(t)
	owner := w.at(initech, w.hire("initech", "olga@initech.example", portal.Owner))
	form := owner.get("/admin/policy")
	form.want(t, http.StatusOK, "Sign-in policy")
	fill := func(set url.Values) url.Values {
		all := url.Values{"second_factor": {"optional"}}
		for name, v := range set {
			all[name] = v
		}
		return all
	}
	for field, typed := range map[string]string{"trust_days": "91", "password_min": "9", "session_idle": "soon", "session_absolute": "100000", "kept_idle": "-1"} {
		a := owner.submit(form, fill(url.Values{field: {typed}}))
		if a.StatusCode != 400 || a.page.Attr("#"+field, "aria-invalid") != "true" || a.page.Attr("#"+field, "value") != typed {
			t.Errorf("%s %q: %d %s", field, typed, a.StatusCode, a.page.Text(".summary"))
		}
	}
	owner.follow(owner.submit(form, fill(url.Values{"password_min": {"20"}, "session_idle": {"15"}}))).want(t, http.StatusOK, "Sign-in policy")
	set, err := w.store.Settings(t.Context(), "initech")
	if err != nil || set.KeepSigned || set.PasswordMin != 20 || set.Lifetimes.Idle.Minutes() != 15 {
		t.Errorf("%+v, %v", set, err)
	}
	// S15: nobody is offered it any more; and the rules of passwords follow.
	b := w.browser(initech)
	if a := b.follow(b.submit(b.get("/login"), url.Values{"email": {"ian@initech.example"}})); a.page.Attr("#keep", "id") != "" {
		t.Error("it is still offered")
	}
	if got := owner.get("/account/password").page.Text("#rules"); !strings.Contains(got, "At least 20 characters.") {
		t.Errorf("rules: %s", got)
	}
}

// ADM-13: an administrator's own words are text, wherever they are shown.
func TestMailTextPage(t *testing.T) {
	w := newWorld(t)
	owner := w.at(initech, w.hire("initech", "olga@initech.example", portal.Owner))
	owner.get("/admin/mails").want(t, http.StatusOK, "Mail texts")
	path := "/admin/mails/invitation/en"
	form := owner.get(path)
	form.want(t, http.StatusOK, "Invitation (English)")
	evil := `<script>alert(1)</script><a href="https://evil.example">{{.Secret}}</a>`
	set := url.Values{"version": {"0"}, "subject": {evil}, "opening": {evil + "\r\n\r\nSecond."}}
	with := func(action string) url.Values {
		v := url.Values{"action": {action}}
		for name, s := range set {
			v[name] = s
		}
		return v
	}
	shown := owner.post(path, with("preview"))
	if shown.StatusCode != 200 || len(shown.page.All("script")) != 0 || !strings.Contains(shown.page.Text("#shown"), evil) {
		t.Errorf("preview: %d", shown.StatusCode)
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(with("html").Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	mail := owner.raw(r)
	policy := mail.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "sandbox; default-src 'none'") || strings.Contains(policy, "script") || strings.Contains(mail.body, "<script>") || strings.Contains(mail.body, `href="https://evil`) {
		t.Errorf("html: %q\n%s", policy, mail.body)
	}
	if all, err := w.store.MailTexts(t.Context(), "initech"); len(all) != 0 || err != nil {
		t.Error("a preview was saved")
	}
	owner.follow(owner.post(path, with("save"))).want(t, http.StatusOK, "Mail texts")
	stale := owner.post(path, with("save"))
	if stale.StatusCode != http.StatusConflict || pagetest.Attr(stale.page.All("input[name=version]")[0], "value") != "1" {
		t.Errorf("stale: %d", stale.StatusCode)
	}
	set["version"] = []string{"1"}
	owner.follow(owner.post(path, with("reset"))).want(t, http.StatusOK, "Mail texts")
	set["version"], set["subject"] = []string{"2"}, []string{strings.Repeat("x", 121)}
	if a := owner.post(path, with("save")); a.StatusCode != 400 || a.page.Attr("#subject", "aria-invalid") != "true" {
		t.Errorf("too long: %d", a.StatusCode)
	}
	for _, other := range []string{"/admin/mails/nothing/en", "/admin/mails/invitation/xx"} {
		if a := owner.get(other); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", other, a.StatusCode)
		}
	}
}

// raw is do for an answer that is no page of ours.
func (b *browser) raw(r *http.Request) answer {
	b.w.t.Helper()
	r.Host = b.host
	for _, c := range b.cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	rec := httptest.NewRecorder()
	b.w.site.ServeHTTP(rec, r)
	return answer{Response: rec.Result(), body: rec.Body.String()}
}
