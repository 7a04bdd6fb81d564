"""Dagster asset checks: conditions that each table must meet.

Dagster concept: https://docs.dagster.io/guides/test/asset-checks
"""
