"""The embedded engine: one DuckDB file, read through published copies.

`warehouse` locks, writes and copies the file; `published_copies` opens the copies. Readers never
open the file itself.
"""
