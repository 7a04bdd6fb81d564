"""Immutable files: the inbox, its parsers, receipts and the journal.

Everything here handles bytes and rows. SQL judges values; `mab_pipeline.ingestion` keeps the ledger
of loaded files and decides which of them count.
"""
