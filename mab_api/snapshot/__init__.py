"""The answers held in memory, and how they are refreshed."""
