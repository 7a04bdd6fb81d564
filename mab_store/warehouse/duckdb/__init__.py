"""The embedded engine: one DuckDB file, read through published copies."""
