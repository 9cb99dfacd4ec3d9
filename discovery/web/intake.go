package web

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/span"
	"github.com/domicile-sso/domicile/discovery/store"
	"github.com/domicile-sso/domicile/regions"
)

// IntakeOptions of [Intake]. Store, Regions and URL are required.
type IntakeOptions struct {
	URL     string // public URL of the front door, as batches name it
	Store   *store.Store
	Regions *regions.Catalogue

	// Certified wants the client's certificate, of an authority that the listener has
	// looked at, to name the region that has signed: claims are then worth two keys.
	Certified bool

	Log *slog.Logger
	Now func() time.Time // nil: time.Now
}

// MaxClaims is the longest body that POST /claims takes.
const MaxClaims = discovery.MaxBatch

// Intake is where regions publish, on a listener that only they can reach. It
// believes the signature, not the connection.
func Intake(o IntakeOptions) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	pages, err := page.New(files, page.Options{Log: o.Log})
	if err != nil {
		panic(err) // the pages are part of the binary
	}
	answer := func(h func(http.ResponseWriter, *http.Request) error) http.Handler {
		return pages.Handle(func(w http.ResponseWriter, r *http.Request) error {
			r.Header.Set("Accept", "application/json") // only programs come here
			return h(w, r)
		})
	}
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	router.Handle("/claims", answer(o.claims)).Methods(http.MethodPost)
	router.NotFoundHandler = answer(func(http.ResponseWriter, *http.Request) error {
		return &discovery.Error{Kind: discovery.NotFound, Code: "no_route"}
	})
	router.MethodNotAllowedHandler = answer(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", http.MethodPost)
		return &discovery.Error{Kind: discovery.NotAllowed, Code: "method_not_allowed"}
	})
	return router
}

func (o IntakeOptions) claims(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get("Content-Type") != "application/jose" {
		return &discovery.Error{Kind: discovery.MediaType, Code: "claims_type", Say: "Send a signed batch as application/jose."}
	}
	body, err := readBody(w, r, "claims", MaxClaims)
	if err != nil {
		return err
	}
	batch, record, err := discovery.OpenBatch(string(body), o.Regions.Regions(), o.Now())
	if err != nil {
		return err
	}
	if err := batch.For(o.URL); err != nil {
		return err
	}
	if o.Certified {
		if err := certified(r.TLS, record.Region); err != nil {
			return err
		}
	}
	ctx, sp := span.Start(r.Context(), span.ApplyClaims)
	sp.Text(span.Region, record.Region)
	sp.Number(span.Count, len(batch.Claims))
	receipt, err := o.Store.Apply(ctx, record, batch)
	sp.End(err)
	if err != nil {
		return &discovery.Error{Kind: discovery.Unavailable, Code: "claims_not_applied", Err: err}
	}
	return writeJSON(w, r, "application/json", receipt)
}
