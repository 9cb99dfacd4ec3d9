package portal_test

import (
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

var (
	bySAML   = portal.Way{Connection: "acme-saml", JIT: true}
	byOIDC   = portal.Way{Connection: "acme-oidc", JIT: true}
	beside   = portal.Way{Connection: "acme-oidc", Password: true}
	password = portal.Way{Password: true}
)

func TestMoveTo(t *testing.T) {
	proven := portal.Domain{Name: "acme.example", Connection: "acme-saml", JIT: true, Proven: time.Now()}
	for name, tt := range map[string]struct {
		from portal.Domain
		to   portal.Way
		want portal.Way
		code string
	}{
		"another connection":       {proven, byOIDC, byOIDC, "ok"},
		"password only":            {proven, portal.Way{JIT: true}, password, "ok"},
		"a password beside it":     {proven, portal.Way{Connection: "acme-saml", Password: true, JIT: true}, portal.Way{Connection: "acme-saml", Password: true, JIT: true}, "ok"},
		"where it is already":      {proven, bySAML, bySAML, "move_same"},
		"ADM-05 a domain unproven": {portal.Domain{Name: "acme.example"}, byOIDC, byOIDC, "domain_not_proven"},
	} {
		got, err := tt.from.MoveTo(tt.to)
		if got != tt.want || codeOf(err) != tt.code {
			t.Errorf("%s: %+v, %s", name, got, codeOf(err))
		}
	}
}

// S16: what a move means to whom, before it is made.
func TestMoveClass(t *testing.T) {
	active := portal.MovedPerson{Account: portal.Account{Status: portal.Active}, Proven: true}
	with := func(change func(*portal.MovedPerson)) portal.MovedPerson {
		p := active
		change(&p)
		return p
	}
	known := with(func(p *portal.MovedPerson) { p.Known = true })
	has := with(func(p *portal.MovedPerson) { p.Password = true })
	alias := with(func(p *portal.MovedPerson) { p.Elsewhere = true })
	invited := with(func(p *portal.MovedPerson) { p.Account.Status, p.Proven, p.Temporary = portal.Invited, false, true })
	invitedOnly := with(func(p *portal.MovedPerson) { p.Account.Status, p.Proven = portal.Invited, false })
	disabled := with(func(p *portal.MovedPerson) { p.Account.Status, p.Known, p.Password = portal.Disabled, true, true })
	for _, tt := range []struct {
		name    string
		who     portal.MovedPerson
		to      portal.Way
		want    portal.MoveClass
		endangs bool
	}{
		{"federated, to another connection", active, byOIDC, portal.MoveRecognised, true},
		{"signed in there before", known, byOIDC, portal.MoveKnown, false},
		{"with a password, to a connection alone", has, byOIDC, portal.MoveRecognised, true},
		{"with a password, to a connection beside it", has, beside, portal.MoveRecognised, false},
		{"without one, to a connection beside it", active, beside, portal.MoveRecognised, true},
		{"with a password, to passwords", has, password, portal.MovePassword, false},
		{"without one, to passwords", active, password, portal.MoveMailed, true},
		{"known elsewhere, without a password, to passwords", known, password, portal.MoveMailed, true},
		{"an alias, to a connection", alias, byOIDC, portal.MoveElsewhere, false},
		{"an alias, to passwords", alias, password, portal.MoveElsewhere, false},
		{"invited with a temporary password, to a connection", invited, byOIDC, portal.MoveInvited, true},
		{"invited with a temporary password, to passwords", invited, password, portal.MoveInvited, true},
		{"invited without one, to a connection", invitedOnly, byOIDC, portal.MoveInvited, true},
		{"invited without one, to passwords", invitedOnly, password, portal.MoveReinvite, true},
		{"disabled, to a connection", disabled, byOIDC, portal.MoveDisabled, false},
		{"disabled, to passwords", disabled, password, portal.MoveDisabled, false},
	} {
		if got := tt.to.Class(tt.who); got != tt.want || tt.to.Endangers(tt.who) != tt.endangs {
			t.Errorf("%s: %s, endangers %t", tt.name, got, tt.to.Endangers(tt.who))
		}
	}
}

func TestUndoMove(t *testing.T) {
	at := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	m := portal.Move{Domain: "acme.example", Before: bySAML, After: byOIDC, Moved: at, UndoUntil: at.Add(portal.UndoMoveFor)}
	as := portal.MoveState{Known: true, Domain: portal.Domain{Name: "acme.example", Connection: "acme-oidc", JIT: true}}
	for name, tt := range map[string]struct {
		change func(*portal.Move, *portal.MoveState, *time.Time)
		want   string
	}{
		"at once":                    {func(*portal.Move, *portal.MoveState, *time.Time) {}, "ok"},
		"on the last day":            {func(m *portal.Move, _ *portal.MoveState, now *time.Time) { *now = m.UndoUntil.Add(-time.Second) }, "ok"},
		"after it":                   {func(m *portal.Move, _ *portal.MoveState, now *time.Time) { *now = m.UndoUntil }, "move_old"},
		"a second time":              {func(m *portal.Move, _ *portal.MoveState, _ *time.Time) { m.Undone = at }, "move_undone"},
		"the domain is gone":         {func(_ *portal.Move, s *portal.MoveState, _ *time.Time) { s.Known = false }, "move_domain_gone"},
		"moved again since":          {func(_ *portal.Move, s *portal.MoveState, _ *time.Time) { s.Later = true }, "move_later"},
		"changed by the operator":    {func(_ *portal.Move, s *portal.MoveState, _ *time.Time) { s.Domain.JIT = false }, "move_domain_changed"},
		"the old connection changed": {func(_ *portal.Move, s *portal.MoveState, _ *time.Time) { s.Changed = true }, "move_connection_changed"},
	} {
		move, state, now := m, as, at
		tt.change(&move, &state, &now)
		if got := codeOf(move.Undo(state, now)); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestWaysAreToldApart(t *testing.T) {
	seen := map[string]portal.Way{}
	for _, w := range []portal.Way{bySAML, byOIDC, beside, password, {Connection: "acme-oidc"}, {Connection: "acme-saml", Password: true, JIT: true}} {
		if other, taken := seen[w.Seen()]; taken {
			t.Errorf("%+v and %+v are both %q", w, other, w.Seen())
		}
		seen[w.Seen()] = w
	}
}
