"""Commands: options, help and examples, a file per command, without what is slow to import."""
