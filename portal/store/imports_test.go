package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

func crowd(n int) string {
	var b strings.Builder
	b.WriteString("email;given name;family name\n")
	for i := range n {
		fmt.Fprintf(&b, "person%d@cloud.example;Person;Number %d\n", i, i)
	}
	return b.String()
}

func (x *fixture) dry(by portal.Account, text string) portal.Import {
	x.t.Helper()
	id, err := x.DryImport(x.ctx, as(by), store.ImportFile{Portal: "acme", By: by.ID, Text: text})
	if err != nil {
		x.t.Fatal(err)
	}
	return x.imported(id)
}

func (x *fixture) imported(id string) portal.Import {
	x.t.Helper()
	i, err := x.ImportByID(x.ctx, "acme", visitor("reader"), id)
	if err != nil {
		x.t.Fatal(err)
	}
	return i
}

func (x *fixture) run(by portal.Account, id string, invite bool) portal.Import {
	x.t.Helper()
	if err := x.StartImport(x.ctx, "acme", as(by), by.ID, id, invite); err != nil {
		x.t.Fatal(err)
	}
	if taken, _, err := x.RunImport(x.ctx); !taken || err != nil {
		x.t.Fatalf("run: %t, %v", taken, err)
	}
	return x.imported(id)
}

func (x *fixture) problems(id string) (out []string) {
	x.t.Helper()
	all, err := x.ImportProblems(x.ctx, "acme", id, 0, 1000)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, p := range all {
		out = append(out, fmt.Sprintf("%d %s %s", p.Line, p.Field, p.Code))
	}
	return out
}

func (x *fixture) sealedFile(id string) int {
	x.t.Helper()
	var sealed []byte
	if err := x.db.QueryRow(`SELECT sealed FROM imports WHERE id = $1`, id).Scan(&sealed); err != nil {
		x.t.Fatal(err)
	}
	return len(sealed)
}

func TestImport(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		admin := x.staff("adam@cloud.example", portal.Administrator)
		x.account("here@cloud.example")
		x.account("same@cloud.example")
		gone := x.account("gone@cloud.example")
		if _, err := x.Disable(x.ctx, "acme", as(admin), gone.Primary); err != nil {
			t.Fatal(err)
		}
		file := "\ufeffVorname,Nachname,E-Mail,Rolle,Lizenz,Sprache\r\n" +
			"Neu,Ling,new@cloud.example,,,Deutsch\r\n" + // 2
			"Grace,Hopper,here@cloud.example,,,\r\n" + // 3: updated
			"Ada,,same@cloud.example,,,\r\n" + // 4: as it is
			"X,Y,no-address,,,\r\n" + // 5
			"X,Y,gone@cloud.example,,,\r\n" + // 6
			"X,Y,out@elsewhere.example,,,\r\n" + // 7
			"Gast,Y,out@elsewhere.example,Gast,,\r\n" + // 8: twice
			"Gast,Z,guest@elsewhere.example,Gast,,\r\n" + // 9
			"Pro,Z,pro@cloud.example,,Professional Pro,\r\n" + // 10
			"Pro,Z,who@cloud.example,,Gold,\r\n" + // 11
			"Boss,Z,boss@cloud.example,owner,,\r\n" + // 12
			"Adam,Smith,adam@cloud.example,,,\r\n" // 13: oneself
		want := []string{"5 email domain_incomplete", "6 email account_disabled", "7 email domain_not_approved", "8 email address_twice",
			"11 plan plan_unknown", "12 role grant_higher", "13  manage_self"}
		sums := func(i portal.Import) string {
			return fmt.Sprint(i.Lines, " added ", i.Added, " updated ", i.Updated, " skipped ", i.Skipped, " failed ", i.Failed)
		}
		dry := x.dry(admin, file)
		got := x.problems(dry.ID)
		if len(got) > 0 && strings.HasPrefix(got[0], "5 email") {
			want[0] = got[0] // the parser of addresses names it
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") || sums(dry) != "12 added 3 updated 1 skipped 1 failed 7" || !dry.Dry {
			t.Fatalf("dry: %s\n%s", sums(dry), strings.Join(got, "\n"))
		}
		if _, there, _ := x.AccountByAddress(x.ctx, "acme", addr(t, "new@cloud.example")); there {
			t.Fatal("a look has added somebody")
		}
		if taken, _, err := x.RunImport(x.ctx); taken || err != nil {
			t.Fatalf("ran without a start: %v", err)
		}
		if x.sealedFile(dry.ID) == 0 {
			t.Error("there is no file to start with")
		}

		done := x.run(admin, dry.ID, true)
		if sums(done) != sums(dry) || strings.Join(x.problems(dry.ID), "\n") != strings.Join(want, "\n") || done.State != portal.ImportDone {
			t.Errorf("done: %s %s\n%s", done.State, sums(done), strings.Join(x.problems(dry.ID), "\n"))
		}
		if x.sealedFile(dry.ID) != 0 {
			t.Error("the file is still there")
		}
		if a := x.found("here@cloud.example"); a.GivenName != "Grace" || a.Version != 2 {
			t.Errorf("updated: %q, version %d", a.GivenName, a.Version)
		}
		if a := x.found("new@cloud.example"); a.Language != "de" || a.Status != portal.Invited {
			t.Errorf("added: %+v", a)
		}
		if l := x.licence(x.found("pro@cloud.example").ID); l.Plan.ID != "pro" {
			t.Errorf("plan %q", l.Plan.ID)
		}
		if n := len(x.letters()); n != 6 {
			t.Errorf("%d letters for three people", n)
		}
		// The same again changes nothing, and says so.
		again := x.run(admin, x.dry(admin, file).ID, true)
		if sums(again) != "12 added 0 updated 0 skipped 5 failed 7" {
			t.Errorf("again: %s", sums(again))
		}
		if err := x.StartImport(x.ctx, "acme", as(admin), admin.ID, dry.ID, true); code(err) != "import_over" {
			t.Errorf("started twice: %v", err)
		}
		x.checkTallies()
		if _, err := x.ImportByID(x.ctx, "other", visitor("x"), dry.ID); code(err) != "import_unknown" {
			t.Errorf("of another portal: %v", err)
		}
	})
}

