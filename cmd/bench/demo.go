package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// demo builds the binary, and says how long the demo takes to open and how much
// memory it has then: the first time, with all keys and databases to make, and
// again with those of the first.
func (b *bench) demo(ctx context.Context) error {
	binary := filepath.Join(b.dir, "domicile")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/domicile").CombinedOutput(); err != nil {
		return fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	fmt.Print("\nThe demo, from start to open, and its memory then\n\n")
	data := filepath.Join(b.dir, "demo")
	for _, name := range []string{"first start", "second start"} {
		took, memory, err := start(ctx, binary, data)
		if err != nil {
			return fmt.Errorf("demo, %s: %w", name, err)
		}
		fmt.Printf("%13s  %.2f s  %s\n", name, took.Seconds(), memory)
	}
	return nil
}

func start(ctx context.Context, binary, data string) (took time.Duration, memory string, err error) {
	cmd := exec.CommandContext(ctx, binary, "demo", "--addr", "127.0.0.1:0", "--data", data)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, "", err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	lines := bufio.NewScanner(out)
	for took == 0 && lines.Scan() {
		if strings.HasPrefix(lines.Text(), "Domicile is open") {
			took = time.Since(begin)
		}
	}
	memory = resident(cmd.Process.Pid)
	_ = cmd.Process.Signal(os.Interrupt)
	for lines.Scan() { // until it has ended
	}
	err = cmd.Wait()
	if took == 0 {
		err = errors.Join(errors.New("it never opened"), err)
	}
	return took, memory, err
}

// resident is the memory of a process that is not swapped out, where /proc says.
func resident(pid int) string {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return "memory unknown here"
	}
	for line := range strings.Lines(string(status)) {
		if kilobytes, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(kilobytes), " kB"))
			if err == nil {
				return fmt.Sprintf("%d MB", n/1024)
			}
		}
	}
	return "memory unknown here"
}
