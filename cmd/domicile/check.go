package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/regions"
)

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a configuration file",
		Long: `Check a configuration file of either role, without starting anything.

Everything wrong is shown at once, with line and column and what to do: settings,
the files they name, the kinds of keys in them, and, for a front door, every
record of the catalogue. What is not wrong but should be seen to is shown as a
warning. The exit code is 0 when a server would start with the file.`,
		Example: `  domicile check /etc/domicile/discovery.yaml`,
		Args:    takes("the configuration (FILE)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := args[0]
			c, err := config.Load(path)
			var mistakes config.Mistakes
			if errors.As(err, &mistakes) {
				fmt.Fprintln(cmd.ErrOrStderr(), mistakes)
				return fmt.Errorf("%s: %s", path, counted(len(mistakes), "mistake"))
			}
			if err != nil {
				return err
			}
			role, warnings := "portal", config.Mistakes(nil)
			switch c := c.(type) {
			case *config.Portal:
				warnings = c.Warnings
			case *config.Discovery:
				role, warnings = "discovery", c.Warnings
				if c.Catalogue.File == "" {
					break // Consul carries the records; checking a file asks no server
				}
				if err := checkCatalogue(cmd, c.Catalogue); err != nil {
					return err
				}
			}
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: good (role %s)\n", path, role)
			return nil
		},
	}
}

// checkCatalogue applies the catalogue as a front door would.
func checkCatalogue(cmd *cobra.Command, c config.Catalogue) error {
	records, err := regions.ReadFile(c.File)
	if err != nil {
		return err
	}
	catalogue := regions.NewCatalogue(c.RootKeys, time.Now)
	refused := catalogue.Apply(records)
	for _, err := range refused {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", c.File, err)
	}
	switch {
	case len(refused) > 0:
		return fmt.Errorf("%s: %s refused", c.File, counted(len(refused), "record"))
	case len(records) == 0:
		return fmt.Errorf("%s: no record in it: sign a region first", c.File)
	}
	return nil
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