// Who was only created is invited by importing once more.
func TestImportAndInviteLater(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		admin := x.staff("adam@cloud.example", portal.Administrator)
		first := x.run(admin, x.dry(admin, crowd(3)).ID, false)
		if first.Added != 3 || len(x.letters()) != 0 {
			t.Fatalf("%+v", first)
		}
		if list, err := x.Invitations(x.ctx, "acme", 10); err != nil || len(list) != 3 || !list[0].Made.IsZero() {
			t.Errorf("%+v, %v", list, err)
		}
		second := x.run(admin, x.dry(admin, crowd(4)).ID, true)
		if second.Added != 1 || second.Updated != 3 || len(x.letters()) != 8 {
			t.Errorf("%+v", second)
		}
		if third := x.run(admin, x.dry(admin, crowd(4)).ID, true); third.Skipped != 4 || len(x.letters()) != 0 {
			t.Errorf("%+v", third)
		}
	})
}

// A process that is stopped in the middle leaves the rest to another one, and
// nobody is added twice.
func TestImportGoesOnAfterAStop(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		admin := x.staff("adam@cloud.example", portal.Administrator)
		id := x.dry(admin, crowd(350)).ID
		if err := x.StartImport(x.ctx, "acme", as(admin), admin.ID, id, false); err != nil {
			t.Fatal(err)
		}
		// Stopped: it gives back what it took. Its context ends while it works.
		ctx, cancel := context.WithCancel(x.ctx)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			_, _, _ = x.RunImport(ctx)
		}()
		for x.imported(id).Done == 0 {
			runtime.Gosched()
		}
		cancel()
		<-stopped
		// Killed: somebody has taken it and is never heard of again.
		if x.imported(id).State == portal.ImportRunning {
			if _, err := x.db.Exec(`UPDATE imports SET lease = $1 WHERE id = $2`, x.clock.now().Add(portal.ImportLease).UnixMicro(), id); err != nil {
				t.Fatal(err)
			}
			if taken, _, err := x.another().RunImport(x.ctx); taken || err != nil {
				t.Fatalf("took what is another's: %v", err)
			}
			x.clock.add(portal.ImportLease)
			if taken, _, err := x.another().RunImport(x.ctx); !taken || err != nil {
				t.Fatalf("nobody goes on: %v", err)
			}
		}
		if i := x.imported(id); i.State != portal.ImportDone || i.Done != 350 || i.Added != 350 || i.Failed+i.Skipped+i.Updated != 0 {
			t.Errorf("%+v", i)
		}
		x.checkTallies()
	})
}

