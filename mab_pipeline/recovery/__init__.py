"""A home that lost its warehouse: noticed before a run, and restored from inbox and journal."""
