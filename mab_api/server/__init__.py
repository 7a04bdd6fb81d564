"""The HTTP server: its protocol, the limits that it holds, and how it stops."""
