"""The Dagster code location; importing it imports nothing."""
