package saml

import (
	"net/http"

	"github.com/domicile-sso/domicile/federation"
)

// refuse is a 403: a message was understood and is not believed.
func refuse(code string) *federation.Refusal { return &federation.Refusal{Code: code} }

// refuseFor is refuse with a word for the operator. detail must be one of our
// own constants or a name out of a specification, never text of the message.
func refuseFor(code, detail string) *federation.Refusal {
	return &federation.Refusal{Code: code, Detail: detail}
}

// malformed is a 400: what came in is not a message at all.
func malformed(code string) *federation.Refusal {
	return &federation.Refusal{Code: code, Status: http.StatusBadRequest}
}

func tooLarge(code string) *federation.Refusal {
	return &federation.Refusal{Code: code, Status: http.StatusRequestEntityTooLarge}
}
