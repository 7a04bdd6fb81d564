"""From files to rows: the ledger of inbox files, their order of receipt, and late data."""
