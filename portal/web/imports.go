package web

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"

	"github.com/gorilla/mux"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// importsPage takes a file of people, and lists what was imported before.
type importsPage struct {
	page.Form
	Tabs                 []tab
	File, List           page.Field
	Role, Plan, Language page.Field
	Columns              []importColumn
	Imports              []importRow
}

// An importColumn is one that a file may have.
type importColumn struct{ Name, Holds string }

type importRow struct {
	Path         string
	When         moment
	State, Class string
	Lines, Added string
}

// importPage is one import: what it would do, how far it is, what it did.
type importPage struct {
	page.Form
	Tabs                                   []tab
	Path, ID                               string
	State                                  portal.ImportState
	Dry, Going, Still                      bool
	When, Finished                         moment
	Lines, Added, Updated, Skipped, Failed string
	Done                                   int64
	All                                    int64
	Progress, Why                          string
	Invite                                 bool
	Refused                                []importProblemRow
	Report                                 string // local path; empty: nothing to report
	MoreProblems                           string
}

type importProblemRow struct {
	Line       int64
	Field, Say string
}

const (
	problemsShown  = 100
	importsShown   = 20
	refreshSeconds = 3
	// What stands around the file in a form.
	maxImportForm = portal.MaxImport + 256<<10
)

func (s *Site) importForm(v *visit) error {
	return s.showImports(v, http.StatusOK, values{}, nil)
}

// takeImport looks at a file or a pasted list, and leads to what it would do.
func (s *Site) takeImport(v *visit) error {
	f, err := v.upload(maxImportForm, field{"file", portal.MaxImport}, field{"list", portal.MaxImport}, field{"role", 20}, field{"plan", 100}, field{"language", 20})
	if err != nil {
		return err
	}
	inv, err := v.invitationTyped(f)
	if err != nil {
		return err
	}
	file := store.ImportFile{Portal: v.portal.ID, By: v.member.Account.ID, Text: f["file"], Role: inv.Role, Plan: inv.Plan, Language: inv.Language}
	if file.Text == "" {
		file.Text = f["list"]
	}
	id, err := s.Store.DryImport(v.r.Context(), v.visitor(), file)
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return s.showImports(v, e.Kind.Status(), f, e)
	}
	return v.redirect(importPath(id))
}

func importPath(id string) string { return "/admin/users/import/" + id }

// upload reads a form with a file in it. The same holds as for other forms: each
// field once, none that nobody asked for.
func (v *visit) upload(limit int64, fields ...field) (values, error) {
	kind, params, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return nil, &discovery.Error{Kind: discovery.MediaType, Code: "body_type"}
	}
	parts := multipart.NewReader(http.MaxBytesReader(v.w, v.r.Body, limit), params["boundary"])
	out := values{}
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, uploadError(err)
		}
		name := part.FormName()
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		if i < 0 {
			return nil, badField(plainName(name), "field_unknown", "The form has a field that this page does not have.")
		}
		if _, twice := out[name]; twice {
			return nil, badField(name, "field_repeated", "A field of the form was sent more than once.")
		}
		b, err := io.ReadAll(io.LimitReader(part, int64(fields[i].max)+1))
		if err != nil {
			return nil, uploadError(err)
		}
		if len(b) > fields[i].max {
			return nil, &discovery.Error{Kind: discovery.TooLarge, Field: name, Code: "field_long", Say: "The file is larger than 4 MiB. Import it in several pieces."}
		}
		if name != "file" && !clean(string(b)) { // what a file is made of is said by its reader
			return nil, badField(name, "field_encoding", "A field of the form is not valid text.")
		}
		out[name] = string(b)
	}
}

func uploadError(err error) error {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &discovery.Error{Kind: discovery.TooLarge, Field: "file", Code: "body_too_large", Err: tooLarge,
			Say: "The file is larger than 4 MiB. Import it in several pieces."}
	}
	return badField("", "form_broken", "The form came incomplete. Please send it again.")
}

