package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/web"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

const (
	portals = 100
	warm    = 1000 // addresses that are asked for again and again
)

// A question is one way to ask POST /v1/discover.
type question struct {
	name    string
	address func(n int) string
	found   bool
}

// questions about a directory of so many people. A cold one asks for somebody
// else each time, so that no cache knows the answer.
func questions(entries int) []question {
	spread := max(1, entries/warm)
	return []question{
		{"known domain, warm", func(n int) string { return fmt.Sprintf("someone%d@domain%d.example", n%warm, n%portals) }, true},
		{"known person, warm", func(n int) string { return person(n % warm * spread) }, true},
		{"unknown, warm", func(n int) string { return fmt.Sprintf("nobody%d@elsewhere.example", n%warm) }, false},
		{"known person, cold", func(n int) string { return person(scatter(n) % entries) }, true},
		{"unknown, cold", func(n int) string { return fmt.Sprintf("nobody%d@nowhere.example", scatter(n)) }, false},
	}
}

func person(n int) string { return fmt.Sprintf("person%d@people.example", n) }

// scatter walks about in no order that a page cache would like.
func scatter(n int) int { return int(uint32(n)*2654435761) & 0x7fffffff }

// A front is a front door, and the region that it knows.
type front struct {
	*app.Discovery
	*parties
}

func (b *bench) discovery(ctx context.Context) error {
	fmt.Printf("\nPOST /v1/discover, %d connections, beside a bare handler\n%s\n", b.clients, beside)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "directory\tquestion\tper second\tbare\tratio\tCPU\tbare\tratio\tp50\tbare\tp99\tbare\t")
	rates := map[string][2]float64{}
	for i, entries := range []int{b.small, b.large} {
		f, err := b.front(ctx, fmt.Sprintf("sqlite:%s/directory-%d.db", b.dir, entries), nil)
		if err != nil {
			return err
		}
		if err := f.fill(ctx, entries, portals); err != nil {
			_ = f.Stop(ctx)
			return err
		}
		for _, q := range questions(entries) {
			us, bare, err := b.ask(ctx, f, q, nil)
			if err != nil {
				_ = f.Stop(ctx)
				return fmt.Errorf("%s: %w", q.name, err)
			}
			fmt.Fprintf(w, "%d\t%s\t%.0f\t%.0f\t%.2f\t%s\t%s\t%.2f\t%s\t%s\t%s\t%s\t\n", entries, q.name, us.persecond, bare.persecond, us.persecond/bare.persecond,
				micro(us.cpu), micro(bare.cpu), float64(bare.cpu)/float64(us.cpu),
				micro(us.quantile(.5)), micro(bare.quantile(.5)), micro(us.quantile(.99)), micro(bare.quantile(.99)))
			r := rates[q.name]
			r[i] = float64(us.cpu) / float64(bare.cpu)
			rates[q.name] = r
		}
		if err := f.Stop(ctx); err != nil {
			return err
		}
	}
	_ = w.Flush()
	fmt.Printf("\nGrowth of processor time from %d to %d entries, beside the bare handler’s (1.00: none)\n\n", b.small, b.large)
	for _, q := range questions(b.small) {
		fmt.Fprintf(w, "%s\t%.2f\t\n", q.name, rates[q.name][1]/rates[q.name][0])
	}
	_ = w.Flush()
	return b.seal()
}

func micro(d time.Duration) string { return fmt.Sprintf("%d µs", d.Microseconds()) }

// beside says what we are measured beside. It is what any server on the internet has to do
// that is asked the same and answers the same, whatever it does in between.
const beside = "The bare handler is net/http behind the same listener with the same time limits.\n" +
	"It decodes the question with encoding/json and writes the same headers and bytes.\n"

