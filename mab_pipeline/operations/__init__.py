"""One module per thing that a person asks for: it works and returns results, and prints nothing."""
