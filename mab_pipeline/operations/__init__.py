"""One module per command: it does the work and returns results."""
