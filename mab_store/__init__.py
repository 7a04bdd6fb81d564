"""Code shared by the pipeline and the API: settings, errors, files, experiments, the warehouse.

It imports neither Dagster nor a web framework.
"""
