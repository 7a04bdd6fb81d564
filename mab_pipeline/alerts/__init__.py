"""Alerts: the conditions that raise one, how often it is sent, and the webhook.

The sensor in `mab_pipeline/sensors.py` calls them on each tick.
Dagster concept: https://docs.dagster.io/guides/automate/sensors
"""
