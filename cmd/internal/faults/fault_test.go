package faults

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
)

func TestMain(m *testing.M) { planttest.Main(m, nil) }

// patience is when a person gives up. It is long because two cores may be
// building and testing everything else meanwhile.
const patience = 30 * time.Second

// A size is how large a test is.
type size struct {
	pace
	full           bool          // everything that may happen
	people, guests int           // of each portal
	before, during time.Duration // the strike
	quiet          time.Duration // without anybody noticing anything, and it is over
}

// sizes are those of `make faults`, or of everybody's tests.
func sizes() size {
	if os.Getenv("FAULTS") == "full" {
		return size{pace: pace{visitors: 160, programs: 60, steps: 5 * time.Millisecond, lookups: 400 * time.Millisecond},
			full: true, people: 40, guests: 5, before: 3 * time.Second, during: 10 * time.Second, quiet: 3 * time.Second}
	}
	s := size{pace: pace{visitors: 160, programs: 50, steps: 8 * time.Millisecond, lookups: time.Second},
		people: 10, guests: 2, before: time.Second, during: 3 * time.Second, quiet: time.Second}
	if planttest.Raced {
		s.steps, s.lookups = 30*time.Millisecond, 2*time.Second
	}
	return s
}

// A fault is what happens to the fleet.
type fault struct {
	name         string
	strike, mend func()
	lost         string        // a region that nobody stands in for
	stands       bool          // somebody does
	late         bool          // the directory cannot be read to its newest state
	seen         time.Duration // how long it takes at most until it is noticed
	long         bool          // left out where tests are to be short
	itself       string        // what recovers by itself, and how
}

// TestFaults strikes the fleet with everything that may happen to it.
func TestFaults(t *testing.T) {
	s := sizes()
	p := build(t, s)
	p.begin(s.pace)
	defer p.stop()
	p.warm(s)

	var table []result
	for i, f := range p.faults() {
		if f.long && !s.full {
			continue
		}
		if only := os.Getenv("FAULT"); only != "" && !regexp.MustCompile(only).MatchString(f.name) {
			continue
		}
		table = append(table, p.suffer(f, s, i))
		if t.Failed() {
			break
		}
	}
	if len(table) == 0 {
		t.Fatal("nothing was struck")
	}
	lines := []string{head}
	for _, r := range table {
		lines = append(lines, r.row())
	}
	fmt.Println(strings.Join(lines, "\n"))
}

// suffer strikes, waits, mends, and waits until nobody notices anything.
func (p *plant) suffer(f fault, s size, n int) result {
	p.t.Helper()
	y := p.fresh()
	p.wait(s.before)
	if f.lost != "" {
		p.gone.Store(&f.lost)
	}
	p.late.Store(f.late)
	struck := time.Now()
	f.strike()
	changes := p.change(n)
	if f.seen > s.during {
		s.during = f.seen
	}
	p.wait(s.during - time.Since(struck))
	f.mend()
	mended := time.Now()
	p.whole()
	p.found(changes)
	settled := time.Now()
	p.late.Store(false)
	p.wait(s.quiet)
	if f.lost != "" {
		p.gone.Store(new(string))
	}
	p.settle(s)
	p.equal()
	y.mu.Lock()
	if y.trouble.After(settled) {
		settled = y.trouble
	}
	r := result{fault: f.name, struck: struck, stands: f.stands, during: mended.Sub(struck), back: settled.Sub(mended), tally: y, itself: f.itself}
	for _, w := range y.wrong {
		p.t.Errorf("%s: WRONG: %s", f.name, w)
	}
	for _, w := range y.failures {
		p.t.Errorf("%s: failed: %s", f.name, w)
	}
	if f.lost != "" && y.told == 0 {
		p.t.Errorf("%s: nobody was told", f.name)
	}
	if f.stands && y.standIns == 0 {
		p.t.Errorf("%s: nobody signed in there", f.name)
	}
	if y.lookup.all == 0 || y.signIn.all == 0 {
		p.t.Errorf("%s: nobody tried anything", f.name)
	}
	y.mu.Unlock()
	p.t.Logf("%s\n%s", r.row(), y.obstacles())
	return r
}

// wait lets the load go on for a while.
func (p *plant) wait(d time.Duration) { pause(p.t.Context(), d) }

// warm waits until everybody has been in once, so that all accounts are there.
func (p *plant) warm(s size) {
	p.t.Helper()
	in := func() int {
		y := p.tally()
		y.mu.Lock()
		defer y.mu.Unlock()
		return y.signIn.all
	}
	for done := 0; done < s.visitors; {
		planttest.Until(p.t, "another sign-in", func() bool { return in() > done })
		done = in()
	}
	p.settle(s)
}