func (s *Site) showImports(v *visit, status int, f values, wrong *discovery.Error) error {
	p := importsPage{
		Tabs: v.consoleTabs("users"),
		File: page.Field{Name: "file", Label: v.t("CSV file"), Type: "file", Optional: true,
			Hint: v.t("UTF-8, with commas or semicolons, and a header in its first line. Up to 4 MiB and 20,000 people.")},
		List: page.Field{Name: "list", Label: v.t("Or paste the list"), Value: f["list"], Optional: true, Rows: 6,
			Hint: v.t("The same as in a file, or one address on each line.")},
		Role:     page.Field{Name: "role", Label: v.t("Role, where the file says none"), Value: f["role"], Options: v.invitableRoles()},
		Language: page.Field{Name: "language", Label: v.t("Language, where the file says none"), Value: f["language"], Options: v.mailLanguages()},
		Columns: []importColumn{
			{"email", v.t("The address. The only column that must be there.")},
			{"given_name", v.t("First name")},
			{"family_name", v.t("Last name")},
			{"role", v.t("Owner, administrator, help desk, auditor, member or guest; in English, French or German")},
			{"plan", v.t("The plan of the licence, by its name")},
			{"language", v.t("en, fr or de")},
		},
	}
	var err error
	if p.Plan, err = s.planField(v, f["plan"]); err != nil {
		return err
	}
	p.Plan.Label = v.t("Licence, where the file says none")
	p.Form = withProblem(wrong, &p.File, &p.List, &p.Role, &p.Plan, &p.Language)
	p.File.Focus = p.File.Focus && wrong != nil
	all, err := s.Store.Imports(v.r.Context(), v.portal.ID, importsShown)
	if err != nil {
		return err
	}
	for _, i := range all {
		row := importRow{Path: importPath(i.ID), When: v.when(i.Created), Lines: v.number(i.Lines), Added: v.number(i.Added)}
		row.State, row.Class = v.importState(i)
		p.Imports = append(p.Imports, row)
	}
	return v.render(status, "imports", p)
}

func (v *visit) importState(i portal.Import) (text, class string) {
	switch {
	case i.Code == "forgotten":
		return v.t("Not started"), "off"
	case i.State == portal.ImportStopped:
		return v.t("Stopped"), "warn"
	case i.State == portal.ImportDone:
		return v.t("Done"), "good"
	case i.Dry:
		return v.t("Checked, not started"), "off"
	}
	return v.t("Under way"), ""
}

// imported shows one import. While it is under way the page asks again by
// itself, without scripts, unless one would rather not.
func (s *Site) imported(v *visit) error {
	q, err := v.query(field{"still", 3})
	if err != nil {
		return err
	}
	return s.showImport(v, http.StatusOK, q["still"] == "yes", nil)
}

func (s *Site) changeImport(v *visit) error {
	f, err := v.form(field{"action", 10}, field{"invite", 5})
	if err != nil {
		return err
	}
	id, by := mux.Vars(v.r)["import"], v.member.Account.ID
	switch f["action"] {
	case "start":
		if f["invite"] != "now" && f["invite"] != "later" {
			err = badField("invite", "invite_missing", "Choose whether invitations go out now.")
		} else {
			err = s.Store.StartImport(v.r.Context(), v.portal.ID, v.visitor(), by, id, f["invite"] == "now")
		}
	case "stop":
		err = s.Store.StopImport(v.r.Context(), v.portal.ID, v.visitor(), by, id)
	default:
		return badField("action", "action_unknown", "Choose to start the import or to stop it.")
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return s.showImport(v, e.Kind.Status(), true, e)
	}
	return v.redirect(importPath(id))
}

