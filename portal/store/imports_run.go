package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// An importJob is an import with all that its lines are judged by.
type importJob struct {
	portal.Import
	ImportFile
	by       portal.Account
	approved []portal.ApprovedDomain
	domains  []portal.Domain
	plans    []PlanSeats
	lease    int64 // until when it is ours
}

// gather reads what lines are judged by, as it is now.
func (job *importJob) gather(ctx context.Context, q querier) error {
	by, err := accountByID(ctx, q, job.Import.Portal, job.Account)
	if err != nil {
		return err
	}
	if by == nil {
		return errImporter
	}
	job.by = by.Account
	if job.approved, err = readApproved(ctx, q, job.Import.Portal); err != nil {
		return err
	}
	if job.domains, err = readDomains(ctx, q, job.Import.Portal); err != nil {
		return err
	}
	job.plans, err = readPlans(ctx, q, job.Import.Portal)
	return err
}

// What is done with a line.
type importVerdict int

const (
	importFailed importVerdict = iota
	importAdd
	importUpdate
	importInvite // who was imported before, and never invited
	importSkip
)

// judge is the rule for one line. there is who has the address; nil: nobody.
func (job *importJob) judge(row portal.ImportRow, there *account) (importVerdict, error) {
	if row.Problem != nil {
		return importFailed, &discovery.Error{Kind: discovery.Invalid, Field: row.Problem.Field, Code: row.Problem.Code}
	}
	if there == nil {
		return job.judgeNew(row)
	}
	switch {
	case there.Status == portal.Disabled:
		return importFailed, portal.MayInvite(there.Status)
	case row.Role != "" && row.Role != there.Role:
		return importFailed, &discovery.Error{Kind: discovery.Invalid, Field: "role", Code: "role_kept"}
	case !updates(row, there.Account):
		if job.Invite && there.Status == portal.Invited && portal.MayManage(job.by, there.Account) == nil {
			return importInvite, nil
		}
		return importSkip, nil
	}
	if err := portal.MayManage(job.by, there.Account); err != nil {
		return importFailed, err
	}
	return importUpdate, nil
}

func updates(row portal.ImportRow, a portal.Account) bool {
	return row.Given != "" && row.Given != a.GivenName || row.Family != "" && row.Family != a.FamilyName ||
		row.Language != "" && row.Language != a.Language
}

func (job *importJob) judgeNew(row portal.ImportRow) (importVerdict, error) {
	role := job.roleOf(row)
	if err := portal.MayInviteAs(job.by.Role, role); err != nil {
		return importFailed, err
	}
	if err := portal.MayJoin(role, row.Address, job.approved); err != nil {
		return importFailed, err
	}
	p := job.plan(row)
	switch {
	case p != nil:
		if err := p.Seat(p.Used); err != nil {
			return importFailed, err
		}
		p.Used++
	case job.planOf(row) != "":
		return importFailed, &discovery.Error{Kind: discovery.Invalid, Field: "plan", Code: "plan_unknown"}
	}
	return importAdd, nil
}

// plan is the one that a line comes to: of the kind for its role, by its ID or
// its name, which other plans may have as well; nil: there is none.
func (job *importJob) plan(row portal.ImportRow) *PlanSeats {
	want, kind := job.planOf(row), portal.DefaultKind(job.roleOf(row))
	for _, is := range []func(portal.Plan) bool{
		func(p portal.Plan) bool { return want == "" || p.ID == want },
		func(p portal.Plan) bool { return strings.EqualFold(p.Name, want) },
	} {
		if i := slices.IndexFunc(job.plans, func(p PlanSeats) bool { return p.Kind == kind && is(p.Plan) }); i >= 0 {
			return &job.plans[i]
		}
	}
	return nil
}

func (job *importJob) roleOf(row portal.ImportRow) portal.Role {
	for _, r := range []portal.Role{row.Role, job.Role} {
		if r != "" {
			return r
		}
	}
	return portal.Member
}

// planOf is what the line says, or the file. What the file says is for people of
// its own role: guests among members have their own plan.
func (job *importJob) planOf(row portal.ImportRow) string {
	if row.Plan != "" || row.Role != "" && row.Role != job.Role {
		return row.Plan
	}
	return job.Plan
}

// invitation is what a line asks for. A plan may be named by its ID or its name.
func (job *importJob) invitation(row portal.ImportRow) portal.Invitation {
	inv := portal.Invitation{Portal: job.Import.Portal, Address: row.Address, GivenName: row.Given, FamilyName: row.Family,
		Role: job.roleOf(row), Plan: job.planOf(row), Language: row.Language, By: job.Account, Wait: !job.Invite}
	if inv.Language == "" {
		inv.Language = job.Language
	}
	if p := job.plan(row); p != nil && inv.Plan != "" {
		inv.Plan = p.ID
	}
	return inv
}

