"""Dagster asset checks: conditions that each table must meet, one module per asset.

A new asset's checks are an `AssetChecks` in a module of this package; loading the package finds
them. Finders live in `finders.py`, or in `allocation/gate.py` if a finding names an experiment.

Dagster concept: https://docs.dagster.io/guides/test/asset-checks
"""
