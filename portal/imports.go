package portal

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/domicile-sso/domicile/discovery"
)

// Limits of an import.
const (
	MaxImport      = 4 << 20 // bytes of a file
	MaxImportLines = 20000

	// ImportBatch is how many lines are done in one transaction: few enough that
	// nobody who signs in meanwhile waits for long.
	ImportBatch = 100

	// ImportLease is how long an import belongs to the process that took it. One
	// that was killed leaves it to another after that.
	ImportLease = 30 * time.Second

	// DryLife is how long a file that was looked at waits for its start.
	DryLife = 24 * time.Hour
)

// ImportState says how far an import is.
type ImportState string

const (
	ImportWaiting ImportState = "waiting"
	ImportRunning ImportState = "running"
	ImportDone    ImportState = "done"
	ImportStopped ImportState = "stopped"
)

// An Import is a list of people that is being added to a portal. Its file is
// sealed while there is something to do, and gone afterwards.
type Import struct {
	ID       string
	Portal   string
	Account  string // who imports: whose rights count with every batch
	Dry      bool   // looked at, and not started
	State    ImportState
	Invite   bool  // who is added gets their invitation at once
	Lines    int64 // people in the file
	Done     int64
	Added    int64
	Updated  int64
	Skipped  int64 // as they are here already
	Failed   int64
	Code     string // why it stopped
	Created  time.Time
	Finished time.Time
}

// An ImportProblem is what is wrong with one line. It names no person: the file
// is gone when it is read.
type ImportProblem struct {
	Line  int64 // as editors count, the header included
	Field string
	Code  string
}

// An ImportRow is one person in a file.
type ImportRow struct {
	Line     int64
	Address  discovery.Address
	Given    string
	Family   string
	Role     Role   // empty: not said
	Plan     string // empty: not said
	Language string // empty: not said
	Problem  *ImportProblem
}

// importColumns are the names that a header may have, folded as [FoldedWords]
// does, in English, French and German. A column that is only in our own export
// is left out.
var importColumns = map[string][]string{
	"email": {"email", "e-mail", "e-mail address", "email address", "address", "primary address", "mail",
		"adresse", "adresse e-mail", "adresse electronique", "adresse principale", "courriel", "e-mail-adresse", "hauptadresse"},
	"given_name":  {"given name", "first name", "firstname", "given_name", "prenom", "vorname"},
	"family_name": {"family name", "last name", "lastname", "surname", "family_name", "nom", "nom de famille", "nachname", "familienname"},
	"role":        {"role", "rolle"},
	"plan":        {"plan", "licence", "license", "licence plan", "offre", "formule", "lizenz", "tarif"},
	"language":    {"language", "langue", "sprache"},
	"": {"id", "account", "status", "created", "last sign-in", "last_sign_in", "expires", "ends", "licence ends", "licence_ends",
		"renews", "two-factor", "second factor", "factors", "zone", "time zone", "culture", "since", "domain", "addresses", "domains"},
}

// importValues are other words for what the columns hold.
var importRoles = map[string]Role{
	"proprietaire": Owner, "inhaber": Owner, "inhaberin": Owner, "eigentumer": Owner,
	"administrateur": Administrator, "administratrice": Administrator, "administratorin": Administrator, "admin": Administrator,
	"help desk": HelpDesk, "assistance": HelpDesk, "auditeur": Auditor, "auditrice": Auditor, "prufer": Auditor, "revisor": Auditor,
	"membre": Member, "mitglied": Member, "invite": Guest, "invitee": Guest, "gast": Guest,
}

var importLanguages = map[string]string{
	"english": "en", "anglais": "en", "englisch": "en", "french": "fr", "francais": "fr", "franzosisch": "fr",
	"german": "de", "allemand": "de", "deutsch": "de",
}

func fileError(code, say string) *discovery.Error {
	return &discovery.Error{Kind: discovery.Invalid, Field: "file", Code: code, Say: say}
}

// ParseImport reads a file of people: CSV with commas, semicolons or tabs and a
// header, or one person on each line as [InvitedLines] reads them. An error is
// about the file as a whole; what is wrong with one person is with their row.
func ParseImport(file []byte) ([]ImportRow, error) {
	file = bytes.TrimPrefix(file, []byte("\ufeff"))
	switch {
	case len(bytes.TrimSpace(file)) == 0:
		return nil, fileError("file_empty", "Choose a file, or paste the list.")
	case len(file) > MaxImport:
		return nil, fileError("file_large", "The file is larger than 4 MiB. Import it in several pieces.")
	case !utf8.Valid(file) || bytes.IndexByte(file, 0) >= 0:
		return nil, fileError("file_encoding", "The file is not UTF-8 text. In a spreadsheet, save it as “CSV UTF-8”.")
	}
	first, _, _ := strings.Cut(strings.TrimLeft(string(file), "\r\n\t "), "\n")
	var rows []ImportRow
	var err error
	if strings.Contains(first, "@") {
		rows, err = importList(string(file))
	} else {
		rows, err = importTable(file, separator(first))
	}
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fileError("file_no_people", "There are no people in this file, only a header.")
	}
	markTwins(rows)
	return rows, nil
}

