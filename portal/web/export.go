package web

import (
	"bufio"
	"context"
	"net/http"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// An export is a file for spreadsheets that is written while it is read: however
// long it gets, a page of it is held at a time.
type export struct {
	ctx    context.Context
	cancel context.CancelFunc
	v      *visit
	w      *bufio.Writer
	err    error
}

// exportPatience is how much longer than a page a list may take: it goes to
// whoever waits for it, as fast as their line is.
const exportPatience = 10 * time.Minute

// startExport begins the answer; from here on there is no other status to give.
func (v *visit) startExport(name string) *export {
	h := v.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+name+"-"+v.portal.ID+"-"+v.site.Now().UTC().Format(time.DateOnly)+`.csv"`)
	h.Set("Cache-Control", "no-store")
	out := &export{ctx: v.r.Context(), cancel: func() {}, v: v, w: bufio.NewWriterSize(v.w, 32<<10)}
	if end, ok := out.ctx.Deadline(); ok {
		end = end.Add(exportPatience)
		out.ctx, out.cancel = context.WithDeadline(context.WithoutCancel(out.ctx), end)
		// A writer without deadlines is a test's.
		_ = http.NewResponseController(v.w).SetWriteDeadline(end)
	}
	v.w.WriteHeader(http.StatusOK)
	_, out.err = out.w.WriteString(portal.ExportMark)
	return out
}

func (out *export) line(cells ...string) error {
	if out.err == nil {
		_, out.err = out.w.WriteString(portal.ExportLine(cells...))
	}
	return out.err
}

// finish sends the rest. A list that could not be read to its end is cut off in
// the connection, so that nobody takes the half for the whole.
func (out *export) finish(err error) error {
	defer out.cancel()
	if err == nil {
		err = out.err
	}
	if err == nil {
		err = out.w.Flush()
	}
	if err != nil {
		out.v.site.pages.Record(out.v.r, edge(err))
		panic(http.ErrAbortHandler)
	}
	return nil
}
