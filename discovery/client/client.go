// Package client is how a region speaks to the front door: it publishes its
// claims, and it vouches for the portals that a browser signed in to.
package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/span"
)

// maxAnswer is more than any answer of the front door's internal listener.
const maxAnswer = 64 << 10

// A Client publishes the claims of one region.
type Client struct {
	URL       string // of the front door's internal listener, such as https://front.internal:8443
	FrontDoor string // its public URL
	Region    string
	Key       ed25519.PrivateKey
	KeyID     string           // empty: computed from Key
	HTTP      *http.Client     // nil: one with a timeout of 30 seconds
	Now       func() time.Time // nil: time.Now
}

// A Refusal is a front door that understood the batch and will not have it:
// sending the same again cannot help. Any other error may pass.
type Refusal struct {
	Status int
	Title  string
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("the front door refuses the claims: %d %s", r.Status, r.Title)
}

// Publish signs b, as this region and as of now, and sends it. The receipt
// names the last sequence the front door has applied; one below b.After means
// that it has forgotten what it was told, and wants everything again.
func (c *Client) Publish(ctx context.Context, b discovery.Batch) (discovery.Receipt, error) {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	b.Region, b.Issued, b.FrontDoor = c.Region, now().Unix(), c.FrontDoor
	if b.Claims == nil {
		b.Claims = []discovery.Claim{}
	}
	jws, err := discovery.SignBatch(b, c.Key, c.KeyID)
	if err != nil {
		return discovery.Receipt{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.URL, "/")+"/claims", strings.NewReader(jws))
	if err != nil {
		return discovery.Receipt{}, fmt.Errorf("publish: %w", err)
	}
	req.Header.Set("Content-Type", "application/jose")
	req.Header.Set("Accept", "application/json")
	span.Inject(ctx, req.Header)
	resp, err := c.client().Do(req)
	if err != nil {
		return discovery.Receipt{}, fmt.Errorf("publish: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return discovery.Receipt{}, fmt.Errorf("publish: read the receipt: %w", err)
	}
	return receipt(resp.StatusCode, body)
}

// standard serves clients that brought none. It goes where it is told and
// nowhere else: the claims are for the front door alone.
var standard = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (c *Client) client() *http.Client {
	if c.HTTP != nil {
		return c.HTTP
	}
	return standard
}

func receipt(status int, body []byte) (discovery.Receipt, error) {
	switch {
	case status == http.StatusOK:
		var r discovery.Receipt
		d := json.NewDecoder(bytes.NewReader(body))
		if err := d.Decode(&r); err != nil {
			return discovery.Receipt{}, fmt.Errorf("publish: read the receipt: %w", err)
		}
		if r.Last < 0 {
			return discovery.Receipt{}, errors.New("publish: the receipt makes no sense")
		}
		return r, nil
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout:
		var problem struct {
			Title string `json:"title"`
		}
		if json.Unmarshal(body, &problem) != nil || problem.Title == "" {
			problem.Title = http.StatusText(status)
		}
		return discovery.Receipt{}, &Refusal{Status: status, Title: problem.Title}
	}
	return discovery.Receipt{}, fmt.Errorf("publish: the front door answers %d", status)
}

// Proof is what a portal hands a browser that has just signed in, so that the
// front door at that public URL may remember the portal there:
// <front door>/remember?proof=…. It is good for discovery.ProofLife and names
// nobody.
func Proof(key ed25519.PrivateKey, region, portal, frontDoor string, now time.Time) (string, error) {
	return discovery.SignProof(discovery.Proof{Region: region, Portal: portal, FrontDoor: frontDoor, Issued: now.Unix()}, key, "")
}
