"""The Snowflake engine: connections, transactions, Arrow results and errors."""
