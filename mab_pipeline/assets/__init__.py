"""Dagster assets: one module per table, named after it.

Dagster concept: https://docs.dagster.io/guides/build/assets
"""
