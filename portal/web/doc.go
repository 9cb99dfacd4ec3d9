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
// Nothing here decides who may come in. Package store does, in one transaction
// with the facts that count once; this package reads forms strictly, keeps
// cookies and chooses words.
package web
