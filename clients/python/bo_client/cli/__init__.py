"""The command `bo`: its subcommands, and the display and export of studies."""
