"""Simulated and past traffic, allocated by the code of the rule itself: what a setting would earn.

Arrays and records in, records out: no Dagster, no output, no clock; randomness comes from a seed.
"""
