"""The Snowflake engine: connections, transactions, Arrow results and errors.

Nothing here imports Dagster; `mab_pipeline.snowflake_resource` opens the same connection as a
Dagster resource.
"""
