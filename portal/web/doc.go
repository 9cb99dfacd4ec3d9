// Package web is the portals of one region as browsers see them, by host.
//
// A sign-in goes like this. The person comes with a ticket of the front door, or
// types an address, or asked for a page that needs a session: an attempt starts,
// which lives in the region's store and is bound to this browser by a cookie
// without authority. What the attempt is for (the page first asked for) stays in
// the store; its URL carries an opaque handle only. The address's domain, never
// the account, decides the next step: the form for the password, the
// organisation's own sign-in, or the choice between both. Whoever gets through
// receives a new session and is sent, by 303, to the page first asked for.
//
// Whoever is in looks after their own account below /account, and, as far as their
// role goes, after the portal below /admin. All of it is one list, in routes, which
// says of each page who may ask: anyone; anyone, counted; a member; or a member who
// has proved lately who they are, which sensitive changes ask for. A role that does
// not reach gets the page that everybody gets, and an audit row.
//
// A form that was read at an older version than the one it would replace is not
// saved: its page shows both. What has been done is said once, on the next page.
//
// Nothing here decides who may come in. Package store does, in one transaction
// with the facts that count once; this package reads forms strictly, keeps
// cookies and chooses words.
package web
