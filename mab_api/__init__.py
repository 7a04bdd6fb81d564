"""The serving API: reads what was published, never computes."""
