"""Records of Dagster runs: why one failed, whether its process is alive, how long to keep it.

Dagster concept: https://docs.dagster.io/guides/monitor/logging
"""