// count adds a verdict to the sums, and says what was wrong.
func (job *importJob) count(verdict importVerdict, err error) *discovery.Error {
	switch verdict {
	case importAdd:
		job.Added++
	case importUpdate, importInvite:
		job.Updated++
	case importSkip:
		job.Skipped++
	default:
		job.Failed++
		var e *discovery.Error
		if errors.As(err, &e) {
			return e
		}
		return &discovery.Error{Kind: discovery.Invalid, Field: "email", Code: "line_refused"}
	}
	return nil
}

// accountsByAddress finds who holds the addresses of some lines.
func accountsByAddress(ctx context.Context, q querier, portalID string, batch []portal.ImportRow) (map[discovery.Address]*account, error) {
	args := []any{portalID}
	var marks []string
	for _, row := range batch {
		if !row.Address.IsZero() {
			args = append(args, row.Address.Clear())
			marks = append(marks, "$"+strconv.Itoa(len(args)))
		}
	}
	out := map[discovery.Address]*account{}
	if len(marks) == 0 {
		return out, nil
	}
	rows, err := q.QueryContext(ctx, `SELECT `+accountColumns+`, h.address FROM`+accountTables+`
		JOIN addresses h ON h.account = a.id WHERE h.portal = $1 AND h.confirmed > 0 AND h.address IN (`+strings.Join(marks, ", ")+`)`, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var held string
		a, err := scanAccount(rows, &held)
		if err != nil {
			return nil, err
		}
		address, err := discovery.ParseAddress(held)
		if err != nil {
			return nil, err
		}
		out[address] = &a
	}
	return out, rows.Err()
}

// RunImport takes one import that has something left to do and works on it until
// it is done, stopped, or ctx ends: then another process goes on. One that fails
// is tried again when its lease is over, and others before that: they may be
// those of other portals. lines is how many were done; taken is false when there
// was nothing to do.
func (s *Store) RunImport(ctx context.Context) (taken bool, lines int64, err error) {
	job, err := s.takeImport(ctx)
	if err != nil || job == nil {
		return false, 0, err
	}
	defer func() {
		if ctx.Err() != nil {
			err = errors.Join(err, s.leaveImport(ctx, job.ID, job.lease))
		}
	}()
	rows, err := portal.ParseImport([]byte(job.Text))
	if err != nil {
		return true, 0, errors.Join(err, s.abandonImport(ctx, job, "file_lost"))
	}
	for ctx.Err() == nil {
		batch := rows[min(job.Done, int64(len(rows))):]
		batch = batch[:min(len(batch), portal.ImportBatch)]
		more, err := s.importBatch(ctx, job, batch)
		if err != nil {
			return true, lines, err
		}
		lines += int64(len(batch))
		if !more {
			break
		}
		rest(ctx)
	}
	return true, lines, nil
}

// leaveImport lets another process go on at once: what is left need not wait for
// the lease to run out.
func (s *Store) leaveImport(ctx context.Context, id string, lease int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := s.db.ExecContext(ctx, `UPDATE imports SET lease = 0 WHERE id = $1 AND lease = $2`, id, lease)
	return failed("leave import", err)
}

func (s *Store) takeImport(ctx context.Context) (*importJob, error) {
	now := s.now()
	var id string
	var old int64
	err := s.db.QueryRowContext(ctx, `SELECT id, lease FROM imports WHERE state IN ('waiting', 'running') AND NOT dry AND lease <= $1
		ORDER BY created, id LIMIT 1`, micros(now)).Scan(&id, &old)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("look for imports", err)
	}
	job := &importJob{lease: micros(now.Add(portal.ImportLease))}
	var sealed []byte
	job.Import, err = scanImport(s.db.QueryRowContext(ctx, `UPDATE imports SET state = 'running', lease = $1
		WHERE id = $2 AND lease = $3 AND state IN ('waiting', 'running') AND NOT dry RETURNING `+importColumns+`, sealed`, job.lease, id, old), &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // another process was faster
	}
	if err != nil {
		return nil, failed("take import", err)
	}
	plain, err := s.vault.Open(importPlace(id), sealed)
	if err == nil {
		err = json.Unmarshal(plain, &job.ImportFile)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("import %s: its file does not open: %w", id, err), s.abandonImport(ctx, job, "file_lost"))
	}
	return job, nil
}

// abandonImport ends an import that cannot go on.
func (s *Store) abandonImport(ctx context.Context, job *importJob, code string) error {
	return s.change(ctx, job.Import.Portal, portal.Visitor{Actor: job.Account}, func(u *unit) error {
		_, err := u.endImport(ctx, job.ID, portal.ImportStopped, code)
		return err
	})
}

