package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// Who is behind a portal that is not named to strangers must not be told by how long
// the front door takes to name nobody.

// A crowdOf is addresses that all get the same empty answer, each for another reason.
type crowdOf struct {
	name    string
	address func(n int) string
}

var unnamed = []crowdOf{
	{"nobody", func(n int) string { return fmt.Sprintf("nobody-%06d@people.example", n) }},
	{"has an account in a proven portal", func(n int) string { return fmt.Sprintf("person-%06d@people.example", n) }},
	{"of a proven portal's domain", func(n int) string { return fmt.Sprintf("member-%06d@hidden.example", n) }},
}

// timing asks for each crowd in turns that nobody can foresee, over one connection from
// this very machine, which is nearer than any stranger gets, and compares how long
// the answers take: Mann and Whitney's U test, two-sided.
func (b *bench) timing(ctx context.Context) error {
	fmt.Printf("\nHow long it takes to name nobody: %d answers of each, one connection, in random order\n"+
		"p is how often chance alone would set them so far apart; AUC is how often one answer tells right of two (0.5: never better than a coin)\n\n", b.samples)
	f, err := b.front(ctx, fmt.Sprintf("sqlite:%s/timing.db", b.dir), nil)
	if err != nil {
		return err
	}
	err = f.hide(ctx, b.samples)
	if err == nil {
		err = b.compare(ctx, f)
	}
	return errors.Join(err, f.Stop(ctx))
}

func (b *bench) compare(ctx context.Context, f *front) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "asked\tbeside nobody\tmedian\tof nobody\tAUC\tp\t")
	// The first time nobody is asked for anybody the directory is read, the second
	// time each front door remembers.
	for _, when := range []string{"for the first time", "again"} {
		took, err := b.sample(ctx, f)
		if err != nil {
			return err
		}
		for i, c := range unnamed[1:] {
			auc, p := mannWhitney(took[i+1], took[0])
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.3f\t%.3f\t\n", when, c.name, half(took[i+1]), half(took[0]), auc, p)
		}
	}
	return w.Flush()
}

func half(took []time.Duration) string {
	return fmt.Sprintf("%.1f µs", float64(slices.Sorted(slices.Values(took))[len(took)/2].Nanoseconds())/1000)
}

// hide claims a portal that is not named to strangers, with people and a domain.
func (f *front) hide(ctx context.Context, people int) error {
	ways := []discovery.SignIn{discovery.Password}
	claims := []discovery.Claim{
		{Portal: &discovery.Portal{ID: "secret", Name: "Secret", URL: "https://secret.eu.example.com", Disclosure: discovery.Proven, Region: f.record.Region}},
		{Route: &discovery.Route{Domain: "hidden.example", Portal: "secret", SignIn: ways}},
	}
	for i := range people {
		a, err := discovery.ParseAddress(unnamed[1].address(i))
		if err != nil {
			return err
		}
		claims = append(claims, discovery.Claim{Entry: &discovery.Entry{Blind: f.blind.Current(a), Portal: "secret", SignIn: ways}})
	}
	for i := range claims {
		claims[i].Seq = int64(i + 1)
	}
	for batch := range slices.Chunk(claims, discovery.MaxClaims) {
		if _, err := f.Store().Apply(ctx, f.record, discovery.Batch{Region: f.record.Region, After: batch[0].Seq - 1, Claims: batch, Issued: time.Now().Unix()}); err != nil {
			return err
		}
	}
	return f.Store().Refresh(ctx)
}

// sample returns how long the answers took, by crowd.
func (b *bench) sample(ctx context.Context, f *front) ([][]time.Duration, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", f.Addr("public"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	ask := func(address string) (time.Duration, error) {
		question := request(address)
		began := time.Now()
		if _, err := c.Write(question); err != nil {
			return 0, err
		}
		if err := answer(r); err != nil {
			return 0, err
		}
		return time.Since(began), nil
	}
	for n := range 200 { // what the first ones of a connection cost is another matter
		if _, err := ask(fmt.Sprintf("warm%d@nowhere.example", n)); err != nil {
			return nil, err
		}
	}
	type turn struct{ crowd, n int }
	var turns []turn
	for i := range unnamed {
		for n := range b.samples {
			turns = append(turns, turn{i, n})
		}
	}
	rand.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	took := make([][]time.Duration, len(unnamed))
	for _, t := range turns {
		d, err := ask(unnamed[t.crowd].address(t.n))
		if err != nil {
			return nil, err
		}
		took[t.crowd] = append(took[t.crowd], d)
	}
	return took, nil
}

// mannWhitney compares two samples: how often one of a is longer than one of b (ties
// count half), and the two-sided p of the normal approximation, corrected for ties.
func mannWhitney(a, b []time.Duration) (auc, p float64) {
	type one struct {
		d time.Duration
		a bool
	}
	var all []one
	for _, d := range a {
		all = append(all, one{d, true})
	}
	for _, d := range b {
		all = append(all, one{d, false})
	}
	slices.SortFunc(all, func(x, y one) int { return int(x.d - y.d) })
	n, m := float64(len(a)), float64(len(b))
	var ranks, ties float64
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].d == all[i].d {
			j++
		}
		same := float64(j - i)
		ties += same*same*same - same
		for _, o := range all[i:j] {
			if o.a {
				ranks += float64(i+j+1) / 2
			}
		}
		i = j
	}
	u := ranks - n*(n+1)/2
	total := n + m
	deviation := math.Sqrt(n * m / 12 * (total + 1 - ties/(total*(total-1))))
	z := math.Abs(u-n*m/2) / deviation
	return u / (n * m), math.Erfc(z / math.Sqrt2)
}