// ask measures one question beside a handler that writes what was answered, after
// it has done what work there is.
func (b *bench) ask(ctx context.Context, f *front, q question, work func() error) (us, bare result, err error) {
	sample, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.Addr("public")+"/v1/discover", strings.NewReader(body(q.address(0))))
	if err != nil {
		return us, bare, err
	}
	sample.Host = "localhost"
	sample.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(sample)
	if err != nil {
		return us, bare, err
	}
	text, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK || bytes.Contains(text, []byte(`"continue"`)) != q.found {
		return us, bare, fmt.Errorf("answered %s %.200q %w", res.Status, text, err)
	}
	same, err := serve.Listen("bare", "127.0.0.1:0", nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Email string `json:"email"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Email == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if work != nil {
			if err := work(); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable) // which ends the measurement
				return
			}
		}
		for name, values := range res.Header {
			if name != "Date" {
				w.Header()[name] = values
			}
		}
		_, _ = w.Write(text)
	}), slog.New(slog.DiscardHandler))
	if err != nil {
		return us, bare, err
	}
	same.Start()
	defer func() { err = errors.Join(err, same.Stop(ctx)) }()

	// Ready-made requests; a cold question never repeats one within a turn.
	asked := 0
	of := func(addr string) side {
		cache := map[int][]byte{}
		for n := range warm {
			cache[n] = request(q.address(n))
		}
		return func(ctx context.Context) (result, error) {
			offset := asked
			asked += 1 << 20
			make := func(n int) []byte { return request(q.address(offset + n)) }
			if strings.HasSuffix(q.name, "warm") {
				make = func(n int) []byte { return cache[n%warm] }
			}
			return load(ctx, []string{addr}, b.clients, b.round, make)
		}
	}
	ours := of(f.Addr("public"))
	if _, err := load(ctx, []string{f.Addr("public")}, b.clients, b.round/4, func(n int) []byte { return request(q.address(n % warm)) }); err != nil {
		return us, bare, err
	}
	return b.turns(ctx, ours, of(same.Addr().String()))
}

func body(address string) string { return `{"email":"` + address + `"}` }

func request(address string) []byte {
	text := body(address)
	return fmt.Appendf(nil, "POST /v1/discover HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
}

// front makes a front door as it is run, but for the limits.
func (b *bench) front(ctx context.Context, database string, change func(*app.DiscoveryOptions)) (*front, error) {
	p, err := b.parties()
	if err != nil {
		return nil, err
	}
	o := app.DiscoveryOptions{
		Common: app.Common{
			Listen: "127.0.0.1:0", Database: database, Migrate: true,
			Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
		},
		URL: "http://localhost", Internal: "127.0.0.1:0", Tickets: p.tickets, Secrets: [][]byte{make([]byte, 32)}, BlindKeys: p.blind,
		Roots: []ed25519.PublicKey{p.root}, Catalogue: p.catalogue, Limits: web.Limits{DangerouslyUnlimited: true},
	}
	if change != nil {
		change(&o)
	}
	d, err := app.NewDiscovery(ctx, o)
	if err != nil {
		return nil, err
	}
	d.Start()
	return &front{d, p}, nil
}

// fill claims portals and people, the way a region does.
func (f *front) fill(ctx context.Context, entries, portals int) error {
	ways := []discovery.SignIn{discovery.Password}
	var claims []discovery.Claim
	var seq int64
	claim := func(c discovery.Claim) error {
		seq++
		c.Seq = seq
		if claims = append(claims, c); len(claims) < discovery.MaxClaims {
			return nil
		}
		_, err := f.Store().Apply(ctx, f.record, discovery.Batch{Region: f.record.Region, After: claims[0].Seq - 1, Claims: claims, Issued: time.Now().Unix()})
		claims = claims[:0]
		return err
	}
	for i := range portals {
		id := fmt.Sprintf("portal%d", i)
		p := discovery.Portal{ID: id, Name: fmt.Sprintf("Portal %d", i), URL: "https://" + id + ".eu.example.com", Disclosure: discovery.Listed, Region: f.record.Region}
		if err := claim(discovery.Claim{Portal: &p}); err != nil {
			return err
		}
		if err := claim(discovery.Claim{Route: &discovery.Route{Domain: fmt.Sprintf("domain%d.example", i), Portal: id, SignIn: ways}}); err != nil {
			return err
		}
	}
	for i := range entries {
		a, err := discovery.ParseAddress(person(i))
		if err != nil {
			return err
		}
		if err := claim(discovery.Claim{Entry: &discovery.Entry{Blind: f.blind.Current(a), Portal: fmt.Sprintf("portal%d", i%portals), SignIn: ways}}); err != nil {
			return err
		}
	}
	if len(claims) > 0 {
		if _, err := f.Store().Apply(ctx, f.record, discovery.Batch{Region: f.record.Region, After: claims[0].Seq - 1, Claims: claims, Issued: time.Now().Unix()}); err != nil {
			return err
		}
	}
	return f.Store().Refresh(ctx)
}

// seal says what tickets cost: the first of a channel, and all others.
func (b *bench) seal() error {
	key, err := ticket.GenerateKey()
	if err != nil {
		return err
	}
	_, signs, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	to := regions.Record{Region: "eu-central", TicketKeys: []regions.TicketKey{key.Public()}}
	t := ticket.Ticket{Region: "eu-central", Portal: "acme", Address: "ada@acme.example", Issued: time.Now()}
	first, err := b.repeat(func() error { _, err := ticket.Seal(to, signs, t); return err })
	if err != nil {
		return err
	}
	sealer, err := ticket.NewSealer(signs, time.Now)
	if err != nil {
		return err
	}
	next, err := b.repeat(func() error { _, err := sealer.Seal(to, t); return err })
	if err != nil {
		return err
	}
	fmt.Printf("\nA ticket takes %.1f µs of one processor, and the first to a portal in ten seconds %.0f µs\n", 1e6/next, 1e6/first)
	return nil
}
