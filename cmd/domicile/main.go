// Domicile is the front door of a product that keeps its customers' data in
// several legal territories. This is the whole of it in one binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // people choose their time zone, also where the system has no list of them

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation/fetch"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run returns the exit code: 0 done, 1 it could not be done, 2 it was not
// understood.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends us at once
	root := rootCommand()
	root.SetArgs(args)
	root.SetContext(ctx)
	cmd, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "domicile: %s\n", explain(err))
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(os.Stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
		return 2
	}
	return 1
}

// explain is err for an operator, who may hear more than a person at a browser:
// what is said, the code to look it up by, and what lies underneath.
func explain(err error) string {
	var said *discovery.Error
	if errors.As(err, &said) && said.Say != "" {
		text := said.English()
		if said.Code != "" {
			text += " (" + said.Code + ")"
		}
		if said.Err != nil {
			text += ": " + said.Err.Error()
		}
		return text
	}
	var fetched *fetch.Error
	if errors.As(err, &fetched) {
		return fmt.Sprintf("%v: %v", err, fetched.Unwrap())
	}
	return err.Error()
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "domicile",
		Short: "The front door of a product whose data lives in several jurisdictions",
		Long: `Domicile is the front door of a product whose data lives in several jurisdictions.

A person types an address on the global page and ends up signed in at the right
portal, in the right jurisdiction, through the right federation.

To see it at work: domicile demo

The exit code of every command is 0 when it was done, 1 when it could not be done,
and 2 when it was not understood.`,
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              noArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(commands()...)
	return root
}

// version is what the Go command recorded: a module version, or the commit that
// was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" {
			v = s.Value
		}
	}
	return v + ", " + info.GoVersion
}

// A usageError is a command line that was not understood.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func misused(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return misused("there is no command %q in %s", args[0], cmd.CommandPath())
	}
	return misused("%s takes no arguments, but got %q", cmd.CommandPath(), args[0])
}

// takes wants one argument for each name.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return misused("%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return misused("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}

// group is a command that only holds others.
func group(name, short string, sub ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(sub...)
	return c
}