// Two processes at once: each line is done by one of them.
func TestImportByTwoAtOnce(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		admin := x.staff("adam@cloud.example", portal.Administrator)
		id := x.dry(admin, crowd(250)).ID
		if err := x.StartImport(x.ctx, "acme", as(admin), admin.ID, id, false); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, s := range []*store.Store{x.Store, x.another(), x.another()} {
			wg.Go(func() {
				for x.imported(id).State != portal.ImportDone {
					if _, _, err := s.RunImport(x.ctx); err != nil {
						t.Error(err)
						return
					}
					runtime.Gosched()
				}
			})
		}
		// And one whose clock is ahead takes it from whoever has it.
		x.clock.add(portal.ImportLease + time.Second)
		wg.Wait()
		if i := x.imported(id); i.Added != 250 || i.Failed+i.Skipped+i.Updated != 0 {
			t.Errorf("%+v", i)
		}
		events, err := x.Events(x.ctx, "acme", portal.EventFilter{Action: "account.created", Actor: admin.ID})
		if err != nil || len(events) != 250 {
			t.Errorf("%d accounts were made: %v", len(events), err)
		}
	})
}

func TestImportEndsWithItsImporter(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		admin, owner := x.staff("adam@cloud.example", portal.Administrator), x.staff("olga@cloud.example", portal.Owner)
		id := x.dry(admin, crowd(5)).ID
		if err := x.StartImport(x.ctx, "acme", as(admin), admin.ID, id, true); err != nil {
			t.Fatal(err)
		}
		x.role(admin, portal.Member)
		if _, _, err := x.RunImport(x.ctx); err != nil {
			t.Fatal(err)
		}
		if i := x.imported(id); i.State != portal.ImportStopped || i.Code != "importer_refused" || i.Added != 0 || x.sealedFile(id) != 0 {
			t.Errorf("%+v", i)
		}
		if _, err := x.DryImport(x.ctx, as(admin), store.ImportFile{Portal: "acme", By: admin.ID, Text: crowd(1)}); code(err) != "importer_refused" {
			t.Errorf("a member imports: %v", err)
		}
		id = x.dry(owner, crowd(5)).ID
		if err := x.StopImport(x.ctx, "acme", as(owner), owner.ID, id); err != nil || x.sealedFile(id) != 0 {
			t.Errorf("stop: %v", err)
		}
		if err := x.StartImport(x.ctx, "acme", as(owner), owner.ID, id, true); code(err) != "import_over" {
			t.Errorf("start after a stop: %v", err)
		}
		// What nobody starts is forgotten.
		id = x.dry(owner, crowd(5)).ID
		x.clock.add(portal.DryLife)
		if _, err := x.Cleanup(x.ctx, 100); err != nil || x.imported(id).Code != "forgotten" || x.sealedFile(id) != 0 {
			t.Errorf("%+v, %v", x.imported(id), err)
		}
	})
}

