// Bench measures Domicile beside the bare limit of the same work, in the same
// run and in turns, and prints ratios: absolute numbers say more about the
// machine than about us.
//
//	go run ./cmd/bench [-quick] [-only discovery,timing,stores,federation,demo,accounts]
//	                   [-huge 10000000] [-accounts 100000] [-events 1000000]
//
// Discovery is measured over loopback, through the real chain, with access logs
// written as JSON, beside a bare net/http handler that writes the same bytes.
// Stores are the same on real Redis and PostgreSQL servers, beside a handler that
// asks them for one row; how large entries are, how fast claims are taken in and
// how soon a change is found.
// Timing compares how long it takes to name nobody where there is nobody, and where
// there is somebody who is not to be named.
// Federation is measured in memory beside the bare signature check. The demo is
// the real binary: time until it is open, and memory then. Accounts are the pages
// of a portal with a hundred thousand people beside those of one with a hundred,
// on SQLite and PostgreSQL, and the import of a file of people.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
)

// A bench is what all measurements share.
type bench struct {
	dir     string        // temporary
	round   time.Duration // of one turn
	rounds  int           // turns of each side
	clients int           // connections at once
	small   int           // entries of the small directory
	large   int           // and of the large one
	huge    int           // and of the large one in Postgres
	samples int           // answers whose times are compared

	accountsLarge int // accounts of the large portal
	events        int // rows of its audit log
	lines         int // of an imported file

	known *parties
}

func main() {
	quick := flag.Bool("quick", false, "short turns and a large directory of 100 thousand entries")
	only := flag.String("only", "discovery,timing,stores,federation,demo,accounts", "what to measure")
	huge := flag.Int("huge", 1_000_000, "entries of the large directory in PostgreSQL")
	people := flag.Int("accounts", 100_000, "accounts of the large portal")
	events := flag.Int("events", 1_000_000, "rows of its audit log")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %v\n", err)
			os.Exit(1)
		}
		defer pprof.StopCPUProfile()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, *quick, bench{huge: *huge, accountsLarge: *people, events: *events}, strings.Split(*only, ",")); err != nil {
		pprof.StopCPUProfile()
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, quick bool, sizes bench, what []string) (err error) {
	dir, err := os.MkdirTemp("", "domicile-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	serve.Tune() // as the servers do
	b := &bench{dir: dir, round: time.Second, rounds: 5, clients: 8, small: 10_000, large: 1_000_000, huge: sizes.huge, samples: 1000,
		accountsLarge: sizes.accountsLarge, events: sizes.events, lines: 10_000}
	if quick {
		b.round, b.rounds, b.large, b.huge = 200*time.Millisecond, 3, 100_000, min(sizes.huge, 100_000)
		b.accountsLarge, b.events, b.lines = min(sizes.accountsLarge, 10_000), min(sizes.events, 100_000), 1000
	}
	fmt.Printf("%s, %d processors, %s; %d turns of %s each\n", runtime.Version(), runtime.GOMAXPROCS(0), runtime.GOARCH, b.rounds, b.round)
	for _, name := range what {
		switch name {
		case "discovery":
			err = b.discovery(ctx)
		case "timing":
			err = b.timing(ctx)
		case "stores":
			err = b.stores(ctx)
		case "federation":
			err = b.federation(ctx)
		case "demo":
			err = b.demo(ctx)
		case "accounts":
			err = b.accounts(ctx)
		default:
			err = fmt.Errorf("%q is none of discovery, timing, stores, federation, demo, accounts", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