// settle waits until nobody has needed another try for a while.
func (p *plant) settle(s size) {
	p.t.Helper()
	if !planttest.Met(func() bool { return p.tally().quietSince(time.Now()) > s.quiet }) {
		y := p.tally()
		y.mu.Lock()
		defer y.mu.Unlock()
		p.t.Fatalf("people still need another try: %v", y.why)
	}
}

// whole waits until every process is ready and has requests handed to it.
func (p *plant) whole() {
	p.t.Helper()
	for _, n := range p.nodes() {
		n.ready()
	}
	planttest.Until(p.t, "the balancers using every process", func() bool {
		all := []*balancer{p.front, p.intake}
		for _, r := range p.regions {
			all = append(all, r.front)
		}
		return !slices.ContainsFunc(all, func(b *balancer) bool { return b.alive() < len(b.processes) })
	})
}

// faults are all that is struck, in order.
func (p *plant) faults() []fault {
	return []fault{
		{name: "Redis killed", strike: p.redis.Kill, mend: p.redis.Start,
			itself: "front doors ask the database, and Redis again within a second of its return"},
		{name: "Redis paused", strike: p.redis.Pause, mend: p.redis.Resume,
			itself: "the same; each front door waits for it 100 ms a second at most"},
		{name: "Consul killed", strike: p.consul.Kill, mend: p.consul.Start,
			itself: "what was last known of regions and their processes stays; processes register again"},
		{name: "directory’s primary killed", strike: p.primary.Kill, mend: p.primary.Start, late: true,
			itself: "lookups go to the replica; claims wait in the regions’ outboxes"},
		{name: "directory’s primary paused", strike: p.primary.Pause, mend: p.primary.Resume, late: true,
			itself: "the same"},
		{name: "directory’s replica killed", strike: p.replica.Kill, mend: p.replica.Start,
			itself: "lookups go to the primary"},
		{name: "Consul paused", strike: p.consul.Pause, mend: p.consul.Resume, long: true,
			itself: "as when it is killed"},
		{name: "directory’s replica paused", strike: p.replica.Pause, mend: p.replica.Resume, long: true,
			itself: "lookups go to the primary; each front door waits for the replica 300 ms a second at most"},
		p.down("a front door killed", "the balancer uses the other one", p.fronts[0]),
		p.hang("a front door paused", "the same, once its health check has timed out", p.fronts[1]),
		p.down("one of two portal processes killed", "the balancer uses the other one", p.central.nodes[0]),
		p.hang("one of two portal processes paused", "the same, once its health check has timed out", p.central.nodes[1]),
		p.lose(p.central, "front doors lead people to the standby and back"),
		p.without(p.lose(p.east, "the front door says so; elsewhere nobody notices")),
		{name: "network to the global side refused", strike: p.central.gate.Shut, mend: func() { p.central.gate.Open(p.t) },
			itself: "the region signs people in; its claims wait in its outbox"},
		{name: "network to the global side jammed", strike: p.central.gate.Stick, mend: p.central.gate.Free,
			itself: "the same"},
		{name: "every process restarted in turn", strike: p.roll, mend: func() {},
			itself: "each says that it is not ready before it takes no more requests"},
	}
}

// down kills processes and starts them again.
func (p *plant) down(name, itself string, nodes ...*node) fault {
	return fault{name: name, itself: itself,
		strike: func() {
			for _, n := range nodes {
				n.Kill()
			}
		},
		mend: func() {
			for _, n := range nodes {
				n.run()
			}
		}}
}

// hang stops a process where it is and lets it go on.
func (p *plant) hang(name, itself string, n *node) fault {
	signal := func(s os.Signal) func() {
		return func() {
			if err := n.Cmd.Process.Signal(s); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	return fault{name: name, itself: itself, long: true, strike: signal(syscall.SIGSTOP), mend: signal(syscall.SIGCONT)}
}

// lose kills all of a region, for longer than it takes Consul to notice.
func (p *plant) lose(r *region, itself string) fault {
	f := p.down("a region lost, another stands in", itself, r.nodes...)
	f.seen, f.stands = 8*time.Second, true
	return f
}

func (p *plant) without(f fault) fault {
	f.name, f.lost, f.stands = "a region lost, nobody stands in", p.east.name, false
	return f
}

// roll is an upgrade of every process: the signal that operators send, the end,
// and a new process.
func (p *plant) roll() {
	for _, n := range p.nodes() {
		n.Stop()
		n.start()
		p.whole()
	}
}