func (s *Site) showImport(v *visit, status int, still bool, wrong *discovery.Error) error {
	i, err := s.Store.ImportByID(v.r.Context(), v.portal.ID, v.visitor(), mux.Vars(v.r)["import"])
	if err != nil {
		return err
	}
	p := importPage{Tabs: v.consoleTabs("users"), ID: i.ID, Path: importPath(i.ID), State: i.State, Dry: i.Dry && i.State == portal.ImportWaiting,
		When: v.when(i.Created), Finished: v.when(i.Finished), Lines: v.number(i.Lines), Added: v.number(i.Added), Updated: v.number(i.Updated),
		Skipped: v.number(i.Skipped), Failed: v.number(i.Failed), Done: i.Done, All: i.Lines, Invite: i.Invite, Still: still}
	p.Going = !i.Dry && (i.State == portal.ImportWaiting || i.State == portal.ImportRunning)
	p.Progress = v.t("%d of %d lines are done.", i.Done, i.Lines)
	p.Why = v.importWhy(i.Code)
	p.Form = withProblem(wrong)
	if p.Going && !still && wrong == nil {
		v.w.Header().Set("Refresh", strconv.Itoa(refreshSeconds))
	}
	problems, err := s.Store.ImportProblems(v.r.Context(), v.portal.ID, i.ID, 0, problemsShown)
	if err != nil {
		return err
	}
	for _, one := range problems {
		p.Refused = append(p.Refused, importProblemRow{Line: one.Line, Field: one.Field, Say: v.importProblem(one)})
	}
	if len(problems) > 0 {
		p.Report = p.Path + "/report.csv"
	}
	if more := i.Failed - int64(len(problems)); more > 0 {
		p.MoreProblems = v.t("And %d more, in the report.", more)
	}
	return v.render(status, "import", p)
}

// importWhy says why an import stopped.
func (v *visit) importWhy(code string) string {
	switch code {
	case "":
		return ""
	case "stopped":
		return v.t("Somebody stopped it. Who was added until then stays.")
	case "forgotten":
		return v.t("It was not started within a day. Choose the file again.")
	case "importer_refused":
		return v.t("Whoever started it may not import any more. Who was added until then stays.")
	}
	return v.t("Its file could not be read any more. Choose it again: who was added is not added twice.")
}

// importReport is what was wrong with which line, for a spreadsheet. It holds no
// names and no addresses: those are gone with the file.
func (s *Site) importReport(v *visit) error {
	i, err := s.Store.ImportByID(v.r.Context(), v.portal.ID, v.visitor(), mux.Vars(v.r)["import"])
	if err != nil {
		return err
	}
	out := v.startExport("import-report")
	_ = out.line(v.t("Line"), v.t("Field"), v.t("What to do"))
	after := int64(0)
	for {
		all, err := s.Store.ImportProblems(out.ctx, v.portal.ID, i.ID, after, 500)
		if err != nil || len(all) == 0 {
			return out.finish(err)
		}
		for _, one := range all {
			after = one.Line
			if err := out.line(fmt.Sprint(one.Line), one.Field, v.importProblem(one)); err != nil {
				return out.finish(err)
			}
		}
	}
}

// importProblem says what is wrong with a line and what to do.
func (v *visit) importProblem(p portal.ImportProblem) string {
	switch p.Code {
	case "address_empty":
		return v.t("There is no address. Fill it in, or remove the line.")
	case "address_twice":
		return v.t("This address is in the file twice. Remove one of the lines.")
	case "line_long":
		return v.t("The line has more cells than the header. Look for a separator too many.")
	case "role_unknown":
		return v.t("There is no such role. Use one of those listed.")
	case "role_kept":
		return v.t("This person is here with another role. Change it in the window of the person.")
	case "language_unknown":
		return v.t("There is no such language. Use en, fr or de.")
	case "plan_unknown":
		return v.t("There is no such plan for people with this role. Look at the list of licences.")
	case "seats_used":
		return v.t("All licences of this plan are in use. Free some, or order more.")
	case "domain_not_approved":
		return v.t("The domain is not approved for this portal. Approve it first, or import the person as a guest.")
	case "grant_higher":
		return v.t("You cannot give a role that may do more than your own.")
	case "account_disabled":
		return v.t("This account is disabled. Enable it instead of importing it.")
	case "manage_self":
		return v.t("This is your own account. Change it on your own page.")
	case "manage_higher":
		return v.t("This person has a role that yours may not change. An owner can do that.")
	}
	if p.Field == "email" {
		return v.t("This is no complete address. Correct it.")
	}
	return v.t("This line was refused. Add the person by hand to see why.")
}
