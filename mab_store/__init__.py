"""Shared by the pipeline and the API: settings, errors, files, experiments and the warehouse.

Imports neither Dagster nor a web framework.
"""
