"""The work of commands, a file per command; their options are in `suite.commands`."""
