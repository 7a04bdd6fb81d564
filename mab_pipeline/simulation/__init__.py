"""Simulated and past traffic, allocated by the code of the rule itself, to compare settings.

Arrays and records in, records out: no Dagster, no output, no clock; randomness comes from a seed.
"""
