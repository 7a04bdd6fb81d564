"""The Dagster code location. `definitions` wires it; importing this package imports nothing.

Dagster concept: https://docs.dagster.io/guides/build/projects
"""