// separator is what stands between the cells of a header.
func separator(header string) rune {
	best, most := ',', strings.Count(header, ",")
	for _, r := range ";\t" {
		if n := strings.Count(header, string(r)); n > most {
			best, most = r, n
		}
	}
	return best
}

func importList(text string) ([]ImportRow, error) {
	var rows []ImportRow
	line := int64(0)
	for s := range strings.Lines(text) {
		line++
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if len(rows) == MaxImportLines {
			return nil, errImportLong
		}
		l := invitedLine(s)
		row := ImportRow{Line: line, Address: l.Email, Given: l.Given, Family: l.Family}
		row.fail("email", l.Err)
		rows = append(rows, row)
	}
	return rows, nil
}

var errImportLong = fileError("file_long", "There are more than 20,000 people in this file. Import it in several pieces.")

func importTable(file []byte, comma rune) ([]ImportRow, error) {
	r := csv.NewReader(bytes.NewReader(file))
	r.Comma, r.FieldsPerRecord, r.TrimLeadingSpace = comma, -1, true
	header, err := r.Read()
	if err != nil {
		return nil, csvError(err)
	}
	columns, err := importHeader(header)
	if err != nil {
		return nil, err
	}
	var rows []ImportRow
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, csvError(err)
		}
		if len(rows) == MaxImportLines {
			return nil, errImportLong
		}
		if strings.Join(cells, "") == "" {
			continue
		}
		line, _ := r.FieldPos(0)
		rows = append(rows, importRow(int64(line), columns, cells))
	}
}

func csvError(err error) error {
	e := fileError("file_quotes", "The quotation marks in line %d do not match. Correct that line and choose the file again.")
	var at *csv.ParseError
	if errors.As(err, &at) {
		e.Args = []any{at.Line}
	} else {
		e.Args = []any{1}
	}
	return e
}

// importHeader says which field each column holds; "" is left out.
func importHeader(header []string) ([]string, error) {
	columns := make([]string, len(header))
	for i, name := range header {
		folded := strings.Join(FoldedWords(strings.TrimSpace(name)), " ")
		found := false
		for field, names := range importColumns {
			if slices.Contains(names, folded) {
				columns[i], found = field, true
			}
		}
		if !found {
			e := fileError("column_unknown", "Column %d is not one we know: “%s”. Name it as below, or remove it.")
			e.Args = []any{i + 1, PersonName(name)}
			return nil, e
		}
		if columns[i] != "" && slices.Index(columns, columns[i]) < i {
			e := fileError("column_twice", "Column %d holds the same as another one: “%s”. Remove one of them.")
			e.Args = []any{i + 1, PersonName(name)}
			return nil, e
		}
	}
	if !slices.Contains(columns, "email") {
		return nil, fileError("column_email_missing", "There is no column with addresses. Name it “email”.")
	}
	return columns, nil
}

func importRow(line int64, columns, cells []string) ImportRow {
	row := ImportRow{Line: line}
	if len(cells) > len(columns) {
		row.problem("email", "line_long")
		return row
	}
	for i, cell := range cells {
		cell = strings.TrimSpace(cell)
		if len(cell) > 1 && cell[0] == '\'' && strings.ContainsRune("=+-@", rune(cell[1])) {
			cell = cell[1:] // as our export protects it from spreadsheets
		}
		if columns[i] == "email" {
			var err error
			row.Address, err = discovery.ParseAddress(cell)
			row.fail("email", err)
			continue
		}
		row.set(columns[i], cell)
	}
	if row.Address.IsZero() {
		row.problem("email", "address_empty")
	}
	return row
}

func (row *ImportRow) set(field, cell string) {
	folded := strings.Join(FoldedWords(cell), " ")
	switch field {
	case "given_name":
		row.Given = PersonName(cell)
	case "family_name":
		row.Family = PersonName(cell)
	case "plan":
		row.Plan = cell
	case "role":
		if r := Role(folded); cell == "" || slices.Contains(Roles(), r) {
			row.Role = r
		} else if row.Role = importRoles[folded]; row.Role == "" {
			row.problem("role", "role_unknown")
		}
	case "language":
		if cell == "" || slices.Contains(MailLanguages(), folded) {
			row.Language = folded
		} else if row.Language = importLanguages[folded]; row.Language == "" {
			row.problem("language", "language_unknown")
		}
	}
}

// problem keeps the first thing that is wrong with a row.
func (row *ImportRow) problem(field, code string) {
	if row.Problem == nil {
		row.Problem = &ImportProblem{Line: row.Line, Field: field, Code: code}
	}
}

func (row *ImportRow) fail(field string, err error) {
	var e *discovery.Error
	switch {
	case err == nil:
	case errors.As(err, &e):
		row.problem(field, e.Code)
	default:
		row.problem(field, "address_syntax")
	}
}

// markTwins finds addresses that are in the file twice: which line is meant is
// not for us to say.
func markTwins(rows []ImportRow) {
	seen := make(map[discovery.Address]bool, len(rows))
	for i := range rows {
		if a := rows[i].Address; !a.IsZero() {
			if seen[a] {
				rows[i].problem("email", "address_twice")
			}
			seen[a] = true
		}
	}
}