// importBatch does some lines, all of them or none, and only if nobody else has.
func (s *Store) importBatch(ctx context.Context, job *importJob, batch []portal.ImportRow) (more bool, err error) {
	drafts, err := s.draftBatch(ctx, job, batch)
	if errors.Is(err, errImporter) {
		return false, s.abandonImport(ctx, job, errImporter.Code)
	}
	if err != nil {
		return false, failed("prepare lines", err)
	}
	next := micros(s.now().Add(portal.ImportLease))
	after := job.Import
	err = s.change(ctx, job.Import.Portal, portal.Visitor{Actor: job.Account}, func(u *unit) error {
		ours, err := one(ctx, u, `UPDATE imports SET done = $1, lease = $2 WHERE id = $3 AND done = $4 AND lease = $5 AND state = 'running'`,
			job.Done+int64(len(batch)), next, job.ID, job.Done, job.lease)
		if err != nil || !ours {
			return err // stopped, or gone on with by another process
		}
		run := *job
		if err := run.gather(ctx, u); err != nil && !errors.Is(err, errImporter) {
			return err
		}
		if run.by.Status != portal.Active || !run.by.Role.May(portal.ImportUsers) {
			_, err := u.endImport(ctx, job.ID, portal.ImportStopped, errImporter.Code)
			return err
		}
		run.Done += int64(len(batch))
		if err := u.importLines(ctx, &run, batch, drafts); err != nil {
			return err
		}
		_, err = u.ExecContext(ctx, `UPDATE imports SET added = $1, updated = $2, skipped = $3, failed = $4 WHERE id = $5`,
			run.Added, run.Updated, run.Skipped, run.Failed, job.ID)
		if err != nil {
			return err
		}
		after, more = run.Import, run.Done < run.Lines
		if more {
			return nil
		}
		_, err = u.endImport(ctx, job.ID, portal.ImportDone, "")
		return err
	})
	if err != nil {
		return false, err
	}
	job.Import, job.lease = after, next
	return more, nil
}

// draftBatch makes the temporary passwords that a batch seems to need, which
// takes long, while nobody waits.
func (s *Store) draftBatch(ctx context.Context, job *importJob, batch []portal.ImportRow) (map[discovery.Address]draft, error) {
	drafts := map[discovery.Address]draft{}
	if !job.Invite {
		return drafts, nil
	}
	look := *job
	if err := look.gather(ctx, s.db); err != nil {
		return nil, err
	}
	there, err := accountsByAddress(ctx, s.db, job.Import.Portal, batch)
	if err != nil {
		return nil, err
	}
	for _, row := range batch {
		if verdict, _ := look.judge(row, there[row.Address]); verdict != importAdd && verdict != importInvite {
			continue
		}
		d, known := covering(look.domains, row.Address.Domain(), func(d portal.Domain) portal.Domain { return d })
		if known && !d.AllowsPassword() {
			continue
		}
		temporary := portal.NewTemporaryPassword()
		hash, err := s.hasher.Hash(ctx, temporary)
		if err != nil {
			return nil, err
		}
		drafts[row.Address] = draft{temporary, hash}
	}
	return drafts, nil
}

func (u *unit) importLines(ctx context.Context, job *importJob, batch []portal.ImportRow, drafts map[discovery.Address]draft) error {
	there, err := accountsByAddress(ctx, u, u.portal, batch)
	if err != nil {
		return err
	}
	var problems []portal.ImportProblem
	for _, row := range batch {
		verdict, wrong := job.judge(row, there[row.Address])
		switch verdict {
		case importAdd:
			err = u.inviteStranger(ctx, &job.by, job.approved, job.invitation(row), drafts[row.Address])
		case importUpdate:
			err = u.updateImported(ctx, row, &there[row.Address].Account)
		case importInvite:
			verdict, err = u.inviteImported(ctx, job, row, there[row.Address], drafts[row.Address])
		}
		if err != nil {
			return err
		}
		if p := job.count(verdict, wrong); p != nil {
			problems = append(problems, portal.ImportProblem{Line: row.Line, Field: p.Field, Code: p.Code})
		}
	}
	return u.noteProblems(ctx, job.ID, problems)
}

// inviteImported sends the invitation that an earlier import did not. Who has
// one already keeps it.
func (u *unit) inviteImported(ctx context.Context, job *importJob, row portal.ImportRow, a *account, d draft) (importVerdict, error) {
	var waits bool
	err := u.QueryRowContext(ctx, `SELECT made = 0 FROM invitations WHERE account = $1`, a.ID).Scan(&waits)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !waits {
		return importSkip, nil
	}
	if err != nil {
		return importFailed, err
	}
	return importInvite, u.sendInvitation(ctx, a, &job.by, job.invitation(row), d)
}

func (u *unit) updateImported(ctx context.Context, row portal.ImportRow, a *portal.Account) error {
	var changed []string
	for _, c := range []struct {
		name, is string
		value    *string
	}{{"given_name", row.Given, &a.GivenName}, {"family_name", row.Family, &a.FamilyName}, {"language", row.Language, &a.Language}} {
		if c.is != "" && c.is != *c.value {
			*c.value, changed = c.is, append(changed, c.name)
		}
	}
	_, err := u.ExecContext(ctx, `UPDATE accounts SET given_name = $1, family_name = $2, language = $3, version = version + 1 WHERE id = $4`,
		a.GivenName, a.FamilyName, a.Language, a.ID)
	if err != nil {
		return err
	}
	u.audit(portal.Event{Account: a.ID, Action: "profile.changed", Method: "import", Target: strings.Join(changed, " ")})
	return u.index(ctx, a.ID)
}