// How long a big customer waits, without the invitations' passwords:
// go test ./portal/store -run none -bench Import10000 -benchtime 1x
func BenchmarkImport10000(b *testing.B) {
	for name, open := range map[string]func(testing.TB, fs.FS) *sql.DB{"sqlite": sqltest.SQLite, "postgres": sqltest.Postgres} {
		b.Run(name, func(b *testing.B) {
			vault, err := portal.NewVault(portal.NewVaultKey())
			if err != nil {
				b.Fatal(err)
			}
			ctx := b.Context()
			s := store.New(open(b, store.Migrations), vault, time.Now)
			if _, err := s.CreatePortal(ctx, portal.Portal{ID: "acme", Name: "Acme", URL: "https://acme.eu.example.com"}); err != nil {
				b.Fatal(err)
			}
			if _, err := s.PutDomain(ctx, portal.Domain{Name: "cloud.example", Portal: "acme"}); err != nil {
				b.Fatal(err)
			}
			who, err := discovery.ParseAddress("adam@cloud.example")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := s.DangerouslyCreateAccount(ctx, portal.Account{Portal: "acme", Primary: who, Role: portal.Administrator}, ""); err != nil {
				b.Fatal(err)
			}
			admin, _, err := s.AccountByAddress(ctx, "acme", who)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				start := time.Now()
				id, err := s.DryImport(ctx, as(admin), store.ImportFile{Portal: "acme", By: admin.ID, Text: crowd(10000)})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(start).Seconds(), "s/look")
				if err := s.StartImport(ctx, "acme", as(admin), admin.ID, id, false); err != nil {
					b.Fatal(err)
				}
				start = time.Now()
				if _, _, err := s.RunImport(ctx); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(start).Seconds(), "s/import")
			}
		})
	}
}

// Two plans may have one name, and a plan the name that is another one's ID: a
// line means that of its own kind, and the first.
func TestImportOfPlansWithOneName(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		admin := x.staff("adam@cloud.example", portal.Administrator)
		x.plan(portal.Plan{ID: "std-member", Name: "Standard", Kind: portal.Professional, Cap: 10, Place: 3})
		x.plan(portal.Plan{ID: "std-guest", Name: "Standard", Kind: portal.GuestLicence, Cap: 10, Place: 4})
		x.plan(portal.Plan{ID: "standard", Name: "Pro", Kind: portal.GuestLicence, Cap: 10, Place: 5})
		i := x.run(admin, x.dry(admin, "email,role,plan\nm@cloud.example,member,standard\ng@elsewhere.example,guest,Standard\np@cloud.example,,pro\n").ID, false)
		if i.State != portal.ImportDone || i.Added != 3 {
			t.Fatalf("%+v, %v", i, x.problems(i.ID))
		}
		for address, want := range map[string]string{"m@cloud.example": "std-member", "g@elsewhere.example": "std-guest", "p@cloud.example": "pro"} {
			if got := x.licence(x.found(address).ID).Plan.ID; got != want {
				t.Errorf("%s has the plan %s, want %s", address, got, want)
			}
		}
	})
}

// An import that cannot go on for whatever reason waits its turn: those of other
// portals go on meanwhile.
func TestImportThatFailsHoldsUpNoOther(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		admin := x.staff("adam@cloud.example", portal.Administrator)
		there := portal.Account{Portal: "other", Primary: addr(t, "olga@cloud.example"), Role: portal.Owner}
		if _, err := x.DangerouslyCreateAccount(x.ctx, there, good); err != nil {
			t.Fatal(err)
		}
		olga, _, err := x.AccountByAddress(x.ctx, "other", there.Primary)
		if err != nil {
			t.Fatal(err)
		}
		broken := x.dry(admin, "email\nfirst@cloud.example\n").ID
		if err := x.StartImport(x.ctx, "acme", as(admin), admin.ID, broken, false); err != nil {
			t.Fatal(err)
		}
		x.exec(`DELETE FROM settings WHERE portal = 'acme'`) // so that no line of it can be done
		x.clock.add(time.Second)
		id, err := x.DryImport(x.ctx, as(olga), store.ImportFile{Portal: "other", By: olga.ID, Text: "email,role\nguest@elsewhere.example,guest\n"})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.StartImport(x.ctx, "other", as(olga), olga.ID, id, false); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, _, _ = x.RunImport(x.ctx)
		}
		if i, err := x.ImportByID(x.ctx, "other", as(olga), id); err != nil || i.State != portal.ImportDone {
			t.Errorf("the import of another portal: %+v, %v", i, err)
		}
		if i := x.imported(broken); i.State != portal.ImportRunning || i.Done != 0 {
			t.Errorf("the broken one: %+v", i)
		}
	})
}
