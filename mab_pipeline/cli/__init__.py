"""The `mab` command: options, output and exit codes; one thin module per verb."""
