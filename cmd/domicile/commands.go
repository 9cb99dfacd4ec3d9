package main

import "github.com/spf13/cobra"

// commands is everything the binary can be asked to do.
func commands() []*cobra.Command {
	withConfig := []*cobra.Command{
		portalCommand(), connectionCommand(), domainCommand(), appCommand(), planCommand(), accountCommand(), publishCommand(), auditCommand(), keysCommand(),
	}
	for _, c := range withConfig {
		c.PersistentFlags().String("config", "", "configuration file of the region's portals")
	}
	return append([]*cobra.Command{
		demoCommand(),
		serveCommand(),
		checkCommand(),
		migrateCommand(),
		backupCommand(),
		restoreCommand(),
		probeCommand(),
		regionCommand(),
		directoryCommand(),
	}, withConfig...)
}
