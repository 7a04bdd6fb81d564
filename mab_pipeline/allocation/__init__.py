"""From windows to a published decision: the rule, its gate, publication, and the records of both.

No Dagster here: assets, checks, replay and simulation call the same code.
"""
