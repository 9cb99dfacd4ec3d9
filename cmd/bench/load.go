package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A result is what one side did in one turn or in all of them.
type result struct {
	persecond float64
	cpu       time.Duration   // for one request: server, generator and kernel
	latencies []time.Duration // sorted
}

func (r result) quantile(q float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(len(r.latencies)-1, int(q*float64(len(r.latencies))))]
}

// load asks a server, or several, over a few connections, each of them as soon as
// it has an answer, for as long as a turn takes. The generator shares the processors with
// the server, so it writes requests that are ready made and reads no more of an
// answer than where it ends.
func load(ctx context.Context, addrs []string, clients int, d time.Duration, request func(n int) []byte) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, d+30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	begin, busy := time.Now(), processor()
	end := begin.Add(d)
	for c := range clients {
		wg.Go(func() {
			took, err := client(ctx, addrs[c%len(addrs)], end, func(n int) []byte { return request(c + n*clients) })
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	elapsed, busy := time.Since(begin), processor()-busy
	slices.Sort(all)
	return result{float64(len(all)) / elapsed.Seconds(), busy / time.Duration(max(1, len(all))), all}, failed
}

// processor is the processor time this process has used. On a machine that has
// other things to do it tells more than the clock.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func client(ctx context.Context, addr string, end time.Time, request func(n int) []byte) ([]time.Duration, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReaderSize(conn, 16<<10)
	var took []time.Duration
	for n := 0; ; n++ {
		begin := time.Now()
		if begin.After(end) {
			return took, ctx.Err()
		}
		if _, err := conn.Write(request(n)); err != nil {
			return took, err
		}
		if err := answer(r); err != nil {
			return took, err
		}
		took = append(took, time.Since(begin))
	}
}

// answer reads one answer with a length and the status 200.
func answer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered %q", bytes.TrimSpace(line))
	}
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(v)); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("an answer without a length")
	}
	_, err = r.Discard(length)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// A side is one of the two that take turns.
type side func(context.Context) (result, error)

// turns lets two sides take turns, so that what the machine does meanwhile hits
// both, and returns each one's median turn with all of its latencies.
func (b *bench) turns(ctx context.Context, ours, bare side) (us, limit result, err error) {
	var all [2][]result
	for range b.rounds {
		for i, s := range []side{ours, bare} {
			r, err := s(ctx)
			if err != nil {
				return us, limit, err
			}
			all[i] = append(all[i], r)
		}
	}
	return median(all[0]), median(all[1]), ctx.Err()
}

func median(rs []result) result {
	var m result
	var rates []float64
	var cpu []time.Duration
	for _, r := range rs {
		rates = append(rates, r.persecond)
		cpu = append(cpu, r.cpu)
		m.latencies = append(m.latencies, r.latencies...)
	}
	slices.Sort(rates)
	slices.Sort(m.latencies)
	slices.Sort(cpu)
	m.persecond, m.cpu = rates[len(rates)/2], cpu[len(cpu)/2]
	return m
}
