package faults

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What is watched of each process, and by how much it may have risen between the
// first and the last fifth of the time: so many times, and so much more. A leak
// of anything per request is far beyond both within minutes.
var watched = []struct {
	metric, name string
	unit         float64
	times, more  float64
}{
	{"process_resident_memory_bytes", "MiB", 1 << 20, 1.5, 64},
	{"go_goroutines", "goroutines", 1, 1.5, 150},
	{"process_open_fds", "descriptors", 1, 1.5, 100},
}

// TestSoak keeps a load up, by SOAK=10m for so long, and watches what every
// process needs. Who leaks, rises.
func TestSoak(t *testing.T) {
	s := sizes()
	long := 10 * time.Second
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatalf("SOAK: %v", err)
		}
		s.pace = pace{visitors: 160, programs: 60, steps: 8 * time.Millisecond, lookups: 500 * time.Millisecond}
	}
	p := build(t, s)
	p.begin(s.pace)
	defer p.stop()
	p.warm(s)
	y := p.fresh()
	samples := p.watch(long)
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, w := range append(y.wrong, y.failures...) {
		t.Error(w)
	}
	fmt.Printf("%v: %d lookups and %d sign-ins, %d and %d of them after another try\n\n",
		long, y.lookup.all, y.signIn.all, y.lookup.again, y.signIn.again)
	fmt.Println("| process | what | at first | at last | a minute |\n|---|---|---:|---:|---:|")
	for _, n := range p.nodes() {
		for i, w := range watched {
			series := samples[n.name][i]
			first, last := mean(series[:fifth(series)]), mean(series[len(series)-fifth(series):])
			fmt.Printf("| %s | %s | %.0f | %.0f | %+.2f |\n", n.name, w.name, first, last, slope(series)*float64(len(series))/long.Minutes())
			if last > first*w.times+w.more {
				t.Errorf("%s: %s rose from %.0f to %.0f", n.name, w.name, first, last)
			}
		}
	}
}

// watch asks every process for its metrics, a hundred times while the load goes
// on.
func (p *plant) watch(long time.Duration) map[string][3][]float64 {
	p.t.Helper()
	samples := map[string][3][]float64{}
	tick := time.NewTicker(long / 100)
	defer tick.Stop()
	for range 100 {
		<-tick.C
		for _, n := range p.nodes() {
			now := p.metrics(n)
			all := samples[n.name]
			for i, w := range watched {
				value, there := now[w.metric]
				if !there {
					p.t.Fatalf("%s has no %s", n.name, w.metric)
				}
				all[i] = append(all[i], value/w.unit)
			}
			samples[n.name] = all
		}
	}
	return samples
}

// metrics are those of a process that have no labels.
func (p *plant) metrics(n *node) map[string]float64 {
	p.t.Helper()
	res, err := http.Get("http://" + n.probe + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	values := map[string]float64{}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			values[name] = value
		}
	}
	return values
}

func fifth(series []float64) int { return max(1, len(series)/5) }

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// slope is by how much a series rises from one value to the next: the line that
// lies closest to all of them.
func slope(series []float64) float64 {
	middle, level := float64(len(series)-1)/2, mean(series)
	over, under := 0.0, 0.0
	for i, v := range series {
		d := float64(i) - middle
		over += d * (v - level)
		under += d * d
	}
	return over / under
}
