"""Experiments: event schemas, state over time, registration and session assignment.

Nothing here queries the warehouse or decides shares. Metrics rows are kept as received and judged
in SQL (`sql/schema/02_create_views.sql`); `mab_pipeline.bandit.buckets` deals buckets to variants.
"""
