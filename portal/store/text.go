package store

import (
	"cmp"
	"context"
	"errors"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// ErrNoTexts: the region has nobody who sends text messages. What needs one is
// not offered; whoever asks for it all the same hears this.
var ErrNoTexts = &discovery.Error{Kind: discovery.Conflict, Code: "sms_off",
	Say: "This portal cannot send text messages. Please use another second factor."}

// text queues a text message with a code to a person's telephone, in this
// transaction. t needs Code and Expires; the rest is filled in. Like a letter it
// is sealed, taken by one process at a time and tried again until the code
// expires.
//
//	err := u.text(ctx, account, number, portal.Text{Code: code, Expires: u.now.Add(life)})
func (u *unit) text(ctx context.Context, a *account, to portal.E164, t portal.Text) error {
	switch {
	case !u.s.Texts:
		return ErrNoTexts
	case !to.Valid():
		return errors.New("queue text message: the receiver is no number")
	case t.Code == "" || !t.Expires.After(u.now):
		return errors.New("queue text message: no code, or one that has expired")
	}
	p, err := readPortal(ctx, u, `id = $1`, u.portal)
	if err != nil {
		return err
	}
	set, err := readSettings(ctx, u, u.portal)
	if err != nil {
		return err
	}
	u.posted = true
	return u.s.queue(ctx, u, u.portal, sealedLetter{
		Kind: portal.TextLetter, Cell: to.Clear(), Code: t.Code.Clear(), Expires: micros(t.Expires),
		Portal: p.Name, URL: cmp.Or(p.At(u.s.StandIn), p.URL), Language: cmp.Or(a.Language, set.Language),
	}, u.now)
}

func (l sealedLetter) text() portal.Text {
	return portal.Text{To: portal.E164(l.Cell), Portal: l.Portal, URL: l.URL, Language: l.Language,
		Code: portal.Secret(l.Code), Expires: when(l.Expires)}
}
