package web

import (
	"net/http"
	"strconv"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// activityPage is what happened to one's own account (S30), the newest first. It
// says nothing of anybody else: who did something else than oneself is "an
// administrator", whoever it was.
type activityPage struct {
	Tabs         []tab
	Rows         []activityRow
	Older, First string // local paths; empty: there are none, one is there
}

type activityRow struct {
	At        moment
	What      string
	Refused   bool
	By        string // empty: oneself
	Network   string
	Reference string
}

const activityOnPage = 25

var fieldBefore = field{"before", 19}

func (s *Site) activity(v *visit) error {
	q, err := v.query(fieldBefore)
	if err != nil {
		return err
	}
	filter := portal.EventFilter{Account: v.member.Account.ID, Newest: true, Limit: activityOnPage + 1}
	if q["before"] != "" {
		if filter.Before, err = strconv.ParseInt(q["before"], 10, 64); err != nil || filter.Before < 1 {
			return &discovery.Error{Kind: discovery.Invalid, Field: "before", Code: "page_unknown", Say: "There is no such page of this list."}
		}
	}
	links, err := s.Store.Events(v.r.Context(), v.portal.ID, filter)
	if err != nil {
		return err
	}
	p := activityPage{Tabs: v.accountTabs("activity")}
	if q["before"] != "" {
		p.First = "/account/activity"
	}
	if len(links) > activityOnPage {
		links = links[:activityOnPage]
		p.Older = "/account/activity?before=" + strconv.FormatInt(links[activityOnPage-1].Seq, 10)
	}
	for _, l := range links {
		p.Rows = append(p.Rows, v.activityRowOf(l.Event))
	}
	return v.render(http.StatusOK, "activity", p)
}

func (v *visit) activityRowOf(e portal.Event) activityRow {
	row := activityRow{At: v.when(e.At), What: v.eventText(e.Action), Refused: e.Code != "", Network: e.Client, Reference: e.Reference}
	switch {
	case e.Actor != "" && e.Actor != e.Account:
		row.By = v.t("An administrator")
	case e.Method == "operator":
		row.By = v.t("The operator of the portal")
	}
	return row
}
