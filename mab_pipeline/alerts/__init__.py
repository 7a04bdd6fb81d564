"""Alerts: the conditions that raise one, how often it is sent, and the webhook."""
