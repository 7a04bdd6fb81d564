"""The HTTP server: its protocol, the limits that it enforces, and how it stops."""
