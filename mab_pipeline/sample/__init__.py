"""The sample of `mab demo`: daily counts of 15 real experiments (source: README.md)."""
