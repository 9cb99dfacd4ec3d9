package web

import (
	"time"

	"github.com/domicile-sso/domicile/portal"
)

func recoverySamples() map[string]map[string]any {
	const handle = "lJq3i0oA6d1Vw5m7y2Zk9QxB4nT8cRfE"
	const who = "ada.lovelace@acme.example"
	at := momentOf(time.Date(2026, 11, 20, 18, 5, 0, 0, time.UTC))
	return map[string]map[string]any{
		"recovery_ask":       {"any": recoveryAskPage{Portal: "Acme", Contact: "it@acme.example", Address: who, Attempt: handle, Other: "/login/factor", Hours: 72}},
		"recovery_asked":     {"any": recoveryAskedPage{Portal: "Acme", Contact: "it@acme.example", Hours: 72}},
		"recovery":           {"any": recoveryPage{Portal: "Acme", Address: who, Token: handle}},
		"recovery_cancel":    {"any": recoveryCancelPage{Portal: "Acme", Address: who, Token: handle}},
		"recovery_cancelled": {"any": recoveryCancelledPage{Portal: "Acme"}},
		"recoveries": {"none": recoveriesPage{Tabs: sampleTabs, Form: withProblem(portal.ErrRecoveryOver)},
			"some": recoveriesPage{Tabs: sampleTabs, Notice: "Refused.", Recoveries: []recoveryLine{
				{ID: "1", Name: "Ada Lovelace", Address: who, Account: "/admin/users/1", Asked: at, Expires: at, From: "Firefox on Linux · 192.0.2.0/24"},
				{ID: "2", Address: "ida@acme.example", Account: "/admin/users/2", Asked: at, Expires: at, Not: "This is your own account."}}}},
	}
}
