"""Queries on the published copy, for answers that are too large to hold in memory."""
