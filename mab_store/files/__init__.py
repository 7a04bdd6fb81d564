"""Immutable files: the inbox, its parsers and the journal. Bytes and rows, no meaning."""
